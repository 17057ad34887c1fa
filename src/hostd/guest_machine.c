/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/guest_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "hostd/events.h"

#define CALLBACK_TYPE(irq)   ((uint8_t)((irq) >> 56))
#define CALLBACK_VECTOR(irq) ((uint8_t)(irq))

bool machine_init(struct machine *m, uint16_t domid, unsigned int nr_vcpus,
                  uint64_t nr_gfns, const struct machine_ops *ops,
                  struct error *err)
{
    char name[32];

    if (nr_vcpus < 1 || nr_vcpus > MACHINE_VCPUS_MAX)
        return error_set(err, ERR_LIMIT, "vCPUs: %u, expected 1 to %u",
                         nr_vcpus, MACHINE_VCPUS_MAX);
    memset(m, 0, sizeof(*m));
    snprintf(name, sizeof(name), "xenferry-domain-%u", domid);
    if (!guest_memory_init(&m->memory, name, nr_gfns, err))
        return false;
    m->ops = ops;
    m->domid = domid;
    m->nr_vcpus = nr_vcpus;
    m->shutdown = SHUTDOWN_NONE;
    events_init(m);
    for (unsigned int i = 0; i < MACHINE_VCPUS_MAX; i++) {
        m->vcpu[i].id = i;
        m->vcpu[i].fifo_control_gfn = GFN_NONE;
        m->vcpu[i].runstate.state = RUNSTATE_offline;
    }
    m->vcpu[0].initialised = true;
    m->vcpu[0].up = true;
    return true;
}

void machine_release(struct machine *m)
{
    guest_memory_release(&m->memory);
}

struct shared_info *machine_shared_info(const struct machine *m)
{
    return (struct shared_info *)(m->memory.xen_pages +
                                  XEN_PAGE_SHARED_INFO * PAGE_SIZE);
}

struct vcpu_info *machine_vcpu_info(const struct machine *m,
                                    const struct vcpu *v)
{
    struct vcpu_info *info = NULL;

    if (v->vcpu_info_gpa)
        info = guest_memory_at(&m->memory, v->vcpu_info_gpa, sizeof(*info));
    /* The guest gave the page away: what Xen keeps then is out of its sight. */
    return info ? info : &machine_shared_info(m)->vcpu_info[v->id];
}

void machine_stop(struct machine *m, const char *format, ...)
{
    va_list args;

    if (m->shutdown != SHUTDOWN_NONE)
        return;
    va_start(args, format);
    vsnprintf(m->stop_reason, sizeof(m->stop_reason), format, args);
    va_end(args);
    log_error(m->log, "domain %u stopped: %s", m->domid, m->stop_reason);
    m->shutdown = SHUTDOWN_crash;
    m->ops->stopped(m);
}

static bool callback_is_vector(const struct machine *m)
{
    return CALLBACK_TYPE(m->hvm_param[HVM_PARAM_CALLBACK_IRQ]) ==
           HVM_PARAM_CALLBACK_TYPE_VECTOR;
}

bool vcpu_has_upcall(const struct machine *m, const struct vcpu *v)
{
    if (v->upcall_vector)
        return v->upcall_requested;
    return machine_vcpu_info(m, v)->evtchn_upcall_pending;
}

uint8_t vcpu_upcall_vector(const struct machine *m, const struct vcpu *v)
{
    if (!vcpu_has_upcall(m, v))
        return 0;
    if (v->upcall_vector)
        return v->upcall_vector;
    return callback_is_vector(m)
               ? CALLBACK_VECTOR(m->hvm_param[HVM_PARAM_CALLBACK_IRQ])
               : 0;
}

void vcpu_assert_upcall(struct machine *m, struct vcpu *v)
{
    if (v->upcall_vector)
        v->upcall_requested = true;
    vcpu_unblock(m, v);
}

void vcpu_unblock(struct machine *m, struct vcpu *v)
{
    if (v->wait == VCPU_POLLING)
        v->poll = (struct poll_state){0};
    v->wait = VCPU_RUNNABLE;
    m->ops->vcpu_wake(m, v);
}
