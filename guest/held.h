/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Xen must still hold for us, wherever we are.
 *
 * Things that no workload would miss at once, or ever: ports as Xen knows
 * them, a port that is pending but masked, a grant that nobody maps, the
 * store's and console's places, and the memory areas that Xen writes for each
 * vCPU.  A cooperative move to a new domain starts all of these afresh.
 */
#ifndef GUEST_HELD_H
#define GUEST_HELD_H

#include "vcpu.h"

/* Set the traps, and remember what there is; once all other ports are open. */
void held_init(void);

/* Whether all is as it was; on vCPU 0. */
void held_verify(void);

/* Whether Xen keeps the calling vCPU's areas up to date; once a tick. */
void held_verify_areas(void);

#endif
