/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's end of a guest's console: what it prints goes to a file, what is
 * typed goes to its ring.
 */
#ifndef HOSTD_BACKEND_CONSOLE_H
#define HOSTD_BACKEND_CONSOLE_H

#include "hostd/hosted.h"

#define CONSOLE_INPUT_MAX 4096u

struct console_backend {
    struct backend backend;
    struct hosted *h;
    uint64_t gfn;
    uint32_t port;
    int fd; /* owned; output, opened for appending */
    pthread_t thread;
    bool started;
    bool ending;
    struct bell bell;
    char input[CONSOLE_INPUT_MAX]; /* that the ring had no room for yet */
    size_t input_length;
};

/* Attach to the port and page that the HVM parameters name. */
must_check bool console_backend_start(struct console_backend *b,
                                      struct hosted *h, const char *path,
                                      struct error *err);
void console_backend_stop(struct console_backend *b);

/* Type; false if it does not fit (the guest does not read). */
bool console_backend_type(struct console_backend *b, const char *text,
                          size_t length);

#endif
