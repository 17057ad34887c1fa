/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs one vCPU's instructions: the only file that knows Unicorn, a processor
 * emulator in a library.
 *
 * What was found out about Unicorn 2.0.1, and what is done about it:
 *   - Locked instructions and fences are not atomic: see baton.h.
 *   - uc_emu_stop() is obeyed after any load or store of a translated block,
 *     and RIP then goes back to the start of the block, whose instructions
 *     run twice.  So it is called only by a hook at the start of each block,
 *     which looks at a flag: a vCPU stops before a block's first instruction
 *     or not at all.  The flag costs a call per block.
 *   - A stop and a HLT return alike: what the hook did tells them apart.
 *   - It does not inject interrupts, nor tell the error code of exceptions:
 *     interrupt.c does the former from outside, between two runs.
 *   - A page fault is remembered for ever, so that the next one becomes a
 *     double fault: a fresh engine goes on after an exception.
 *   - Guest virtual addresses must also be addresses of physical memory (a
 *     quick check in its slow path): guests map their memory one to one.
 */
#ifndef HOSTD_CPU_ENGINE_H
#define HOSTD_CPU_ENGINE_H

#include "hostd/cpu_state.h"
#include "hostd/guest_memory.h"

struct cpu_engine;

/* What a vCPU's code asks of its surroundings, while it runs. */
struct cpu_engine_ops {
    /* 'out' to 'port'; registers may be read and written. */
    void (*out)(void *context, struct cpu_engine *e, uint16_t port,
                unsigned int size, uint32_t value);
    /* CPUID: leaf and subleaf in, a, b, c, d out (what it is by default). */
    void (*cpuid)(void *context, uint32_t leaf, uint32_t subleaf,
                  uint32_t regs[4]);
    /* NULL, or: guest code writes these octets (virtual address). */
    void (*store)(void *context, struct cpu_engine *e, uint64_t address,
                  size_t length);
};

enum cpu_exit_kind {
    CPU_EXIT_STOPPED,   /* as asked, or by an out() that asked */
    CPU_EXIT_HALTED,    /* HLT */
    CPU_EXIT_EXCEPTION, /* vector is set; RIP is at the cause (fault) or
                           behind it (trap) */
    CPU_EXIT_BROKEN,    /* cannot go on; text says why */
};

struct cpu_exit {
    enum cpu_exit_kind kind;
    uint8_t vector;
    bool software; /* INT n */
    char text[160];
};

/* With all memory mapped as it is now, and the registers of 'state'. */
must_check bool cpu_engine_open(const struct guest_memory *memory,
                                const struct cpu_state *state,
                                const struct cpu_engine_ops *ops, void *context,
                                struct cpu_engine **ret, struct error *err);
void cpu_engine_close(struct cpu_engine *e);

/* Not while it runs. */
void cpu_engine_save(struct cpu_engine *e, struct cpu_state *ret);

/* Run until stopped, halted, or something happens. */
void cpu_engine_run(struct cpu_engine *e, struct cpu_exit *ret);

/*
 * From any thread, also from within out().  One that comes when nothing runs
 * ends the next run at once.
 */
void cpu_engine_stop(struct cpu_engine *e);

/* Single registers, also from within out(). */
uint64_t cpu_engine_gpr(struct cpu_engine *e, unsigned int gpr);
void cpu_engine_set_gpr(struct cpu_engine *e, unsigned int gpr, uint64_t value);
uint64_t cpu_engine_rip(struct cpu_engine *e);
/* Not while it runs. */
void cpu_engine_set_rip(struct cpu_engine *e, uint64_t rip);
uint64_t cpu_engine_rflags(struct cpu_engine *e);
uint64_t cpu_engine_cr3(struct cpu_engine *e);

/* What the delivery of an interrupt changes.  Not while it runs. */
void cpu_engine_jump(struct cpu_engine *e, uint64_t rip, uint64_t rsp,
                     uint64_t rflags, uint16_t cs);

/* The library's version, "2.0.1". */
void cpu_engine_version(char *ret, size_t size);

#endif
