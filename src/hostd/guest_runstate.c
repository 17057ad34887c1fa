/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a vCPU is told about time: its clock anchor, and where its time went.
 */
#include "hostd/guest_machine.h"
#include "hostd/page_walk.h"

void vcpu_set_runstate(struct machine *m, struct vcpu *v, int state)
{
    uint64_t now = guest_time_now(&m->time);
    struct vcpu_runstate_info *r = &v->runstate;

    if (r->state_entry_time && now > r->state_entry_time)
        r->time[r->state] += now - r->state_entry_time;
    r->state_entry_time = now;
    r->state = state;
}

void vcpu_publish(struct machine *m, struct vcpu *v)
{
    struct vcpu_time_info *time = &machine_vcpu_info(m, v)->time;

    guest_time_publish(&m->time, time);
    /*
     * An area that is not there any more is the guest's own business: it may
     * have unmapped it without saying so, as on Xen.
     */
    if (v->time_area.address)
        (void)guest_area_write(m, &v->time_area, time, sizeof(*time));
    if (v->runstate_area.address)
        (void)guest_area_write(m, &v->runstate_area, &v->runstate,
                               sizeof(v->runstate));
}
