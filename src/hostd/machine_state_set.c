/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <inttypes.h>
#include <string.h>

#include "hostd/events.h"
#include "hostd/grants.h"
#include "hostd/machine_state.h"

/* The number of the domain is part of what the guest knows. */
static bool set_identity(struct machine *m, const struct state_identity *i,
                         struct error *err)
{
    if (i->domid != m->domid)
        return error_set(err, ERR_FORMAT,
                         "domain identity: domid %" PRIu32
                         ", expected %u, that of the domain it is loaded into",
                         i->domid, m->domid);
    if (i->nr_vcpus != m->nr_vcpus)
        return error_set(err, ERR_FORMAT,
                         "domain identity: %" PRIu32
                         " vCPUs, the domain was made with %u",
                         i->nr_vcpus, m->nr_vcpus);
    for (uint32_t n = 0; n < i->nr_params; n++)
        if (i->param[n].index >= HVM_PARAMS_MAX)
            return error_set(err, ERR_LIMIT,
                             "domain identity: HVM parameter %" PRIu32
                             ", this host has %u",
                             i->param[n].index, HVM_PARAMS_MAX);
    memcpy(m->handle, i->handle, sizeof(m->handle));
    m->vm_assist = i->vm_assist;
    memset(m->hvm_param, 0, sizeof(m->hvm_param));
    for (uint32_t n = 0; n < i->nr_params; n++)
        m->hvm_param[i->param[n].index] = i->param[n].value;
    return true;
}

/* A page of Xen's where the guest has put it. */
static bool place(struct machine *m, unsigned int page, uint64_t gfn,
                  const char *what, struct error *err)
{
    if (gfn == GFN_NONE)
        return true;
    if (guest_memory_is_ram(&m->memory, gfn))
        return error_set(err, ERR_FORMAT,
                         "%s: at gfn %#" PRIx64
                         ", which is the guest's memory too, expected one "
                         "owner",
                         what, gfn);
    if (guest_memory_is_xen(&m->memory, gfn))
        return error_set(err, ERR_FORMAT,
                         "%s: at gfn %#" PRIx64
                         ", where another page of Xen's is, expected one owner",
                         what, gfn);
    return guest_memory_place(&m->memory, page, gfn, err) ||
           error_wrap(err, "%s", what);
}

static bool set_frames(struct machine *m, const struct state_grant_frames *g,
                       struct error *err)
{
    if (g->nr_frames > GRANT_FRAMES_MAX)
        return error_set(err, ERR_LIMIT,
                         "grant frames: %" PRIu32 ", this host has at most %u",
                         g->nr_frames, GRANT_FRAMES_MAX);
    for (uint32_t n = 0; n < g->nr_frames; n++)
        if (!place(m, XEN_PAGE_GRANT_FIRST + n, g->gfn[n], "grant frames", err))
            return false;
    m->grants.nr_frames = g->nr_frames;
    return true;
}

/* ---- event channels ---------------------------------------------------- */

static bool check_port(const struct machine *m, const struct state_port *p,
                       struct error *err)
{
    if (p->port >= EVENT_PORTS_MAX)
        return error_set(err, ERR_LIMIT,
                         "event channels: port %" PRIu32 ", this host has %u",
                         p->port, EVENT_PORTS_MAX);
    return p->kind != STATE_PORT_INTERDOMAIN || p->remote == 0 ||
           p->remote == m->domid ||
           error_set(err, ERR_UNSUPPORTED,
                     "event channels: port %" PRIu32
                     " is bound to port %" PRIu32 " of domain %" PRIu32
                     ", expected the host or the guest itself: another guest "
                     "does not move along",
                     p->port, p->remote_port, p->remote);
}

static bool set_ports(struct machine *m, const struct state_events *e,
                      struct error *err)
{
    for (uint32_t n = 0; n < e->nr_ports; n++)
        if (!check_port(m, &e->port[n], err))
            return false;
    for (uint32_t n = 0; n < e->nr_ports; n++) {
        const struct state_port *s = &e->port[n];
        struct event_port *p = &m->events.port[s->port];

        *p = (struct event_port){.priority = s->priority,
                                 .virq = s->virq,
                                 .vcpu = s->vcpu,
                                 .last_vcpu = s->last_vcpu,
                                 .last_priority = s->last_priority,
                                 .pending_early = s->early};
        switch ((enum state_port_kind)s->kind) {
        case STATE_PORT_UNBOUND:
            p->state = PORT_UNBOUND;
            p->remote_domid = (uint16_t)s->remote;
            break;
        case STATE_PORT_INTERDOMAIN:
            p->remote_domid = (uint16_t)s->remote;
            p->remote_port = s->remote_port;
            /* The host's end comes back with its backend. */
            p->state = s->remote == m->domid ? PORT_INTERDOMAIN : PORT_UNBOUND;
            if (s->remote != m->domid &&
                s->remote_port >= m->events.next_host_port &&
                s->remote_port < UINT32_MAX)
                m->events.next_host_port = s->remote_port + 1;
            break;
        case STATE_PORT_VIRQ:
            p->state = PORT_VIRQ;
            m->vcpu[s->vcpu].virq_port[s->virq] = s->port;
            break;
        case STATE_PORT_IPI:
            p->state = PORT_IPI;
            break;
        case STATE_PORT_FREE:
        case STATE_PORT_KINDS:
            break;
        }
    }
    return true;
}

/*
 * From the queue's head on, as far as ports are linked: each has a word, and
 * there is an end.  No hypervisor walks a queue; a guest that did would never
 * stop, or leave its words.
 */
static bool check_queue(const struct machine *m, const struct vcpu *v,
                        uint32_t priority,
                        const struct evtchn_fifo_control_block *control,
                        struct error *err)
{
    uint32_t port = control->head[priority];

    for (uint32_t steps = 0; port && steps <= EVENT_PORTS_MAX; steps++) {
        const event_word_t *word = event_fifo_word(m, port);

        if (!word)
            return error_set(err, ERR_FORMAT,
                             "event channels: vCPU %u: the queue of priority "
                             "%" PRIu32 " goes on with port %" PRIu32
                             ", expected one of %" PRIu32 " that have a word",
                             v->id, priority, port,
                             m->events.nr_array_pages * EVENT_WORDS_PER_PAGE);
        if (!(*word & UINT32_C(1) << EVTCHN_FIFO_LINKED))
            return true;
        port = *word & EVTCHN_FIFO_LINK_MASK;
    }
    return port == 0 ||
           error_set(err, ERR_FORMAT,
                     "event channels: vCPU %u: the queue of priority %" PRIu32
                     " from port %" PRIu32
                     " runs in a circle, expected it to end",
                     v->id, priority, control->head[priority]);
}

static bool set_control(struct machine *m, struct vcpu *v, uint64_t gfn,
                        uint32_t offset, struct error *err)
{
    const struct evtchn_fifo_control_block *control;

    if (gfn == GFN_NONE)
        return true;
    if (offset > PAGE_SIZE - sizeof(*control) || offset % 8 ||
        !guest_memory_is_ram(&m->memory, gfn))
        return error_set(err, ERR_FORMAT,
                         "event channels: vCPU %u: control block at gfn "
                         "%#" PRIx64 " offset %#" PRIx32
                         ", expected it in the guest's memory",
                         v->id, gfn, offset);
    v->fifo_control_gfn = gfn;
    v->fifo_control_offset = offset;
    control =
        guest_memory_at(&m->memory, gfn * PAGE_SIZE + offset, sizeof(*control));
    for (uint32_t i = 0; i < EVENT_NR_PRIORITIES; i++)
        if (!check_queue(m, v, i, control, err))
            return false;
    return true;
}

/* The ABI with its pages, before any port. */
static bool set_fifo(struct machine *m, const struct state_events *e,
                     struct error *err)
{
    if (e->nr_array_pages > EVENT_ARRAY_PAGES)
        return error_set(err, ERR_LIMIT,
                         "event channels: %" PRIu32
                         " pages of words, this host has at most %u",
                         e->nr_array_pages, EVENT_ARRAY_PAGES);
    for (uint32_t n = 0; n < e->nr_array_pages; n++) {
        if (!guest_memory_is_ram(&m->memory, e->array_gfn[n]))
            return error_set(err, ERR_FORMAT,
                             "event channels: words at gfn %#" PRIx64
                             ", expected the guest's memory",
                             e->array_gfn[n]);
        m->events.array_gfn[n] = e->array_gfn[n];
    }
    m->events.nr_array_pages = e->nr_array_pages;
    m->events.abi = EVENT_ABI_FIFO;
    for (uint32_t n = 0; n < m->nr_vcpus; n++)
        if (!set_control(m, &m->vcpu[n], e->control_gfn[n],
                         e->control_offset[n], err))
            return false;
    for (uint32_t n = 0; n < e->nr_queues; n++) {
        const struct state_queue *q = &e->queue[n];

        if (q->tail >= EVENT_PORTS_MAX)
            return error_set(err, ERR_LIMIT,
                             "event channels: tail %" PRIu32
                             ", this host has %u ports",
                             q->tail, EVENT_PORTS_MAX);
        m->vcpu[q->vcpu].fifo[q->priority].tail = q->tail;
    }
    return true;
}

static bool set_events(struct machine *m, const struct state_events *e,
                       struct error *err)
{
    struct shared_info *s = machine_shared_info(m);

    events_init(m);
    if (e->abi == STATE_EVENTS_FIFO)
        return set_fifo(m, e, err) && set_ports(m, e, err);
    memcpy(s->evtchn_pending, e->pending, sizeof(e->pending));
    memcpy(s->evtchn_mask, e->masked, sizeof(e->masked));
    return set_ports(m, e, err);
}

/* ---- vCPUs ------------------------------------------------------------- */

static bool check_vcpu(const struct machine *m, const struct vcpu *v,
                       const struct state_vcpu *s, struct error *err)
{
    uint64_t gpa = s->info_gpa;

    if (gpa && (!guest_memory_is_ram(&m->memory, gpa / PAGE_SIZE) ||
                gpa % PAGE_SIZE > PAGE_SIZE - sizeof(struct vcpu_info)))
        return error_set(err, ERR_FORMAT,
                         "vCPU registrations: vCPU %u: vcpu_info at %#" PRIx64
                         ", expected it within a page of the guest's memory",
                         v->id, gpa);
    if (s->initialised != v->initialised)
        return error_set(err, ERR_FORMAT,
                         "vCPU registrations: vCPU %u: %s, its context says "
                         "the opposite",
                         v->id, s->initialised ? "initialised" : "never used");
    for (uint32_t n = 0; n < s->nr_polled; n++)
        if (s->polled[n] >= EVENT_PORTS_MAX)
            return error_set(err, ERR_LIMIT,
                             "vCPU registrations: vCPU %u polls port %" PRIu32
                             ", this host has %u",
                             v->id, s->polled[n], EVENT_PORTS_MAX);
    return true;
}

static void load_vcpu(struct machine *m, struct vcpu *v,
                      const struct state_vcpu *s)
{
    static const enum vcpu_wait waits[] = {
        [STATE_RUNNABLE] = VCPU_RUNNABLE,
        [STATE_HALTED] = VCPU_HALTED,
        [STATE_POLLING] = VCPU_POLLING,
    };

    v->up = s->up;
    v->wait = waits[s->wait];
    v->upcall_vector = s->upcall_vector;
    v->upcall_requested = s->upcall_requested;
    v->vcpu_info_gpa = s->info_gpa;
    v->runstate_area =
        (struct guest_area){s->runstate_area.address, s->runstate_area.cr3};
    v->time_area = (struct guest_area){s->time_area.address, s->time_area.cr3};
    v->cr3 = s->cr3;
    v->singleshot_ns = s->singleshot_ns;
    v->periodic_ns = s->periodic_ns;
    v->periodic_next_ns = s->periodic_next_ns;
    v->runstate.state = (int)s->runstate;
    v->runstate.state_entry_time = s->runstate_entry_ns;
    memcpy(v->runstate.time, s->runstate_ns, sizeof(v->runstate.time));
    v->poll = (struct poll_state){.nr_ports = s->nr_polled,
                                  .deadline = s->poll_deadline_ns};
    memcpy(v->poll.port, s->polled, s->nr_polled * sizeof(s->polled[0]));
    if (!s->info_gpa) {
        struct vcpu_info *info = machine_vcpu_info(m, v);

        info->evtchn_upcall_pending = s->upcall_pending;
        info->evtchn_upcall_mask = s->upcall_mask;
        info->evtchn_pending_sel = s->selector;
    }
}

static bool set_vcpus(struct machine *m, const struct state_vcpus *s,
                      struct error *err)
{
    if (s->nr != m->nr_vcpus)
        return error_set(err, ERR_FORMAT,
                         "vCPU registrations: %" PRIu32
                         " vCPUs, the domain was made with %u",
                         s->nr, m->nr_vcpus);
    for (uint32_t n = 0; n < s->nr; n++)
        if (!check_vcpu(m, &m->vcpu[n], &s->vcpu[n], err))
            return false;
    for (uint32_t n = 0; n < s->nr; n++)
        load_vcpu(m, &m->vcpu[n], &s->vcpu[n]);
    return true;
}

static bool set_grants(struct machine *m, const struct state_grants *g,
                       struct error *err)
{
    for (uint32_t n = 0; n < g->nr; n++) {
        const struct state_grant *s = &g->grant[n];
        struct grant_entry_v1 *entry = grants_entry(m, s->ref);

        if (!entry)
            return error_set(err, ERR_FORMAT,
                             "grant entries: grant %" PRIu32
                             " in a table of %" PRIu32 " frames",
                             s->ref, m->grants.nr_frames);
        *entry = (struct grant_entry_v1){
            .flags = s->flags, .domid = s->domid, .frame = s->frame};
    }
    return true;
}

bool machine_state_set(struct machine *m, enum state_part part,
                       const struct guest_state *s, struct error *err)
{
    switch (part) {
    case STATE_IDENTITY:
        return set_identity(m, &s->identity, err);
    case STATE_CLOCK:
        guest_time_set(&m->time, s->clock.now_ns);
        guest_time_publish_wallclock(&m->time, machine_shared_info(m));
        return true;
    case STATE_SHARED_INFO:
        return place(m, XEN_PAGE_SHARED_INFO, s->shared_info.gfn,
                     "HVM shared info", err);
    case STATE_GRANT_FRAMES:
        return set_frames(m, &s->grant_frames, err);
    case STATE_EVENTS:
        return set_events(m, &s->events, err);
    case STATE_VCPUS:
        return set_vcpus(m, &s->vcpus, err);
    case STATE_GRANTS:
        return set_grants(m, &s->grants, err);
    case STATE_STORE:
    case STATE_NR_PARTS:
        break;
    }
    return error_set(err, ERR_USAGE, "%s: not the machine's",
                     state_part_name(part));
}
