/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store in memory as unit tests use it: clients, requests, replies. */
#ifndef TESTS_UNIT_STORE_H
#define TESTS_UNIT_STORE_H

#include "store/tree.h"
#include "store_in_memory.h"
#include "unit.h"

#define UNIT_GUESTS 16u

static inline void unit_store_open(struct store_in_memory *u)
{
    struct error err = {0};

    assert_ok(store_in_memory_open(u, UNIT_GUESTS, &err), err);
}

static inline void unit_store_close(struct store_in_memory *u)
{
    store_close(u->store);
    u->store = NULL;
}

static inline void unit_close(struct connection *c)
{
    (void)c;
}

static const struct transport unit_transport = {
    .receive = memory_receive, .send = memory_send, .close = unit_close};

static inline struct connection *unit_client(struct store_in_memory *u)
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
static inline uint32_t unit_request(struct store_in_memory *u,
                                    struct connection *c, uint32_t type,
                                    uint32_t tx, const void *payload,
                                    size_t length, struct buffer *ret)
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
static inline void unit_write(struct store_in_memory *u, struct connection *c,
                              const char *path, const char *value)
{
    char payload[512];
    int length = snprintf(payload, sizeof(payload), "%s%c%s", path, 0, value);

    assert_int_equal(
        unit_request(u, c, OP_WRITE, 0, payload, (size_t)length, NULL),
        OP_WRITE);
}

#endif
