/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What went wrong, where, what was found and what was expected.
 *
 * The caller owns a 'struct error'; setting one allocates nothing, so it works
 * when memory is gone.  Every setter returns false, so that a fallible
 * function ends in 'return error_set(...)'.  A message reads
 * "what: observed, expected"; only cli/ and the daemons print it.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/macros.h"

enum error_code {
    ERR_NONE = 0,
    ERR_FORMAT = 1,      /* outside bytes break a format's rules */
    ERR_TRUNCATED = 2,   /* outside bytes end too early */
    ERR_IO = 3,          /* the system refused a read, write, open ... */
    ERR_NO_MEMORY = 4,   /* this process has no memory left */
    ERR_LIMIT = 5,       /* within the format, beyond what we accept */
    ERR_UNSUPPORTED = 6, /* understood, but not something we can do */
    ERR_TIMEOUT = 7,     /* a deadline passed */
    ERR_CANCELLED = 8,   /* somebody asked us to stop */
    ERR_HOST = 9,        /* the hypervisor or toolstack refused */
    ERR_GUEST = 10,      /* the guest did not do its part */
    ERR_PEER = 11,       /* the other side went away or broke the protocol */
    ERR_STATE = 12,      /* not possible in the present state */
    ERR_USAGE = 13,      /* the request itself makes no sense */
};

#define ERROR_TEXT_MAX  512
#define ERROR_NO_OFFSET UINT64_MAX

struct error {
    enum error_code code;
    int os_errno;    /* 0 where no system call failed */
    uint64_t offset; /* octets from the start of a stream, or NO_OFFSET */
    char text[ERROR_TEXT_MAX]; /* always terminated; cut when too long */
};

/* All three accept a NULL 'err' and return false. */
bool error_set(struct error *err, enum error_code code, const char *format, ...)
    printf_like(3, 4);

/* 'offset' counts from the start of the stream that is being read. */
bool error_set_at(struct error *err, enum error_code code, uint64_t offset,
                  const char *format, ...) printf_like(4, 5);

/* Appends ": <description of os_errno>". */
bool error_set_errno(struct error *err, enum error_code code, int os_errno,
                     const char *format, ...) printf_like(4, 5);

/* Put "<prefix>: " before the text; code, errno and offset stay. */
bool error_wrap(struct error *err, const char *format, ...) printf_like(2, 3);

/* The stable name of a code, for machine-readable output: "format", ... */
const char *error_code_name(enum error_code code);

/*
 * Called at the first sign of bytes that break a format.  It does nothing: put
 * a breakpoint here to stop where corruption is first seen.
 */
void format_error_seen(const struct error *err);

#endif
