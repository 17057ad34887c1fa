/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages for people, and where they go.
 *
 * A library function that has something to say takes a 'struct log'; whoever
 * owns the process decides what becomes of it (stderr, libxl's pipe, syslog).
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdarg.h>

#include "base/macros.h"

enum log_level {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARNING,
    LOG_LEVEL_ERROR
};

struct log {
    enum log_level level; /* less important messages are dropped */
    /* Receives one message without a newline; may be called by any thread. */
    void (*sink)(void *context, enum log_level level, const char *text);
    void *context;
};

/* 'log' may be NULL: the message is dropped.  Cut at 1023 octets. */
void log_message(const struct log *log, enum log_level level,
                 const char *format, ...) printf_like(3, 4);

/* A sink that prints "<context>: <level>: <text>" to stderr. */
void log_to_stderr(void *context, enum log_level level, const char *text);

const char *log_level_name(enum log_level level);

#define log_debug(log, ...)   log_message(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...)    log_message(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(log, ...) log_message(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(log, ...)   log_message(log, LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
