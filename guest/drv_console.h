/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console ring.
 *
 * Lines are kept in a buffer of our own until the ring has room.  A line that
 * does not fit there is dropped whole and counted: what is read on the other
 * side is made of whole lines.
 */
#ifndef GUEST_DRV_CONSOLE_H
#define GUEST_DRV_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Find the ring and open its port (again, after a move to a new domain). */
void console_init(void);

/* On any vCPU, in handlers too. */
__attribute__((format(printf, 1, 2))) void console_print(const char *pattern,
                                                         ...);

/* Without locks, for a guest that is about to stop. */
void console_write_raw(const char *text, size_t len);

/* Move what is buffered into the ring; on vCPU 0. */
void console_flush(void);

/* Everything that was printed has been taken by the other side. */
bool console_drained(void);

/* A line that was typed, without its end; false when there is none. */
bool console_read_line(char *line, size_t size);

/* The other side told us something since this was last asked. */
bool console_take_event(void);
bool console_has_event(void);

uint64_t console_dropped(void);

#endif
