/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest together with the threads that execute it: one per vCPU, and one
 * for its clock.
 *
 *   thread   takes the baton as   and while it has it
 *   vCPU     BATON_VCPU           runs guest code and serves its hypercalls
 *   clock    BATON_URGENT         runs timers that are due
 *   others   BATON_URGENT         what they have to do with the guest
 *
 * I1  While the guest is paused nothing changes it: no vCPU runs, no timer
 *     fires (what fell due fires afterwards), no backend takes requests, and
 *     hosted_pause() has waited for those that backends had taken.  Only other
 *     guests that it shares ports or pages with may go on using those.
 * I2  A vCPU that does not run stands between two instructions, with no
 *     hypercall half done.
 *
 * Lock order: a backend's or the store's own lock, then the baton, then the
 * baton's mutex.
 */
#ifndef HOSTD_HOSTED_H
#define HOSTD_HOSTED_H

#include "hostd/baton.h"
#include "hostd/cpu_engine.h"
#include "hostd/guest_machine.h"
#include "hostd/hypercall_serve.h"

struct hosted;
struct peers;

/* A vCPU's thread. */
struct cpu_thread {
    struct hosted *h;
    struct vcpu *v;
    pthread_t thread;
    bool started;
    struct bell bell;
    struct cpu_engine *engine; /* NULL: the registers are in 'state' */
    struct cpu_state state;
    bool has_state; /* false: never initialised */
    uint64_t memory_generation;
    /* A hypercall that is made once guest 'needs' stands still as well. */
    bool put_off;
    uint16_t needs;
    uint64_t put_off_rip;
    uint64_t put_off_rsp;
    struct hosted *met; /* whose baton we have, or NULL */
    struct other_guest other;
};

/* Something that works on the guest's behalf and must come to rest. */
struct backend {
    struct list link; /* in hosted.backends */
    /*
     * With the baton held: whether requests taken from the guest are still
     * being worked on.
     */
    bool (*is_busy)(struct backend *b);
    /* The guest goes on: what it asked for meanwhile can be taken. */
    void (*resume)(struct backend *b);
};

struct hosted {
    struct machine m;
    struct baton baton;
    struct cpu_thread cpu[MACHINE_VCPUS_MAX];
    pthread_t clock_thread;
    bool clock_started;
    struct bell clock_bell;
    int64_t nudge_ns; /* look at the running vCPU again then; 0: no */
    struct list backends;
    struct bell rest_bell; /* a backend has come to rest */
    unsigned int pause_count;
    bool ending;
    struct peers *peers; /* borrowed; NULL: has not joined the others */
    struct list peer_link;
    unsigned int visitors; /* protected by the mutex of 'peers' */
    bool log_stores;       /* engines report each store to store_hook */
    void (*store_hook)(struct hosted *h, uint64_t gpa, size_t length);
    char debug_line[256];
    size_t debug_length;
    /* The guest has ended itself or was stopped; called with the baton. */
    void (*on_stopped)(struct hosted *h);
    void *owner;
};

/* Paused once; the machine is the caller's to fill before hosted_start(). */
must_check bool hosted_init(struct hosted *h, uint16_t domid,
                            unsigned int nr_vcpus, uint64_t nr_gfns,
                            const struct log *log, struct error *err);
/* The first registers of a vCPU, or those that it was stopped with. */
void hosted_set_cpu(struct hosted *h, unsigned int vcpu,
                    const struct cpu_state *state);
/* Paused, or before hosted_start(): false if it was never initialised. */
bool hosted_get_cpu(struct hosted *h, unsigned int vcpu, struct cpu_state *ret);

must_check bool hosted_start(struct hosted *h, struct error *err);
/* Ends all threads.  Backends have been detached. */
void hosted_release(struct hosted *h);

/* The host's way to the guest. */
void hosted_take(struct hosted *h);
void hosted_give(struct hosted *h);

/* Calls nest.  False: a backend did not come to rest in time. */
must_check bool hosted_pause(struct hosted *h, int64_t deadline_ns,
                             struct error *err);
void hosted_unpause(struct hosted *h);

/* Paused for good: it is about to be released. */
void hosted_stand_still(struct hosted *h);

/* With the baton held. */
bool hosted_is_paused(const struct hosted *h);
void hosted_add_backend(struct hosted *h, struct backend *b);
void hosted_remove_backend(struct hosted *h, struct backend *b);
void hosted_backend_rests(struct hosted *h);
/* Go on in fresh engines: memory or hooks have changed. */
void hosted_renew_engines(struct hosted *h);

#endif
