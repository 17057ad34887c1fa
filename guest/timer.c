/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "timer.h"

#include "clock.h"
#include "evtchn.h"
#include "hypercall.h"
#include "panic.h"

#define NS_PER_MS 1000000

static struct {
    uint64_t period_ns;
    bool periodic; /* Xen repeats the ticks, nothing is armed */
} timer;

static void arm(struct vcpu *v, uint64_t at)
{
    struct vcpu_set_singleshot_timer op = {.timeout_abs_ns =
                                               clock_to_system(at)};
    long ret = vcpu_op(VCPUOP_set_singleshot_timer, v->id, &op);

    if (ret)
        panic("VCPUOP_set_singleshot_timer", v->id, (uint64_t)ret);
}

static void on_tick(struct vcpu *v, evtchn_port_t port)
{
    uint64_t now = clock_now();

    (void)port;
    if (timer.periodic && v->tick_last &&
        now - v->tick_last < timer.period_ns / 2)
        return;
    if (v->tick_last && now - v->tick_last > v->gap_max)
        v->gap_max = now - v->tick_last;
    v->tick_last = now;
    v->ticks++;
    if (timer.periodic)
        return;
    if (now >= v->tick_next)
        v->tick_next +=
            ((now - v->tick_next) / timer.period_ns + 1) * timer.period_ns;
    arm(v, v->tick_next);
}

void timer_open(const struct options *o, unsigned int nr)
{
    timer.period_ns = o->tick_ms * NS_PER_MS;
    timer.periodic = o->timer == TIMER_PERIODIC;
    for (unsigned int id = 0; id < nr; id++) {
        evtchn_port_t port = evtchn_open_virq(VIRQ_TIMER, id, "timer", on_tick);

        evtchn_raise(port);
        vcpu_get(id)->timer_port = port;
    }
}

void timer_start_this(void)
{
    struct vcpu *v = vcpu_this();

    v->tick_last = 0;
    v->tick_next = clock_now() + timer.period_ns;
    if (timer.periodic) {
        struct vcpu_set_periodic_timer op = {.period_ns = timer.period_ns};
        long ret = vcpu_op(VCPUOP_set_periodic_timer, v->id, &op);

        if (ret)
            panic("VCPUOP_set_periodic_timer", v->id, (uint64_t)ret);
    } else {
        vcpu_op(VCPUOP_stop_periodic_timer, v->id, NULL);
        arm(v, v->tick_next);
    }
}

void timer_before_sleep(void)
{
    if (timer.periodic)
        arm(vcpu_this(), clock_now() + timer.period_ns);
}

uint64_t timer_ticks_of(uint64_t ms)
{
    uint64_t ticks = ms * NS_PER_MS / timer.period_ns;

    return ticks ? ticks : 1;
}
