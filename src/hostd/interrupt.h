/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way into a guest's handlers, through its own IDT.
 *
 *     pushed, from the top:  SS, RSP, RFLAGS, CS, RIP, [error code]
 *
 * Ring 0 only: the stack stays the same, unless the gate names one of the
 * seven of the TSS.
 */
#ifndef HOSTD_INTERRUPT_H
#define HOSTD_INTERRUPT_H

#include "hostd/cpu_engine.h"
#include "hostd/guest_memory.h"

/* Whether an interrupt may be delivered at this boundary. */
bool interrupt_allowed(struct cpu_engine *e, const struct guest_memory *m);

/*
 * Deliver 'vector'.  'saved_rip' is where the handler returns to.  On failure
 * nothing has changed: the guest's tables or stack are not usable.
 */
must_check bool interrupt_deliver(struct cpu_engine *e,
                                  const struct guest_memory *m, uint8_t vector,
                                  struct error *err);

#endif
