/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libxl and its save helper say.
 *
 * libxl returns numbers; the reason is in its log.  One fault makes it log a
 * chain of errors, each about the one before, so the first of an operation is
 * kept for our own message and all of them go to the log.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/xen/libxl_toolstack.h"

/* How libxl announces that it asks the guest to suspend. */
#define SUSPEND_REQUEST "suspend request"

/*
 * And that there was no answer.  Its return value does not tell: every save
 * that fails before the guest has suspended is ERROR_GUEST_TIMEDOUT.
 */
static const char *const silence[] = {"acknowledge suspend", "did not suspend"};

static enum log_level our_level(xentoollog_level level)
{
    return level >= XTL_ERROR  ? LOG_LEVEL_WARNING
           : level >= XTL_INFO ? LOG_LEVEL_INFO
                               : LOG_LEVEL_DEBUG;
}

static void on_message(xentoollog_logger *vtable, xentoollog_level level,
                       int errno_value, const char *context, const char *format,
                       va_list args)
{
    struct light_logger *logger =
        container_of(vtable, struct light_logger, vtable);
    struct light *ts = logger->ts;
    char text[1024], *line = text;

    vsnprintf(text, sizeof(text), format, args);
    /* "libxl_domain.c:1183:some_function: Domain 3:what happened" */
    if (context && !strcmp(context, "libxl")) {
        char *after = strstr(text, ": ");

        if (after)
            line = after + 2;
    }
    if (strstr(text, SUSPEND_REQUEST))
        ts->suspend_requested = true;
    for (size_t i = 0; i < ARRAY_SIZE(silence); i++)
        if (level >= XTL_ERROR && strstr(text, silence[i]))
            ts->guest_silent = true;
    if (level >= XTL_ERROR && level < XTL_NUM_LEVELS && !ts->reason[0])
        snprintf(ts->reason, sizeof(ts->reason), "%.200s%s%.80s", line,
                 errno_value > 0 ? ": " : "",
                 errno_value > 0 ? strerror(errno_value) : "");
    log_message(ts->base.log, our_level(level), "%s: %s%s%s",
                context ? context : "libxl", line, errno_value > 0 ? ": " : "",
                errno_value > 0 ? strerror(errno_value) : "");
}

/* The stock helper's only news, in the shape of our helper's. */
static void on_progress(xentoollog_logger *vtable, const char *context,
                        const char *doing_what, int percent, unsigned long done,
                        unsigned long total)
{
    struct light_logger *logger =
        container_of(vtable, struct light_logger, vtable);
    char what[64], line[256];
    size_t length = 0;

    /* A helper that is not stock has its own way to tell. */
    if (!logger->ts->work || logger->ts->work->helper)
        return;
    for (const char *c = doing_what; *c && length < sizeof(what) - 1; c++)
        if (*c >= ' ' && *c != '"' && *c != '\\')
            what[length++] = *c;
    what[length] = '\0';
    snprintf(line, sizeof(line),
             "{\"event\":\"stock-progress\",\"what\":\"%s\",\"done\":%lu,"
             "\"total\":%lu}",
             what, done, total);
    light_event_line(logger->ts, line);
}

static void on_destroy(xentoollog_logger *vtable)
{
}

void light_logger_init(struct light *ts)
{
    ts->logger = (struct light_logger){
        .vtable = {.vmessage = on_message,
                   .progress = on_progress,
                   .destroy = on_destroy},
        .ts = ts,
    };
}

bool light_error(struct light *ts, int rc, struct error *err,
                 const char *format, ...)
{
    enum error_code code = ERR_HOST;
    char what[128];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (light_work_cancelled(ts->work) || rc == ERROR_ABORTED)
        return error_set(err, ERR_CANCELLED, "%s: cancelled", what);
    if (rc == ERROR_GUEST_TIMEDOUT && ts->guest_silent)
        return error_set(err, ERR_GUEST,
                         "%s: the guest did not answer the suspend request",
                         what);
    if (rc == ERROR_NOMEM)
        code = ERR_NO_MEMORY;
    if (rc == ERROR_DOMAIN_NOTFOUND)
        code = ERR_STATE;
    if (rc == ERROR_TIMEDOUT)
        code = ERR_TIMEOUT;
    if (ts->reason[0])
        return error_set(err, code, "%s: %s", what, ts->reason);
    return error_set(err, code, "%s: libxl answered %d, expected 0", what, rc);
}
