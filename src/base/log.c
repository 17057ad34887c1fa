/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/log.h"

#include <stdio.h>

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {
        [LOG_LEVEL_DEBUG] = "debug",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_WARNING] = "warning",
        [LOG_LEVEL_ERROR] = "error",
    };

    return (size_t)level < ARRAY_SIZE(names) ? names[level] : "unknown";
}

void log_message(const struct log *log, enum log_level level,
                 const char *format, ...)
{
    char text[1024];
    va_list args;

    if (!log || !log->sink || level < log->level)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log->sink(log->context, level, text);
}

void log_to_stderr(void *context, enum log_level level, const char *text)
{
    const char *name = context;

    fprintf(stderr, "%s: %s: %s\n", name ? name : "xenferry",
            log_level_name(level), text);
}
