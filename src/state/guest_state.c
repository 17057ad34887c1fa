/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/guest_state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define GRANT_IN_USE 0x18u /* reading, writing */

const char *state_part_name(enum state_part part)
{
    static const char *const names[] = {
        [STATE_IDENTITY] = "domain identity",
        [STATE_CLOCK] = "domain clock",
        [STATE_SHARED_INFO] = "HVM shared info",
        [STATE_GRANT_FRAMES] = "grant frames",
        [STATE_EVENTS] = "event channels",
        [STATE_VCPUS] = "vCPU registrations",
        [STATE_GRANTS] = "grant entries",
        [STATE_STORE] = "xenstore data",
    };

    return (size_t)part < ARRAY_SIZE(names) ? names[part] : "unknown part";
}

const char *state_port_kind_name(unsigned int kind)
{
    static const char *const names[] = {
        [STATE_PORT_FREE] = "free",
        [STATE_PORT_UNBOUND] = "unbound",
        [STATE_PORT_INTERDOMAIN] = "interdomain",
        [STATE_PORT_VIRQ] = "virq",
        [STATE_PORT_IPI] = "ipi",
    };

    return kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

const char *state_wait_name(unsigned int wait)
{
    static const char *const names[] = {
        [STATE_RUNNABLE] = "runnable",
        [STATE_HALTED] = "halted",
        [STATE_POLLING] = "polling",
    };

    return wait < ARRAY_SIZE(names) ? names[wait] : "unknown";
}

uint64_t state_param_value(const struct state_identity *i, uint32_t index)
{
    for (uint32_t n = 0; n < i->nr_params; n++)
        if (i->param[n].index == index)
            return i->param[n].value;
    return 0;
}

void guest_state_release(struct guest_state *s)
{
    free(s->events.queue);
    free(s->events.port);
    free(s->vcpus.vcpu);
    free(s->grants.grant);
    buffer_release(&s->store.data);
    buffer_release(&s->store.in);
    buffer_release(&s->store.out);
    *s = (struct guest_state){0};
}

static bool has(const struct guest_state *s, enum state_part part)
{
    return s->present & 1u << part;
}

static uint32_t vcpus_of(const struct guest_state *s)
{
    return has(s, STATE_IDENTITY) ? s->identity.nr_vcpus : STATE_VCPUS_MAX;
}

static bool bad(struct error *err, enum state_part part, const char *format,
                ...) printf_like(3, 4);

static bool bad(struct error *err, enum state_part part, const char *format,
                ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set(err, ERR_FORMAT, "%s: %s", state_part_name(part), text);
}

/* ---- each part --------------------------------------------------------- */

static bool check_identity(const struct guest_state *s, struct error *err)
{
    const struct state_identity *i = &s->identity;

    if (i->domid == 0 || i->domid >= STATE_DOMIDS)
        return bad(err, STATE_IDENTITY, "domid %" PRIu32 ", expected 1 to %u",
                   i->domid, STATE_DOMIDS - 1);
    if (i->nr_vcpus == 0 || i->nr_vcpus > STATE_VCPUS_MAX)
        return bad(err, STATE_IDENTITY, "%" PRIu32 " vCPUs, expected 1 to %u",
                   i->nr_vcpus, STATE_VCPUS_MAX);
    for (uint32_t n = 0; n < i->nr_params; n++) {
        if (n && i->param[n - 1].index >= i->param[n].index)
            return bad(err, STATE_IDENTITY,
                       "HVM parameter %" PRIu32 " after %" PRIu32
                       ", expected them to ascend",
                       i->param[n].index, i->param[n - 1].index);
        if (!i->param[n].value)
            return bad(err, STATE_IDENTITY,
                       "HVM parameter %" PRIu32
                       " is 0, expected those that are not",
                       i->param[n].index);
    }
    return true;
}

static bool check_clock(const struct guest_state *s, struct error *err)
{
    return s->clock.now_ns <= STATE_TIME_MAX ||
           bad(err, STATE_CLOCK, "%" PRIu64 " ns, expected at most %" PRIu64,
               s->clock.now_ns, STATE_TIME_MAX);
}

/* Fields that the port's kind does not have say nothing. */
static bool check_port_kind(const struct state_events *e,
                            const struct state_port *p, struct error *err)
{
    bool named =
        p->kind == STATE_PORT_UNBOUND || p->kind == STATE_PORT_INTERDOMAIN;
    bool fifo = e->abi == STATE_EVENTS_FIFO;

    if ((p->virq && p->kind != STATE_PORT_VIRQ) || (p->remote && !named) ||
        (p->remote_port != 0) != (p->kind == STATE_PORT_INTERDOMAIN))
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32 ": %s, with VIRQ %u, domain %" PRIu32
                   " and port %" PRIu32 " at the other end: these do not go "
                   "together",
                   p->port, state_port_kind_name(p->kind), p->virq, p->remote,
                   p->remote_port);
    if (!fifo && (p->early || p->last_vcpu || p->last_priority))
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32 " was on a queue, 2-level has none",
                   p->port);
    if (p->early && p->port / STATE_PORTS_PER_PAGE < e->nr_array_pages)
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32
                   ": raised before its page of words was there, but it is",
                   p->port);
    return p->kind != STATE_PORT_FREE || p->early || p->last_vcpu ||
           p->last_priority ||
           bad(err, STATE_EVENTS, "port %" PRIu32 ": free, and nothing left",
               p->port);
}

static bool check_port(const struct guest_state *s, const struct state_port *p,
                       struct error *err)
{
    uint32_t nr_vcpus = vcpus_of(s);

    if (p->kind >= STATE_PORT_KINDS || p->priority >= STATE_PRIORITIES ||
        p->last_priority >= STATE_PRIORITIES || p->virq >= STATE_VIRQS ||
        p->early > 1)
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32 ": kind %u, priority %u, last %u, VIRQ %u: "
                   "beyond what there is",
                   p->port, p->kind, p->priority, p->last_priority, p->virq);
    if (p->vcpu >= nr_vcpus || p->last_vcpu >= nr_vcpus)
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32 ": vCPU %" PRIu32 ", last %" PRIu32
                   ", the guest has %" PRIu32,
                   p->port, p->vcpu, p->last_vcpu, nr_vcpus);
    if (p->remote >= STATE_DOMIDS)
        return bad(err, STATE_EVENTS,
                   "port %" PRIu32 ": the other end in domain %" PRIu32
                   ", expected at most %u",
                   p->port, p->remote, STATE_DOMIDS - 1);
    return check_port_kind(&s->events, p, err);
}

static const struct state_port *find_port(const struct state_events *e,
                                          uint32_t port)
{
    uint32_t low = 0, high = e->nr_ports;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (e->port[middle].port == port)
            return &e->port[middle];
        if (e->port[middle].port < port)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* Both ends of a channel within the guest name each other. */
static bool check_loop(const struct guest_state *s, const struct state_port *p,
                       struct error *err)
{
    const struct state_port *other;

    if (p->kind != STATE_PORT_INTERDOMAIN || !has(s, STATE_IDENTITY) ||
        p->remote != s->identity.domid)
        return true;
    other = find_port(&s->events, p->remote_port);
    return (other && other->kind == STATE_PORT_INTERDOMAIN &&
            other->remote == p->remote && other->remote_port == p->port) ||
           bad(err, STATE_EVENTS,
               "port %" PRIu32 " is bound to port %" PRIu32
               ", which is not bound to it",
               p->port, p->remote_port);
}

static bool check_virqs(const struct guest_state *s, struct error *err)
{
    const struct state_events *e = &s->events;
    uint32_t bound[STATE_VCPUS_MAX] = {0};

    for (uint32_t n = 0; n < e->nr_ports; n++) {
        const struct state_port *p = &e->port[n];

        if (p->kind != STATE_PORT_VIRQ)
            continue;
        if (bound[p->vcpu] & 1u << p->virq)
            return bad(err, STATE_EVENTS,
                       "VIRQ %u of vCPU %" PRIu32 " has two ports", p->virq,
                       p->vcpu);
        bound[p->vcpu] |= 1u << p->virq;
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* No two ports are bound to one port of another domain. */
static bool check_other_ends(const struct state_events *e, struct error *err)
{
    cleanup_free uint64_t *end = calloc(e->nr_ports + 1, sizeof(*end));
    uint32_t nr = 0;

    if (!end)
        return error_set(err, ERR_NO_MEMORY, "event channels");
    for (uint32_t n = 0; n < e->nr_ports; n++)
        if (e->port[n].kind == STATE_PORT_INTERDOMAIN)
            end[nr++] =
                (uint64_t)e->port[n].remote << 32 | e->port[n].remote_port;
    qsort(end, nr, sizeof(*end), by_number);
    for (uint32_t n = 1; n < nr; n++)
        if (end[n] == end[n - 1])
            return bad(err, STATE_EVENTS,
                       "port %" PRIu64 " of domain %" PRIu64
                       " is the other end of two ports",
                       end[n] & UINT32_MAX, end[n] >> 32);
    return true;
}

/* The store's and the console's ports are there, and can be connected. */
static bool check_ring_port(const struct guest_state *s, uint32_t param,
                            const char *what, struct error *err)
{
    uint64_t value = state_param_value(&s->identity, param);
    const struct state_port *p;

    if (!has(s, STATE_IDENTITY) || !value)
        return true;
    p = value < STATE_PORTS_MAX ? find_port(&s->events, (uint32_t)value) : NULL;
    return (p && (p->kind == STATE_PORT_UNBOUND ||
                  p->kind == STATE_PORT_INTERDOMAIN)) ||
           bad(err, STATE_EVENTS,
               "port %" PRIu64 ", the %s's by HVM parameter %" PRIu32
               ", is %s, expected one with another end",
               value, what, param,
               p ? state_port_kind_name(p->kind) : "not there");
}

static bool check_control(const struct guest_state *s, uint32_t vcpu,
                          struct error *err)
{
    const struct state_events *e = &s->events;
    uint32_t offset = e->control_offset[vcpu];

    if (e->control_gfn[vcpu] == STATE_GFN_NONE)
        return true;
    if (vcpu >= vcpus_of(s))
        return bad(err, STATE_EVENTS,
                   "a control block for vCPU %" PRIu32
                   ", the guest has %" PRIu32,
                   vcpu, vcpus_of(s));
    if (offset % 8 || offset > STATE_PAGE_SIZE - STATE_CONTROL_SIZE)
        return bad(err, STATE_EVENTS,
                   "control block of vCPU %" PRIu32 " at offset %#" PRIx32
                   ", expected a multiple of 8 up to %#x",
                   vcpu, offset, STATE_PAGE_SIZE - STATE_CONTROL_SIZE);
    for (uint32_t n = 0; n < vcpu; n++)
        if (e->control_gfn[n] == e->control_gfn[vcpu] &&
            e->control_offset[n] < offset + STATE_CONTROL_SIZE &&
            offset < e->control_offset[n] + STATE_CONTROL_SIZE)
            return bad(err, STATE_EVENTS,
                       "control blocks of vCPUs %" PRIu32 " and %" PRIu32
                       " overlap, expected one owner",
                       n, vcpu);
    for (uint32_t n = 0; n < e->nr_array_pages; n++)
        if (e->array_gfn[n] == e->control_gfn[vcpu])
            return bad(err, STATE_EVENTS,
                       "gfn %#" PRIx64 ": both event words and the control "
                       "block of vCPU %" PRIu32 ", expected one owner",
                       e->array_gfn[n], vcpu);
    return true;
}

/* What the port says of itself is not there if it is the first of all. */
static bool check_tail(const struct guest_state *s, const struct state_queue *q,
                       struct error *err)
{
    const struct state_events *e = &s->events;
    const struct state_port *p = find_port(e, q->tail);
    uint32_t vcpu = p ? p->last_vcpu : 0;
    uint32_t priority = p ? p->last_priority : 0;

    if (q->tail / STATE_PORTS_PER_PAGE >= e->nr_array_pages)
        return bad(err, STATE_EVENTS,
                   "queue of vCPU %" PRIu32 " and priority %" PRIu32
                   " with tail %" PRIu32 ", which has no event word",
                   q->vcpu, q->priority, q->tail);
    return (vcpu == q->vcpu && priority == q->priority) ||
           bad(err, STATE_EVENTS,
               "port %" PRIu32 " is the tail of vCPU %" PRIu32
               " and priority %" PRIu32 ", but was put on %" PRIu32
               " and %" PRIu32 " last",
               q->tail, q->vcpu, q->priority, vcpu, priority);
}

static bool check_fifo(const struct guest_state *s, struct error *err)
{
    const struct state_events *e = &s->events;
    uint32_t seen[STATE_VCPUS_MAX] = {0};

    for (uint32_t n = 0; n < e->nr_array_pages; n++)
        if (e->array_gfn[n] == STATE_GFN_NONE)
            return bad(err, STATE_EVENTS,
                       "page %" PRIu32 " of event words is nowhere", n);
    for (uint32_t vcpu = 0; vcpu < STATE_VCPUS_MAX; vcpu++)
        if (!check_control(s, vcpu, err))
            return false;
    for (uint32_t n = 0; n < e->nr_queues; n++) {
        const struct state_queue *q = &e->queue[n];

        if (q->vcpu >= vcpus_of(s) || q->priority >= STATE_PRIORITIES ||
            q->tail == 0 || q->tail >= STATE_PORTS_MAX)
            return bad(err, STATE_EVENTS,
                       "queue of vCPU %" PRIu32 " and priority %" PRIu32
                       " with tail %" PRIu32 ": beyond what there is",
                       q->vcpu, q->priority, q->tail);
        if (seen[q->vcpu] & 1u << q->priority)
            return bad(err, STATE_EVENTS,
                       "queue of vCPU %" PRIu32 " and priority %" PRIu32
                       " twice",
                       q->vcpu, q->priority);
        seen[q->vcpu] |= 1u << q->priority;
        if (!check_tail(s, q, err))
            return false;
    }
    return true;
}

static bool check_events(const struct guest_state *s, struct error *err)
{
    const struct state_events *e = &s->events;
    uint32_t limit =
        e->abi == STATE_EVENTS_FIFO ? STATE_PORTS_MAX : STATE_PORTS_2L;

    for (uint32_t n = 0; n < e->nr_ports; n++) {
        const struct state_port *p = &e->port[n];

        if (p->port == 0 || p->port >= limit)
            return bad(err, STATE_EVENTS,
                       "port %" PRIu32 ", expected 1 to %" PRIu32, p->port,
                       limit - 1);
        if (n && e->port[n - 1].port >= p->port)
            return bad(err, STATE_EVENTS,
                       "port %" PRIu32 " after port %" PRIu32
                       ", expected them to ascend",
                       p->port, e->port[n - 1].port);
        if (!check_port(s, p, err))
            return false;
    }
    for (uint32_t n = 0; n < e->nr_ports; n++)
        if (!check_loop(s, &e->port[n], err))
            return false;
    return check_virqs(s, err) && check_other_ends(e, err) &&
           check_ring_port(s, STATE_PARAM_STORE_PORT, "store", err) &&
           check_ring_port(s, STATE_PARAM_CONSOLE_PORT, "console", err) &&
           (e->abi != STATE_EVENTS_FIFO || check_fifo(s, err));
}

static bool check_timers(uint32_t number, const struct state_vcpu *v,
                         struct error *err)
{
    if (v->periodic_ns && (v->periodic_ns < STATE_PERIOD_LEAST ||
                           v->periodic_ns > STATE_TIME_MAX ||
                           v->periodic_next_ns > STATE_TIME_MAX))
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 ": a tick each %" PRIu64
                   " ns, the next at %" PRIu64 ", expected %u ns at least",
                   number, v->periodic_ns, v->periodic_next_ns,
                   STATE_PERIOD_LEAST);
    return v->runstate_entry_ns <= STATE_TIME_MAX ||
           bad(err, STATE_VCPUS,
               "vCPU %" PRIu32 ": in its run state since %" PRIu64
               " ns, expected at most %" PRIu64,
               number, v->runstate_entry_ns, STATE_TIME_MAX);
}

/* Two vCPUs would take each other's events. */
static bool check_vcpu_info(const struct guest_state *s, uint32_t number,
                            struct error *err)
{
    uint64_t gpa = s->vcpus.vcpu[number].info_gpa;

    if (!gpa)
        return true;
    if (gpa % 8 ||
        gpa % STATE_PAGE_SIZE > STATE_PAGE_SIZE - STATE_VCPU_INFO_SIZE)
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 ": vcpu_info at %#" PRIx64
                   ", expected it within a page",
                   number, gpa);
    for (uint32_t n = 0; n < number; n++) {
        uint64_t other = s->vcpus.vcpu[n].info_gpa;
        uint64_t apart = other < gpa ? gpa - other : other - gpa;

        if (other && apart < STATE_VCPU_INFO_SIZE)
            return bad(err, STATE_VCPUS,
                       "vcpu_info of vCPUs %" PRIu32 " and %" PRIu32
                       " overlap, expected one owner",
                       n, number);
    }
    return true;
}

static bool check_vcpu(const struct guest_state *s, uint32_t number,
                       struct error *err)
{
    const struct state_vcpu *v = &s->vcpus.vcpu[number];
    uint32_t limit = has(s, STATE_EVENTS) && s->events.abi == STATE_EVENTS_2L
                         ? STATE_PORTS_2L
                         : STATE_PORTS_MAX;

    if (v->initialised > 1 || v->up > v->initialised ||
        v->wait >= STATE_WAITS || v->runstate > 3)
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 ": initialised %u, up %u, wait %u, run "
                   "state %" PRIu32 ": not a state that there is",
                   number, v->initialised, v->up, v->wait, v->runstate);
    if ((v->upcall_vector && v->upcall_vector < STATE_VECTOR_FIRST) ||
        v->upcall_requested > (v->upcall_vector != 0))
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 ": upcall vector %#x, requested %u, "
                   "expected one from %#x on, or none",
                   number, v->upcall_vector, v->upcall_requested,
                   STATE_VECTOR_FIRST);
    if (v->wait != STATE_POLLING && (v->nr_polled || v->poll_deadline_ns))
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 " polls %" PRIu32
                   " ports, but does not wait for them",
                   number, v->nr_polled);
    for (uint32_t n = 0; n < v->nr_polled; n++)
        if (v->polled[n] == 0 || v->polled[n] >= limit)
            return bad(err, STATE_VCPUS,
                       "vCPU %" PRIu32 " polls port %" PRIu32
                       ", expected 1 to %u",
                       number, v->polled[n], limit - 1);
    return check_timers(number, v, err) && check_vcpu_info(s, number, err);
}

static bool check_vcpus(const struct guest_state *s, struct error *err)
{
    if (has(s, STATE_IDENTITY) && s->vcpus.nr != s->identity.nr_vcpus)
        return bad(err, STATE_VCPUS,
                   "%" PRIu32 " vCPUs, the guest has %" PRIu32, s->vcpus.nr,
                   s->identity.nr_vcpus);
    for (uint32_t n = 0; n < s->vcpus.nr; n++)
        if (!check_vcpu(s, n, err))
            return false;
    return true;
}

static bool check_grants(const struct guest_state *s, struct error *err)
{
    uint32_t frames = has(s, STATE_GRANT_FRAMES) ? s->grant_frames.nr_frames
                                                 : STATE_GRANT_FRAMES_MAX;

    for (uint32_t n = 0; n < s->grants.nr; n++) {
        const struct state_grant *g = &s->grants.grant[n];

        if (g->ref >= frames * STATE_GRANTS_PER_FRAME)
            return bad(err, STATE_GRANTS,
                       "grant %" PRIu32 " in a table of %" PRIu32 " frames",
                       g->ref, frames);
        if (n && s->grants.grant[n - 1].ref >= g->ref)
            return bad(err, STATE_GRANTS,
                       "grant %" PRIu32 " after grant %" PRIu32
                       ", expected them to ascend",
                       g->ref, s->grants.grant[n - 1].ref);
        if (!g->flags && !g->domid && !g->frame)
            return bad(err, STATE_GRANTS,
                       "grant %" PRIu32 " is empty, expected those that are "
                       "not",
                       g->ref);
        if (g->flags & GRANT_IN_USE)
            return bad(err, STATE_GRANTS,
                       "grant %" PRIu32 ": flags %#x, expected it unused",
                       g->ref, g->flags);
    }
    return true;
}

/* ---- who owns which page ----------------------------------------------- */

struct owner {
    uint64_t gfn;
    const char *what;
};

static int by_gfn(const void *a, const void *b)
{
    const struct owner *x = a, *y = b;

    return (x->gfn > y->gfn) - (x->gfn < y->gfn);
}

static bool check_owners(const struct guest_state *s, struct error *err)
{
    size_t nr = 0, max = 1 + STATE_GRANT_FRAMES_MAX + STATE_ARRAY_PAGES;
    cleanup_free struct owner *owner = calloc(max, sizeof(*owner));

    if (!owner)
        return error_set(err, ERR_NO_MEMORY, "pages of the guest");
    if (has(s, STATE_SHARED_INFO))
        owner[nr++] = (struct owner){s->shared_info.gfn, "shared info"};
    for (uint32_t n = 0;
         has(s, STATE_GRANT_FRAMES) && n < s->grant_frames.nr_frames; n++)
        owner[nr++] = (struct owner){s->grant_frames.gfn[n], "the grant table"};
    for (uint32_t n = 0; has(s, STATE_EVENTS) && n < s->events.nr_array_pages;
         n++)
        owner[nr++] = (struct owner){s->events.array_gfn[n], "event words"};
    qsort(owner, nr, sizeof(*owner), by_gfn);
    for (size_t n = 1; n < nr; n++)
        if (owner[n].gfn == owner[n - 1].gfn && owner[n].gfn != STATE_GFN_NONE)
            return error_set(err, ERR_FORMAT,
                             "gfn %#" PRIx64
                             ": both %s and %s, expected one owner",
                             owner[n].gfn, owner[n - 1].what, owner[n].what);
    return true;
}

bool guest_state_check(const struct guest_state *s, struct error *err)
{
    return (!has(s, STATE_IDENTITY) || check_identity(s, err)) &&
           (!has(s, STATE_CLOCK) || check_clock(s, err)) &&
           (!has(s, STATE_GRANT_FRAMES) || s->grant_frames.version == 1 ||
            bad(err, STATE_GRANT_FRAMES, "version %" PRIu32 ", expected 1",
                s->grant_frames.version)) &&
           (!has(s, STATE_EVENTS) || check_events(s, err)) &&
           (!has(s, STATE_VCPUS) || check_vcpus(s, err)) &&
           (!has(s, STATE_GRANTS) || check_grants(s, err)) &&
           (!has(s, STATE_STORE) ||
            s->store.out_partial <= s->store.out.length ||
            bad(err, STATE_STORE,
                "%" PRIu32 " octets of a message in %zu queued",
                s->store.out_partial, s->store.out.length)) &&
           check_owners(s, err);
}

bool guest_state_check_whole(const struct guest_state *s, struct error *err)
{
    for (unsigned int part = 0; part < STATE_NR_PARTS; part++)
        if (!has(s, part))
            return error_set(err, ERR_FORMAT,
                             "%s: missing, a guest that is not to notice its "
                             "move needs it",
                             state_part_name(part));
    return guest_state_check(s, err);
}
