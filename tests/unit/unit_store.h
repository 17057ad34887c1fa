/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store without a process: a host in memory, clients whose bytes are put and
 * taken by hand, and guests whose pages are memory.
 */
#ifndef TESTS_UNIT_STORE_H
#define TESTS_UNIT_STORE_H

#include "store/connection.h"
#include "store/domain.h"
#include "store/store.h"
#include "store/tree.h"
#include "unit.h"

#define UNIT_GUESTS 16u

struct unit_store {
    struct store *store;
    struct ring_page pages[UNIT_GUESTS];
    enum domain_life life[UNIT_GUESTS];
    int64_t now_ns;
};

static inline enum domain_life unit_life(void *context, uint16_t domid)
{
    struct unit_store *u = context;

    return domid < UNIT_GUESTS ? u->life[domid] : DOMAIN_ABSENT;
}

static inline bool unit_ring_open(void *context, uint16_t domid, uint64_t gfn,
                                  uint32_t port, struct ring_link *ret,
                                  struct error *err)
{
    struct unit_store *u = context;

    (void)gfn;
    if (domid >= UNIT_GUESTS)
        return error_set(err, ERR_HOST, "domain %u: no page", domid);
    *ret = (struct ring_link){.page = &u->pages[domid], .port = port};
    return true;
}

static inline void unit_ring_close(void *context, uint16_t domid,
                                   struct ring_link *link)
{
    (void)context;
    (void)domid;
    link->page = NULL;
}

static inline bool unit_ring_rebind(void *context, uint16_t domid,
                                    uint32_t port, struct ring_link *link,
                                    struct error *err)
{
    (void)context;
    (void)domid;
    (void)err;
    link->port = port;
    return true;
}

static inline void unit_ring_notify(void *context, const struct ring_link *link)
{
    (void)context;
    (void)link;
}

static inline bool unit_ring_resume(void *context, uint16_t domid,
                                    uint32_t local_port, struct ring_link *ret,
                                    struct error *err)
{
    return unit_ring_open(context, domid, 1, local_port, ret, err);
}

static inline int64_t unit_now(void *context)
{
    return ((struct unit_store *)context)->now_ns;
}

static inline enum outcome unit_control(void *context, struct connection *from,
                                        unsigned int nr_words, char **words,
                                        struct buffer *reply)
{
    (void)context;
    (void)from;
    (void)nr_words;
    (void)words;
    (void)reply;
    return STORE_EINVAL;
}

static inline void unit_store_open(struct unit_store *u)
{
    struct store_host host = {.domain_life = unit_life,
                              .ring_open = unit_ring_open,
                              .ring_close = unit_ring_close,
                              .ring_rebind = unit_ring_rebind,
                              .ring_notify = unit_ring_notify,
                              .ring_resume = unit_ring_resume,
                              .now_ns = unit_now,
                              .control = unit_control,
                              .context = u};
    struct store_options options = store_options_default();
    struct error err = {0};

    *u = (struct unit_store){.now_ns = 1};
    for (unsigned int i = 0; i < UNIT_GUESTS; i++)
        u->life[i] = DOMAIN_ALIVE;
    assert_ok(store_open(&options, &host, &u->store, &err), err);
}

static inline void unit_store_close(struct unit_store *u)
{
    store_close(u->store);
    u->store = NULL;
}

/* Input comes by connection_input() alone, output stays queued. */
static inline enum transport_result unit_receive(struct connection *c,
                                                 size_t wanted)
{
    (void)c;
    (void)wanted;
    return TRANSPORT_WAIT;
}

static inline enum transport_result unit_send(struct connection *c)
{
    (void)c;
    return TRANSPORT_WAIT;
}

static inline void unit_close(struct connection *c)
{
    (void)c;
}

static const struct transport unit_transport = {
    .receive = unit_receive, .send = unit_send, .close = unit_close};

static inline struct connection *unit_client(struct unit_store *u)
{
    struct connection *c = store_connect(u->store, &unit_transport, NULL);

    assert_non_null(c);
    return c;
}

/* What is queued for 'c' goes; how many messages of 'type' there were. */
static inline unsigned int unit_drain(struct connection *c, uint32_t type,
                                      struct buffer *ret_last)
{
    unsigned int nr = 0;

    list_for_each (it, &c->output) {
        struct message *m = list_object(it, struct message, link);
        struct wire_header hdr;

        for (size_t at = 0; at < m->length; at += sizeof(hdr) + hdr.len) {
            memcpy(&hdr, m->bytes + at, sizeof(hdr));
            if (hdr.type != type)
                continue;
            nr++;
            if (ret_last) {
                buffer_reset(ret_last);
                buffer_bytes(ret_last, m->bytes + at + sizeof(hdr), hdr.len);
            }
        }
    }
    connection_drop_output(c);
    return nr;
}

/* One request of a client; its reply, or the name of its error, in 'ret'. */
static inline uint32_t unit_request(struct unit_store *u, struct connection *c,
                                    uint32_t type, uint32_t tx,
                                    const void *payload, size_t length,
                                    struct buffer *ret)
{
    struct wire_header hdr = {
        .type = type, .req_id = 1, .tx_id = tx, .len = (uint32_t)length};
    uint8_t *in = connection_input(c, sizeof(hdr) + length);
    uint32_t answer = type;

    assert_non_null(in);
    memcpy(in, &hdr, sizeof(hdr));
    memcpy(in + sizeof(hdr), payload, length);
    connection_received(c, sizeof(hdr) + length);
    connection_wake(c);
    while (store_turn(u->store))
        ;
    list_for_each (it, &c->output) {
        struct message *m = list_object(it, struct message, link);

        for (size_t at = 0; at < m->length; at += sizeof(hdr) + hdr.len) {
            memcpy(&hdr, m->bytes + at, sizeof(hdr));
            if (hdr.type != type && hdr.type != OP_ERROR)
                continue;
            answer = hdr.type;
            if (ret) {
                buffer_reset(ret);
                buffer_bytes(ret, m->bytes + at + sizeof(hdr), hdr.len);
            }
        }
    }
    connection_drop_output(c);
    return answer;
}

/* WRITE as dom0; 'path' and 'value' are text. */
static inline void unit_write(struct unit_store *u, struct connection *c,
                              const char *path, const char *value)
{
    char payload[512];
    int length = snprintf(payload, sizeof(payload), "%s%c%s", path, 0, value);

    assert_int_equal(
        unit_request(u, c, OP_WRITE, 0, payload, (size_t)length, NULL),
        OP_WRITE);
}

#endif
