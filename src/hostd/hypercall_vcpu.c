/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_vcpu_op: start and stop, registered areas, timers. */
#include <string.h>

#include "hostd/hypercall_serve.h"
#include "hostd/page_walk.h"

/* A shorter period would leave the host no time for anything else. */
#define PERIOD_LEAST_NS 100000

static int64_t initialise(struct hypercall *c, struct vcpu *v)
{
    struct vcpu_hvm_context context;

    if (!hypercall_read(c, c->arg[2], &context, sizeof(context)))
        return -XEN_EFAULT;
    if (v->initialised)
        return -XEN_EEXIST;
    if (context.mode != VCPU_HVM_MODE_64B)
        return hypercall_unknown(c);
    if (!c->m->ops->vcpu_start(c->m, v, &context))
        return -XEN_EINVAL;
    v->initialised = true;
    return 0;
}

static int64_t up(struct hypercall *c, struct vcpu *v)
{
    if (!v->initialised)
        return -XEN_EINVAL;
    v->up = true;
    c->m->ops->vcpu_wake(c->m, v);
    return 0;
}

static int64_t get_runstate_info(struct hypercall *c, struct vcpu *v)
{
    vcpu_set_runstate(c->m, v, v->runstate.state);
    return hypercall_write(c, c->arg[2], &v->runstate, sizeof(v->runstate))
               ? 0
               : -XEN_EFAULT;
}

/* Both areas: an address now, contents whenever the vCPU runs. */
static int64_t register_area(struct hypercall *c, struct vcpu *v,
                             struct guest_area *area)
{
    uint64_t address;

    if (!hypercall_read(c, c->arg[2], &address, sizeof(address)))
        return -XEN_EFAULT;
    *area = (struct guest_area){.address = address, .cr3 = c->v->cr3};
    vcpu_set_runstate(c->m, v, v->runstate.state);
    vcpu_publish(c->m, v);
    return 0;
}

static int64_t register_vcpu_info(struct hypercall *c, struct vcpu *v)
{
    struct vcpu_register_vcpu_info op;
    struct vcpu_info *info;
    uint64_t gpa;

    if (!hypercall_read(c, c->arg[2], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (op.offset > PAGE_SIZE - sizeof(*info) || op.offset % 8 ||
        op.mfn >= GUEST_GFNS_MAX || v->vcpu_info_gpa)
        return -XEN_EINVAL;
    gpa = op.mfn * PAGE_SIZE + op.offset;
    info = guest_memory_at(&c->m->memory, gpa, sizeof(*info));
    if (!info || gpa == 0)
        return -XEN_EINVAL;
    *info = *machine_vcpu_info(c->m, v);
    v->vcpu_info_gpa = gpa;
    /* Whatever was pending is looked for again: one upcall too many. */
    info->evtchn_pending_sel = ~0UL;
    info->evtchn_upcall_pending = 1;
    vcpu_assert_upcall(c->m, v);
    return 0;
}

static int64_t set_periodic_timer(struct hypercall *c, struct vcpu *v)
{
    struct vcpu_set_periodic_timer op;

    if (!hypercall_read(c, c->arg[2], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (op.period_ns < PERIOD_LEAST_NS || op.period_ns > INT64_MAX)
        return -XEN_EINVAL;
    v->periodic_ns = op.period_ns;
    v->periodic_next_ns = guest_time_now(&c->m->time) + op.period_ns;
    c->m->ops->timers_changed(c->m);
    return 0;
}

static int64_t set_singleshot_timer(struct hypercall *c, struct vcpu *v)
{
    struct vcpu_set_singleshot_timer op;

    /* Of another vCPU: refused by Xen too. */
    if (v != c->v)
        return -XEN_EINVAL;
    if (!hypercall_read(c, c->arg[2], &op, sizeof(op)))
        return -XEN_EFAULT;
    if ((op.flags & VCPU_SSHOTTMR_future) &&
        op.timeout_abs_ns < guest_time_now(&c->m->time))
        return -XEN_ETIME;
    v->singleshot_ns = op.timeout_abs_ns ? op.timeout_abs_ns : 1;
    c->m->ops->timers_changed(c->m);
    return 0;
}

int64_t hypercall_vcpu_op(struct hypercall *c)
{
    struct vcpu *v;

    if (c->arg[1] >= c->m->nr_vcpus)
        return -XEN_ENOENT;
    v = &c->m->vcpu[c->arg[1]];
    switch (c->arg[0]) {
    case VCPUOP_initialise:
        return initialise(c, v);
    case VCPUOP_up:
        return up(c, v);
    case VCPUOP_down:
        v->up = false;
        c->m->ops->vcpu_wake(c->m, v);
        return 0;
    case VCPUOP_is_up:
        return v->up;
    case VCPUOP_get_runstate_info:
        return get_runstate_info(c, v);
    case VCPUOP_register_runstate_memory_area:
        return register_area(c, v, &v->runstate_area);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_area(c, v, &v->time_area);
    case VCPUOP_register_vcpu_info:
        return register_vcpu_info(c, v);
    case VCPUOP_set_periodic_timer:
        return set_periodic_timer(c, v);
    case VCPUOP_stop_periodic_timer:
        v->periodic_ns = 0;
        return 0;
    case VCPUOP_set_singleshot_timer:
        return set_singleshot_timer(c, v);
    case VCPUOP_stop_singleshot_timer:
        v->singleshot_ns = 0;
        return 0;
    default:
        return hypercall_unknown(c);
    }
}
