/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor instructions that C has no words for.
 */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define compiler_barrier() __asm__ volatile("" ::: "memory")

/* x86 keeps loads and stores in order but for a store before a load. */
#define xen_mb()  __asm__ volatile("mfence" ::: "memory")
#define xen_rmb() compiler_barrier()
#define xen_wmb() compiler_barrier()

#define READ_ONCE(x)     (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void interrupts_on(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static inline void interrupts_off(void)
{
    __asm__ volatile("cli" ::: "memory");
}

/* 'sti' holds interrupts back for one instruction: no wake-up is lost. */
static inline void interrupts_on_and_halt(void)
{
    __asm__ volatile("sti; hlt" ::: "memory");
}

static inline bool interrupts_save_off(void)
{
    uint64_t flags;

    __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags)::"memory");
    return flags & 0x200;
}

static inline void interrupts_restore(bool on)
{
    if (on)
        interrupts_on();
}

static inline uint64_t cpu_tsc(void)
{
    uint32_t low, high;

    __asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
    return (uint64_t)high << 32 | low;
}

static inline uint64_t cpu_msr_read(uint32_t msr)
{
    uint32_t low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (uint64_t)high << 32 | low;
}

static inline void cpu_msr_write(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)value),
                     "d"((uint32_t)(value >> 32))
                     : "memory");
}

struct cpuid {
    uint32_t a, b, c, d;
};

static inline struct cpuid cpu_id(uint32_t leaf)
{
    struct cpuid id;

    __asm__ volatile("cpuid"
                     : "=a"(id.a), "=b"(id.b), "=c"(id.c), "=d"(id.d)
                     : "a"(leaf), "c"(0));
    return id;
}

static inline uint64_t cpu_cr2(void)
{
    uint64_t cr2;

    __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
    return cr2;
}

static inline void cpu_out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uintptr_t cpu_stack_pointer(void)
{
    uintptr_t sp;

    __asm__ volatile("movq %%rsp, %0" : "=r"(sp));
    return sp;
}

static inline uint32_t atomic_swap32(uint32_t *p, uint32_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

static inline uint64_t atomic_swap64(uint64_t *p, uint64_t v)
{
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);
}

/* True when '*p' was 'old' and now is 'new'. */
static inline bool atomic_replace32(uint32_t *p, uint32_t old, uint32_t new)
{
    return __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

struct spinlock {
    uint32_t held;
};

/* Taken with interrupts off; returns whether they were on. */
static inline bool spin_lock(struct spinlock *lock)
{
    bool on = interrupts_save_off();

    while (atomic_swap32(&lock->held, 1))
        cpu_relax();
    return on;
}

static inline void spin_unlock(struct spinlock *lock, bool on)
{
    __atomic_store_n(&lock->held, 0, __ATOMIC_RELEASE);
    interrupts_restore(on);
}

#endif
