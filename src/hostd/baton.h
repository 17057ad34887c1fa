/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may touch a domain: exactly one thread at a time.
 *
 * The processor emulator translates a guest's locked instructions to a load
 * and a store, and its fences to nothing, because it expects to be alone.  So
 * of one domain either one vCPU runs, or one backend, timer or control thread
 * works on its state and its shared pages, never two at once; a baton changes
 * hands between them.  Bulk data (a disk block into a granted page) needs no
 * baton: the guest leaves such pages alone until the request ends.
 *
 * Two ways to ask for it:
 *   BATON_URGENT  the host's work: the running vCPU is stopped at its next
 *                 instruction boundary; served before any vCPU
 *   BATON_VCPU    another vCPU's turn: the running vCPU keeps its time slice
 */
#ifndef HOSTD_BATON_H
#define HOSTD_BATON_H

#include <pthread.h>

#include "base/list.h"

enum baton_class { BATON_URGENT, BATON_VCPU };

struct baton {
    pthread_mutex_t mutex; /* protects all below, held for moments only */
    struct list urgent;    /* of struct baton_waiter, first come first served */
    struct list vcpus;
    bool held;
    void (*stop)(void *runner); /* stop the vCPU that runs; any thread */
    void *runner;               /* NULL: no vCPU runs guest code */
    int64_t slice_end_ns;       /* of the runner */
};

/* A thread's place to sleep until something is to be done for it. */
struct bell {
    pthread_cond_t cond;
    bool rung;
};

void baton_init(struct baton *b, void (*stop)(void *runner));
void baton_release(struct baton *b);

void baton_take(struct baton *b, enum baton_class class);
void baton_give(struct baton *b);

/* While holding the baton: guest code of 'runner' starts and ends here. */
void baton_run_begin(struct baton *b, void *runner, int64_t slice_ns);
void baton_run_end(struct baton *b);

void bell_init(struct bell *bell);
void bell_release(struct bell *bell);

/* Any thread. */
void bell_ring(struct baton *b, struct bell *bell);

/*
 * Give the baton away, sleep until the bell rings or the deadline passes, take
 * the baton back.  A ring that came earlier counts.
 */
void bell_wait(struct baton *b, struct bell *bell, int64_t deadline_ns,
               enum baton_class class);

#endif
