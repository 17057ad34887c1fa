/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ping.h"

#include "check.h"
#include "evtchn.h"
#include "timer.h"

#define STAGES_MAX (MAX_VCPUS + 3)
#define STALL_MS   10000

static struct {
    struct {
        evtchn_port_t send;   /* the port that is notified... */
        evtchn_port_t arrive; /* ...and the one on which that comes in */
    } stages[STAGES_MAX];
    unsigned int nr_stages;

    volatile uint32_t flying;
    volatile uint32_t stage;
    volatile uint64_t rounds, extra;
    uint64_t thrown_at; /* vCPU 0's ticks */
} ping;

static void on_ball(struct vcpu *v, evtchn_port_t port)
{
    uint32_t stage = ping.stage;

    (void)v;
    if (!ping.flying || stage >= ping.nr_stages ||
        ping.stages[stage].arrive != port) {
        ping.extra++;
        return;
    }
    ping.stage = ++stage;
    if (stage < ping.nr_stages) {
        evtchn_send(ping.stages[stage].send);
    } else {
        ping.rounds++;
        compiler_barrier();
        ping.flying = 0;
    }
}

static void add_stage(evtchn_port_t send, evtchn_port_t arrive)
{
    ping.stages[ping.nr_stages].send = send;
    ping.stages[ping.nr_stages].arrive = arrive;
    ping.nr_stages++;
}

static void add_ipi(unsigned int id)
{
    evtchn_port_t port = vcpu_get(id)->ipi_port;

    add_stage(port, port);
}

void ping_open(unsigned int nr)
{
    evtchn_port_t a, b;

    for (unsigned int id = 0; id < nr; id++)
        vcpu_get(id)->ipi_port = evtchn_open_ipi(id, "ipi", on_ball);
    a = evtchn_open_unbound(DOMID_SELF, "loop-a", on_ball);
    b = evtchn_open_loopback(a, "loop-b", on_ball);
    if (nr > 1)
        evtchn_set_vcpu(b, nr - 1);

    ping.flying = 0;
    ping.nr_stages = 0;
    for (unsigned int id = 1; id < nr; id++)
        add_ipi(id);
    add_stage(b, a);
    add_stage(a, b);
    add_ipi(0);
}

void ping_step(const struct options *o)
{
    uint64_t ticks = vcpu_this()->ticks;

    if (ping.flying) {
        if (ticks - ping.thrown_at > timer_ticks_of(STALL_MS)) {
            check_fail("ping", "stage", ping.stage, ping.nr_stages,
                       ping.stages[ping.stage].arrive);
            ping.flying = 0;
        }
        return;
    }
    if (o->ping == PING_OFF ||
        (o->ping == PING_ON && ticks - ping.thrown_at < o->ping_ticks))
        return;
    ping.thrown_at = ticks;
    ping.stage = 0;
    compiler_barrier();
    ping.flying = 1;
    evtchn_send(ping.stages[0].send);
}

bool ping_busy(const struct options *o)
{
    return o->ping == PING_STORM && !ping.flying;
}

uint64_t ping_rounds(void)
{
    return ping.rounds;
}

uint64_t ping_extra(void)
{
    return ping.extra;
}
