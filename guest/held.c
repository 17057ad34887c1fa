/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "held.h"

#include "check.h"
#include "drv_grant.h"
#include "evtchn.h"
#include "hypercall.h"
#include "libc.h"

/* An area may be caught while Xen is half-way through both copies. */
#define DIFFERENT_TICKS 100
/* A vCPU that never sleeps need not be rescheduled either. */
#define STALE_SLEEPS 2000

static const unsigned int params[] = {
    HVM_PARAM_STORE_PFN,      HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_PFN,
    HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CALLBACK_IRQ,
};
#define NR_PARAMS (sizeof(params) / sizeof(params[0]))

static uint8_t granted[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static struct {
    evtchn_port_t masked, other; /* two ends of one channel */
    uint64_t params[NR_PARAMS];
    uint64_t fired;

    struct {
        uint64_t different_since; /* ticks; 0: the copies agree */
        uint64_t entered;         /* runstate: time of the last change seen */
        uint64_t entered_at;      /* sleeps when that was */
    } areas[MAX_VCPUS];
} held;

static void on_masked(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    held.fired++;
    check_fail("port", "masked_but_delivered", port, 0, held.fired);
}

static void on_other(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    (void)port;
}

void held_init(void)
{
    memset(held.areas, 0, sizeof(held.areas));
    held.masked = evtchn_open_unbound(DOMID_SELF, "held-masked", on_masked);
    evtchn_mask(held.masked);
    held.other = evtchn_open_loopback(held.masked, "held-other", on_other);
    evtchn_send(held.other);
    grant_access(GRANT_HELD, 0, granted, true);
    for (unsigned int i = 0; i < NR_PARAMS; i++)
        held.params[i] = hvm_param(params[i]);
}

static void verify_grant(void)
{
    const struct grant_entry_v1 *entry = grant_entry(GRANT_HELD);
    uint64_t frame = (uintptr_t)granted >> PAGE_SHIFT;

    if (entry->flags != (GTF_permit_access | GTF_readonly))
        check_fail("grant", "flags_of", GRANT_HELD,
                   GTF_permit_access | GTF_readonly, entry->flags);
    if (entry->frame != frame)
        check_fail("grant", "frame_of", GRANT_HELD, frame, entry->frame);
}

void held_verify(void)
{
    evtchn_verify();
    if (!evtchn_pending(held.masked))
        check_fail("port", "not_pending", held.masked, 1, 0);
    verify_grant();
    for (unsigned int i = 0; i < NR_PARAMS; i++) {
        uint64_t now = hvm_param(params[i]);

        if (now != held.params[i])
            check_fail("param", "index", params[i], held.params[i], now);
    }
}

static bool same_time(const struct vcpu_time_info *a,
                      const struct vcpu_time_info *b)
{
    return READ_ONCE(a->tsc_timestamp) == READ_ONCE(b->tsc_timestamp) &&
           READ_ONCE(a->system_time) == READ_ONCE(b->system_time) &&
           READ_ONCE(a->tsc_to_system_mul) == READ_ONCE(b->tsc_to_system_mul);
}

void held_verify_areas(void)
{
    struct vcpu *v = vcpu_this();
    const struct vcpu_time_info *time = &vcpu_info_of(v->id)->time;
    const struct vcpu_runstate_info *runstate = vcpu_runstate_of(v->id);
    uint64_t entered = READ_ONCE(runstate->state_entry_time);

    if (same_time(time, vcpu_time_of(v->id)))
        held.areas[v->id].different_since = 0;
    else if (!held.areas[v->id].different_since)
        held.areas[v->id].different_since = v->ticks;
    else if (v->ticks - held.areas[v->id].different_since == DIFFERENT_TICKS)
        check_fail("area", "time_of_vcpu", v->id, READ_ONCE(time->system_time),
                   READ_ONCE(vcpu_time_of(v->id)->system_time));

    if (READ_ONCE(runstate->state) != RUNSTATE_running)
        check_fail("area", "runstate_of_vcpu", v->id, RUNSTATE_running,
                   (uint64_t)READ_ONCE(runstate->state));
    if (entered != held.areas[v->id].entered) {
        held.areas[v->id].entered = entered;
        held.areas[v->id].entered_at = v->sleeps;
    } else if (v->sleeps - held.areas[v->id].entered_at > STALE_SLEEPS) {
        held.areas[v->id].entered_at = v->sleeps;
        check_fail("area", "runstate_stands_on_vcpu", v->id, 0, entered);
    }
}
