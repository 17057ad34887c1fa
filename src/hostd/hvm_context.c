/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/hvm_context.h"

#include <stdlib.h>
#include <string.h>

#include "hostd/xen_abi.h"

#include <xen/hvm/save.h>

#include "hostd/guest_time.h"

#define TYPE_END    0u
#define TYPE_HEADER 1u
#define TYPE_CPU    2u

#define FILE_VERSION 2u

/* FXSAVE: one bit per register, set where it is in use. */
static uint8_t tags_abridged(uint16_t ftw)
{
    uint8_t tags = 0;

    for (unsigned int i = 0; i < 8; i++)
        if ((ftw >> (2 * i) & 3) != 3)
            tags |= (uint8_t)(1u << i);
    return tags;
}

static uint16_t tags_full(uint8_t tags)
{
    uint16_t ftw = 0;

    for (unsigned int i = 0; i < 8; i++)
        if (!(tags >> i & 1))
            ftw |= (uint16_t)(3u << (2 * i));
    return ftw;
}

static void fpu_save(const struct cpu_state *c, uint8_t fxsave[512])
{
    memset(fxsave, 0, 512);
    memcpy(fxsave, &c->fcw, 2);
    memcpy(fxsave + 2, &c->fsw, 2);
    fxsave[4] = tags_abridged(c->ftw);
    memcpy(fxsave + 24, &c->mxcsr, 4);
    for (unsigned int i = 0; i < 8; i++)
        memcpy(fxsave + 32 + 16 * i, c->st[i], sizeof(c->st[i]));
    for (unsigned int i = 0; i < 16; i++)
        memcpy(fxsave + 160 + 16 * i, c->xmm[i], sizeof(c->xmm[i]));
}

static void fpu_load(struct cpu_state *c, const uint8_t fxsave[512])
{
    memcpy(&c->fcw, fxsave, 2);
    memcpy(&c->fsw, fxsave + 2, 2);
    c->ftw = tags_full(fxsave[4]);
    memcpy(&c->mxcsr, fxsave + 24, 4);
    for (unsigned int i = 0; i < 8; i++)
        memcpy(c->st[i], fxsave + 32 + 16 * i, sizeof(c->st[i]));
    for (unsigned int i = 0; i < 16; i++)
        memcpy(c->xmm[i], fxsave + 160 + 16 * i, sizeof(c->xmm[i]));
}

/* Flat 64-bit code, flat data, busy TSS: what ring 0 of 64-bit mode has. */
#define AR_CODE 0xa9bu
#define AR_DATA 0xc93u
#define AR_TSS  0x8bu
#define AR_NONE 0x10000u /* unusable */

static void to_xen(const struct cpu_state *c, struct hvm_hw_cpu *x)
{
    memset(x, 0, sizeof(*x));
    fpu_save(c, x->fpu_regs);
    x->flags = XEN_X86_FPU_INITIALISED;
    x->rax = c->gpr[GPR_RAX];
    x->rbx = c->gpr[GPR_RBX];
    x->rcx = c->gpr[GPR_RCX];
    x->rdx = c->gpr[GPR_RDX];
    x->rbp = c->gpr[GPR_RBP];
    x->rsi = c->gpr[GPR_RSI];
    x->rdi = c->gpr[GPR_RDI];
    x->rsp = c->gpr[GPR_RSP];
    memcpy(&x->r8, &c->gpr[GPR_R8], 8 * sizeof(uint64_t));
    x->rip = c->rip;
    x->rflags = c->rflags;
    x->cr0 = c->cr0;
    x->cr2 = c->cr2;
    x->cr3 = c->cr3;
    x->cr4 = c->cr4;
    memcpy(&x->dr0, c->dr, 4 * sizeof(uint64_t));
    x->dr6 = c->dr[6];
    x->dr7 = c->dr[7];
    x->cs_sel = c->selector[SEG_CS];
    x->ds_sel = c->selector[SEG_DS];
    x->es_sel = c->selector[SEG_ES];
    x->fs_sel = c->selector[SEG_FS];
    x->gs_sel = c->selector[SEG_GS];
    x->ss_sel = c->selector[SEG_SS];
    x->cs_limit = x->ds_limit = x->es_limit = UINT32_MAX;
    x->fs_limit = x->gs_limit = x->ss_limit = UINT32_MAX;
    x->cs_arbytes = AR_CODE;
    x->ds_arbytes = x->es_arbytes = x->ss_arbytes = AR_DATA;
    x->fs_arbytes = x->gs_arbytes = AR_DATA;
    x->fs_base = c->fs_base;
    x->gs_base = c->gs_base;
    x->shadow_gs = c->kernel_gs_base;
    x->tr_sel = c->tr.selector;
    x->tr_base = c->tr.base;
    x->tr_limit = c->tr.limit;
    x->tr_arbytes = AR_TSS;
    x->ldtr_sel = c->ldtr.selector;
    x->ldtr_base = c->ldtr.base;
    x->ldtr_limit = c->ldtr.limit;
    x->ldtr_arbytes = c->ldtr.selector ? 0x82u : AR_NONE;
    x->idtr_base = c->idtr.base;
    x->idtr_limit = c->idtr.limit;
    x->gdtr_base = c->gdtr.base;
    x->gdtr_limit = c->gdtr.limit;
    x->sysenter_cs = c->sysenter_cs;
    x->sysenter_esp = c->sysenter_esp;
    x->sysenter_eip = c->sysenter_eip;
    x->msr_lstar = c->lstar;
    x->msr_star = c->star;
    x->msr_cstar = c->cstar;
    x->msr_syscall_mask = c->fmask;
    x->msr_efer = c->efer;
    x->msr_tsc_aux = c->tsc_aux;
    x->tsc = tsc_now();
}

static void from_xen(const struct hvm_hw_cpu *x, struct cpu_state *c)
{
    *c = cpu_state_at(x->rip, x->rsp, x->cr3);
    if (x->flags & XEN_X86_FPU_INITIALISED)
        fpu_load(c, x->fpu_regs);
    c->gpr[GPR_RAX] = x->rax;
    c->gpr[GPR_RBX] = x->rbx;
    c->gpr[GPR_RCX] = x->rcx;
    c->gpr[GPR_RDX] = x->rdx;
    c->gpr[GPR_RBP] = x->rbp;
    c->gpr[GPR_RSI] = x->rsi;
    c->gpr[GPR_RDI] = x->rdi;
    memcpy(&c->gpr[GPR_R8], &x->r8, 8 * sizeof(uint64_t));
    c->rflags = x->rflags | RFLAGS_FIXED;
    c->cr0 = x->cr0;
    c->cr2 = x->cr2;
    c->cr4 = x->cr4;
    memcpy(c->dr, &x->dr0, 4 * sizeof(uint64_t));
    c->dr[6] = x->dr6;
    c->dr[7] = x->dr7;
    c->selector[SEG_CS] = (uint16_t)x->cs_sel;
    c->selector[SEG_DS] = (uint16_t)x->ds_sel;
    c->selector[SEG_ES] = (uint16_t)x->es_sel;
    c->selector[SEG_FS] = (uint16_t)x->fs_sel;
    c->selector[SEG_GS] = (uint16_t)x->gs_sel;
    c->selector[SEG_SS] = (uint16_t)x->ss_sel;
    c->fs_base = x->fs_base;
    c->gs_base = x->gs_base;
    c->kernel_gs_base = x->shadow_gs;
    c->tr = (struct table_register){.base = x->tr_base,
                                    .limit = x->tr_limit,
                                    .selector = (uint16_t)x->tr_sel,
                                    .flags = (x->tr_arbytes & 0xff) << 8};
    c->ldtr = (struct table_register){.base = x->ldtr_base,
                                      .limit = x->ldtr_limit,
                                      .selector = (uint16_t)x->ldtr_sel};
    c->idtr =
        (struct table_register){.base = x->idtr_base, .limit = x->idtr_limit};
    c->gdtr =
        (struct table_register){.base = x->gdtr_base, .limit = x->gdtr_limit};
    c->sysenter_cs = x->sysenter_cs;
    c->sysenter_esp = x->sysenter_esp;
    c->sysenter_eip = x->sysenter_eip;
    c->lstar = x->msr_lstar;
    c->star = x->msr_star;
    c->cstar = x->msr_cstar;
    c->fmask = x->msr_syscall_mask;
    c->efer = x->msr_efer;
    c->tsc_aux = x->msr_tsc_aux;
}

static void put_record(struct buffer *b, uint16_t type, uint16_t instance,
                       const void *body, uint32_t length)
{
    struct hvm_save_descriptor d = {
        .typecode = type, .instance = instance, .length = length};

    buffer_bytes(b, &d, sizeof(d));
    buffer_bytes(b, body, length);
}

bool hvm_context_save(struct hosted *h, struct buffer *ret, struct error *err)
{
    struct hvm_save_header header = {.magic = HVM_FILE_MAGIC,
                                     .version = FILE_VERSION,
                                     .changeset = UINT64_MAX,
                                     .gtsc_khz = h->m.time.scale.khz};
    bool whole = h->m.shutdown == SHUTDOWN_suspend && hosted_is_paused(h);

    put_record(ret, TYPE_HEADER, 0, &header, sizeof(header));
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++) {
        struct hvm_hw_cpu record;
        struct cpu_state c;

        /* Of a guest that does not help, those between start and up too. */
        if (!(h->m.vcpu[i].up || (whole && h->m.vcpu[i].initialised)) ||
            !hosted_get_cpu(h, i, &c))
            continue;
        to_xen(&c, &record);
        put_record(ret, TYPE_CPU, (uint16_t)i, &record, sizeof(record));
    }
    put_record(ret, TYPE_END, 0, NULL, 0);
    return buffer_check(ret, "HVM context", err);
}

struct loaded {
    bool present[MACHINE_VCPUS_MAX];
    struct cpu_state state[MACHINE_VCPUS_MAX];
};

static bool load_cpu(const struct hvm_save_descriptor *d, const uint8_t *body,
                     unsigned int nr_vcpus, struct loaded *to,
                     struct error *err)
{
    struct hvm_hw_cpu record;

    if (d->length != sizeof(record))
        return error_set(err, ERR_FORMAT,
                         "HVM context: CPU %u: %u octets, expected %zu",
                         d->instance, d->length, sizeof(record));
    if (d->instance >= nr_vcpus || to->present[d->instance])
        return error_set(
            err, ERR_FORMAT, "HVM context: CPU %u: %s, the domain has %u",
            d->instance, d->instance < nr_vcpus ? "twice" : "no such vCPU",
            nr_vcpus);
    memcpy(&record, body, sizeof(record));
    if (record.pending_valid)
        return error_set(err, ERR_UNSUPPORTED,
                         "HVM context: CPU %u: an event is half delivered",
                         d->instance);
    from_xen(&record, &to->state[d->instance]);
    if (!cpu_state_check(&to->state[d->instance], err))
        return error_wrap(err, "HVM context: CPU %u", d->instance);
    to->present[d->instance] = true;
    return true;
}

static bool read_records(const uint8_t *bytes, size_t length,
                         unsigned int nr_vcpus, struct loaded *to,
                         struct error *err)
{
    bool header = false;
    size_t at = 0;

    for (;;) {
        struct hvm_save_descriptor d;

        if (length - at < sizeof(d))
            return error_set(err, ERR_TRUNCATED,
                             "HVM context: %zu octets without an END record",
                             length);
        memcpy(&d, bytes + at, sizeof(d));
        at += sizeof(d);
        if (d.length > length - at)
            return error_set(err, ERR_TRUNCATED,
                             "HVM context: record %u at %zu: %u octets, %zu "
                             "are there",
                             d.typecode, at - sizeof(d), d.length, length - at);
        if ((d.typecode == TYPE_HEADER) == header)
            return error_set(err, ERR_FORMAT,
                             "HVM context: record %u at %zu: expected one "
                             "HEADER, and that first",
                             d.typecode, at - sizeof(d));
        header = true;
        if (d.typecode == TYPE_END)
            return true;
        if (d.typecode == TYPE_CPU &&
            !load_cpu(&d, bytes + at, nr_vcpus, to, err))
            return false;
        at += d.length;
    }
}

bool hvm_context_load(struct hosted *h, const uint8_t *bytes, size_t length,
                      struct error *err)
{
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    bool ok;

    if (!loaded)
        return error_set(err, ERR_NO_MEMORY, "HVM context: no memory");
    ok = read_records(bytes, length, h->m.nr_vcpus, loaded, err);
    for (unsigned int i = 0; ok && i < h->m.nr_vcpus; i++) {
        struct vcpu *v = &h->m.vcpu[i];

        v->initialised = v->up = loaded->present[i];
        /* A vCPU that waited looks again for what it waited for. */
        v->wait = VCPU_RUNNABLE;
        if (loaded->present[i])
            hosted_set_cpu(h, i, &loaded->state[i]);
    }
    free(loaded);
    return ok;
}
