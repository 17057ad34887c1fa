/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_event_channel_op: arguments in, events.h does it, results out. */
#include "hostd/events.h"
#include "hostd/hypercall_serve.h"

#define READ_ARGUMENT(c, op)                                    \
    do {                                                        \
        if (!hypercall_read(c, (c)->arg[1], &(op), sizeof(op))) \
            return -XEN_EFAULT;                                 \
    } while (0)

/* The result structure, unless the operation failed. */
static int64_t finish(struct hypercall *c, int rc, const void *op,
                      size_t length)
{
    if (rc)
        return rc;
    return hypercall_write(c, c->arg[1], op, length) ? 0 : -XEN_EFAULT;
}

static int64_t alloc_unbound(struct hypercall *c)
{
    struct evtchn_alloc_unbound op;

    READ_ARGUMENT(c, op);
    if (!hypercall_means_self(c, op.dom))
        return -XEN_EPERM;
    return finish(c, events_alloc_unbound(c->m, op.remote_dom, &op.port), &op,
                  sizeof(op));
}

static int64_t bind_interdomain(struct hypercall *c)
{
    struct evtchn_bind_interdomain op;
    struct machine *remote;

    READ_ARGUMENT(c, op);
    if (op.remote_dom == 0)
        return -XEN_EINVAL; /* the host has no port that waits for a guest */
    if (!hypercall_guest(c, op.remote_dom, &remote))
        return 0;
    if (!remote)
        return -XEN_ESRCH;
    return finish(
        c,
        events_bind_interdomain(c->m, remote, op.remote_port, &op.local_port),
        &op, sizeof(op));
}

static int64_t bind_virq(struct hypercall *c)
{
    struct evtchn_bind_virq op;

    READ_ARGUMENT(c, op);
    return finish(c, events_bind_virq(c->m, op.virq, op.vcpu, &op.port), &op,
                  sizeof(op));
}

static int64_t bind_ipi(struct hypercall *c)
{
    struct evtchn_bind_ipi op;

    READ_ARGUMENT(c, op);
    return finish(c, events_bind_ipi(c->m, op.vcpu, &op.port), &op, sizeof(op));
}

static int64_t bind_vcpu(struct hypercall *c)
{
    struct evtchn_bind_vcpu op;

    READ_ARGUMENT(c, op);
    return events_bind_vcpu(c->m, op.port, op.vcpu);
}

static int64_t close_port(struct hypercall *c)
{
    struct machine *remote;
    struct evtchn_close op;

    READ_ARGUMENT(c, op);
    if (!hypercall_guest(c, events_remote(c->m, op.port), &remote))
        return 0;
    return events_close(c->m, remote, op.port);
}

static int64_t send_event(struct hypercall *c)
{
    struct machine *remote;
    struct evtchn_send op;

    READ_ARGUMENT(c, op);
    if (!hypercall_guest(c, events_remote(c->m, op.port), &remote))
        return 0;
    return events_send(c->m, remote, op.port);
}

static int64_t unmask(struct hypercall *c)
{
    struct evtchn_unmask op;

    READ_ARGUMENT(c, op);
    return events_unmask(c->m, op.port);
}

static int64_t status(struct hypercall *c)
{
    struct evtchn_status op;

    READ_ARGUMENT(c, op);
    if (!hypercall_means_self(c, op.dom))
        return -XEN_EPERM;
    return finish(c, events_status(c->m, &op), &op, sizeof(op));
}

static int64_t set_priority(struct hypercall *c)
{
    struct evtchn_set_priority op;

    READ_ARGUMENT(c, op);
    return events_set_priority(c->m, op.port, op.priority);
}

static int64_t init_control(struct hypercall *c)
{
    struct evtchn_init_control op;

    READ_ARGUMENT(c, op);
    return finish(c, events_init_control(c->m, &op), &op, sizeof(op));
}

static int64_t expand_array(struct hypercall *c)
{
    struct evtchn_expand_array op;

    READ_ARGUMENT(c, op);
    return events_expand_array(c->m, op.array_gfn);
}

static int64_t reset(struct hypercall *c)
{
    struct evtchn_reset op;
    struct machine *remote;

    READ_ARGUMENT(c, op);
    if (!hypercall_means_self(c, op.dom))
        return -XEN_EPERM;
    /* Guest by guest: the call is put off for each. */
    for (uint32_t port = 1; port < events_port_limit(c->m); port++) {
        if (!hypercall_guest(c, events_remote(c->m, port), &remote))
            return 0;
        if (remote != c->m)
            (void)events_close(c->m, remote, port);
    }
    return events_reset(c->m);
}

int64_t hypercall_event_channel_op(struct hypercall *c)
{
    switch (c->arg[0]) {
    case EVTCHNOP_alloc_unbound:
        return alloc_unbound(c);
    case EVTCHNOP_bind_interdomain:
        return bind_interdomain(c);
    case EVTCHNOP_bind_virq:
        return bind_virq(c);
    case EVTCHNOP_bind_ipi:
        return bind_ipi(c);
    case EVTCHNOP_bind_vcpu:
        return bind_vcpu(c);
    case EVTCHNOP_close:
        return close_port(c);
    case EVTCHNOP_send:
        return send_event(c);
    case EVTCHNOP_unmask:
        return unmask(c);
    case EVTCHNOP_status:
        return status(c);
    case EVTCHNOP_set_priority:
        return set_priority(c);
    case EVTCHNOP_init_control:
        return init_control(c);
    case EVTCHNOP_expand_array:
        return expand_array(c);
    case EVTCHNOP_reset:
        return reset(c);
    default:
        return hypercall_unknown(c);
    }
}
