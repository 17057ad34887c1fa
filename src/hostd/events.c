/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/events.h"

#include <string.h>

void events_init(struct machine *m)
{
    memset(&m->events, 0, sizeof(m->events));
    m->events.next_host_port = 1;
    for (uint32_t port = 0; port < EVENT_PORTS_MAX; port++)
        m->events.port[port].priority = EVENT_PRIORITY_USUAL;
}

uint32_t events_port_limit(const struct machine *m)
{
    return EVENT_PORTS_MAX;
}

struct event_port *events_port(struct machine *m, uint32_t port)
{
    if (port == 0 || port >= events_port_limit(m))
        return NULL;
    return &m->events.port[port];
}

/* The port, if it is in use. */
static struct event_port *used_port(struct machine *m, uint32_t port)
{
    struct event_port *p = events_port(m, port);

    return p && p->state != PORT_FREE ? p : NULL;
}

/* ---- ABI dispatch ------------------------------------------------------ */

static bool is_fifo(const struct machine *m)
{
    return m->events.abi == EVENT_ABI_FIFO;
}

static void set_pending(struct machine *m, uint32_t port)
{
    if (is_fifo(m))
        event_fifo_set_pending(m, port);
    else
        event_2l_set_pending(m, port);
}

static void clear_pending(struct machine *m, uint32_t port)
{
    if (is_fifo(m))
        event_fifo_clear_pending(m, port);
    else
        event_2l_clear_pending(m, port);
}

bool events_is_pending(struct machine *m, uint32_t port)
{
    return is_fifo(m) ? event_fifo_is_pending(m, port)
                      : event_2l_is_pending(m, port);
}

bool events_is_masked(struct machine *m, uint32_t port)
{
    return is_fifo(m) ? event_fifo_is_masked(m, port)
                      : event_2l_is_masked(m, port);
}

void events_mark_pending(struct machine *m, struct vcpu *v)
{
    struct vcpu_info *info = machine_vcpu_info(m, v);

    if (info->evtchn_upcall_pending)
        return;
    info->evtchn_upcall_pending = 1;
    vcpu_assert_upcall(m, v);
}

void events_wake_pollers(struct machine *m, uint32_t port)
{
    for (unsigned int i = 0; i < m->nr_vcpus; i++) {
        struct vcpu *v = &m->vcpu[i];

        for (uint32_t j = 0; v->wait == VCPU_POLLING && j < v->poll.nr_ports;
             j++)
            if (v->poll.port[j] == port)
                vcpu_unblock(m, v);
    }
}

/* ---- ports ------------------------------------------------------------- */

static int allocate(struct machine *m, uint32_t *ret)
{
    for (uint32_t port = 1; port < events_port_limit(m); port++) {
        struct event_port *p = &m->events.port[port];

        if (p->state != PORT_FREE ||
            (is_fifo(m) && event_fifo_is_busy(m, port)))
            continue;
        *p = (struct event_port){.priority = EVENT_PRIORITY_USUAL,
                                 .last_vcpu = p->last_vcpu,
                                 .last_priority = p->last_priority,
                                 .pending_early = p->pending_early};
        *ret = port;
        return 0;
    }
    return -XEN_ENOSPC;
}

int events_alloc_unbound(struct machine *m, uint16_t remote, uint32_t *ret_port)
{
    uint32_t port;
    int rc = allocate(m, &port);

    if (rc)
        return rc;
    m->events.port[port].state = PORT_UNBOUND;
    m->events.port[port].remote_domid =
        remote == DOMID_SELF ? m->domid : remote;
    *ret_port = port;
    return 0;
}

/* Those of which each vCPU has one of its own. */
static bool virq_is_per_vcpu(uint32_t virq)
{
    return virq == VIRQ_TIMER || virq == VIRQ_DEBUG || virq == VIRQ_XENOPROF;
}

int events_bind_virq(struct machine *m, uint32_t virq, uint32_t vcpu,
                     uint32_t *ret_port)
{
    uint32_t port;
    int rc;

    if (virq >= EVENT_NR_VIRQS || vcpu >= m->nr_vcpus)
        return virq >= EVENT_NR_VIRQS ? -XEN_EINVAL : -XEN_ENOENT;
    if (!virq_is_per_vcpu(virq) && vcpu != 0)
        return -XEN_EINVAL;
    if (m->vcpu[vcpu].virq_port[virq])
        return -XEN_EEXIST;
    rc = allocate(m, &port);
    if (rc)
        return rc;
    m->events.port[port].state = PORT_VIRQ;
    m->events.port[port].virq = (uint8_t)virq;
    m->events.port[port].vcpu = vcpu;
    m->vcpu[vcpu].virq_port[virq] = port;
    *ret_port = port;
    return 0;
}

int events_bind_ipi(struct machine *m, uint32_t vcpu, uint32_t *ret_port)
{
    uint32_t port;
    int rc;

    if (vcpu >= m->nr_vcpus)
        return -XEN_ENOENT;
    rc = allocate(m, &port);
    if (rc)
        return rc;
    m->events.port[port].state = PORT_IPI;
    m->events.port[port].vcpu = vcpu;
    *ret_port = port;
    return 0;
}

int events_bind_interdomain(struct machine *m, struct machine *remote,
                            uint32_t remote_port, uint32_t *ret_port)
{
    struct event_port *there = events_port(remote, remote_port);
    struct event_port *here;
    uint32_t port;
    int rc;

    if (!there || there->state != PORT_UNBOUND ||
        there->remote_domid != m->domid)
        return -XEN_EINVAL;
    rc = allocate(m, &port);
    if (rc)
        return rc;
    here = &m->events.port[port];
    here->state = PORT_INTERDOMAIN;
    here->remote_domid = remote->domid;
    here->remote_port = remote_port;
    there->state = PORT_INTERDOMAIN;
    there->remote_port = port;
    /* What was sent to the unbound port is lost: raise it to be sure. */
    set_pending(m, port);
    *ret_port = port;
    return 0;
}

int events_bind_vcpu(struct machine *m, uint32_t port, uint32_t vcpu)
{
    struct event_port *p = used_port(m, port);

    if (vcpu >= m->nr_vcpus)
        return -XEN_ENOENT;
    if (!p || p->state == PORT_IPI ||
        (p->state == PORT_VIRQ && virq_is_per_vcpu(p->virq)))
        return -XEN_EINVAL;
    p->vcpu = vcpu;
    return 0;
}

uint16_t events_remote(struct machine *m, uint32_t port)
{
    const struct event_port *p = events_port(m, port);

    return p && p->state == PORT_INTERDOMAIN && p->remote_domid
               ? p->remote_domid
               : m->domid;
}

/* The other end, which waits for 'p' again. */
static void unbind(struct event_port *p)
{
    p->state = PORT_UNBOUND;
    p->remote_port = 0;
}

void events_forget_guest(struct machine *m, uint16_t domid)
{
    for (uint32_t port = 1; port < events_port_limit(m); port++) {
        struct event_port *p = &m->events.port[port];

        if (p->state == PORT_INTERDOMAIN && p->remote_domid == domid)
            unbind(p);
    }
}

int events_close(struct machine *m, struct machine *remote, uint32_t port)
{
    struct event_port *p = used_port(m, port);

    if (!p)
        return -XEN_EINVAL;
    if (p->state == PORT_INTERDOMAIN && p->remote_domid && remote)
        unbind(&remote->events.port[p->remote_port]);
    if (p->state == PORT_VIRQ)
        m->vcpu[p->vcpu].virq_port[p->virq] = 0;
    clear_pending(m, port);
    p->state = PORT_FREE;
    p->sink = (struct event_sink){0};
    return 0;
}

int events_send(struct machine *m, struct machine *remote, uint32_t port)
{
    struct event_port *p = used_port(m, port);

    if (!p)
        return -XEN_EINVAL;
    switch (p->state) {
    case PORT_UNBOUND:
        return 0; /* nobody hears it */
    case PORT_INTERDOMAIN:
        if (p->remote_domid && remote)
            set_pending(remote, p->remote_port);
        else if (p->sink.notify)
            p->sink.notify(p->sink.context);
        return 0;
    case PORT_IPI:
        set_pending(m, port);
        return 0;
    case PORT_VIRQ:
    case PORT_FREE:
        break;
    }
    return -XEN_EINVAL;
}

int events_unmask(struct machine *m, uint32_t port)
{
    if (!events_port(m, port))
        return -XEN_EINVAL;
    if (is_fifo(m))
        event_fifo_unmask(m, port);
    else
        event_2l_unmask(m, port);
    return 0;
}

int events_status(struct machine *m, struct evtchn_status *status)
{
    const struct event_port *p = events_port(m, status->port);

    if (!p)
        return -XEN_EINVAL;
    status->vcpu = p->vcpu;
    switch (p->state) {
    case PORT_FREE:
        status->status = EVTCHNSTAT_closed;
        break;
    case PORT_UNBOUND:
        status->status = EVTCHNSTAT_unbound;
        status->u.unbound.dom = p->remote_domid;
        break;
    case PORT_INTERDOMAIN:
        status->status = EVTCHNSTAT_interdomain;
        status->u.interdomain.dom = p->remote_domid;
        status->u.interdomain.port = p->remote_port;
        break;
    case PORT_VIRQ:
        status->status = EVTCHNSTAT_virq;
        status->u.virq = p->virq;
        break;
    case PORT_IPI:
        status->status = EVTCHNSTAT_ipi;
        break;
    }
    return 0;
}

int events_set_priority(struct machine *m, uint32_t port, uint32_t priority)
{
    struct event_port *p = events_port(m, port);

    if (!p)
        return -XEN_EINVAL;
    if (!is_fifo(m))
        return -XEN_EOPNOTSUPP;
    if (priority >= EVENT_NR_PRIORITIES)
        return -XEN_EINVAL;
    p->priority = (uint8_t)priority;
    return 0;
}

int events_init_control(struct machine *m, struct evtchn_init_control *op)
{
    int rc;

    if (op->vcpu >= m->nr_vcpus)
        return -XEN_ENOENT;
    rc = event_fifo_init_control(m, &m->vcpu[op->vcpu], op->control_gfn,
                                 op->offset);
    if (!rc)
        op->link_bits = EVTCHN_FIFO_LINK_BITS;
    return rc;
}

int events_expand_array(struct machine *m, uint64_t array_gfn)
{
    return event_fifo_expand_array(m, array_gfn);
}

int events_reset(struct machine *m)
{
    for (uint32_t port = 1; port < events_port_limit(m); port++)
        if (m->events.port[port].state != PORT_FREE)
            (void)events_close(m, m, port);
    for (unsigned int i = 0; i < m->nr_vcpus; i++) {
        m->vcpu[i].fifo_control_gfn = GFN_NONE;
        memset(m->vcpu[i].fifo, 0, sizeof(m->vcpu[i].fifo));
    }
    events_init(m);
    return 0;
}

void events_raise_virq(struct machine *m, struct vcpu *v, uint32_t virq)
{
    if (v->virq_port[virq])
        set_pending(m, v->virq_port[virq]);
}

/* ---- the host's ends --------------------------------------------------- */

int events_attach_host(struct machine *m, uint32_t port,
                       const struct event_sink *sink)
{
    struct event_port *p = events_port(m, port);

    if (!p || p->state != PORT_UNBOUND || p->remote_domid != 0)
        return -XEN_EINVAL;
    p->state = PORT_INTERDOMAIN;
    /* The guest may know our end's number: one that moved here keeps it. */
    if (!p->remote_port)
        p->remote_port = m->events.next_host_port++;
    p->sink = *sink;
    sink->notify(sink->context);
    return 0;
}

void events_detach_host(struct machine *m, uint32_t port)
{
    struct event_port *p = events_port(m, port);

    if (!p || p->state != PORT_INTERDOMAIN || p->remote_domid != 0)
        return;
    unbind(p);
    p->sink = (struct event_sink){0};
}

void events_notify_guest(struct machine *m, uint32_t port)
{
    struct event_port *p = events_port(m, port);

    if (p && p->state == PORT_INTERDOMAIN && p->remote_domid == 0)
        set_pending(m, port);
}
