/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The timers of a guest: per vCPU a single shot and a period, which raise
 * VIRQ_TIMER, and the deadline of SCHEDOP_poll.
 */
#include "hostd/events.h"
#include "hostd/guest_machine.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

uint64_t machine_next_timer(const struct machine *m)
{
    uint64_t next = 0;

    for (unsigned int i = 0; i < m->nr_vcpus; i++) {
        const struct vcpu *v = &m->vcpu[i];

        next = earlier(next, v->singleshot_ns);
        if (v->periodic_ns)
            next = earlier(next, v->periodic_next_ns);
        if (v->wait == VCPU_POLLING)
            next = earlier(next, v->poll.deadline);
    }
    return next;
}

static void run_vcpu_timers(struct machine *m, struct vcpu *v, uint64_t now)
{
    bool due = false;

    if (v->singleshot_ns && v->singleshot_ns <= now) {
        v->singleshot_ns = 0;
        due = true;
    }
    if (v->periodic_ns && v->periodic_next_ns <= now) {
        /* Periods that passed meanwhile are one tick. */
        v->periodic_next_ns +=
            ((now - v->periodic_next_ns) / v->periodic_ns + 1) * v->periodic_ns;
        due = true;
    }
    if (due)
        events_raise_virq(m, v, VIRQ_TIMER);
    if (v->wait == VCPU_POLLING && v->poll.deadline && v->poll.deadline <= now)
        vcpu_unblock(m, v);
}

void machine_run_timers(struct machine *m)
{
    uint64_t now = guest_time_now(&m->time);

    for (unsigned int i = 0; i < m->nr_vcpus; i++)
        run_vcpu_timers(m, &m->vcpu[i], now);
}
