/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vcpu.h"

#include "evtchn.h"
#include "hypercall.h"
#include "libc.h"
#include "panic.h"
#include "ping.h"
#include "timer.h"
#include "trap.h"

extern uint8_t stacks[MAX_VCPUS][STACK_SIZE];
extern uint64_t page_map[];
void ap_entry(void);

/*
 * A stack's lowest word points at its vCPU: vcpu_this() needs no segment.
 * The areas are aligned so that none crosses a page.
 */
static struct vcpu vcpus[MAX_VCPUS];
static struct vcpu_info infos[MAX_VCPUS] __attribute__((aligned(PAGE_SIZE)));
static struct vcpu_runstate_area {
    struct vcpu_runstate_info info;
} __attribute__((aligned(64))) runstates[MAX_VCPUS];
static struct vcpu_time_area {
    struct vcpu_time_info info;
} __attribute__((aligned(64))) times[MAX_VCPUS];
static unsigned int nr_vcpus = 1;

static struct {
    volatile uint32_t asked, moved;
    uint32_t parked; /* vCPUs that wait; atomic */
} park;

struct vcpu *vcpu_this(void)
{
    uintptr_t base = cpu_stack_pointer() & ~(uintptr_t)(STACK_SIZE - 1);

    return *(struct vcpu **)base;
}

struct vcpu *vcpu_get(unsigned int id)
{
    return &vcpus[id];
}

unsigned int vcpu_count(void)
{
    return nr_vcpus;
}

struct vcpu_info *vcpu_info_of(unsigned int id)
{
    return &infos[id];
}

struct vcpu_runstate_info *vcpu_runstate_of(unsigned int id)
{
    return &runstates[id].info;
}

struct vcpu_time_info *vcpu_time_of(unsigned int id)
{
    return &times[id].info;
}

void vcpu_init(void)
{
    for (unsigned int id = 0; id < MAX_VCPUS; id++) {
        *(struct vcpu **)stacks[id] = &vcpus[id];
        vcpus[id].id = id;
    }
}

unsigned int vcpu_find(uint64_t most)
{
    while (nr_vcpus < most && vcpu_op(VCPUOP_is_up, nr_vcpus, NULL) >= 0)
        nr_vcpus++;
    return nr_vcpus;
}

void vcpu_register(const struct options *o)
{
    unsigned int id = vcpu_this()->id;
    uintptr_t info = (uintptr_t)&infos[id];
    struct vcpu_register_vcpu_info where = {.mfn = info >> PAGE_SHIFT,
                                            .offset = info % PAGE_SIZE};
    struct vcpu_register_runstate_memory_area runstate = {
        .addr.v = &runstates[id].info};
    struct vcpu_register_time_memory_area time = {.addr.v = &times[id].info};
    long ret;

    ret = vcpu_op(VCPUOP_register_vcpu_info, id, &where);
    if (ret)
        panic("VCPUOP_register_vcpu_info", id, (uint64_t)ret);
    ret = vcpu_op(VCPUOP_register_runstate_memory_area, id, &runstate);
    if (ret)
        panic("VCPUOP_register_runstate_memory_area", id, (uint64_t)ret);
    ret = vcpu_op(VCPUOP_register_vcpu_time_memory_area, id, &time);
    if (ret)
        panic("VCPUOP_register_vcpu_time_memory_area", id, (uint64_t)ret);
    trap_upcall_register(o);
}

static void start_one(unsigned int id)
{
    static struct vcpu_hvm_context context;
    long ret;

    memset(&context, 0, sizeof(context));
    context.mode = VCPU_HVM_MODE_64B;
    context.cpu_regs.x86_64.rsp = (uintptr_t)stacks[id] + STACK_SIZE;
    context.cpu_regs.x86_64.rip = (uintptr_t)ap_entry;
    context.cpu_regs.x86_64.rflags = 2;
    context.cpu_regs.x86_64.cr0 = 0x80010033;
    context.cpu_regs.x86_64.cr3 = (uintptr_t)page_map;
    context.cpu_regs.x86_64.cr4 = 0x20;
    context.cpu_regs.x86_64.efer = 0x500;
    ret = vcpu_op(VCPUOP_initialise, id, &context);
    if (ret)
        panic("VCPUOP_initialise", id, (uint64_t)ret);
    ret = vcpu_op(VCPUOP_up, id, NULL);
    if (ret)
        panic("VCPUOP_up", id, (uint64_t)ret);
    while (!vcpus[id].running)
        cpu_relax();
}

void vcpu_start_others(void)
{
    for (unsigned int id = 1; id < nr_vcpus; id++)
        start_one(id);
}

void vcpu_idle(const struct options *o)
{
    struct vcpu *v = vcpu_this();

    v->sleeps++;
    timer_before_sleep();
    if (o->idle == IDLE_POLL && v->id) {
        evtchn_port_t ports[2] = {v->timer_port, v->ipi_port};
        struct sched_poll poll = {.nr_ports = 2};

        set_xen_guest_handle(poll.ports, ports);
        sched_op(SCHEDOP_poll, &poll);
        interrupts_on();
    } else {
        interrupts_on_and_halt();
    }
}

void vcpu_park_others(void)
{
    park.moved = 0;
    park.asked = 1;
    for (unsigned int id = 1; id < nr_vcpus; id++)
        evtchn_send(vcpus[id].ipi_port);
    while (__atomic_load_n(&park.parked, __ATOMIC_ACQUIRE) != nr_vcpus - 1)
        cpu_relax();
}

void vcpu_release_others(bool moved)
{
    park.moved = moved;
    __atomic_store_n(&park.asked, 0, __ATOMIC_RELEASE);
    while (__atomic_load_n(&park.parked, __ATOMIC_ACQUIRE))
        cpu_relax();
}

bool vcpu_park_asked(void)
{
    return park.asked;
}

void vcpu_park_here_if_asked(const struct options *o)
{
    if (!park.asked)
        return;
    interrupts_off();
    __atomic_fetch_add(&park.parked, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&park.asked, __ATOMIC_ACQUIRE))
        cpu_relax();
    if (park.moved)
        vcpu_register(o);
    timer_start_this();
    __atomic_fetch_sub(&park.parked, 1, __ATOMIC_SEQ_CST);
    interrupts_on();
}
