/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "peer.h"

#include "check.h"
#include "drv_console.h"
#include "drv_grant.h"
#include "evtchn.h"
#include "hypercall.h"
#include "layout.h"
#include "libc.h"
#include "pattern.h"
#include "timer.h"

#define STALL_MS 10000

/* Whose writing a page has: the pattern's number. */
enum writing { WRITING_BALL = 1, WRITING_ANSWER, WRITING_SHOWN };

enum role { ROLE_NONE, ROLE_OFFERED, ROLE_JOINED };

/* Ours to lend. */
static uint64_t shared_page[PATTERN_WORDS] __attribute__((aligned(PAGE_SIZE)));
static uint64_t shown_page[PATTERN_WORDS] __attribute__((aligned(PAGE_SIZE)));
static uint64_t copied_page[PATTERN_WORDS] __attribute__((aligned(PAGE_SIZE)));

static struct {
    enum role role;
    domid_t domid;
    evtchn_port_t port;
    uint64_t *shared, *shown; /* ours, or where we have mapped the peer's */
    grant_handle_t shared_handle, shown_handle;
    volatile bool came; /* an event */
    bool flying;        /* joined: thrown, not back yet */
    uint64_t round;
    uint64_t rounds;
    uint64_t thrown_at; /* vCPU 0's ticks */
} peer;

void peer_init(void)
{
    memset(&peer, 0, sizeof(peer));
}

static void on_event(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    (void)port;
    peer.came = true;
}

/* ---- coming together --------------------------------------------------- */

static long grant_op(unsigned int op, void *arg)
{
    return hypercall(__HYPERVISOR_grant_table_op, op, (uintptr_t)arg, 1);
}

static int map(grant_ref_t ref, uint64_t gfn, bool readonly,
               grant_handle_t *ret)
{
    struct gnttab_map_grant_ref op = {.host_addr = gfn << PAGE_SHIFT,
                                      .flags = GNTMAP_host_map |
                                               (readonly ? GNTMAP_readonly : 0),
                                      .ref = ref,
                                      .dom = peer.domid};
    long rc = grant_op(GNTTABOP_map_grant_ref, &op);

    *ret = op.handle;
    return rc ? (int)rc : op.status;
}

static int unmap(grant_handle_t handle, uint64_t gfn)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = gfn << PAGE_SHIFT,
                                        .handle = handle};
    long rc = grant_op(GNTTABOP_unmap_grant_ref, &op);

    return rc ? (int)rc : op.status;
}

static bool offer(domid_t domid)
{
    memset(shared_page, 0, sizeof(shared_page));
    memset(shown_page, 0, sizeof(shown_page));
    peer.domid = domid;
    peer.shared = shared_page;
    peer.shown = shown_page;
    grant_access(GRANT_PEER_SHARED, domid, shared_page, false);
    grant_access(GRANT_PEER_SHOWN, domid, shown_page, true);
    peer.port = evtchn_open_unbound(domid, "peer", on_event);
    peer.role = ROLE_OFFERED;
    console_print("ok peer offer port=%u\n", peer.port);
    return true;
}

static bool refused(const char *what, long rc)
{
    console_print("refused peer %s rc=%ld\n", what, rc);
    return false;
}

static bool join(domid_t domid, evtchn_port_t port)
{
    struct evtchn_bind_interdomain op = {.remote_dom = domid,
                                         .remote_port = port};
    long rc;

    peer.domid = domid;
    rc = map(GRANT_PEER_SHARED, PEER_GFN, false, &peer.shared_handle);
    if (rc)
        return refused("map", rc);
    rc = map(GRANT_PEER_SHOWN, PEER_GFN + 1, true, &peer.shown_handle);
    if (rc) {
        (void)unmap(peer.shared_handle, PEER_GFN);
        return refused("map", rc);
    }
    rc = evtchn_op(EVTCHNOP_bind_interdomain, &op);
    if (rc) {
        (void)unmap(peer.shared_handle, PEER_GFN);
        (void)unmap(peer.shown_handle, PEER_GFN + 1);
        return refused("bind", rc);
    }
    peer.port = op.local_port;
    peer.shared = (uint64_t *)((uintptr_t)PEER_GFN << PAGE_SHIFT);
    peer.shown = (uint64_t *)((uintptr_t)(PEER_GFN + 1) << PAGE_SHIFT);
    peer.role = ROLE_JOINED;
    evtchn_attach(peer.port, "peer", 0, on_event);
    console_print("ok peer join port=%u\n", peer.port);
    return true;
}

static void part(void)
{
    long rc = 0;

    if (peer.role == ROLE_JOINED) {
        rc = unmap(peer.shared_handle, PEER_GFN);
        if (!rc)
            rc = unmap(peer.shown_handle, PEER_GFN + 1);
    } else if (!grant_end(GRANT_PEER_SHARED) || !grant_end(GRANT_PEER_SHOWN)) {
        rc = 1; /* the peer still has a page mapped */
    }
    if (rc) {
        (void)refused("part", rc);
        return;
    }
    evtchn_close(peer.port);
    console_print("ok peer part rounds=%lu\n", peer.rounds);
    peer_init();
}

/* "NAME NUMBER[ NUMBER]" */
static bool parse(const char *line, const char *name, uint64_t *first,
                  uint64_t *second)
{
    size_t length = strlen(name), at = 0;
    char word[16];

    if (memcmp(line, name, length) || line[length] != ' ')
        return false;
    line += length + 1;
    while (line[at] && line[at] != ' ' && at < sizeof(word) - 1) {
        word[at] = line[at];
        at++;
    }
    word[at] = '\0';
    if (!number_parse(word, first))
        return false;
    return second ? line[at] == ' ' && number_parse(line + at + 1, second)
                  : !line[at];
}

void peer_command(const char *line)
{
    uint64_t domid, port;

    if (peer.role == ROLE_NONE && parse(line, "offer", &domid, NULL)) {
        (void)offer((domid_t)domid);
    } else if (peer.role == ROLE_NONE && parse(line, "join", &domid, &port)) {
        if (!join((domid_t)domid, (evtchn_port_t)port))
            peer_init();
    } else if (peer.role != ROLE_NONE && !strcmp(line, "part")) {
        part();
    } else {
        console_print("refused peer %s\n", line);
    }
}

/* ---- the ball ---------------------------------------------------------- */

static void check_page(const uint64_t *page, enum writing writing,
                       uint64_t round, const char *where)
{
    struct pattern_fault fault;

    if (!pattern_check(page, writing, round, &fault))
        check_fail("peer", where, fault.word, fault.expected, fault.found);
}

/* The page that we may only read, by another way. */
static void check_copy(void)
{
    struct gnttab_copy op = {
        .flags = GNTCOPY_source_gref,
        .len = PAGE_SIZE,
        .source = {.u.ref = GRANT_PEER_SHOWN,                      .domid = peer.domid},
        .dest = {.u.gmfn = (uintptr_t)copied_page >> PAGE_SHIFT,
                   .domid = DOMID_SELF                                                },
    };
    long rc = grant_op(GNTTABOP_copy, &op);

    if (rc || op.status)
        check_fail("peer", "copy_of_grant", GRANT_PEER_SHOWN, 0,
                   (uint64_t)(rc ? rc : op.status));
    else
        check_page(copied_page, WRITING_SHOWN, peer.round, "copied_word");
}

static void answer(void)
{
    /* Binding raises the port as well. */
    if (peer.shared[0] != peer.round + 1)
        return;
    peer.round++;
    check_page(peer.shared, WRITING_BALL, peer.round, "thrown_word");
    pattern_fill(peer.shared, WRITING_ANSWER, peer.round);
    pattern_fill(peer.shown, WRITING_SHOWN, peer.round);
    peer.rounds++;
    xen_wmb();
    evtchn_send(peer.port);
}

static void take_answer(void)
{
    if (!peer.flying || peer.shared[1] != WRITING_ANSWER)
        return;
    check_page(peer.shared, WRITING_ANSWER, peer.round, "answered_word");
    check_page(peer.shown, WRITING_SHOWN, peer.round, "shown_word");
    check_copy();
    peer.rounds++;
    peer.flying = false;
}

static void throw_ball(uint64_t ticks)
{
    peer.round++;
    pattern_fill(peer.shared, WRITING_BALL, peer.round);
    peer.flying = true;
    peer.thrown_at = ticks;
    xen_wmb();
    evtchn_send(peer.port);
}

void peer_step(const struct options *o)
{
    uint64_t ticks = vcpu_this()->ticks;

    if (peer.came) {
        peer.came = false;
        compiler_barrier();
        if (peer.role == ROLE_OFFERED)
            answer();
        else if (peer.role == ROLE_JOINED)
            take_answer();
    }
    if (peer.role != ROLE_JOINED)
        return;
    if (!peer.flying &&
        (o->ping == PING_STORM ||
         (o->ping == PING_ON && ticks - peer.thrown_at >= o->ping_ticks))) {
        throw_ball(ticks);
    } else if (peer.flying &&
               ticks - peer.thrown_at > timer_ticks_of(STALL_MS)) {
        check_fail("peer", "round_without_answer", peer.round, peer.round,
                   peer.shared[0]);
        peer.flying = false;
    }
}

bool peer_busy(const struct options *o)
{
    return peer.came ||
           (peer.role == ROLE_JOINED && !peer.flying && o->ping == PING_STORM);
}

void peer_report(void)
{
    if (peer.role != ROLE_NONE)
        console_print("info peer=%s domid=%u port=%u rounds=%lu\n",
                      peer.role == ROLE_JOINED ? "joined" : "offered",
                      peer.domid, peer.port, peer.rounds);
}
