/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "evtchn.h"

#include "check.h"
#include "hypercall.h"
#include "libc.h"
#include "panic.h"

struct port {
    const char *name; /* NULL: not open */
    evtchn_handler *handler;
    unsigned int vcpu;
    uint64_t count;
    bool seen; /* 'status' is what Xen said of it */
    struct evtchn_status status;
};

static struct port ports[NR_PORTS];
static const struct evtchn_abi *abi;
static uint64_t strays;

void evtchn_init(const struct options *o, unsigned int nr)
{
    memset(ports, 0, sizeof(ports));
    abi = o->event_abi == EVENT_ABI_2L ? &evtchn_abi_2l : &evtchn_abi_fifo;
    abi->init();
    for (unsigned int id = 0; id < nr; id++)
        abi->init_vcpu(vcpu_get(id));
}

const char *evtchn_abi_name(void)
{
    return abi->name;
}

void evtchn_upcall(void)
{
    struct vcpu *v = vcpu_this();
    struct vcpu_info *info = vcpu_info_of(v->id);

    do {
        WRITE_ONCE(info->evtchn_upcall_pending, 0);
        xen_mb();
        abi->scan(v);
    } while (READ_ONCE(info->evtchn_upcall_pending));
}

void evtchn_deliver(struct vcpu *v, evtchn_port_t port)
{
    struct port *p = port < NR_PORTS ? &ports[port] : NULL;

    if (!p || !p->name) {
        strays++;
        return;
    }
    p->count++;
    p->handler(v, port);
}

bool evtchn_belongs(evtchn_port_t port, unsigned int id)
{
    return port < NR_PORTS && ports[port].name && ports[port].vcpu == id;
}

static void unmask(evtchn_port_t port)
{
    struct evtchn_unmask op = {.port = port};
    long ret = evtchn_op(EVTCHNOP_unmask, &op);

    if (ret)
        panic("EVTCHNOP_unmask", port, (uint64_t)ret);
}

void evtchn_attach(evtchn_port_t port, const char *name, unsigned int vcpu,
                   evtchn_handler *handler)
{
    if (port >= NR_PORTS)
        panic("event channel port out of range", port, NR_PORTS);
    ports[port] = (struct port){
        .handler = handler, .vcpu = vcpu, .count = ports[port].count};
    compiler_barrier();
    ports[port].name = name;
    unmask(port);
}

void evtchn_detach(evtchn_port_t port)
{
    ports[port].name = NULL;
}

evtchn_port_t evtchn_open_virq(unsigned int virq, unsigned int vcpu,
                               const char *name, evtchn_handler *handler)
{
    struct evtchn_bind_virq op = {.virq = virq, .vcpu = vcpu};
    long ret = evtchn_op(EVTCHNOP_bind_virq, &op);

    if (ret)
        panic("EVTCHNOP_bind_virq", virq, (uint64_t)ret);
    evtchn_attach(op.port, name, vcpu, handler);
    return op.port;
}

evtchn_port_t evtchn_open_ipi(unsigned int vcpu, const char *name,
                              evtchn_handler *handler)
{
    struct evtchn_bind_ipi op = {.vcpu = vcpu};
    long ret = evtchn_op(EVTCHNOP_bind_ipi, &op);

    if (ret)
        panic("EVTCHNOP_bind_ipi", vcpu, (uint64_t)ret);
    evtchn_attach(op.port, name, vcpu, handler);
    return op.port;
}

evtchn_port_t evtchn_open_unbound(domid_t remote, const char *name,
                                  evtchn_handler *handler)
{
    struct evtchn_alloc_unbound op = {.dom = DOMID_SELF, .remote_dom = remote};
    long ret = evtchn_op(EVTCHNOP_alloc_unbound, &op);

    if (ret)
        panic("EVTCHNOP_alloc_unbound", remote, (uint64_t)ret);
    evtchn_attach(op.port, name, 0, handler);
    return op.port;
}

evtchn_port_t evtchn_open_loopback(evtchn_port_t remote, const char *name,
                                   evtchn_handler *handler)
{
    struct evtchn_bind_interdomain op = {.remote_dom = DOMID_SELF,
                                         .remote_port = remote};
    long ret = evtchn_op(EVTCHNOP_bind_interdomain, &op);

    if (ret)
        panic("EVTCHNOP_bind_interdomain", remote, (uint64_t)ret);
    evtchn_attach(op.local_port, name, 0, handler);
    return op.local_port;
}

void evtchn_set_vcpu(evtchn_port_t port, unsigned int vcpu)
{
    struct evtchn_bind_vcpu op = {.port = port, .vcpu = vcpu};
    long ret = evtchn_op(EVTCHNOP_bind_vcpu, &op);

    if (ret)
        panic("EVTCHNOP_bind_vcpu", port, (uint64_t)ret);
    ports[port].vcpu = vcpu;
    ports[port].seen = false;
}

void evtchn_close(evtchn_port_t port)
{
    struct evtchn_close op = {.port = port};
    long ret;

    evtchn_detach(port);
    ret = evtchn_op(EVTCHNOP_close, &op);
    if (ret)
        panic("EVTCHNOP_close", port, (uint64_t)ret);
}

void evtchn_mask(evtchn_port_t port)
{
    abi->mask(port);
}

bool evtchn_pending(evtchn_port_t port)
{
    return abi->pending(port);
}

void evtchn_raise(evtchn_port_t port)
{
    abi->raise(port);
}

/* Which field of 'now' is not as it was in 'then', or NULL. */
static const char *difference(const struct evtchn_status *then,
                              const struct evtchn_status *now,
                              uint64_t *ret_then, uint64_t *ret_now)
{
    *ret_then = then->status;
    *ret_now = now->status;
    /* A back end may have gone, or come, in the meantime. */
    if (then->status != now->status)
        return (then->status == EVTCHNSTAT_interdomain ||
                then->status == EVTCHNSTAT_unbound) &&
                       (now->status == EVTCHNSTAT_interdomain ||
                        now->status == EVTCHNSTAT_unbound)
                   ? NULL
                   : "status_of";
    *ret_then = then->vcpu;
    *ret_now = now->vcpu;
    if (then->vcpu != now->vcpu)
        return "vcpu_of";
    if (then->status == EVTCHNSTAT_virq) {
        *ret_then = then->u.virq;
        *ret_now = now->u.virq;
        return then->u.virq != now->u.virq ? "virq_of" : NULL;
    }
    if (then->status == EVTCHNSTAT_interdomain) {
        *ret_then = then->u.interdomain.dom;
        *ret_now = now->u.interdomain.dom;
        return then->u.interdomain.dom != now->u.interdomain.dom ? "domain_of"
                                                                 : NULL;
    }
    return NULL;
}

void evtchn_verify(void)
{
    for (evtchn_port_t port = 0; port < NR_PORTS; port++) {
        struct evtchn_status now = {.dom = DOMID_SELF, .port = port};
        struct port *p = &ports[port];
        const char *what;
        uint64_t was, is;
        long ret;

        if (!p->name)
            continue;
        ret = evtchn_op(EVTCHNOP_status, &now);
        if (ret)
            panic("EVTCHNOP_status", port, (uint64_t)ret);
        if (p->seen) {
            what = difference(&p->status, &now, &was, &is);
            if (what)
                check_fail("port", what, port, was, is);
        }
        p->status = now;
        p->seen = true;
    }
}

void evtchn_send(evtchn_port_t port)
{
    struct evtchn_send op = {.port = port};
    long ret = evtchn_op(EVTCHNOP_send, &op);

    if (ret)
        panic("EVTCHNOP_send", port, (uint64_t)ret);
}

const char *evtchn_port_name(evtchn_port_t port, unsigned int *ret_vcpu,
                             uint64_t *ret_count)
{
    if (port >= NR_PORTS || !ports[port].name)
        return NULL;
    *ret_vcpu = ports[port].vcpu;
    *ret_count = ports[port].count;
    return ports[port].name;
}

uint64_t evtchn_strays(void)
{
    return strays;
}
