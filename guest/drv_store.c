/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drv_store.h"

#include "abi.h"
#include "byte_ring.h"
#include "check.h"
#include "cmdline.h"
#include "evtchn.h"
#include "format.h"
#include "hypercall.h"
#include "layout.h"
#include "libc.h"
#include "timer.h"

#include <xen/io/xs_wire.h>

#define WAIT_MS 30000

static const char *const watch_tokens[NR_STORE_WATCHES] = {"control",
                                                           "backend"};

static struct {
    struct xenstore_domain_interface *ring;
    evtchn_port_t port;
    volatile bool event;
    bool fired[NR_STORE_WATCHES];

    /* The message that is being taken off the ring. */
    struct xsd_sockmsg head;
    char body[XENSTORE_PAYLOAD_MAX + 1];
    uint32_t got; /* bytes of both so far */

    uint32_t req_id;
    bool waiting, answered;
    char error[32];
} store;

static void on_event(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    (void)port;
    store.event = true;
}

void store_init(void)
{
    store.ring =
        (struct xenstore_domain_interface *)(hvm_param(HVM_PARAM_STORE_PFN)
                                             << PAGE_SHIFT);
    store.port = (evtchn_port_t)hvm_param(HVM_PARAM_STORE_EVTCHN);
    store.got = 0;
    store.waiting = false;
    store.event = true;
    evtchn_attach(store.port, "store", 0, on_event);
}

/* The watch event in 'body': path, then token. */
static void on_watch(void)
{
    const char *token = store.body + strlen(store.body) + 1;

    if (token >= store.body + store.head.len) {
        check_fail("store", "watch_event", 0, 0, store.head.len);
        return;
    }
    for (unsigned int i = 0; i < NR_STORE_WATCHES; i++)
        if (!strcmp(token, watch_tokens[i]))
            store.fired[i] = true;
}

static void on_message(void)
{
    store.body[store.head.len] = '\0';
    if (store.head.type == XS_WATCH_EVENT) {
        on_watch();
    } else if (store.waiting && store.head.req_id == store.req_id) {
        store.waiting = false;
        store.answered = true;
    } else {
        check_fail("store", "reply", store.head.type, store.req_id,
                   store.head.req_id);
    }
}

/* One message, or as much of it as there is; true when it is whole. */
static bool take_message(void)
{
    struct xenstore_domain_interface *ring = store.ring;

    for (;;) {
        uint32_t prod = READ_ONCE(ring->rsp_prod), cons = ring->rsp_cons;
        uint32_t want, n;
        char *to;

        if (store.got < sizeof(store.head)) {
            to = (char *)&store.head + store.got;
            want = (uint32_t)sizeof(store.head) - store.got;
        } else {
            uint32_t body = store.got - (uint32_t)sizeof(store.head);

            to = store.body + body;
            want = store.head.len - body;
            if (!want) {
                store.got = 0;
                return true;
            }
        }
        xen_rmb();
        n = byte_ring_get(ring->rsp, sizeof(ring->rsp), prod, cons, to, want);
        if (n == BYTE_RING_BROKEN) {
            check_fail("store", "ring", 0, prod, cons);
            return false;
        }
        if (!n)
            return false;
        xen_mb();
        WRITE_ONCE(ring->rsp_cons, cons + n);
        store.got += n;
        /* Xenstored may wait for room: it had filled the ring by now. */
        xen_mb();
        if (READ_ONCE(ring->rsp_prod) - cons >= XENSTORE_RING_SIZE)
            evtchn_send(store.port);
        if (store.got == sizeof(store.head) &&
            store.head.len > XENSTORE_PAYLOAD_MAX) {
            check_fail("store", "length", 0, XENSTORE_PAYLOAD_MAX,
                       store.head.len);
            store.head.len = 0;
        }
    }
}

void store_poll(void)
{
    store.event = false;
    while (!store.answered && take_message())
        on_message();
}

bool store_has_event(void)
{
    return store.event;
}

bool store_watch_take(enum store_watch watch)
{
    bool fired = store.fired[watch];

    store.fired[watch] = false;
    return fired;
}

/* Sleep until an event or the next tick; false once waited too long. */
static bool wait_a_little(uint64_t since)
{
    if (vcpu_this()->ticks - since > timer_ticks_of(WAIT_MS)) {
        check_fail("store", "silent_ms", store.head.type, 0, WAIT_MS);
        return false;
    }
    interrupts_off();
    if (store.event)
        interrupts_on();
    else
        interrupts_on_and_halt();
    return true;
}

static bool send(const void *data, size_t len)
{
    struct xenstore_domain_interface *ring = store.ring;
    uint64_t since = vcpu_this()->ticks;

    while (len) {
        uint32_t prod = ring->req_prod;
        uint32_t n = byte_ring_put(ring->req, sizeof(ring->req), prod,
                                   READ_ONCE(ring->req_cons), data, len);

        if (n == BYTE_RING_BROKEN) {
            check_fail("store", "ring", 1, prod, ring->req_cons);
            return false;
        }
        if (!n) {
            store_poll();
            if (!wait_a_little(since))
                return false;
            continue;
        }
        xen_wmb();
        WRITE_ONCE(ring->req_prod, prod + n);
        xen_mb();
        evtchn_send(store.port);
        data = (const char *)data + n;
        len -= n;
    }
    return true;
}

struct part {
    const char *text;
    size_t len;
};

/* Send a request and wait for its reply, which is then in head and body. */
static bool request(enum xsd_sockmsg_type type, uint32_t tx,
                    const struct part *parts, unsigned int nr_parts)
{
    struct xsd_sockmsg head = {
        .type = type, .req_id = ++store.req_id, .tx_id = tx};
    uint64_t since = vcpu_this()->ticks;

    for (unsigned int i = 0; i < nr_parts; i++)
        head.len += (uint32_t)parts[i].len;
    store.waiting = true;
    store.answered = false;
    if (!send(&head, sizeof(head)))
        return false;
    for (unsigned int i = 0; i < nr_parts; i++)
        if (!send(parts[i].text, parts[i].len))
            return false;
    for (;;) {
        store_poll();
        if (store.answered)
            break;
        if (!wait_a_little(since)) {
            format(store.error, sizeof(store.error), "silent");
            return false;
        }
    }
    store.answered = false;
    store.event = true; /* more may have come behind the reply */
    if (store.head.type == XS_ERROR) {
        format(store.error, sizeof(store.error), "%s", store.body);
        return false;
    }
    return true;
}

static struct part with_nul(const char *text)
{
    return (struct part){text, strlen(text) + 1};
}

bool store_read(uint32_t tx, const char *path, char *value, size_t size)
{
    struct part parts[] = {with_nul(path)};

    if (!request(XS_READ, tx, parts, 1))
        return false;
    format(value, size, "%s", store.body);
    return true;
}

bool store_write(uint32_t tx, const char *path, const char *value)
{
    struct part parts[] = {
        with_nul(path), {value, strlen(value)}
    };

    return request(XS_WRITE, tx, parts, 2);
}

bool store_first_child(const char *path, char *name, size_t size)
{
    struct part parts[] = {with_nul(path)};

    if (!request(XS_DIRECTORY, 0, parts, 1) || !store.head.len)
        return false;
    format(name, size, "%s", store.body);
    return true;
}

bool store_watch(const char *path, enum store_watch watch)
{
    struct part parts[] = {with_nul(path), with_nul(watch_tokens[watch])};

    return request(XS_WATCH, 0, parts, 2);
}

bool store_unwatch(const char *path, enum store_watch watch)
{
    struct part parts[] = {with_nul(path), with_nul(watch_tokens[watch])};

    return request(XS_UNWATCH, 0, parts, 2);
}

bool store_transaction_start(uint32_t *ret)
{
    struct part parts[] = {with_nul("")};
    uint64_t id;

    if (!request(XS_TRANSACTION_START, 0, parts, 1) ||
        !number_parse(store.body, &id))
        return false;
    *ret = (uint32_t)id;
    return true;
}

bool store_transaction_end(uint32_t tx, bool commit)
{
    struct part parts[] = {with_nul(commit ? "T" : "F")};

    return request(XS_TRANSACTION_END, tx, parts, 1);
}

bool store_read_number(const char *path, uint64_t *ret)
{
    char value[32];

    return store_read(0, path, value, sizeof(value)) &&
           number_parse(value, ret);
}

const char *store_error(void)
{
    return store.error;
}
