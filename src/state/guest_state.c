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
    for (uint32_t n = 0; n < i->nr_params; n++)
        for (uint32_t m = 0; m < n; m++)
            if (i->param[n].index == i->param[m].index)
                return bad(err, STATE_IDENTITY,
                           "HVM parameter %" PRIu32 " twice",
                           i->param[n].index);
    return true;
}

static bool check_clock(const struct guest_state *s, struct error *err)
{
    return s->clock.now_ns <= INT64_MAX ||
           bad(err, STATE_CLOCK, "%" PRIu64 " ns, expected at most %" PRId64,
               s->clock.now_ns, INT64_MAX);
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
    return p->remote < STATE_DOMIDS ||
           bad(err, STATE_EVENTS,
               "port %" PRIu32 ": the other end in domain %" PRIu32
               ", expected at most %u",
               p->port, p->remote, STATE_DOMIDS - 1);
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

static bool check_fifo(const struct guest_state *s, struct error *err)
{
    const struct state_events *e = &s->events;
    uint32_t seen[STATE_VCPUS_MAX] = {0};

    for (uint32_t vcpu = vcpus_of(s); vcpu < STATE_VCPUS_MAX; vcpu++)
        if (e->control_gfn[vcpu] != STATE_GFN_NONE)
            return bad(err, STATE_EVENTS,
                       "a control block for vCPU %" PRIu32
                       ", the guest has %" PRIu32,
                       vcpu, vcpus_of(s));
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
    return check_virqs(s, err) &&
           (e->abi != STATE_EVENTS_FIFO || check_fifo(s, err));
}

static bool check_vcpu(const struct guest_state *s, uint32_t number,
                       struct error *err)
{
    const struct state_vcpu *v = &s->vcpus.vcpu[number];

    if (v->initialised > 1 || v->up > v->initialised ||
        v->wait >= STATE_WAITS || v->runstate > 3)
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 ": initialised %u, up %u, wait %u, run "
                   "state %" PRIu32 ": not a state that there is",
                   number, v->initialised, v->up, v->wait, v->runstate);
    if (v->wait != STATE_POLLING && v->nr_polled)
        return bad(err, STATE_VCPUS,
                   "vCPU %" PRIu32 " polls %" PRIu32
                   " ports, but does not wait for them",
                   number, v->nr_polled);
    for (uint32_t n = 0; n < v->nr_polled; n++)
        if (v->polled[n] >= STATE_PORTS_MAX)
            return bad(err, STATE_VCPUS,
                       "vCPU %" PRIu32 " polls port %" PRIu32
                       ", expected at most %u",
                       number, v->polled[n], STATE_PORTS_MAX - 1);
    return true;
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
