/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/toolstack.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "host/module.h"

bool toolstack_open(const char *name, const struct log *log,
                    struct toolstack **ret, struct error *err)
{
    const struct toolstack_module *module;
    const void *found;
    char what[64], file[64];

    if (strspn(name, "abcdefghijklmnopqrstuvwxyz") != strlen(name) ||
        strlen(name) > 16)
        return error_set(err, ERR_USAGE, "toolstack \"%.32s\": expected libxl",
                         name);
    snprintf(what, sizeof(what), "toolstack %s", name);
    snprintf(file, sizeof(file), "xenferry-toolstack-%s.so", name);
    if (!module_load(what, file, "xenferry_toolstack_module", &found, err))
        return false;
    module = found;
    if (module->version != TOOLSTACK_MODULE_VERSION)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: module version %" PRIu32 ", expected %u", what,
                         module->version, TOOLSTACK_MODULE_VERSION);
    return module->open(log, ret, err);
}

void toolstack_close(struct toolstack *ts)
{
    if (ts)
        ts->ops->close(ts);
}
