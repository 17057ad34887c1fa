/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/cpu_engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicorn/unicorn.h>

#define MSR_SYSENTER_CS    0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define MSR_PAT            0x277
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_FMASK          0xc0000084
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103

struct cpu_engine {
    uc_engine *uc;
    const struct cpu_engine_ops *ops;
    void *context;
    bool stop_asked; /* atomic */
    bool stop_obeyed;
    bool exception_seen;
    uint8_t exception_vector;
};

static const int gpr_ids[NR_GPRS] = {
    UC_X86_REG_RAX, UC_X86_REG_RCX, UC_X86_REG_RDX, UC_X86_REG_RBX,
    UC_X86_REG_RSP, UC_X86_REG_RBP, UC_X86_REG_RSI, UC_X86_REG_RDI,
    UC_X86_REG_R8,  UC_X86_REG_R9,  UC_X86_REG_R10, UC_X86_REG_R11,
    UC_X86_REG_R12, UC_X86_REG_R13, UC_X86_REG_R14, UC_X86_REG_R15,
};

static const int seg_ids[NR_SEGS] = {
    UC_X86_REG_ES, UC_X86_REG_CS, UC_X86_REG_SS,
    UC_X86_REG_DS, UC_X86_REG_FS, UC_X86_REG_GS,
};

/* ---- hooks ------------------------------------------------------------- */

static void on_out(uc_engine *uc, uint32_t port, int size, uint32_t value,
                   void *context)
{
    struct cpu_engine *e = context;

    (void)uc;
    e->ops->out(e->context, e, (uint16_t)port, (unsigned int)size, value);
}

static uint32_t on_in(uc_engine *uc, uint32_t port, int size, void *context)
{
    (void)uc;
    (void)port;
    (void)context;
    return size >= 4 ? UINT32_MAX : (UINT32_C(1) << (size * 8)) - 1;
}

static int on_cpuid(uc_engine *uc, void *context)
{
    static const int ids[4] = {UC_X86_REG_RAX, UC_X86_REG_RBX, UC_X86_REG_RCX,
                               UC_X86_REG_RDX};
    struct cpu_engine *e = context;
    uint64_t rax = 0, rcx = 0;
    uint32_t regs[4] = {0};

    uc_reg_read(uc, UC_X86_REG_RAX, &rax);
    uc_reg_read(uc, UC_X86_REG_RCX, &rcx);
    e->ops->cpuid(e->context, (uint32_t)rax, (uint32_t)rcx, regs);
    for (unsigned int i = 0; i < 4; i++) {
        uint64_t wide = regs[i];

        uc_reg_write(uc, ids[i], &wide);
    }
    return 1;
}

static void on_block(uc_engine *uc, uint64_t address, uint32_t size,
                     void *context)
{
    struct cpu_engine *e = context;

    (void)address;
    (void)size;
    if (!__atomic_load_n(&e->stop_asked, __ATOMIC_RELAXED))
        return;
    e->stop_obeyed = true;
    uc_emu_stop(uc);
}

static void on_exception(uc_engine *uc, uint32_t vector, void *context)
{
    struct cpu_engine *e = context;

    e->exception_seen = true;
    e->exception_vector = (uint8_t)vector;
    uc_emu_stop(uc);
}

static void on_store(uc_engine *uc, uc_mem_type type, uint64_t address,
                     int size, int64_t value, void *context)
{
    struct cpu_engine *e = context;

    (void)uc;
    (void)type;
    (void)value;
    e->ops->store(e->context, e, address, (size_t)size);
}

static uc_err add_hooks(struct cpu_engine *e)
{
    uc_hook hook;
    uc_err rc;

    rc = uc_hook_add(e->uc, &hook, UC_HOOK_INSN, (void *)on_out, e, 1, 0,
                     UC_X86_INS_OUT);
    if (!rc)
        rc = uc_hook_add(e->uc, &hook, UC_HOOK_INSN, (void *)on_in, e, 1, 0,
                         UC_X86_INS_IN);
    if (!rc)
        rc = uc_hook_add(e->uc, &hook, UC_HOOK_INSN, (void *)on_cpuid, e, 1, 0,
                         UC_X86_INS_CPUID);
    if (!rc)
        rc = uc_hook_add(e->uc, &hook, UC_HOOK_INTR, (void *)on_exception, e, 1,
                         0);
    if (!rc)
        rc =
            uc_hook_add(e->uc, &hook, UC_HOOK_BLOCK, (void *)on_block, e, 1, 0);
    if (!rc && e->ops->store)
        rc = uc_hook_add(e->uc, &hook, UC_HOOK_MEM_WRITE, (void *)on_store, e,
                         1, 0);
    return rc;
}

/* ---- registers --------------------------------------------------------- */

static uint64_t read_u64(struct cpu_engine *e, int id)
{
    uint64_t value = 0;

    uc_reg_read(e->uc, id, &value);
    return value;
}

static void write_u64(struct cpu_engine *e, int id, uint64_t value)
{
    uc_reg_write(e->uc, id, &value);
}

static uint64_t read_msr(struct cpu_engine *e, uint32_t index)
{
    uc_x86_msr msr = {.rid = index};

    uc_reg_read(e->uc, UC_X86_REG_MSR, &msr);
    return msr.value;
}

static void write_msr(struct cpu_engine *e, uint32_t index, uint64_t value)
{
    uc_x86_msr msr = {.rid = index, .value = value};

    uc_reg_write(e->uc, UC_X86_REG_MSR, &msr);
}

static void read_table(struct cpu_engine *e, int id, struct table_register *t)
{
    uc_x86_mmr mmr = {0};

    uc_reg_read(e->uc, id, &mmr);
    *t = (struct table_register){.base = mmr.base,
                                 .limit = mmr.limit,
                                 .selector = mmr.selector,
                                 .flags = mmr.flags};
}

static void write_table(struct cpu_engine *e, int id,
                        const struct table_register *t)
{
    uc_x86_mmr mmr = {.base = t->base,
                      .limit = t->limit,
                      .selector = t->selector,
                      .flags = t->flags};

    uc_reg_write(e->uc, id, &mmr);
}

static void load_tables(struct cpu_engine *e, const struct cpu_state *c)
{
    write_table(e, UC_X86_REG_GDTR, &c->gdtr);
    write_table(e, UC_X86_REG_IDTR, &c->idtr);
    write_table(e, UC_X86_REG_LDTR, &c->ldtr);
    write_table(e, UC_X86_REG_TR, &c->tr);
}

static void load_control(struct cpu_engine *e, const struct cpu_state *c)
{
    write_u64(e, UC_X86_REG_CR4, c->cr4);
    write_u64(e, UC_X86_REG_CR3, c->cr3);
    write_msr(e, MSR_EFER, c->efer);
    write_u64(e, UC_X86_REG_CR0, c->cr0);
    write_u64(e, UC_X86_REG_CR2, c->cr2);
}

static void load_msrs(struct cpu_engine *e, const struct cpu_state *c)
{
    write_msr(e, MSR_SYSENTER_CS, c->sysenter_cs);
    write_msr(e, MSR_SYSENTER_ESP, c->sysenter_esp);
    write_msr(e, MSR_SYSENTER_EIP, c->sysenter_eip);
    write_msr(e, MSR_STAR, c->star);
    write_msr(e, MSR_LSTAR, c->lstar);
    write_msr(e, MSR_CSTAR, c->cstar);
    write_msr(e, MSR_FMASK, c->fmask);
    write_msr(e, MSR_KERNEL_GS_BASE, c->kernel_gs_base);
    write_msr(e, MSR_PAT, c->pat);
    write_msr(e, MSR_TSC_AUX, c->tsc_aux);
}

static void load_fpu(struct cpu_engine *e, const struct cpu_state *c)
{
    uint64_t fcw = c->fcw, fsw = c->fsw, ftw = c->ftw, mxcsr = c->mxcsr;

    uc_reg_write(e->uc, UC_X86_REG_FPCW, &fcw);
    uc_reg_write(e->uc, UC_X86_REG_FPSW, &fsw);
    uc_reg_write(e->uc, UC_X86_REG_FPTAG, &ftw);
    uc_reg_write(e->uc, UC_X86_REG_MXCSR, &mxcsr);
    for (int i = 0; i < 8; i++) {
        uint8_t wide[16] = {0};

        memcpy(wide, c->st[i], sizeof(c->st[i]));
        uc_reg_write(e->uc, UC_X86_REG_ST0 + i, wide);
    }
    for (int i = 0; i < 16; i++)
        uc_reg_write(e->uc, UC_X86_REG_XMM0 + i, c->xmm[i]);
}

static void load(struct cpu_engine *e, const struct cpu_state *c)
{
    static const int dr_ids[8] = {
        UC_X86_REG_DR0, UC_X86_REG_DR1, UC_X86_REG_DR2, UC_X86_REG_DR3,
        UC_X86_REG_DR4, UC_X86_REG_DR5, UC_X86_REG_DR6, UC_X86_REG_DR7};

    load_tables(e, c);
    load_control(e, c);
    for (unsigned int i = 0; i < NR_SEGS; i++) {
        uint64_t selector = c->selector[i];

        uc_reg_write(e->uc, seg_ids[i], &selector);
    }
    write_u64(e, UC_X86_REG_FS_BASE, c->fs_base);
    write_u64(e, UC_X86_REG_GS_BASE, c->gs_base);
    load_msrs(e, c);
    load_fpu(e, c);
    for (unsigned int i = 0; i < 8; i++)
        if (i != 4 && i != 5)
            write_u64(e, dr_ids[i], c->dr[i]);
    for (unsigned int i = 0; i < NR_GPRS; i++)
        write_u64(e, gpr_ids[i], c->gpr[i]);
    write_u64(e, UC_X86_REG_RFLAGS, c->rflags);
    write_u64(e, UC_X86_REG_RIP, c->rip);
}

void cpu_engine_save(struct cpu_engine *e, struct cpu_state *ret)
{
    static const int dr_ids[8] = {
        UC_X86_REG_DR0, UC_X86_REG_DR1, UC_X86_REG_DR2, UC_X86_REG_DR3,
        UC_X86_REG_DR4, UC_X86_REG_DR5, UC_X86_REG_DR6, UC_X86_REG_DR7};
    struct cpu_state c = {0};

    for (unsigned int i = 0; i < NR_GPRS; i++)
        c.gpr[i] = read_u64(e, gpr_ids[i]);
    c.rip = read_u64(e, UC_X86_REG_RIP);
    c.rflags = read_u64(e, UC_X86_REG_RFLAGS) | RFLAGS_FIXED;
    c.cr0 = read_u64(e, UC_X86_REG_CR0);
    c.cr2 = read_u64(e, UC_X86_REG_CR2);
    c.cr3 = read_u64(e, UC_X86_REG_CR3);
    c.cr4 = read_u64(e, UC_X86_REG_CR4);
    for (unsigned int i = 0; i < NR_SEGS; i++)
        c.selector[i] = (uint16_t)read_u64(e, seg_ids[i]);
    c.fs_base = read_u64(e, UC_X86_REG_FS_BASE);
    c.gs_base = read_u64(e, UC_X86_REG_GS_BASE);
    read_table(e, UC_X86_REG_GDTR, &c.gdtr);
    read_table(e, UC_X86_REG_IDTR, &c.idtr);
    read_table(e, UC_X86_REG_LDTR, &c.ldtr);
    read_table(e, UC_X86_REG_TR, &c.tr);
    c.efer = read_msr(e, MSR_EFER);
    c.sysenter_cs = read_msr(e, MSR_SYSENTER_CS);
    c.sysenter_esp = read_msr(e, MSR_SYSENTER_ESP);
    c.sysenter_eip = read_msr(e, MSR_SYSENTER_EIP);
    c.star = read_msr(e, MSR_STAR);
    c.lstar = read_msr(e, MSR_LSTAR);
    c.cstar = read_msr(e, MSR_CSTAR);
    c.fmask = read_msr(e, MSR_FMASK);
    c.kernel_gs_base = read_msr(e, MSR_KERNEL_GS_BASE);
    c.pat = read_msr(e, MSR_PAT);
    c.tsc_aux = read_msr(e, MSR_TSC_AUX);
    c.fcw = (uint16_t)read_u64(e, UC_X86_REG_FPCW);
    c.fsw = (uint16_t)read_u64(e, UC_X86_REG_FPSW);
    c.ftw = (uint16_t)read_u64(e, UC_X86_REG_FPTAG);
    c.mxcsr = (uint32_t)read_u64(e, UC_X86_REG_MXCSR);
    for (int i = 0; i < 8; i++) {
        uint8_t wide[16] = {0};

        uc_reg_read(e->uc, UC_X86_REG_ST0 + i, wide);
        memcpy(c.st[i], wide, sizeof(c.st[i]));
    }
    for (int i = 0; i < 16; i++)
        uc_reg_read(e->uc, UC_X86_REG_XMM0 + i, c.xmm[i]);
    for (unsigned int i = 0; i < 8; i++)
        if (i != 4 && i != 5)
            c.dr[i] = read_u64(e, dr_ids[i]);
    *ret = c;
}

uint64_t cpu_engine_gpr(struct cpu_engine *e, unsigned int gpr)
{
    return read_u64(e, gpr_ids[gpr]);
}

void cpu_engine_set_gpr(struct cpu_engine *e, unsigned int gpr, uint64_t value)
{
    write_u64(e, gpr_ids[gpr], value);
}

uint64_t cpu_engine_rip(struct cpu_engine *e)
{
    return read_u64(e, UC_X86_REG_RIP);
}

void cpu_engine_set_rip(struct cpu_engine *e, uint64_t rip)
{
    write_u64(e, UC_X86_REG_RIP, rip);
}

uint64_t cpu_engine_rflags(struct cpu_engine *e)
{
    return read_u64(e, UC_X86_REG_RFLAGS);
}

uint64_t cpu_engine_cr3(struct cpu_engine *e)
{
    return read_u64(e, UC_X86_REG_CR3);
}

void cpu_engine_jump(struct cpu_engine *e, uint64_t rip, uint64_t rsp,
                     uint64_t rflags, uint16_t cs)
{
    uint64_t selector = cs;

    write_u64(e, UC_X86_REG_RSP, rsp);
    write_u64(e, UC_X86_REG_RFLAGS, rflags);
    uc_reg_write(e->uc, UC_X86_REG_CS, &selector);
    write_u64(e, UC_X86_REG_RIP, rip);
}

/* ---- life -------------------------------------------------------------- */

static uc_err map_memory(struct cpu_engine *e, const struct guest_memory *m)
{
    struct memory_run run;

    for (uint64_t gfn = 0; guest_memory_next_run(m, gfn, &run);
         gfn = run.gfn + run.nr) {
        uc_err rc = uc_mem_map_ptr(
            e->uc, run.gfn * PAGE_SIZE, run.nr * PAGE_SIZE,
            run.read_only ? UC_PROT_READ | UC_PROT_EXEC : UC_PROT_ALL,
            run.host);

        if (rc)
            return rc;
    }
    return UC_ERR_OK;
}

bool cpu_engine_open(const struct guest_memory *memory,
                     const struct cpu_state *state,
                     const struct cpu_engine_ops *ops, void *context,
                     struct cpu_engine **ret, struct error *err)
{
    struct cpu_engine *e;
    uc_err rc;

    if (!cpu_state_check(state, err))
        return false;
    e = calloc(1, sizeof(*e));
    if (!e)
        return error_set(err, ERR_NO_MEMORY, "vCPU: no memory");
    e->ops = ops;
    e->context = context;
    rc = uc_open(UC_ARCH_X86, UC_MODE_64, &e->uc);
    if (!rc)
        rc = add_hooks(e);
    if (!rc)
        rc = map_memory(e, memory);
    if (rc) {
        cpu_engine_close(e);
        return error_set(err, ERR_HOST, "vCPU: emulator: %s", uc_strerror(rc));
    }
    load(e, state);
    *ret = e;
    return true;
}

void cpu_engine_close(struct cpu_engine *e)
{
    if (!e)
        return;
    if (e->uc)
        uc_close(e->uc);
    free(e);
}

void cpu_engine_stop(struct cpu_engine *e)
{
    __atomic_store_n(&e->stop_asked, true, __ATOMIC_RELAXED);
}

void cpu_engine_run(struct cpu_engine *e, struct cpu_exit *ret)
{
    uint64_t rip = read_u64(e, UC_X86_REG_RIP);
    uc_err rc;

    *ret = (struct cpu_exit){.kind = CPU_EXIT_HALTED};
    e->exception_seen = false;
    e->stop_obeyed = false;
    rc = uc_emu_start(e->uc, rip, 0, 0, 0);
    if (rc) {
        ret->kind = CPU_EXIT_BROKEN;
        snprintf(ret->text, sizeof(ret->text), "%s at RIP %#" PRIx64,
                 uc_strerror(rc), read_u64(e, UC_X86_REG_RIP));
        return;
    }
    if (e->exception_seen) {
        ret->kind = CPU_EXIT_EXCEPTION;
        ret->vector = e->exception_vector;
    } else if (e->stop_obeyed) {
        __atomic_store_n(&e->stop_asked, false, __ATOMIC_RELAXED);
        ret->kind = CPU_EXIT_STOPPED;
    }
}

void cpu_engine_version(char *ret, size_t size)
{
    unsigned int major, minor;

    uc_version(&major, &minor);
    snprintf(ret, size, "%u.%u", major, minor);
}
