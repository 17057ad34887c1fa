/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One function a part says what its body is, for both directions: a coder
 * writes fields or reads them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "state/guest_state.h"

struct coder {
    struct buffer *out; /* NULL: reads */
    struct cursor in;
    bool bad; /* a count beyond its bound, or no memory; sticky */
};

static void code_u8(struct coder *c, uint8_t *v)
{
    if (c->out)
        buffer_u8(c->out, *v);
    else
        *v = cursor_u8(&c->in);
}

static void code_u16(struct coder *c, uint16_t *v)
{
    if (c->out)
        buffer_u16(c->out, *v);
    else
        *v = cursor_u16(&c->in);
}

static void code_u32(struct coder *c, uint32_t *v)
{
    if (c->out)
        buffer_u32(c->out, *v);
    else
        *v = cursor_u32(&c->in);
}

static void code_u64(struct coder *c, uint64_t *v)
{
    if (c->out)
        buffer_u64(c->out, *v);
    else
        *v = cursor_u64(&c->in);
}

static void code_zero(struct coder *c, size_t length)
{
    if (c->out)
        buffer_zeroes(c->out, length);
    else if (!cursor_zeroes(&c->in, length))
        c->bad = true;
}

/* How many of something follow, 'size' octets each at least. */
static void code_count(struct coder *c, uint32_t *nr, uint32_t max, size_t size)
{
    code_u32(c, nr);
    if (!c->out && (*nr > max || (uint64_t)*nr * size > cursor_left(&c->in)))
        c->bad = true;
    if (!c->out && c->bad)
        *nr = 0;
}

/* Room for what is to be read, of a number that code_count() has bounded. */
static void *code_room(struct coder *c, void *old, uint32_t nr, size_t size)
{
    void *room;

    if (c->out)
        return old;
    free(old);
    room = calloc(nr ? nr : 1, size);
    if (!room)
        c->bad = true;
    return room;
}

static void code_octets(struct coder *c, struct buffer *b, uint32_t max)
{
    uint32_t length = (uint32_t)b->length;
    const uint8_t *bytes;

    code_count(c, &length, max, 1);
    if (c->out) {
        buffer_bytes(c->out, b->bytes, b->length);
        return;
    }
    bytes = cursor_bytes(&c->in, length);
    buffer_reset(b);
    if (bytes)
        buffer_bytes(b, bytes, length);
    c->bad |= b->bad;
}

/* ---- the parts --------------------------------------------------------- */

static void code_identity(struct coder *c, struct state_identity *i)
{
    code_u32(c, &i->domid);
    code_u32(c, &i->nr_vcpus);
    for (size_t n = 0; n < sizeof(i->handle); n++)
        code_u8(c, &i->handle[n]);
    code_u32(c, &i->vm_assist);
    code_count(c, &i->nr_params, STATE_PARAMS_MAX, 16);
    for (uint32_t n = 0; n < i->nr_params; n++) {
        code_u32(c, &i->param[n].index);
        code_zero(c, 4);
        code_u64(c, &i->param[n].value);
    }
}

static void code_clock(struct coder *c, struct state_clock *k)
{
    code_u64(c, &k->now_ns);
}

static void code_shared_info(struct coder *c, struct state_shared_info *i)
{
    code_u64(c, &i->gfn);
}

static void code_grant_frames(struct coder *c, struct state_grant_frames *g)
{
    code_u32(c, &g->version);
    code_count(c, &g->nr_frames, STATE_GRANT_FRAMES_MAX, 8);
    for (uint32_t n = 0; n < g->nr_frames; n++)
        code_u64(c, &g->gfn[n]);
}

static void code_port(struct coder *c, struct state_port *p)
{
    code_u32(c, &p->port);
    code_u8(c, &p->kind);
    code_u8(c, &p->priority);
    code_u8(c, &p->virq);
    code_u8(c, &p->early);
    code_u32(c, &p->vcpu);
    code_u32(c, &p->remote);
    code_u32(c, &p->remote_port);
    code_u32(c, &p->last_vcpu);
    code_u8(c, &p->last_priority);
    code_zero(c, 7);
}

static void code_fifo(struct coder *c, struct state_events *e)
{
    uint32_t nr_blocks = 0, vcpu;

    code_count(c, &e->nr_array_pages, STATE_ARRAY_PAGES, 8);
    for (vcpu = 0; vcpu < STATE_VCPUS_MAX; vcpu++) {
        if (!c->out)
            e->control_gfn[vcpu] = STATE_GFN_NONE;
        nr_blocks += e->control_gfn[vcpu] != STATE_GFN_NONE;
    }
    code_count(c, &nr_blocks, STATE_VCPUS_MAX, 16);
    code_count(c, &e->nr_queues, STATE_VCPUS_MAX * STATE_PRIORITIES, 16);
    code_zero(c, 4);
    for (uint32_t n = 0; n < e->nr_array_pages; n++)
        code_u64(c, &e->array_gfn[n]);
    vcpu = 0;
    for (uint32_t n = 0; n < nr_blocks; n++, vcpu++) {
        uint32_t least = vcpu;

        while (c->out && e->control_gfn[vcpu] == STATE_GFN_NONE)
            vcpu++;
        code_u32(c, &vcpu);
        if (vcpu >= STATE_VCPUS_MAX || vcpu < least) {
            c->bad = true;
            return;
        }
        code_u32(c, &e->control_offset[vcpu]);
        code_u64(c, &e->control_gfn[vcpu]);
        c->bad |= e->control_gfn[vcpu] == STATE_GFN_NONE;
    }
    e->queue = code_room(c, e->queue, e->nr_queues, sizeof(*e->queue));
    for (uint32_t n = 0; !c->bad && n < e->nr_queues; n++) {
        code_u32(c, &e->queue[n].vcpu);
        code_u32(c, &e->queue[n].priority);
        code_u32(c, &e->queue[n].tail);
        code_zero(c, 4);
    }
}

static void code_events(struct coder *c, struct state_events *e)
{
    code_u32(c, &e->abi);
    code_count(c, &e->nr_ports, STATE_PORTS_MAX, 32);
    if (e->abi == STATE_EVENTS_FIFO)
        code_fifo(c, e);
    else if (e->abi != STATE_EVENTS_2L)
        c->bad = true;
    for (size_t n = 0; e->abi == STATE_EVENTS_2L && n < ARRAY_SIZE(e->pending);
         n++) {
        code_u64(c, &e->pending[n]);
        code_u64(c, &e->masked[n]);
    }
    e->port = code_room(c, e->port, e->nr_ports, sizeof(*e->port));
    for (uint32_t n = 0; !c->bad && n < e->nr_ports; n++)
        code_port(c, &e->port[n]);
}

static void code_area(struct coder *c, struct state_area *a)
{
    code_u64(c, &a->address);
    code_u64(c, &a->cr3);
}

static void code_vcpu(struct coder *c, struct state_vcpu *v)
{
    code_u8(c, &v->initialised);
    code_u8(c, &v->up);
    code_u8(c, &v->wait);
    code_u8(c, &v->upcall_vector);
    code_u8(c, &v->upcall_requested);
    code_u8(c, &v->upcall_pending);
    code_u8(c, &v->upcall_mask);
    code_zero(c, 1);
    code_u64(c, &v->selector);
    code_u64(c, &v->info_gpa);
    code_area(c, &v->runstate_area);
    code_area(c, &v->time_area);
    code_u64(c, &v->cr3);
    code_u64(c, &v->singleshot_ns);
    code_u64(c, &v->periodic_ns);
    code_u64(c, &v->periodic_next_ns);
    code_u64(c, &v->poll_deadline_ns);
    code_u64(c, &v->runstate_entry_ns);
    for (size_t n = 0; n < ARRAY_SIZE(v->runstate_ns); n++)
        code_u64(c, &v->runstate_ns[n]);
    code_u32(c, &v->runstate);
    code_count(c, &v->nr_polled, STATE_POLL_MAX, 4);
    for (uint32_t n = 0; n < v->nr_polled; n++)
        code_u32(c, &v->polled[n]);
    if (v->nr_polled % 2)
        code_zero(c, 4);
}

static void code_vcpus(struct coder *c, struct state_vcpus *v)
{
    code_count(c, &v->nr, STATE_VCPUS_MAX, 144);
    code_zero(c, 4);
    v->vcpu = code_room(c, v->vcpu, v->nr, sizeof(*v->vcpu));
    for (uint32_t n = 0; !c->bad && n < v->nr; n++)
        code_vcpu(c, &v->vcpu[n]);
}

static void code_grants(struct coder *c, struct state_grants *g)
{
    code_count(c, &g->nr, STATE_GRANT_FRAMES_MAX * STATE_GRANTS_PER_FRAME, 16);
    code_zero(c, 4);
    g->grant = code_room(c, g->grant, g->nr, sizeof(*g->grant));
    for (uint32_t n = 0; !c->bad && n < g->nr; n++) {
        code_u32(c, &g->grant[n].ref);
        code_u16(c, &g->grant[n].flags);
        code_u16(c, &g->grant[n].domid);
        code_u32(c, &g->grant[n].frame);
        code_zero(c, 4);
    }
}

static void code_store(struct coder *c, struct state_store *s)
{
    code_u32(c, &s->req_cons);
    code_u32(c, &s->rsp_prod);
    code_u32(c, &s->out_partial);
    code_octets(c, &s->in, STATE_CARRY_MAX);
    code_octets(c, &s->out, STATE_CARRY_MAX);
    code_octets(c, &s->data, STATE_STORE_MAX);
}

static void code_part(struct coder *c, struct guest_state *s,
                      enum state_part part)
{
    switch (part) {
    case STATE_IDENTITY:
        code_identity(c, &s->identity);
        break;
    case STATE_CLOCK:
        code_clock(c, &s->clock);
        break;
    case STATE_SHARED_INFO:
        code_shared_info(c, &s->shared_info);
        break;
    case STATE_GRANT_FRAMES:
        code_grant_frames(c, &s->grant_frames);
        break;
    case STATE_EVENTS:
        code_events(c, &s->events);
        break;
    case STATE_VCPUS:
        code_vcpus(c, &s->vcpus);
        break;
    case STATE_GRANTS:
        code_grants(c, &s->grants);
        break;
    case STATE_STORE:
        code_store(c, &s->store);
        break;
    case STATE_NR_PARTS:
        c->bad = true;
        break;
    }
}

void guest_state_encode(struct guest_state *s, enum state_part part,
                        struct buffer *ret)
{
    struct coder c = {.out = ret};

    buffer_u32(ret, STATE_VERSION);
    buffer_u32(ret, 0);
    code_part(&c, s, part);
}

bool guest_state_decode(struct guest_state *s, enum state_part part,
                        const void *body, size_t length, enum byte_order order,
                        uint64_t offset, struct error *err)
{
    struct coder c = {.in = cursor_over(body, length, order)};
    const char *name = state_part_name(part);
    uint32_t version = cursor_u32(&c.in);

    if (c.in.bad)
        return error_set_at(err, ERR_FORMAT, offset,
                            "%s: %zu octets, expected a version", name, length);
    if (version != STATE_VERSION)
        return error_set_at(err, ERR_UNSUPPORTED, offset,
                            "%s: version %" PRIu32 ", expected %u", name,
                            version, STATE_VERSION);
    code_zero(&c, 4);
    code_part(&c, s, part);
    if (c.in.bad || c.bad)
        return error_set_at(err, ERR_FORMAT, offset,
                            "%s: %zu octets end early, or hold a count beyond "
                            "its bound, or are not zero where they must be",
                            name, length);
    if (cursor_left(&c.in))
        return error_set_at(err, ERR_FORMAT, offset,
                            "%s: %zu octets left behind its end", name,
                            cursor_left(&c.in));
    s->present |= 1u << part;
    return true;
}
