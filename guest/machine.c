/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine.h"

#include "clock.h"
#include "control.h"
#include "drv_block.h"
#include "drv_console.h"
#include "drv_grant.h"
#include "drv_store.h"
#include "evtchn.h"
#include "held.h"
#include "hypercall.h"
#include "panic.h"
#include "peer.h"
#include "ping.h"
#include "shared_info.h"
#include "timer.h"

#define DRAIN_MS 2000

static void connect_events(struct machine *m)
{
    evtchn_init(&m->options, m->nr_vcpus);
    console_init();
    store_init();
    timer_open(&m->options, m->nr_vcpus);
    ping_open(m->nr_vcpus);
    grant_init();
    held_init();
    peer_init();
}

void machine_connect(struct machine *m)
{
    shared_info_map();
    vcpu_register(&m->options);
    connect_events(m);
}

void machine_connect_store(struct machine *m)
{
    control_init();
    if (m->options.disk)
        block_start();
}

/* What we have printed would be lost with the ring. */
static void drain_console(void)
{
    uint64_t since = vcpu_this()->ticks;

    while (!console_drained() &&
           vcpu_this()->ticks - since < timer_ticks_of(DRAIN_MS)) {
        console_flush();
        interrupts_on_and_halt();
    }
}

/* In a new domain: nothing that we had registered is there any more. */
static void reconnect(struct machine *m, uint64_t clock_then)
{
    hypercall_reinit();
    shared_info_map();
    vcpu_register(&m->options);
    clock_continue_at(clock_then);
    connect_events(m);
    block_forget();
    timer_start_this();
}

void machine_suspend(struct machine *m)
{
    struct sched_shutdown shutdown = {.reason = SHUTDOWN_suspend};
    uint64_t clock_then, wall_then;
    long ret;

    console_print("suspend: going\n");
    drain_console();
    vcpu_park_others();
    interrupts_off();
    clock_then = clock_now();
    wall_then = clock_wall();
    ret = sched_op(SCHEDOP_shutdown, &shutdown);
    if (ret) {
        m->cancels++;
        m->blackout_ns = (int64_t)(clock_now() - clock_then);
        timer_start_this();
    } else {
        m->suspends++;
        reconnect(m, clock_then);
        m->blackout_ns = (int64_t)(clock_wall() - wall_then);
    }
    vcpu_release_others(!ret);
    interrupts_on();
    if (!ret)
        machine_connect_store(m);
    console_print("suspend: back ret=%ld blackout_us=%ld\n", ret,
                  m->blackout_ns / 1000);
}

void machine_shutdown(unsigned int reason)
{
    struct sched_shutdown shutdown = {.reason = reason};

    drain_console();
    sched_op(SCHEDOP_shutdown, &shutdown);
    panic("SCHEDOP_shutdown returned", reason, 0);
}
