/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/ring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "store/domain.h"

/*
 * One access each, whatever the compiler thinks of it.  Acquire and release
 * order them against the octets of the ring.
 */
static uint32_t page_load(const uint32_t *field)
{
    return __atomic_load_n(field, __ATOMIC_ACQUIRE);
}

static void page_store(uint32_t *field, uint32_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELEASE);
}

static struct ring_page *page_of(const struct connection *c)
{
    return c->domain ? c->domain->link.page : NULL;
}

static void notify(struct connection *c)
{
    c->store->host.ring_notify(c->store->host.context, &c->domain->link);
}

/* A full barrier: index published, then the other side's index read. */
static void barrier(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void copy_from_ring(uint8_t *to, const uint8_t *ring, uint32_t at,
                           size_t length)
{
    uint32_t offset = at & (RING_SIZE - 1);
    size_t first = size_min(length, RING_SIZE - offset);

    memcpy(to, ring + offset, first);
    memcpy(to + first, ring, length - first);
}

static void copy_to_ring(uint8_t *ring, uint32_t at, const uint8_t *from,
                         size_t length)
{
    uint32_t offset = at & (RING_SIZE - 1);
    size_t first = size_min(length, RING_SIZE - offset);

    memcpy(ring + offset, from, first);
    memcpy(ring, from + first, length - first);
}

void ring_restart(struct connection *c)
{
    connection_reset(c);
    c->watches_changed = ++c->store->generation;
    c->domain->ring_req_cons = 0;
    c->domain->ring_rsp_prod = 0;
}

/* The guest wants to begin anew: nothing of before is answered. */
static void ring_reconnect(struct connection *c, struct ring_page *page)
{
    const struct store_recorder *recorder = c->store->recorder;

    if (recorder)
        recorder->reconnected(recorder->context, c);
    ring_restart(c);
    page_store(&page->req_cons, 0);
    page_store(&page->req_prod, 0);
    page_store(&page->rsp_cons, 0);
    page_store(&page->rsp_prod, 0);
    page_store(&page->connection, RING_CONNECTED);
    notify(c);
}

static enum transport_result ring_receive(struct connection *c, size_t wanted)
{
    struct ring_page *page = page_of(c);
    struct domain *d = c->domain;
    uint32_t prod, available, length;
    uint8_t *to;

    if (!page)
        return TRANSPORT_WAIT;
    if (page_load(&page->connection) == RING_RECONNECT)
        ring_reconnect(c, page);
    prod = page_load(&page->req_prod);
    available = prod - d->ring_req_cons;
    if (available > RING_SIZE)
        return TRANSPORT_BROKEN;
    if (!available)
        return TRANSPORT_WAIT;
    length = (uint32_t)size_min(available, wanted);

    /*
     * Take whatever is there, be it half a header: Linux kicks only if all
     * that it wrote before had been taken.  A header that is whole says how
     * much more may come along; it may change on the ring meanwhile, and what
     * was copied is what counts.
     */
    if (c->in_len == c->in_at && available >= sizeof(struct wire_header)) {
        struct wire_header hdr;

        copy_from_ring((uint8_t *)&hdr, page->req, d->ring_req_cons,
                       sizeof(hdr));
        length = sizeof(hdr);
        if (hdr.len <= WIRE_PAYLOAD_MAX)
            length = (uint32_t)size_min(length + hdr.len, available);
        to = connection_input(c, length);
        if (!to)
            return TRANSPORT_WAIT;
        memcpy(to, &hdr, sizeof(hdr));
        copy_from_ring(to + sizeof(hdr), page->req,
                       d->ring_req_cons + (uint32_t)sizeof(hdr),
                       length - sizeof(hdr));
    } else {
        to = connection_input(c, length);
        if (!to)
            return TRANSPORT_WAIT;
        copy_from_ring(to, page->req, d->ring_req_cons, length);
    }
    if (c->store->recorder)
        c->store->recorder->input(c->store->recorder->context, c, to, length);
    connection_received(c, length);
    d->ring_req_cons += length;
    barrier();
    page_store(&page->req_cons, d->ring_req_cons);
    /* Before the next look at req_prod: see above. */
    barrier();
    d->ring_notify = true;
    connection_want_flush(c);
    return TRANSPORT_DONE;
}

static enum transport_result ring_send(struct connection *c)
{
    struct ring_page *page = page_of(c);
    struct domain *d = c->domain;
    enum transport_result result = TRANSPORT_DONE;

    if (!page)
        return TRANSPORT_WAIT;
    while (c->output_len) {
        uint32_t cons = page_load(&page->rsp_cons);
        uint32_t filled = d->ring_rsp_prod - cons;
        uint32_t room = RING_SIZE - filled;
        struct iovec piece;
        size_t length;

        if (filled > RING_SIZE) {
            result = TRANSPORT_BROKEN;
            break;
        }
        if (!room) {
            result = TRANSPORT_WAIT;
            break;
        }
        connection_output(c, &piece, 1);
        length = size_min(room, piece.iov_len);
        copy_to_ring(page->rsp, d->ring_rsp_prod, piece.iov_base, length);
        d->ring_rsp_prod += (uint32_t)length;
        page_store(&page->rsp_prod, d->ring_rsp_prod);
        barrier();
        d->ring_notify = true;
        if (c->store->recorder)
            c->store->recorder->sent(c->store->recorder->context, c, length);
        connection_sent(c, length);
    }
    if (d->ring_notify)
        notify(c);
    d->ring_notify = false;
    return result;
}

static void ring_close(struct connection *c)
{
    (void)c; /* the page is the domain's, see domain_disconnect() */
}

const struct transport ring_transport = {
    .receive = ring_receive,
    .send = ring_send,
    .close = ring_close,
};

void ring_attach(struct connection *c)
{
    struct domain *d = c->domain;
    struct ring_page *page = d->link.page;
    struct carry *carry = d->carry;

    d->carry = NULL;
    d->ring_req_cons = page_load(&page->req_cons);
    d->ring_rsp_prod = page_load(&page->rsp_prod);
    d->ring_notify = true;
    page_store(&page->server_features, d->features);
    page_store(&page->error, RING_ERROR_NONE);
    if (page_load(&page->connection) == RING_RECONNECT)
        ring_reconnect(c, page);
    if (carry && carry->req_cons == d->ring_req_cons &&
        carry->rsp_prod == d->ring_rsp_prod) {
        uint8_t *to = connection_input(c, carry->in_len);

        if (to) {
            memcpy(to, carry->bytes, carry->in_len);
            connection_received(c, carry->in_len);
        }
        connection_requeue(c, carry->bytes + carry->in_len, carry->out_len,
                           carry->out_partial);
    }
    free(carry);
    connection_want_flush(c);
}

void ring_recover(struct connection *c)
{
    struct domain *d = c->domain;
    struct ring_page *page = d->link.page;
    uint32_t ahead = page_load(&page->rsp_prod) - d->ring_rsp_prod;

    page_store(&page->server_features, d->features);
    page_store(&page->req_cons, d->ring_req_cons);
    /*
     * Octets that were published but not recorded as sent.  The guest may
     * write anything here; more than was queued is not believed.
     */
    if (ahead <= RING_SIZE && ahead <= c->output_len) {
        d->ring_rsp_prod += ahead;
        connection_sent(c, ahead);
    } else {
        page_store(&page->rsp_prod, d->ring_rsp_prod);
    }
    d->ring_notify = true;
    connection_want_flush(c);
    connection_wake(c);
}

struct carry *ring_carry(struct connection *c)
{
    struct domain *d = c->domain;
    size_t in_len = c->in_len - c->in_at;
    struct carry *carry;
    uint8_t *to;

    if (c->broken || (!in_len && !c->output_len))
        return NULL;
    carry = malloc(sizeof(*carry) + in_len + c->output_len);
    if (!carry)
        return NULL;
    carry->req_cons = d->ring_req_cons;
    carry->rsp_prod = d->ring_rsp_prod;
    carry->in_len = in_len;
    carry->out_partial = 0;
    if (in_len)
        memcpy(carry->bytes, c->in + c->in_at, in_len);
    to = carry->bytes + in_len;
    /* Replies, and what is left of a half-sent event; whole events are gone
     * with their watches. */
    list_for_each (it, &c->output) {
        struct message *m = list_object(it, struct message, link);
        size_t skip = it == c->output.next ? c->output_sent : 0;

        if (m->kind != MESSAGE_REPLY && !skip)
            continue;
        if (skip || m->partial)
            carry->out_partial = m->length - skip;
        memcpy(to, m->bytes + skip, m->length - skip);
        to += m->length - skip;
    }
    carry->out_len = (size_t)(to - carry->bytes) - in_len;
    return carry;
}

void ring_report(struct connection *c, uint32_t error)
{
    struct ring_page *page = page_of(c);

    if (!page)
        return;
    page_store(&page->error, error);
    notify(c);
}
