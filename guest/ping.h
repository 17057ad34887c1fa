/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event ping-pong: a ball that goes round all vCPUs by events alone.
 *
 *   vCPU 0 -IPI-> vCPU 1 -IPI-> ... vCPU n-1 -loopback B to A-> vCPU 0
 *          -loopback A to B-> vCPU n-1 -IPI-> vCPU 0
 *
 * An event that gets lost stops it for good, which is a failed check.  Extra
 * events are allowed by the ABI; they are counted and otherwise ignored.
 */
#ifndef GUEST_PING_H
#define GUEST_PING_H

#include "cmdline.h"

/* Open all IPI ports and the loopback pair; the ball is at home. */
void ping_open(unsigned int nr);

/* On vCPU 0: throw the ball when it is time, see that it still moves. */
void ping_step(const struct options *o);

/* Whether there is something to do before the next event. */
bool ping_busy(const struct options *o);

uint64_t ping_rounds(void);
uint64_t ping_extra(void);

#endif
