/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls into the hypervisor through the hypercall page.
 *
 * All return what Xen returns: zero or a positive result, or a negative
 * error number (-EINVAL is -22).
 */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdint.h>

#include "abi.h"

/* Fill the hypercall page, unless the host that started us has done so. */
void hypercall_init(bool filled_by_host);

/* Once more, after a move to a host that may want other instructions. */
void hypercall_reinit(void);

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3);

static inline long memory_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_memory_op, op, (uintptr_t)arg, 0);
}

static inline long version_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_xen_version, op, (uintptr_t)arg, 0);
}

static inline long sched_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_sched_op, op, (uintptr_t)arg, 0);
}

static inline long evtchn_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_event_channel_op, op, (uintptr_t)arg, 0);
}

static inline long hvm_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_hvm_op, op, (uintptr_t)arg, 0);
}

static inline long vcpu_op(unsigned int op, unsigned int vcpu, void *arg)
{
    return hypercall(__HYPERVISOR_vcpu_op, op, vcpu, (uintptr_t)arg);
}

/* The value of HVM_PARAM_'index'; stops the guest if there is none. */
uint64_t hvm_param(unsigned int index);

/* Put a page that Xen provides at 'gfn'. */
void map_xen_page(unsigned int space, uint64_t index, uint64_t gfn);

#endif
