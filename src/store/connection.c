/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/connection.h"

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "store/domain.h"
#include "store/request.h"
#include "store/ring.h"
#include "store/transaction.h"

#define REPLY_CHUNK     4096u
#define EVENTS_UNHASHED 16u
/* One buffer of this size goes from connection to connection. */
#define INPUT_SPARE (16u << 10)

/* --- causes --- */

static void cause_drop(struct store *store, struct cause *cause)
{
    struct domain *d;

    if (!cause || --cause->refs)
        return;
    d = domain_find(store, cause->domid);
    if (d && d->birth == cause->birth) {
        d->outstanding--;
        if (d->connection && d->connection->held)
            connection_wake(d->connection);
    }
    free(cause);
}

/* --- messages --- */

static struct message *message_new(struct connection *c, enum message_kind kind,
                                   size_t capacity)
{
    struct message *m = malloc(sizeof(*m) + capacity);

    if (!m)
        return NULL;
    m->kind = kind;
    m->hashed = false;
    m->partial = false;
    m->charged_to = DOMID_NONE_WIRE;
    m->cause = NULL;
    m->length = 0;
    m->capacity = (uint32_t)capacity;
    list_init(&m->event_link);
    list_append(&c->output, &m->link);
    c->nr_output++;
    return m;
}

/*
 * A guest pays for what waits for it; for events that wait at a socket the
 * guest pays that caused them.
 */
static void message_charge(struct connection *c, struct message *m)
{
    struct store *store = c->store;
    struct domain *d = c->domain;

    if ((!d || !domain_is_guest(store, d)) && store->cause)
        d = domain_find(store, store->cause->domid);
    if (!d || !domain_is_guest(store, d))
        return;
    m->charged_to = d->domid;
    m->charged_birth = d->birth;
    domain_charge(store, d, sizeof(*m) + m->capacity);
}

static void message_discharge(struct store *store, struct message *m)
{
    struct domain *d;

    if (m->charged_to == DOMID_NONE_WIRE)
        return;
    d = domain_find(store, m->charged_to);
    if (d && d->birth == m->charged_birth)
        domain_discharge(store, d, sizeof(*m) + m->capacity);
}

static void message_free(struct connection *c, struct message *m)
{
    if (m->hashed)
        HASH_DEL(c->events_by_text, m);
    else if (m->kind != MESSAGE_REPLY)
        c->nr_events_unhashed--;
    list_remove(&m->event_link);
    list_remove(&m->link);
    c->nr_output--;
    message_discharge(c->store, m);
    cause_drop(c->store, m->cause);
    free(m);
}

void connection_want_flush(struct connection *c)
{
    if (list_is_empty(&c->flush))
        list_append(&c->store->flush, &c->flush);
}

static void queued(struct connection *c, size_t length)
{
    c->output_len += length;
    if (!c->blocked || c->domain)
        connection_want_flush(c);
    if (!c->domain && c->output_len > OUTPUT_MAX && !c->closing) {
        log_warning(c->store->host.log,
                    "connection %u: %zu octets unread, closed", c->id,
                    c->output_len);
        connection_close(c);
    }
}

/* Put header and payload at the end of 'm', which has room. */
static void message_append(struct message *m, const struct wire_header *hdr,
                           const void *payload)
{
    memcpy(m->bytes + m->length, hdr, sizeof(*hdr));
    m->length += (uint32_t)sizeof(*hdr);
    if (hdr->len)
        memcpy(m->bytes + m->length, payload, hdr->len);
    m->length += hdr->len;
}

void connection_reply(struct connection *c, const struct wire_header *hdr,
                      uint32_t type, const void *payload, size_t length)
{
    struct wire_header reply = *hdr;
    size_t size = sizeof(reply) + length;
    struct message *m = NULL;

    if (c->closing)
        return;
    reply.type = type;
    reply.len = (uint32_t)length;
    /* Replies to a socket share chunks: one piece for the system to copy. */
    if (!c->domain && !list_is_empty(&c->output)) {
        m = list_object(c->output.prev, struct message, link);
        if (m->kind != MESSAGE_REPLY || m->capacity - m->length < size)
            m = NULL;
    }
    if (!m) {
        m = message_new(c, MESSAGE_REPLY,
                        c->domain || size > REPLY_CHUNK ? size : REPLY_CHUNK);
        if (!m) {
            /* A client without its reply would wait for ever. */
            if (c->domain)
                connection_break(c, RING_ERROR_COMM);
            else
                connection_close(c);
            return;
        }
        if (c->domain)
            message_charge(c, m);
        if (c->store->cause) {
            m->cause = c->store->cause;
            m->cause->refs++;
        }
        m->queued_ns = 0;
    }
    message_append(m, &reply, payload);
    queued(c, size);
}

static void event_index(struct connection *c, struct message *m)
{
    if (m->kind == MESSAGE_SPECIAL || c->nr_events_unhashed < EVENTS_UNHASHED) {
        c->nr_events_unhashed++;
        if (m->kind != MESSAGE_SPECIAL)
            list_append(&c->events, &m->event_link);
    } else {
        m->hashed = true;
        HASH_ADD_KEYPTR(hh, c->events_by_text,
                        m->bytes + sizeof(struct wire_header),
                        m->length - sizeof(struct wire_header), m);
    }
}

void connection_requeue(struct connection *c, const uint8_t *octets,
                        size_t length, size_t partial)
{
    size_t at = 0;

    while (at < length) {
        enum message_kind kind = MESSAGE_REPLY;
        size_t size = size_min(partial, length);
        struct wire_header hdr;
        struct message *m;

        if (at || !partial) {
            size = length - at;
            if (size >= sizeof(hdr)) {
                memcpy(&hdr, octets + at, sizeof(hdr));
                if (hdr.len <= WIRE_PAYLOAD_MAX)
                    size = size_min(size, sizeof(hdr) + hdr.len);
                if (hdr.type == OP_WATCH_EVENT && size > sizeof(hdr))
                    kind = octets[at + sizeof(hdr)] == '@' ? MESSAGE_SPECIAL
                                                           : MESSAGE_EVENT;
            }
        }
        m = message_new(c, kind, size);
        if (!m)
            return;
        memcpy(m->bytes, octets + at, size);
        m->length = (uint32_t)size;
        m->partial = !at && partial;
        m->queued_ns = store_now(c->store);
        message_charge(c, m);
        if (kind != MESSAGE_REPLY)
            event_index(c, m);
        queued(c, size);
        at += size;
    }
}

static bool same_payload(const struct message *m, const char *payload,
                         size_t length)
{
    return m->length == sizeof(struct wire_header) + length &&
           !memcmp(m->bytes + sizeof(struct wire_header), payload, length);
}

static bool event_is_queued(struct connection *c, const char *payload,
                            size_t length)
{
    struct message *m;

    list_for_each (it, &c->events) {
        m = list_object(it, struct message, event_link);
        /* Half of it may have gone out already. */
        if (same_payload(m, payload, length) &&
            !(c->output_sent && c->output.next == &m->link))
            return true;
    }
    if (!c->events_by_text)
        return false;
    HASH_FIND(hh, c->events_by_text, payload, length, m);
    return m && !(c->output_sent && c->output.next == &m->link);
}

void connection_event(struct connection *c, const char *path, const char *token,
                      bool special)
{
    struct wire_header hdr = {.type = OP_WATCH_EVENT};
    char payload[WIRE_PAYLOAD_MAX];
    size_t path_len = strlen(path) + 1;
    size_t token_len = strlen(token) + 1;
    size_t length = path_len + token_len;
    struct message *m;

    if (c->closing || c->broken || length > sizeof(payload))
        return;
    memcpy(payload, path, path_len);
    memcpy(payload + path_len, token, token_len);
    if (!special && c->nr_output && event_is_queued(c, payload, length))
        return;
    m = message_new(c, special ? MESSAGE_SPECIAL : MESSAGE_EVENT,
                    sizeof(hdr) + length);
    if (!m) {
        log_error(c->store->host.log, "connection %u: no memory for an event",
                  c->id);
        return;
    }
    hdr.len = (uint32_t)length;
    message_append(m, &hdr, payload);
    c->store->figures.events++;
    event_index(c, m);
    message_charge(c, m);
    if (c->domain && domain_is_guest(c->store, c->domain)) {
        m->queued_ns = store_now(c->store);
        if (c->store->options.event_timeout_ns) {
            int64_t due = m->queued_ns + c->store->options.event_timeout_ns;

            if (due < c->store->next_expiry_ns)
                c->store->next_expiry_ns = due;
        }
        if (c->store->cause) {
            m->cause = c->store->cause;
            m->cause->refs++;
        }
    }
    queued(c, m->length);
}

void connection_drop_output(struct connection *c)
{
    while (!list_is_empty(&c->output))
        message_free(c, list_object(c->output.next, struct message, link));
    c->output_len = 0;
    c->output_sent = 0;
}

void connection_expire(struct connection *c, int64_t before_ns)
{
    list_for_each_safe (it, after, &c->output) {
        struct message *m = list_object(it, struct message, link);

        if (m->kind != MESSAGE_EVENT || m->queued_ns > before_ns ||
            (c->output_sent && c->output.next == &m->link))
            continue;
        c->output_len -= m->length;
        message_free(c, m);
    }
}

int connection_output(struct connection *c, struct iovec *iov, int nr)
{
    size_t skip = c->output_sent;
    int used = 0;

    list_for_each (it, &c->output) {
        struct message *m = list_object(it, struct message, link);

        if (used == nr)
            break;
        iov[used].iov_base = m->bytes + skip;
        iov[used++].iov_len = m->length - skip;
        skip = 0;
    }
    return used;
}

void connection_sent(struct connection *c, size_t length)
{
    c->output_len -= length;
    while (length) {
        struct message *m = list_object(c->output.next, struct message, link);
        size_t rest = m->length - c->output_sent;

        if (length < rest) {
            c->output_sent += length;
            return;
        }
        length -= rest;
        c->output_sent = 0;
        message_free(c, m);
    }
}

size_t connection_output_length(const struct connection *c)
{
    return c->output_len;
}

/* --- input --- */

uint8_t *connection_input(struct connection *c, size_t room)
{
    size_t unread = c->in_len - c->in_at;
    size_t capacity;
    uint8_t *fresh;

    if (c->in_at && (!unread || c->in_capacity - c->in_len < room)) {
        memmove(c->in, c->in + c->in_at, unread);
        c->in_at = 0;
        c->in_len = unread;
    }
    if (c->in_capacity - c->in_len >= room)
        return c->in + c->in_len;
    /* Transports ask for at most a message more than a turn's worth. */
    capacity = c->in_len + room;
    if (!c->in && c->store->spare_input && capacity <= INPUT_SPARE) {
        fresh = c->store->spare_input;
        c->store->spare_input = NULL;
        capacity = INPUT_SPARE;
    } else {
        if (capacity <= INPUT_SPARE && !c->domain)
            capacity = INPUT_SPARE;
        fresh = realloc(c->in, capacity);
    }
    if (!fresh)
        return NULL;
    c->in = fresh;
    c->in_capacity = capacity;
    return c->in + c->in_len;
}

void connection_received(struct connection *c, size_t length)
{
    c->in_len += length;
}

static size_t input_unread(const struct connection *c)
{
    return c->in_len - c->in_at;
}

size_t connection_input_length(const struct connection *c)
{
    return input_unread(c);
}

/* Idle connections keep no memory. */
static void input_trim(struct connection *c)
{
    if (input_unread(c))
        return;
    c->in_at = c->in_len = 0;
    if (c->in_capacity == INPUT_SPARE && !c->store->spare_input)
        c->store->spare_input = c->in;
    else
        free(c->in);
    c->in = NULL;
    c->in_capacity = 0;
}

/* --- life --- */

static void connection_link(struct connection *c)
{
    struct store *store = c->store;
    struct connection *other;

    do {
        c->id = ++store->next_connection_id;
        HASH_FIND(hh, store->connections, &c->id, sizeof(c->id), other);
    } while (!c->id || other);
    HASH_ADD(hh, store->connections, id, sizeof(c->id), c);
    list_append(&store->clients, &c->all);
}

bool connection_renumber(struct connection *c, uint32_t id)
{
    struct store *store = c->store;
    struct connection *other;

    HASH_FIND(hh, store->connections, &id, sizeof(id), other);
    if (other && other != c)
        return false;
    HASH_DEL(store->connections, c);
    c->id = id;
    HASH_ADD(hh, store->connections, id, sizeof(c->id), c);
    return true;
}

struct connection *connection_new(struct store *store,
                                  const struct transport *transport,
                                  void *context, struct domain *domain)
{
    struct connection *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->store = store;
    c->transport = transport;
    c->context = context;
    c->domain = domain;
    c->subject = (struct subject){
        .domid = domain ? domain->domid : store->options.master_domid,
        .target = DOMID_NONE_WIRE,
        .privileged = !domain || domid_is_privileged(store, domain->domid)};
    list_init(&c->all);
    list_init(&c->ready);
    list_init(&c->flush);
    list_init(&c->output);
    list_init(&c->events);
    list_init(&c->watches);
    list_init(&c->waiting);
    connection_link(c);
    return c;
}

struct connection *store_connect(struct store *store,
                                 const struct transport *transport,
                                 void *context)
{
    struct connection *c = connection_new(store, transport, context, NULL);

    if (c && store->recorder)
        store->recorder->opened(store->recorder->context, c);
    return c;
}

void connection_reset(struct connection *c)
{
    watch_remove_all(c->store, c);
    transaction_drop_all(c);
    connection_drop_output(c);
    c->in_at = c->in_len = 0;
    input_trim(c);
    list_remove(&c->waiting);
    c->is_parked = false;
    if (c->store->shielded == c)
        c->store->shielded = NULL;
}

void connection_close(struct connection *c)
{
    if (c->closing)
        return;
    if (c->store->recorder)
        c->store->recorder->closed(c->store->recorder->context, c);
    c->closing = true;
    connection_reset(c);
    /* Somebody may be in the middle of using it: freed by the turn. */
    list_remove(&c->ready);
    list_append(&c->store->ready, &c->ready);
}

void connection_free(struct connection *c)
{
    connection_reset(c);
    c->transport->close(c);
    list_remove(&c->ready);
    list_remove(&c->flush);
    list_remove(&c->all);
    HASH_DEL(c->store->connections, c);
    free(c->in);
    free(c);
}

void *connection_context(const struct connection *c)
{
    return c->context;
}

uint32_t connection_id(const struct connection *c)
{
    return c->id;
}

struct connection *store_connection(struct store *store, uint32_t id)
{
    struct connection *c;

    HASH_FIND(hh, store->connections, &id, sizeof(id), c);
    return c && !c->closing ? c : NULL;
}

void connection_wake(struct connection *c)
{
    if (list_is_empty(&c->ready))
        list_append(&c->store->ready, &c->ready);
    if (c->output_len)
        connection_want_flush(c);
}

void connection_break(struct connection *c, uint32_t error)
{
    if (c->broken || !c->domain)
        return;
    if (c->store->recorder)
        c->store->recorder->broken(c->store->recorder->context, c, error);
    log_warning(c->store->host.log,
                "domain %u: ring broken (error %u), no longer served",
                c->domain->domid, error);
    ring_report(c, error);
    connection_reset(c);
    c->broken = true;
}

/* --- running --- */

/* Whether a guest has to wait before its next request is taken. */
static bool connection_is_held(struct connection *c, uint32_t next_type)
{
    struct domain *d = c->domain;
    struct store *store = c->store;

    c->held = false;
    if (c->is_parked)
        return c->held = true;
    if (!d)
        return false;
    if (d->quiesced)
        return c->held = true;
    if (!domain_is_guest(store, d))
        return false;
    if (d->quotas.hard[QUOTA_OUTSTANDING] &&
        d->outstanding >= d->quotas.hard[QUOTA_OUTSTANDING])
        return c->held = true;
    if (d->over_memory && c->output_len)
        return c->held = true;
    if (store->shielded && request_is_change(next_type))
        return c->held = true;
    return false;
}

static void run_one(struct connection *c, const struct wire_header *hdr,
                    uint8_t *payload)
{
    struct store *store = c->store;
    struct domain *d = c->domain;
    struct cause *cause = NULL;

    if (d && domain_is_guest(store, d)) {
        cause = malloc(sizeof(*cause));
        if (cause) {
            *cause = (struct cause){1, d->domid, d->birth};
            d->outstanding++;
            domain_saw(store, d, QUOTA_OUTSTANDING, d->outstanding);
        }
    }
    store->current = c;
    store->cause = cause;
    store->figures.requests++;
    if (store->recorder)
        store->recorder->request(store->recorder->context, c, hdr, payload);
    request_run(c, hdr, payload);
    store->current = NULL;
    store->cause = NULL;
    cause_drop(store, cause);
}

/*
 * Bring input until there are 'wanted' octets.  False: not now, or never
 * again.
 */
static bool connection_fill(struct connection *c, size_t wanted)
{
    while (input_unread(c) < wanted) {
        switch (c->transport->receive(c, wanted - input_unread(c))) {
        case TRANSPORT_DONE:
            break;
        case TRANSPORT_WAIT:
            return false;
        case TRANSPORT_CLOSED:
            connection_close(c);
            return false;
        case TRANSPORT_BROKEN:
            if (c->domain)
                connection_break(c, RING_ERROR_INDEX);
            else
                connection_close(c);
            return false;
        }
    }
    return true;
}

bool connection_run(struct connection *c)
{
    unsigned int budget = TURN_REQUESTS;

    while (!c->closing && !c->broken) {
        struct wire_header hdr;

        if (connection_is_held(c, OP_READ))
            return false;
        if (!connection_fill(c, sizeof(hdr)))
            break;
        memcpy(&hdr, c->in + c->in_at, sizeof(hdr));
        if (hdr.len > WIRE_PAYLOAD_MAX) {
            if (c->domain)
                connection_break(c, RING_ERROR_LENGTH);
            else
                connection_close(c);
            return false;
        }
        if (connection_is_held(c, hdr.type))
            return false;
        if (!connection_fill(c, sizeof(hdr) + hdr.len))
            break;
        /* Checked last: who has nothing more to do is not put back. */
        if (!budget--)
            return true;
        c->in_at += sizeof(hdr) + hdr.len;
        run_one(c, &hdr, c->in + c->in_at - hdr.len);
    }
    input_trim(c);
    return false;
}

void connection_flush(struct connection *c)
{
    if (c->closing || c->broken)
        return;
    switch (c->transport->send(c)) {
    case TRANSPORT_DONE:
        c->blocked = false;
        break;
    case TRANSPORT_WAIT:
        c->blocked = true;
        break;
    case TRANSPORT_CLOSED:
        connection_close(c);
        break;
    case TRANSPORT_BROKEN:
        if (c->domain)
            connection_break(c, RING_ERROR_INDEX);
        else
            connection_close(c);
        break;
    }
    /* A guest that was held back because of what it left unread. */
    if (c->held && !c->closing && !c->output_len)
        connection_wake(c);
}

void connection_answer_parked(struct connection *c, const char *text)
{
    if (!c->is_parked)
        return;
    c->is_parked = false;
    list_remove(&c->waiting);
    connection_reply(c, &c->parked, c->parked.type, text, strlen(text) + 1);
    connection_wake(c);
}

void connection_park_again(struct connection *c, const char *text)
{
    size_t size = sizeof(struct wire_header) + strlen(text) + 1;
    struct message *m;

    if (c->is_parked || list_is_empty(&c->output))
        return;
    m = list_object(c->output.prev, struct message, link);
    if (m->kind != MESSAGE_REPLY || m->length < size)
        return;
    m->length -= (uint32_t)size;
    c->output_len -= size;
    if (!m->length)
        message_free(c, m);
    c->is_parked = true;
}

void store_answer_parked(struct store *store, const char *text)
{
    list_for_each (it, &store->clients) {
        struct connection *c = list_object(it, struct connection, all);

        if (c->is_parked && c->waiting_for == DOMID_NONE_WIRE)
            connection_answer_parked(c, text);
    }
}

/* --- doing it again --- */

void connection_replay_input(struct connection *c, const void *octets,
                             size_t length)
{
    uint8_t *to = connection_input(c, length);

    if (!to)
        return;
    memcpy(to, octets, length);
    connection_received(c, length);
    if (c->domain)
        c->domain->ring_req_cons += (uint32_t)length;
}

void connection_replay_request(struct connection *c,
                               const struct wire_header *hdr, void *payload,
                               bool skip)
{
    if (c->domain)
        c->in_at += size_min(sizeof(*hdr) + hdr->len, input_unread(c));
    if (skip)
        connection_reply(c, hdr, OP_ERROR, "EIO", 4);
    else
        run_one(c, hdr, payload);
    input_trim(c);
}

void connection_replay_sent(struct connection *c, size_t length)
{
    length = size_min(length, c->output_len);
    if (c->domain)
        c->domain->ring_rsp_prod += (uint32_t)length;
    connection_sent(c, length);
}

void connection_drop_input(struct connection *c, size_t length)
{
    c->in_at += size_min(length, input_unread(c));
    input_trim(c);
}

void connection_replay_close(struct connection *c)
{
    connection_close(c);
    connection_free(c);
}

void connection_replay_reconnect(struct connection *c)
{
    if (c->domain)
        ring_restart(c);
}

void connection_replay_break(struct connection *c, uint32_t error)
{
    connection_break(c, error);
}
