/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's end of a guest's console:
 *
 *   ring.out -> log file, and the pseudo-terminal while there is one
 *   ring.in  <- the pseudo-terminal, and console_backend_type()
 *
 * Nothing typed is kept here: it is in the ring, and then it moves with the
 * guest's memory, or it is still its sender's.
 */
#ifndef HOSTD_BACKEND_CONSOLE_H
#define HOSTD_BACKEND_CONSOLE_H

#include "hostd/console_tty.h"
#include "hostd/hosted.h"

struct console_backend {
    struct backend backend;
    struct hosted *h;
    uint64_t gfn;
    uint32_t port;
    int fd;         /* owned; the log, opened for appending */
    uint64_t begin; /* where in the log this guest's output begins */
    struct console_tty tty;
    pthread_t thread;
    bool started;
    bool ending;
    struct bell bell;
    pthread_t typist; /* from the terminal to the ring */
    bool typing;
    int end_fd; /* owned, eventfd: ends the typist */
    struct bell typist_bell;
};

/*
 * Attach to the port and page that the HVM parameters name.  Without a
 * pseudo-terminal, which the log then says, the log is all there is.
 */
must_check bool console_backend_start(struct console_backend *b,
                                      struct hosted *h, const char *path,
                                      struct error *err);
void console_backend_stop(struct console_backend *b);

/* Type as much as the ring has room for; returns how much.  A paused guest's
   has none. */
size_t console_backend_type(struct console_backend *b, const char *text,
                            size_t length);

#endif
