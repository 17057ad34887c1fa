/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One virtual processor: what it registers with Xen, and its own counters.
 *
 * vCPU 0 owns all devices and the console; the others have a timer, an IPI
 * port, a place in the ping ring and a share of the memory workload.  Each
 * touches only its own structure, except for the fields said to be shared.
 */
#ifndef GUEST_VCPU_H
#define GUEST_VCPU_H

#include "abi.h"
#include "cmdline.h"
#include "layout.h"

struct vcpu {
    unsigned int id;
    volatile uint32_t running; /* shared: it has come up */

    /* Clock: the last reading, which no later one may be below. */
    uint64_t clock_last;

    /* Timer ticks; written by the interrupt handler only. */
    evtchn_port_t timer_port;
    volatile uint64_t ticks;   /* shared, read only */
    uint64_t tick_last;        /* clock at the last tick; 0: none yet */
    uint64_t tick_next;        /* clock at which the next one is due */
    volatile uint64_t gap_max; /* shared; ns between two ticks */

    evtchn_port_t ipi_port;
    uint64_t sleeps;       /* times that vcpu_idle() was called */
    uint64_t ticks_worked; /* ticks that the workloads have had credit for */

    /* FIFO event channels: our end of each queue. */
    uint32_t fifo_head[EVTCHN_FIFO_MAX_QUEUES];
};

/* The vCPU that runs this code. */
struct vcpu *vcpu_this(void);
struct vcpu *vcpu_get(unsigned int id);
unsigned int vcpu_count(void);

/* What Xen writes for a vCPU, at the place that was registered. */
struct vcpu_info *vcpu_info_of(unsigned int id);
struct vcpu_runstate_info *vcpu_runstate_of(unsigned int id);
struct vcpu_time_info *vcpu_time_of(unsigned int id);

/* Once, before anything else: give each stack its vCPU. */
void vcpu_init(void);

/* How many vCPUs the domain has, but at most 'most'; remembered. */
unsigned int vcpu_find(uint64_t most);

/* Register the calling vCPU's areas and upcall vector with Xen. */
void vcpu_register(const struct options *o);

/* Start all other vCPUs and wait for them. */
void vcpu_start_others(void);

/* Let the calling vCPU sleep until an event comes; interrupts end up on. */
void vcpu_idle(const struct options *o);

/*
 * Parking: vCPU 0 stops the others at a point where they hold nothing, does
 * its work, and lets them go on.  After a move to a new domain ('moved') they
 * register themselves anew first.
 */
void vcpu_park_others(void);
void vcpu_release_others(bool moved);
void vcpu_park_here_if_asked(const struct options *o);
bool vcpu_park_asked(void);

#endif
