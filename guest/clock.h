/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's own clock: nanoseconds since it booted.
 *
 * Read from Xen's time page.  A move without our help changes nothing here:
 * the clock must go on by itself, and a reading below an earlier one is a
 * failure.  A cooperative move to a new domain takes us to another host's
 * time: the clock then continues where it stood at the suspend, and the time
 * in between, by the wall clock, is reported as the blackout.
 */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdint.h>

/* Checks that the calling vCPU's readings never go back. */
uint64_t clock_now(void);

/* Xen's system time for a reading of clock_now(), as its timers want it. */
uint64_t clock_to_system(uint64_t now);

/* Wall clock, ns since 1970. */
uint64_t clock_wall(void);

/* Set the clock so that it now reads 'now'.  Other vCPUs are parked. */
void clock_continue_at(uint64_t now);

#endif
