/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole guest put together: what is set up at boot, and what of it again
 * in a new domain.  The order is the ABI's: shared info and vcpu_info before
 * event channels, those before the rings, the rings before xenstore's users.
 */
#ifndef GUEST_MACHINE_H
#define GUEST_MACHINE_H

#include "cmdline.h"

struct machine {
    struct options options;
    unsigned int nr_vcpus;
    bool paused;         /* the workloads rest */
    uint64_t suspends;   /* cooperative moves to a new domain */
    uint64_t cancels;    /* suspends that did not happen after all */
    int64_t blackout_ns; /* how long the last of either took */
    uint64_t report_seq;
    uint64_t report_tick; /* vCPU 0's ticks at the last report */
};

/* Everything up to the point where interrupts can go on. */
void machine_connect(struct machine *m);

/* Everything that needs a reply from xenstore. */
void machine_connect_store(struct machine *m);

/* Offer this domain for suspending, and go on wherever that ends. */
void machine_suspend(struct machine *m);

/* Leave for good.  'reason' is one of SHUTDOWN_*. */
__attribute__((noreturn)) void machine_shutdown(unsigned int reason);

#endif
