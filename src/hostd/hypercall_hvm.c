/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_hvm_op: parameters, and the vector of a vCPU's upcalls. */
#include "hostd/hypercall_serve.h"

/* Exceptions have the vectors below. */
#define FIRST_VECTOR 0x10

static int64_t get_param(struct hypercall *c)
{
    struct xen_hvm_param op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, op.domid))
        return -XEN_EPERM;
    if (op.index >= HVM_PARAMS_MAX)
        return -XEN_EINVAL;
    op.value = c->m->hvm_param[op.index];
    return hypercall_write(c, c->arg[1], &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t set_param(struct hypercall *c)
{
    struct xen_hvm_param op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, op.domid))
        return -XEN_EPERM;
    /* The others are the toolstack's. */
    if (op.index != HVM_PARAM_CALLBACK_IRQ)
        return -XEN_EPERM;
    c->m->hvm_param[op.index] = op.value;
    for (unsigned int i = 0; i < c->m->nr_vcpus; i++)
        c->m->ops->vcpu_wake(c->m, &c->m->vcpu[i]);
    return 0;
}

static int64_t set_upcall_vector(struct hypercall *c)
{
    struct xen_hvm_evtchn_upcall_vector op;
    struct vcpu *v;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (op.vector < FIRST_VECTOR)
        return -XEN_EINVAL;
    if (op.vcpu >= c->m->nr_vcpus)
        return -XEN_ENOENT;
    v = &c->m->vcpu[op.vcpu];
    v->upcall_vector = op.vector;
    if (machine_vcpu_info(c->m, v)->evtchn_upcall_pending)
        vcpu_assert_upcall(c->m, v);
    return 0;
}

int64_t hypercall_hvm_op(struct hypercall *c)
{
    switch (c->arg[0]) {
    case HVMOP_get_param:
        return get_param(c);
    case HVMOP_set_param:
        return set_param(c);
    case HVMOP_set_evtchn_upcall_vector:
        return set_upcall_vector(c);
    default:
        return hypercall_unknown(c);
    }
}
