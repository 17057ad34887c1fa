/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's console as a pseudo-terminal, for people and programs that want a
 * serial line.
 *
 * The slave stays open here, so the terminal and its raw mode outlive every
 * reader.  What the guest prints waits in it for a reader, about 64 KiB of it;
 * when that is full, all of it gives way to what is newer: nothing ever waits
 * for a reader.
 */
#ifndef HOSTD_CONSOLE_TTY_H
#define HOSTD_CONSOLE_TTY_H

#include "base/error.h"

#define CONSOLE_TTY_NONE          \
    {                             \
        .master = -1, .slave = -1 \
    }

struct console_tty {
    int master, slave; /* owned, or -1 */
    char path[32];     /* of the slave; "" without one */
};

/* '*t' is CONSOLE_TTY_NONE, and stays so on failure. */
must_check bool console_tty_open(struct console_tty *t, struct error *err);
void console_tty_close(struct console_tty *t);

/* One thread at a time; does not wait. */
void console_tty_print(struct console_tty *t, const char *text, size_t length);

/* At most 'size' octets of what was typed; does not wait. */
size_t console_tty_read(struct console_tty *t, char *to, size_t size);

/* How much was typed that nobody has read. */
size_t console_tty_unread(const struct console_tty *t);

/* Wait until something was typed; false: 'end_fd' has become readable. */
must_check bool console_tty_wait(struct console_tty *t, int end_fd);

#endif
