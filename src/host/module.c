/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Relative to the program's folder. */
static const char *const beside_program[] = {
    ".", "../host/xen", "../host/embedded", "../lib/xenferry"};

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
static bool find_module(const char *file, char *ret, size_t size)
{
    const char *named = secure_getenv("XENFERRY_HOST_DIR");
    char folder[PATH_MAX];

    if (named) {
        snprintf(ret, size, "%s/%s", named, file);
        return access(ret, R_OK) == 0;
    }
    program_folder(folder, sizeof(folder));
    for (size_t i = 0; i < ARRAY_SIZE(beside_program); i++) {
        int length =
            snprintf(ret, size, "%s/%s/%s", folder, beside_program[i], file);

        if (length > 0 && (size_t)length < size && access(ret, R_OK) == 0)
            return true;
    }
    snprintf(ret, size, "%s/%s", XENFERRY_MODULE_DIR, file);
    return access(ret, R_OK) == 0;
}

bool module_load(const char *what, const char *file, const char *symbol,
                 const void **ret, struct error *err)
{
    const char *named = secure_getenv("XENFERRY_HOST_DIR");
    char path[PATH_MAX * 2];
    const void *found;
    void *handle;

    if (!find_module(file, path, sizeof(path))) {
        if (named)
            return error_set(err, ERR_UNSUPPORTED, "%s: no %s in %s", what,
                             file, named);
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: no %s beside the program or in %s", what, file,
                         XENFERRY_MODULE_DIR);
    }
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        return error_set(err, ERR_UNSUPPORTED, "%s: %s", what, dlerror());
    found = dlsym(handle, symbol);
    if (!found) {
        dlclose(handle);
        return error_set(err, ERR_UNSUPPORTED, "%s: %s has no %s", what, path,
                         symbol);
    }
    *ret = found;
    return true;
}
