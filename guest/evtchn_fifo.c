/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FIFO ABI: one word per port in an array of our pages, and per vCPU a
 * control block with the heads of 16 queues, one per priority.
 *
 *     31      30     29     28   27        17 16       0
 *    +-------+------+------+----+------------+----------+
 *    |PENDING|MASKED|LINKED|BUSY| (zero)     | LINK     |
 *    +-------+------+------+----+------------+----------+
 *
 * Xen appends to a queue by writing the port into the LINK of the last one;
 * we take from its head.  A word that is the only one of its queue has LINK
 * zero, and Xen then starts over with head[] and 'ready'.
 */
#include "evtchn.h"

#include "hypercall.h"
#include "libc.h"
#include "panic.h"

#define WORD_PENDING (UINT32_C(1) << EVTCHN_FIFO_PENDING)
#define WORD_MASKED  (UINT32_C(1) << EVTCHN_FIFO_MASKED)
#define WORD_LINKED  (UINT32_C(1) << EVTCHN_FIFO_LINKED)
#define NR_WORDS     (PAGE_SIZE / sizeof(event_word_t))

static event_word_t words[NR_WORDS] __attribute__((aligned(PAGE_SIZE)));
static union control_page {
    struct evtchn_fifo_control_block block;
    uint8_t page[PAGE_SIZE];
} controls[MAX_VCPUS] __attribute__((aligned(PAGE_SIZE)));

static void fifo_init(void)
{
    for (unsigned int i = 0; i < NR_WORDS; i++)
        words[i] = WORD_MASKED;
}

static void fifo_init_vcpu(struct vcpu *v)
{
    struct evtchn_init_control op = {
        .control_gfn = (uintptr_t)&controls[v->id] >> PAGE_SHIFT,
        .offset = 0,
        .vcpu = v->id,
    };
    long ret;

    memset(&controls[v->id], 0, PAGE_SIZE);
    memset(v->fifo_head, 0, sizeof(v->fifo_head));
    ret = evtchn_op(EVTCHNOP_init_control, &op);
    if (ret)
        panic("EVTCHNOP_init_control", v->id, (uint64_t)ret);
    if (!v->id) {
        struct evtchn_expand_array array = {.array_gfn =
                                                (uintptr_t)words >> PAGE_SHIFT};

        ret = evtchn_op(EVTCHNOP_expand_array, &array);
        if (ret)
            panic("EVTCHNOP_expand_array", 0, (uint64_t)ret);
    }
}

static void fifo_mask(evtchn_port_t port)
{
    __atomic_fetch_or(&words[port], WORD_MASKED, __ATOMIC_SEQ_CST);
}

static bool fifo_pending(evtchn_port_t port)
{
    return READ_ONCE(words[port]) & WORD_PENDING;
}

static void fifo_raise(evtchn_port_t port)
{
    struct evtchn_set_priority op = {.port = port,
                                     .priority = EVTCHN_FIFO_PRIORITY_MAX};
    long ret = evtchn_op(EVTCHNOP_set_priority, &op);

    if (ret)
        panic("EVTCHNOP_set_priority", port, (uint64_t)ret);
}

/* Take 'word' off its queue; the port that follows it, or 0. */
static uint32_t unlink_word(event_word_t *word)
{
    uint32_t old, new;

    do {
        old = READ_ONCE(*word);
        new = old & ~(WORD_LINKED | EVTCHN_FIFO_LINK_MASK);
    } while (!atomic_replace32(word, old, new));
    return old & EVTCHN_FIFO_LINK_MASK;
}

/* The first port of queue 'q'.  Clears its bit in '*ready' if it was last. */
static void take_one(struct vcpu *v, struct evtchn_fifo_control_block *control,
                     unsigned int q, uint32_t *ready)
{
    uint32_t port = v->fifo_head[q];
    event_word_t *word;

    if (!port) {
        xen_rmb(); /* 'ready' before the head that it announces */
        port = READ_ONCE(control->head[q]);
    }
    if (port >= NR_WORDS)
        panic("FIFO event queue: port, queue", port, q);
    word = &words[port];
    v->fifo_head[q] = unlink_word(word);
    if (!v->fifo_head[q])
        *ready &= ~(UINT32_C(1) << q);
    if ((READ_ONCE(*word) & (WORD_PENDING | WORD_MASKED)) == WORD_PENDING) {
        __atomic_fetch_and(word, ~WORD_PENDING, __ATOMIC_SEQ_CST);
        evtchn_deliver(v, port);
    }
}

static void fifo_scan(struct vcpu *v)
{
    struct evtchn_fifo_control_block *control = &controls[v->id].block;
    uint32_t ready = atomic_swap32(&control->ready, 0);

    while (ready) {
        take_one(v, control, (unsigned int)__builtin_ctz(ready), &ready);
        ready |= atomic_swap32(&control->ready, 0);
    }
}

const struct evtchn_abi evtchn_abi_fifo = {
    .name = "fifo",
    .init = fifo_init,
    .init_vcpu = fifo_init_vcpu,
    .mask = fifo_mask,
    .pending = fifo_pending,
    .raise = fifo_raise,
    .scan = fifo_scan,
};
