/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupt descriptor table, exceptions, and the way events come in.
 *
 * Events arrive on one vector, either asked for per vCPU
 * (HVMOP_set_evtchn_upcall_vector, through the local APIC, which then wants
 * an end-of-interrupt) or for the domain (HVM_PARAM_CALLBACK_IRQ, injected
 * without an APIC).  The APIC is used in x2APIC mode where CPUID has it; a
 * host that shows none delivers and retires the vector by itself.
 */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include "cmdline.h"

/* Build the table.  Once, before trap_load(). */
void trap_init(void);

/* Load it on the calling vCPU. */
void trap_load(void);

/* Ask Xen to deliver the calling vCPU's events. */
void trap_upcall_register(const struct options *o);

#endif
