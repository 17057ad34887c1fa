/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drv_block.h"

#include "abi.h"
#include "check.h"
#include "drv_console.h"
#include "drv_grant.h"
#include "drv_store.h"
#include "evtchn.h"
#include "format.h"
#include "layout.h"
#include "libc.h"
#include "timer.h"

#include <xen/io/blkif.h>
#include <xen/io/protocols.h>
#include <xen/io/xenbus.h>

#define PATH_MAX    128
#define UNSEEN_MS   10000
#define SLOT_BITS   8
#define LAST_SECTOR (SECTORS_PER_BLOCK - 1)

enum state { CLOSED, SEEKING, OFFERED, CONNECTED };

static union ring_page {
    struct blkif_sring ring;
    uint8_t page[PAGE_SIZE];
} ring_page __attribute__((aligned(PAGE_SIZE)));

static uint64_t pages[BLOCK_SLOTS][PAGE_SIZE / sizeof(uint64_t)]
    __attribute__((aligned(PAGE_SIZE)));

static struct {
    enum state state;
    char front[PATH_MAX], back[PATH_MAX];
    domid_t back_domid;
    evtchn_port_t port;
    struct blkif_front_ring ring;
    uint64_t sectors;
    bool flush;

    volatile bool event;
    bool taking;           /* replies may be there: an event said so */
    uint64_t unseen_since; /* ticks; 0: none lies there without an event */

    struct {
        bool in_flight;
        enum block_op op;
        uint64_t sector;
        uint64_t serial;
    } slots[BLOCK_SLOTS];
    uint64_t requests, requeued;
} block;

static void on_event(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    (void)port;
    block.event = true;
}

/* "dir/leaf" for xenstore. */
static const char *path_of(const char *dir, const char *leaf)
{
    static char path[PATH_MAX + 32];

    format(path, sizeof(path), "%s/%s", dir, leaf);
    return path;
}

static bool write_number(const char *leaf, uint64_t value)
{
    char text[24];

    format(text, sizeof(text), "%lu", value);
    return store_write(0, path_of(block.front, leaf), text);
}

void block_start(void)
{
    char id[32];
    uint64_t domid;

    if (block.state != CLOSED)
        return;
    if (!store_first_child("device/vbd", id, sizeof(id))) {
        console_print("disk: no device/vbd: %s\n", store_error());
        return;
    }
    format(block.front, sizeof(block.front), "device/vbd/%s", id);
    if (!store_read(0, path_of(block.front, "backend"), block.back,
                    sizeof(block.back)) ||
        !store_read_number(path_of(block.front, "backend-id"), &domid)) {
        console_print("disk: no back end at %s: %s\n", block.front,
                      store_error());
        return;
    }
    block.back_domid = (domid_t)domid;
    block.state = SEEKING;
    /* The event that setting a watch brings starts the rest. */
    if (!store_watch(path_of(block.back, "state"), STORE_WATCH_BACKEND))
        check_fail("store", "watch_backend", 0, 0, 1);
}

void block_forget(void)
{
    block.state = CLOSED;
    block.port = 0;
    block.event = false;
    block.taking = false;
    block.unseen_since = 0;
}

static void offer(void)
{
    XEN_FRONT_RING_INIT(&block.ring, &ring_page.ring, PAGE_SIZE);
    grant_access(GRANT_BLOCK_RING, block.back_domid, &ring_page, false);
    block.port = evtchn_open_unbound(block.back_domid, "block", on_event);
    if (!write_number("ring-ref", GRANT_BLOCK_RING) ||
        !write_number("event-channel", block.port) ||
        !store_write(0, path_of(block.front, "protocol"),
                     XEN_IO_PROTO_ABI_X86_64) ||
        !write_number("state", XenbusStateInitialised))
        check_fail("store", "block_offer", block.port, 0, 1);
    block.state = OFFERED;
}

/* Put 'slot' on the ring and tell the back end. */
static void push(unsigned int slot)
{
    struct blkif_request *r =
        RING_GET_REQUEST(&block.ring, block.ring.req_prod_pvt);
    bool notify;

    memset(r, 0, sizeof(*r));
    r->id = block.slots[slot].serial << SLOT_BITS | slot;
    r->sector_number = block.slots[slot].sector;
    switch (block.slots[slot].op) {
    case BLOCK_READ:
        r->operation = BLKIF_OP_READ;
        break;
    case BLOCK_WRITE:
        r->operation = BLKIF_OP_WRITE;
        break;
    case BLOCK_FLUSH:
        r->operation = BLKIF_OP_FLUSH_DISKCACHE;
        break;
    }
    if (block.slots[slot].op != BLOCK_FLUSH) {
        grant_access(GRANT_BLOCK_PAGE + slot, block.back_domid, pages[slot],
                     block.slots[slot].op == BLOCK_WRITE);
        r->nr_segments = 1;
        r->seg[0].gref = GRANT_BLOCK_PAGE + slot;
        r->seg[0].first_sect = 0;
        r->seg[0].last_sect = LAST_SECTOR;
    }
    block.ring.req_prod_pvt++;
    RING_PUSH_REQUESTS_AND_CHECK_NOTIFY(&block.ring, notify);
    if (notify)
        evtchn_send(block.port);
}

static void connect(void)
{
    uint64_t flush = 0;

    if (!store_read_number(path_of(block.back, "sectors"), &block.sectors))
        check_fail("disk", "sectors", 0, 1, 0);
    if (store_read_number(path_of(block.back, "feature-flush-cache"), &flush))
        block.flush = flush;
    if (!write_number("state", XenbusStateConnected))
        check_fail("store", "block_connected", 0, 0, 1);
    block.state = CONNECTED;
    for (unsigned int slot = 0; slot < BLOCK_SLOTS; slot++) {
        if (block.slots[slot].in_flight) {
            block.requeued++;
            push(slot);
        }
    }
    console_print("disk: connected %s sectors=%lu port=%u flush=%s\n",
                  block.front, block.sectors, block.port,
                  block.flush ? "yes" : "no");
}

/* The back end goes away: what is in flight stays for the next one. */
static void disconnect(void)
{
    if (block.port)
        evtchn_close(block.port);
    block_forget();
    if (!write_number("state", XenbusStateClosed))
        check_fail("store", "block_closed", 0, 0, 1);
    console_print("disk: closed\n");
}

static void follow_back_end(void)
{
    uint64_t state;

    if (!store_read_number(path_of(block.back, "state"), &state))
        return;
    switch (block.state) {
    case CLOSED:
        break;
    case SEEKING:
        if (state == XenbusStateInitWait)
            offer();
        break;
    case OFFERED:
        if (state == XenbusStateConnected)
            connect();
        break;
    case CONNECTED:
        if (state == XenbusStateClosing || state == XenbusStateClosed)
            disconnect();
        break;
    }
}

bool block_connected(void)
{
    return block.state == CONNECTED;
}

uint64_t block_sectors(void)
{
    return block.state == CONNECTED ? block.sectors : 0;
}

uint64_t *block_page(unsigned int slot)
{
    return pages[slot];
}

bool block_submit(unsigned int slot, enum block_op op, uint64_t sector)
{
    if (op == BLOCK_FLUSH && !block.flush)
        return false;
    block.slots[slot].in_flight = true;
    block.slots[slot].op = op;
    block.slots[slot].sector = sector;
    block.slots[slot].serial = ++block.requests;
    push(slot);
    return true;
}

/* Replies that nobody announced. */
static void look_for_unseen(void)
{
    uint64_t ticks = vcpu_this()->ticks;

    if (block.event || block.taking ||
        READ_ONCE(ring_page.ring.rsp_prod) == block.ring.rsp_cons) {
        block.unseen_since = 0;
    } else if (!block.unseen_since) {
        block.unseen_since = ticks;
    } else if (ticks - block.unseen_since > timer_ticks_of(UNSEEN_MS)) {
        check_fail("disk", "reply_without_event", block.port,
                   block.ring.rsp_cons, READ_ONCE(ring_page.ring.rsp_prod));
        block.taking = true;
    }
}

void block_poll(void)
{
    if (store_watch_take(STORE_WATCH_BACKEND))
        follow_back_end();
    if (block.event) {
        block.event = false;
        block.taking = true;
    }
    if (block.state == CONNECTED)
        look_for_unseen();
}

bool block_has_event(void)
{
    return block.event;
}

/* The slot that 'r' answers. */
static bool accept(const struct blkif_response *r, unsigned int *ret_slot)
{
    unsigned int slot = r->id & ((1 << SLOT_BITS) - 1);
    uint64_t serial = r->id >> SLOT_BITS;

    if (slot >= BLOCK_SLOTS || !block.slots[slot].in_flight ||
        block.slots[slot].serial != serial) {
        check_fail("disk", "reply_id", slot,
                   slot < BLOCK_SLOTS ? block.slots[slot].serial : 0, serial);
        return false;
    }
    if (block.slots[slot].op != BLOCK_FLUSH &&
        !grant_end(GRANT_BLOCK_PAGE + slot))
        check_fail("disk", "grant_still_mapped", GRANT_BLOCK_PAGE + slot, 0,
                   grant_entry(GRANT_BLOCK_PAGE + slot)->flags);
    block.slots[slot].in_flight = false;
    *ret_slot = slot;
    return true;
}

bool block_complete(unsigned int *ret_slot, bool *ret_ok)
{
    while (block.taking && block.state == CONNECTED) {
        struct blkif_response r;
        int more;

        if (XEN_RING_NR_UNCONSUMED_RESPONSES(&block.ring) > BLOCK_SLOTS) {
            check_fail("disk", "ring", 0, block.ring.rsp_cons,
                       ring_page.ring.rsp_prod);
            block.taking = false;
            return false;
        }
        RING_FINAL_CHECK_FOR_RESPONSES(&block.ring, more);
        if (!more) {
            block.taking = false;
            return false;
        }
        xen_rmb();
        RING_COPY_RESPONSE(&block.ring, block.ring.rsp_cons, &r);
        block.ring.rsp_cons++;
        if (!accept(&r, ret_slot))
            continue;
        *ret_ok = r.status == BLKIF_RSP_OKAY;
        if (!*ret_ok)
            check_fail("disk", "status", *ret_slot, BLKIF_RSP_OKAY,
                       (uint64_t)r.status);
        return true;
    }
    return false;
}

void block_report(struct block_report *ret)
{
    static const char *const names[] = {"closed", "seeking", "offered",
                                        "connected"};

    *ret = (struct block_report){
        .state = names[block.state],
        .port = block.port,
        .ring_grant = GRANT_BLOCK_RING,
        .requests = block.requests,
        .requeued = block.requeued,
        .flush = block.flush,
    };
    for (unsigned int slot = 0; slot < BLOCK_SLOTS; slot++)
        ret->in_flight += block.slots[slot].in_flight;
}
