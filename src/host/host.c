/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Finds and loads host implementations.
 *
 * A module stays loaded for the life of the process: hypervisor libraries
 * register handlers that cannot be taken back.
 */
#include "host/host.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Relative to the program's folder: beside it, and in the build folder. */
static const char *const beside_program[] = {".", "../host/xen",
                                             "../lib/xenferry"};

static void program_folder(char *ret, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", ret, size - 1);
    char *slash;

    if (length < 0)
        length = 0;
    ret[length] = '\0';
    slash = strrchr(ret, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(ret, size, ".");
}

/* The first existing file of this name, or false. */
static bool find_module(const char *name, char *ret, size_t size)
{
    const char *named_dir = secure_getenv("XENFERRY_HOST_DIR");
    char folder[PATH_MAX];

    if (named_dir) {
        snprintf(ret, size, "%s/%s", named_dir, name);
        return access(ret, R_OK) == 0;
    }
    program_folder(folder, sizeof(folder));
    for (size_t i = 0; i < ARRAY_SIZE(beside_program); i++) {
        int length =
            snprintf(ret, size, "%s/%s/%s", folder, beside_program[i], name);

        if (length > 0 && (size_t)length < size && access(ret, R_OK) == 0)
            return true;
    }
    snprintf(ret, size, "%s/%s", XENFERRY_MODULE_DIR, name);
    return access(ret, R_OK) == 0;
}

static bool open_module(const char *name, const char *rest,
                        const struct log *log, struct host **ret,
                        struct error *err)
{
    const struct host_module *module;
    char file[64];
    char path[PATH_MAX * 2];
    void *handle;

    snprintf(file, sizeof(file), "xenferry-host-%s.so", name);
    if (!find_module(file, path, sizeof(path)))
        return error_set(err, ERR_UNSUPPORTED,
                         "host %s: no %s in %s, beside the program or in %s",
                         name, file,
                         secure_getenv("XENFERRY_HOST_DIR")
                             ? secure_getenv("XENFERRY_HOST_DIR")
                             : "$XENFERRY_HOST_DIR (not set)",
                         XENFERRY_MODULE_DIR);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return error_set(err, ERR_UNSUPPORTED, "host %s: %s", name, dlerror());
    module = dlsym(handle, "xenferry_host_module");
    if (!module || module->version != HOST_MODULE_VERSION) {
        error_set(err, ERR_UNSUPPORTED,
                  "host %s: %s has module version %" PRIu32 ", expected %u",
                  name, path, module ? module->version : 0,
                  HOST_MODULE_VERSION);
        dlclose(handle);
        return false;
    }
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
