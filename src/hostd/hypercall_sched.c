/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_sched_op: waiting, and ending. */
#include "hostd/events.h"
#include "hostd/hypercall_serve.h"

static int64_t block(struct hypercall *c)
{
    machine_vcpu_info(c->m, c->v)->evtchn_upcall_mask = 0;
    if (!vcpu_has_upcall(c->m, c->v))
        c->v->wait = VCPU_HALTED;
    return 0;
}

static int64_t poll(struct hypercall *c)
{
    struct poll_state poll = {0};
    struct sched_poll op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (op.nr_ports > POLL_PORTS_MAX)
        return -XEN_EINVAL;
    if (!hypercall_read(c, (uintptr_t)op.ports.p, poll.port,
                        op.nr_ports * sizeof(poll.port[0])))
        return -XEN_EFAULT;
    for (uint32_t i = 0; i < op.nr_ports; i++) {
        if (!events_port(c->m, poll.port[i]))
            return -XEN_EINVAL;
        if (events_is_pending(c->m, poll.port[i]))
            return 0;
    }
    if (op.timeout && op.timeout <= guest_time_now(&c->m->time))
        return 0;
    poll.nr_ports = op.nr_ports;
    poll.deadline = op.timeout;
    c->v->poll = poll;
    c->v->wait = VCPU_POLLING;
    c->m->ops->timers_changed(c->m);
    return 0;
}

static int64_t shut_down(struct hypercall *c)
{
    struct sched_shutdown op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (c->m->shutdown == SHUTDOWN_NONE) {
        c->m->shutdown = op.reason;
        c->m->ops->stopped(c->m);
    }
    return 0;
}

int64_t hypercall_sched_op(struct hypercall *c)
{
    switch (c->arg[0]) {
    case SCHEDOP_yield:
        return 0;
    case SCHEDOP_block:
        return block(c);
    case SCHEDOP_poll:
        return poll(c);
    case SCHEDOP_shutdown:
        return shut_down(c);
    default:
        return hypercall_unknown(c);
    }
}
