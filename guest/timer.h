/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ticks: each vCPU's VIRQ_TIMER at a fixed period, and the gaps between them.
 *
 * With timer=periodic Xen repeats them while the vCPU runs, and an event that
 * comes within half a period of a tick is not one of its own.
 *
 * With timer=oneshot each tick arms the next, at a multiple of the period:
 * ticks that a stop swallowed are not made up for, they show as one gap.
 */
#ifndef GUEST_TIMER_H
#define GUEST_TIMER_H

#include "vcpu.h"

/* Open the timer ports of vCPUs 0 to nr-1.  On vCPU 0, in order. */
void timer_open(const struct options *o, unsigned int nr);

/* Start ticking on the calling vCPU; the gap until now does not count. */
void timer_start_this(void);

/*
 * Before the calling vCPU sleeps: Xen's periodic timer stands still while a
 * vCPU is blocked, so a single shot has to bring the next tick.
 */
void timer_before_sleep(void);

/* Ticks that 'ms' milliseconds make. */
uint64_t timer_ticks_of(uint64_t ms);

#endif
