/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The conversation between libxl and its save helper: messages out on one
 * pipe, replies in on another.
 *
 *     0     1     2     3     4     octet
 *    +-----------+-----------+-----
 *    | length    | number    | arguments, back to back
 *    +-----------+-----------+-----
 *
 * Native byte order.  'length' counts what follows it.  An int takes 4 octets,
 * an unsigned long and a frame number 8, a string its length with the NUL in 4
 * and then its octets.  A reply is one int.  Messages that want a reply go one
 * at a time; the others may come from any thread.
 *
 * libxl says at start, as a set of 1 << number, which callbacks it has wired:
 * others must not be sent.
 */
#ifndef HELPER_LINK_H
#define HELPER_LINK_H

#include <pthread.h>

#include "base/error.h"
#include "base/log.h"

/* Xen 4.14 and later. */
enum helper_message {
    MESSAGE_LOG = 1,
    MESSAGE_PROGRESS = 2,
    MESSAGE_SUSPEND = 3,
    MESSAGE_POSTCOPY = 4,
    MESSAGE_CHECKPOINT = 5,
    MESSAGE_WAIT_CHECKPOINT = 6,
    MESSAGE_SWITCH_QEMU_LOGDIRTY = 7,
    MESSAGE_STATIC_DATA_DONE = 8,
    MESSAGE_RESTORE_RESULTS = 9,
    MESSAGE_COMPLETE = 10,
};

struct helper_link {
    int out_fd;
    int in_fd;
    uint32_t wired;       /* set of 1 << message */
    const char *context;  /* named in log messages */
    pthread_mutex_t lock; /* one message on the pipe at a time */
};

/* Whether libxl answers this one. */
bool helper_link_wired(const struct helper_link *link,
                       enum helper_message message);

/* A sink for base/log.h; 'context' is the link. */
void helper_link_log(void *context, enum log_level level, const char *text);

void helper_link_progress(struct helper_link *link, const char *what,
                          uint64_t done, uint64_t total);

/* Callbacks; 'args' are ints.  The reply is libxl's answer. */
must_check bool helper_link_call(struct helper_link *link,
                                 enum helper_message message,
                                 const uint32_t *args, size_t nr_args,
                                 int *ret_reply, struct error *err);

must_check bool helper_link_restore_results(struct helper_link *link,
                                            uint64_t store_gfn,
                                            uint64_t console_gfn,
                                            struct error *err);

#endif
