/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "trap.h"

#include "evtchn.h"
#include "hypercall.h"
#include "layout.h"
#include "panic.h"
#include "vcpu.h"

#define MSR_APIC_BASE       0x1b
#define APIC_BASE_ENABLE    (1 << 11)
#define APIC_BASE_X2APIC    (1 << 10)
#define MSR_X2APIC_TPR      0x808
#define MSR_X2APIC_EOI      0x80b
#define MSR_X2APIC_SPURIOUS 0x80f
#define SPURIOUS_ENABLE     0x100
#define CPUID_1C_X2APIC     (1 << 21)

struct gate {
    uint16_t offset_low, selector;
    uint8_t ist, type;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};

/* As interrupt_common leaves it on the stack. */
struct frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, flags, rsp, ss;
};

extern uint8_t vector_stubs[NR_VECTORS][16];
void interrupt(struct frame *f);

static struct gate gates[NR_VECTORS] __attribute__((aligned(16)));
static bool apic_in_use;

void trap_init(void)
{
    for (unsigned int i = 0; i < NR_VECTORS; i++) {
        uintptr_t stub = (uintptr_t)vector_stubs[i];

        gates[i] = (struct gate){
            .offset_low = (uint16_t)stub,
            .selector = 0x08,
            .type = 0x8e,
            .offset_mid = (uint16_t)(stub >> 16),
        };
    }
}

void trap_load(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof(gates) - 1, (uintptr_t)gates};

    __asm__ volatile("lidt %0" ::"m"(pointer));
}

/* On every vCPU; harmless when done again after a move. */
static void apic_enable(void)
{
    cpu_msr_write(MSR_APIC_BASE, cpu_msr_read(MSR_APIC_BASE) |
                                     APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    cpu_msr_write(MSR_X2APIC_TPR, 0);
    cpu_msr_write(MSR_X2APIC_SPURIOUS, SPURIOUS_ENABLE | 0xff);
}

static void set_callback(uint64_t value)
{
    struct xen_hvm_param param = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = value};
    long ret = hvm_op(HVMOP_set_param, &param);

    if (ret)
        panic("HVM_PARAM_CALLBACK_IRQ", value, (uint64_t)ret);
}

void trap_upcall_register(const struct options *o)
{
    unsigned int id = vcpu_this()->id;

    if (o->callback == CALLBACK_PER_VCPU) {
        struct xen_hvm_evtchn_upcall_vector upcall = {.vcpu = id,
                                                      .vector = UPCALL_VECTOR};
        long ret;

        apic_in_use = cpu_id(1).c & CPUID_1C_X2APIC;
        if (apic_in_use)
            apic_enable();
        ret = hvm_op(HVMOP_set_evtchn_upcall_vector, &upcall);
        if (ret)
            panic("HVMOP_set_evtchn_upcall_vector", id, (uint64_t)ret);
    }
    /*
     * Set in both cases: toolstacks take a zero here for a guest without PV
     * drivers, and then do not mark a cancelled suspend in its return value.
     */
    if (!id)
        set_callback((uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 |
                     UPCALL_VECTOR);
}

void interrupt(struct frame *f)
{
    if (f->vector == UPCALL_VECTOR) {
        if (apic_in_use)
            cpu_msr_write(MSR_X2APIC_EOI, 0);
        evtchn_upcall();
        return;
    }
    if (f->vector == 14)
        panic("page fault: address, rip", cpu_cr2(), f->rip);
    panic("exception: vector, rip", f->vector, f->rip);
}
