/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hostd/events.h"
#include "hostd/grants.h"
#include "hostd/machine_state.h"

_Static_assert(STATE_GFN_NONE == GFN_NONE, "one value for no page");
_Static_assert(STATE_PARAMS_MAX >= HVM_PARAMS_MAX, "all parameters fit");
_Static_assert(STATE_POLL_MAX >= POLL_PORTS_MAX, "all polled ports fit");
_Static_assert(STATE_GRANT_FRAMES_MAX >= GRANT_FRAMES_MAX, "all frames fit");

static void get_identity(const struct machine *m, struct state_identity *i)
{
    *i = (struct state_identity){
        .domid = m->domid, .nr_vcpus = m->nr_vcpus, .vm_assist = m->vm_assist};
    memcpy(i->handle, m->handle, sizeof(i->handle));
    for (uint32_t n = 0; n < HVM_PARAMS_MAX; n++)
        if (m->hvm_param[n])
            i->param[i->nr_params++] =
                (struct state_param){.index = n, .value = m->hvm_param[n]};
}

static void get_frames(const struct machine *m, struct state_grant_frames *g)
{
    g->version = 1;
    g->nr_frames = m->grants.nr_frames;
    for (uint32_t n = 0; n < g->nr_frames; n++)
        g->gfn[n] = m->memory.xen_gfn[XEN_PAGE_GRANT_FIRST + n];
}

/* ---- event channels ---------------------------------------------------- */

static bool port_matters(const struct event_port *p)
{
    return p->state != PORT_FREE || p->last_vcpu || p->last_priority ||
           p->pending_early;
}

static struct state_port describe_port(const struct machine *m, uint32_t port)
{
    static const uint8_t kinds[] = {
        [PORT_FREE] = STATE_PORT_FREE,
        [PORT_UNBOUND] = STATE_PORT_UNBOUND,
        [PORT_INTERDOMAIN] = STATE_PORT_INTERDOMAIN,
        [PORT_VIRQ] = STATE_PORT_VIRQ,
        [PORT_IPI] = STATE_PORT_IPI,
    };
    const struct event_port *p = &m->events.port[port];
    struct state_port d = {.port = port,
                           .kind = kinds[p->state],
                           .priority = p->priority,
                           .early = p->pending_early,
                           .vcpu = p->vcpu,
                           .last_vcpu = p->last_vcpu,
                           .last_priority = p->last_priority};

    if (p->state == PORT_VIRQ)
        d.virq = p->virq;
    if (p->state == PORT_UNBOUND || p->state == PORT_INTERDOMAIN)
        d.remote = p->remote_domid;
    if (p->state == PORT_INTERDOMAIN)
        d.remote_port = p->remote_port;
    return d;
}

static bool get_ports(const struct machine *m, struct state_events *e,
                      struct error *err)
{
    free(e->port);
    e->port = calloc(EVENT_PORTS_MAX, sizeof(*e->port));
    e->nr_ports = 0;
    if (!e->port)
        return error_set(err, ERR_NO_MEMORY, "event channels");
    for (uint32_t port = 1; port < EVENT_PORTS_MAX; port++)
        if (port_matters(&m->events.port[port]))
            e->port[e->nr_ports++] = describe_port(m, port);
    return true;
}

static bool get_fifo(const struct machine *m, struct state_events *e,
                     struct error *err)
{
    e->nr_array_pages = m->events.nr_array_pages;
    memcpy(e->array_gfn, m->events.array_gfn, sizeof(m->events.array_gfn));
    free(e->queue);
    e->queue = calloc((size_t)MACHINE_VCPUS_MAX * EVENT_NR_PRIORITIES,
                      sizeof(*e->queue));
    e->nr_queues = 0;
    if (!e->queue)
        return error_set(err, ERR_NO_MEMORY, "event channels");
    for (uint32_t n = 0; n < STATE_VCPUS_MAX; n++)
        e->control_gfn[n] = STATE_GFN_NONE;
    for (uint32_t n = 0; n < m->nr_vcpus; n++) {
        const struct vcpu *v = &m->vcpu[n];

        e->control_gfn[n] = v->fifo_control_gfn;
        e->control_offset[n] = v->fifo_control_offset;
        for (uint32_t i = 0; i < EVENT_NR_PRIORITIES; i++)
            if (v->fifo[i].tail)
                e->queue[e->nr_queues++] = (struct state_queue){
                    .vcpu = n, .priority = i, .tail = v->fifo[i].tail};
    }
    return true;
}

static bool get_events(const struct machine *m, struct state_events *e,
                       struct error *err)
{
    const struct shared_info *s = machine_shared_info(m);

    e->abi =
        m->events.abi == EVENT_ABI_FIFO ? STATE_EVENTS_FIFO : STATE_EVENTS_2L;
    if (e->abi == STATE_EVENTS_FIFO)
        return get_fifo(m, e, err) && get_ports(m, e, err);
    memcpy(e->pending, s->evtchn_pending, sizeof(e->pending));
    memcpy(e->masked, s->evtchn_mask, sizeof(e->masked));
    return get_ports(m, e, err);
}

/* ---- vCPUs ------------------------------------------------------------- */

static struct state_vcpu describe_vcpu(struct machine *m, struct vcpu *v)
{
    static const uint8_t waits[] = {
        [VCPU_RUNNABLE] = STATE_RUNNABLE,
        [VCPU_HALTED] = STATE_HALTED,
        [VCPU_POLLING] = STATE_POLLING,
    };
    const struct vcpu_info *info = machine_vcpu_info(m, v);
    struct state_vcpu d = {
        .initialised = v->initialised,
        .up = v->up,
        .wait = waits[v->wait],
        .upcall_vector = v->upcall_vector,
        .upcall_requested = v->upcall_requested,
        .upcall_pending = info->evtchn_upcall_pending,
        .upcall_mask = info->evtchn_upcall_mask,
        .selector = info->evtchn_pending_sel,
        .info_gpa = v->vcpu_info_gpa,
        .runstate_area = {v->runstate_area.address, v->runstate_area.cr3},
        .time_area = {v->time_area.address,     v->time_area.cr3    },
        .cr3 = v->cr3,
        .singleshot_ns = v->singleshot_ns,
        .periodic_ns = v->periodic_ns,
        .periodic_next_ns = v->periodic_next_ns,
        .runstate = (uint32_t)v->runstate.state,
        .runstate_entry_ns = v->runstate.state_entry_time,
    };

    memcpy(d.runstate_ns, v->runstate.time, sizeof(d.runstate_ns));
    if (v->wait == VCPU_POLLING) {
        d.poll_deadline_ns = v->poll.deadline;
        d.nr_polled = v->poll.nr_ports;
        memcpy(d.polled, v->poll.port, sizeof(v->poll.port));
    }
    return d;
}

static bool get_vcpus(struct machine *m, struct state_vcpus *s,
                      struct error *err)
{
    free(s->vcpu);
    s->nr = m->nr_vcpus;
    s->vcpu = calloc(m->nr_vcpus, sizeof(*s->vcpu));
    if (!s->vcpu)
        return error_set(err, ERR_NO_MEMORY, "vCPU registrations");
    for (uint32_t n = 0; n < s->nr; n++)
        s->vcpu[n] = describe_vcpu(m, &m->vcpu[n]);
    return true;
}

/* ---- grants ------------------------------------------------------------ */

static bool get_grants(const struct machine *m, struct state_grants *g,
                       struct error *err)
{
    uint32_t limit = m->grants.nr_frames * GRANT_ENTRIES_PER_FRAME;

    free(g->grant);
    g->nr = 0;
    g->grant = calloc(limit ? limit : 1, sizeof(*g->grant));
    if (!g->grant)
        return error_set(err, ERR_NO_MEMORY, "grants");
    for (uint32_t ref = 0; ref < limit; ref++) {
        const struct grant_entry_v1 *e = grants_entry(m, ref);
        uint16_t flags = e->flags & (uint16_t) ~(GTF_reading | GTF_writing);

        if (flags || e->domid || e->frame)
            g->grant[g->nr++] = (struct state_grant){.ref = ref,
                                                     .flags = flags,
                                                     .domid = e->domid,
                                                     .frame = e->frame};
    }
    return true;
}

/* ---- what cannot be described ------------------------------------------ */

static bool can_leave_ports(const struct machine *m, struct error *err)
{
    for (uint32_t port = 1; port < EVENT_PORTS_MAX; port++) {
        const struct event_port *p = &m->events.port[port];

        if (p->state == PORT_INTERDOMAIN && p->remote_domid &&
            p->remote_domid != m->domid)
            return error_set(err, ERR_STATE,
                             "its port %" PRIu32 " is bound to port %" PRIu32
                             " of domain %u, which would stay behind; have one "
                             "of them close it, or end domain %u, first",
                             port, p->remote_port, p->remote_domid,
                             p->remote_domid);
    }
    return true;
}

static bool can_leave_maps(const struct machine *m, struct error *err)
{
    for (uint32_t handle = 0; handle < FOREIGN_PAGES_MAX; handle++) {
        const struct grant_map *map = &m->grants.map[handle];

        if (map->used)
            return error_set(err, ERR_STATE,
                             "it has grant %" PRIu32 " of domain %u mapped at "
                             "gfn %#" PRIx64
                             "; have it unmap that, handle %" PRIu32 ", first",
                             map->ref, map->granter,
                             m->memory.foreign_gfn[handle], handle);
    }
    return true;
}

static bool can_leave_grants(const struct machine *m, struct error *err)
{
    for (uint32_t ref = 0; m->grants.nr_lent && ref < GRANT_ENTRIES_MAX;
         ref++) {
        const struct grant_use *use = &m->grants.use[ref];

        if (use->domid && (use->readers || use->writers))
            return error_set(err, ERR_STATE,
                             "domain %u has its grant %" PRIu32
                             " mapped and would stay behind; have domain %u "
                             "unmap it, or end it, first",
                             use->domid, ref, use->domid);
    }
    return true;
}

bool machine_state_can_leave(const struct machine *m, struct error *err)
{
    return can_leave_ports(m, err) && can_leave_maps(m, err) &&
           can_leave_grants(m, err);
}

bool machine_state_get(struct machine *m, enum state_part part,
                       struct guest_state *ret, struct error *err)
{
    bool ok = true;

    switch (part) {
    case STATE_IDENTITY:
        if (!machine_state_can_leave(m, err))
            return error_wrap(err, "domain %u cannot leave", m->domid);
        get_identity(m, &ret->identity);
        break;
    case STATE_CLOCK:
        ret->clock.now_ns = guest_time_now(&m->time);
        /* What the guest was told last may be ahead, by the scale's slack. */
        if (m->time.anchor_tsc && m->time.anchor_ns > ret->clock.now_ns)
            ret->clock.now_ns = m->time.anchor_ns;
        break;
    case STATE_SHARED_INFO:
        ret->shared_info.gfn = m->memory.xen_gfn[XEN_PAGE_SHARED_INFO];
        break;
    case STATE_GRANT_FRAMES:
        get_frames(m, &ret->grant_frames);
        break;
    case STATE_EVENTS:
        ok = get_events(m, &ret->events, err);
        break;
    case STATE_VCPUS:
        ok = get_vcpus(m, &ret->vcpus, err);
        break;
    case STATE_GRANTS:
        ok = get_grants(m, &ret->grants, err);
        break;
    case STATE_STORE:
    case STATE_NR_PARTS:
        return error_set(err, ERR_USAGE, "%s: not the machine's",
                         state_part_name(part));
    }
    if (ok)
        ret->present |= 1u << part;
    return ok;
}
