/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
    [ERR_NONE] = "none",
    [ERR_FORMAT] = "format",
    [ERR_TRUNCATED] = "truncated",
    [ERR_IO] = "io",
    [ERR_NO_MEMORY] = "no-memory",
    [ERR_LIMIT] = "limit",
    [ERR_UNSUPPORTED] = "unsupported",
    [ERR_TIMEOUT] = "timeout",
    [ERR_CANCELLED] = "cancelled",
    [ERR_HOST] = "host",
    [ERR_GUEST] = "guest",
    [ERR_PEER] = "peer",
    [ERR_STATE] = "state",
    [ERR_USAGE] = "usage",
};

const char *error_code_name(enum error_code code)
{
    if ((size_t)code >= ARRAY_SIZE(code_names))
        return "unknown";
    return code_names[code];
}

__attribute__((noinline)) void format_error_seen(const struct error *err)
{
    __asm__ volatile("" : : "r"(err) : "memory");
}

static void error_fill(struct error *err, enum error_code code, int os_errno,
                       uint64_t offset, const char *format, va_list args)
{
    err->code = code;
    err->os_errno = os_errno;
    err->offset = offset;
    vsnprintf(err->text, sizeof(err->text), format, args);
    if (code == ERR_FORMAT || code == ERR_TRUNCATED)
        format_error_seen(err);
}

bool error_set(struct error *err, enum error_code code, const char *format, ...)
{
    va_list args;

    if (!err)
        return false;
    va_start(args, format);
    error_fill(err, code, 0, ERROR_NO_OFFSET, format, args);
    va_end(args);
    return false;
}

bool error_set_at(struct error *err, enum error_code code, uint64_t offset,
                  const char *format, ...)
{
    va_list args;

    if (!err)
        return false;
    va_start(args, format);
    error_fill(err, code, 0, offset, format, args);
    va_end(args);
    return false;
}

bool error_set_errno(struct error *err, enum error_code code, int os_errno,
                     const char *format, ...)
{
    char reason[128];
    size_t used;
    va_list args;

    if (!err)
        return false;
    va_start(args, format);
    error_fill(err, code, os_errno, ERROR_NO_OFFSET, format, args);
    va_end(args);
    used = strlen(err->text);
    snprintf(err->text + used, sizeof(err->text) - used, ": %s",
             strerror_r(os_errno, reason, sizeof(reason)));
    return false;
}

bool error_wrap(struct error *err, const char *format, ...)
{
    char prefix[ERROR_TEXT_MAX];
    char text[2 * ERROR_TEXT_MAX + 2];
    va_list args;

    if (!err)
        return false;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    snprintf(text, sizeof(text), "%s: %s", prefix, err->text);
    text[sizeof(err->text) - 1] = 0;
    memcpy(err->text, text, sizeof(err->text));
    return false;
}
