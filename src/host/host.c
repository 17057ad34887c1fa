/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/module.h"

static bool open_module(const char *name, const char *rest,
                        const struct log *log, struct host **ret,
                        struct error *err)
{
    const struct host_module *module;
    char what[32], file[64];
    const void *found;

    snprintf(what, sizeof(what), "host %s", name);
    snprintf(file, sizeof(file), "xenferry-host-%s.so", name);
    if (!module_load(what, file, "xenferry_host_module", &found, err))
        return false;
    module = found;
    if (module->version != HOST_MODULE_VERSION)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: module version %" PRIu32 ", expected %u", what,
                         module->version, HOST_MODULE_VERSION);
    return module->open(rest, log, ret, err);
}

bool host_open(const char *uri, const struct log *log, struct host **ret,
               struct error *err)
{
    const char *colon = strchr(uri, ':');
    char name[16];
    size_t length = colon ? (size_t)(colon - uri) : 0;

    if (length == 0 || length >= sizeof(name) ||
        strspn(uri, "abcdefghijklmnopqrstuvwxyz") != length)
        return error_set(err, ERR_USAGE,
                         "host \"%.64s\": expected a name and a colon, as in "
                         "xen:",
                         uri);
    memcpy(name, uri, length);
    name[length] = '\0';
    return open_module(name, colon + 1, log, ret, err);
}

void host_close(struct host *host)
{
    if (host)
        host->ops->close(host);
}

bool host_report(struct host *host, struct buffer *ret, struct error *err)
{
    struct host_description d;

    if (!host->ops->describe(host, &d, err))
        return false;
    buffer_format(ret,
                  "host:        %s %s\n"
                  "live moves:  %s\n"
                  "superpages:  %s\n",
                  d.implementation, d.version, d.log_dirty ? "yes" : "no",
                  d.superpages ? "yes" : "no");
    return buffer_check(ret, "host report", err);
}

void host_cpu_policy_release(struct host_cpu_policy *p)
{
    free(p->leaves);
    free(p->msrs);
    *p = (struct host_cpu_policy){0};
}
