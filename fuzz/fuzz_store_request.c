/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of two sockets and two guests, between deaths and ticks.  A step is
 * five octets and a payload:
 *
 *   who      0, 1 sockets; 2, 3 guests; 4 a guest dies and comes back; 5 time
 *            passes; 6 raw octets
 *   type     of the request; 240 and up: the operations of our own
 *   tx       of the request
 *   length   u16 of the payload
 *
 * Property: whatever came, accounts and owners add up, and the dumped state is
 * the state.
 */
#include "fuzz_store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 400u

struct fuzz {
    struct store_in_memory world;
    struct connection *sockets[2];
};

static struct connection *client(struct fuzz *f, unsigned int who)
{
    uint16_t domid = who == 2 ? 1 : 2;
    struct domain *d;

    if (who < 2) {
        if (!f->sockets[who])
            f->sockets[who] = store_connect(f->world.store, &fuzz_transport,
                                            &f->sockets[who]);
        assert(f->sockets[who]);
        return f->sockets[who];
    }
    d = domain_find(f->world.store, domid);
    if (!d || !d->introduced) {
        if (store_introduce(f->world.store, domid, 1, 5) != STORE_OK)
            return NULL;
        d = domain_find(f->world.store, domid);
    }
    return d ? d->connection : NULL;
}

static void run(struct fuzz *f)
{
    while (store_turn(f->world.store))
        ;
}

static void feed(struct fuzz *f, unsigned int who, const void *bytes,
                 size_t length)
{
    struct connection *c = client(f, who);
    uint8_t *in;

    if (!c || c->broken || c->closing)
        return;
    in = connection_input(c, length ? length : 1);
    assert(in);
    if (length)
        memcpy(in, bytes, length);
    connection_received(c, length);
    connection_wake(c);
}

static void step(struct fuzz *f, const uint8_t *head, const uint8_t *payload,
                 size_t length)
{
    unsigned int who = head[0] % 7;
    struct wire_header hdr = {.type = head[1] >= 240 ? 0x8001u + (head[1] & 3)
                                                     : head[1],
                              .req_id = 1,
                              .tx_id = head[2],
                              .len = (uint32_t)length};

    switch (who) {
    case 4: {
        uint16_t domid = 1 + (head[1] & 1);

        f->world.life[domid] = DOMAIN_ABSENT;
        store_domains_changed(f->world.store);
        f->world.life[domid] = DOMAIN_ALIVE;
        break;
    }
    case 5:
        f->world.now_ns += (int64_t)head[1] << 28;
        store_tick(f->world.store);
        break;
    case 6:
        feed(f, head[1] & 3, payload, length);
        break;
    default:
        feed(f, who, &hdr, sizeof(hdr));
        feed(f, who, payload, length);
        break;
    }
    run(f);
    /* Nobody reads: from time to time all do. */
    for (unsigned int i = 0; i < 4; i++) {
        struct connection *c = i < 2 ? f->sockets[i] : NULL;
        struct domain *d =
            i < 2 ? NULL : domain_find(f->world.store, (uint16_t)(i - 1));

        if (d)
            c = d->connection;
        if (c && c->output_len > 65536)
            connection_drop_output(c);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz *f = malloc(sizeof(*f));
    unsigned int steps = 0;

    assert(f);
    f->sockets[0] = f->sockets[1] = NULL;
    fuzz_store_open(&f->world);
    while (size >= 5 && steps++ < STEPS_MAX) {
        size_t length = data[3] | (size_t)data[4] << 8;

        if (length > size - 5)
            length = size - 5;
        step(f, data, data + 5, length);
        data += 5 + length;
        size -= 5 + length;
    }
    fuzz_assert_sound(f->world.store);
    fuzz_assert_survives(f->world.store);
    store_close(f->world.store);
    free(f);
    return 0;
}
