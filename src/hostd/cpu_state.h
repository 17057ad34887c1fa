/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vCPU's registers, apart from whatever executes it.
 *
 * Only 64-bit mode at ring 0: the hidden halves of the segment registers are
 * then the same for every guest, but for the bases of FS and GS.
 */
#ifndef HOSTD_CPU_STATE_H
#define HOSTD_CPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define CR0_PE       (UINT64_C(1) << 0)
#define CR0_PG       (UINT64_C(1) << 31)
#define CR4_PAE      (UINT64_C(1) << 5)
#define EFER_LME     (UINT64_C(1) << 8)
#define EFER_LMA     (UINT64_C(1) << 10)
#define RFLAGS_FIXED (UINT64_C(1) << 1)
#define RFLAGS_TF    (UINT64_C(1) << 8)
#define RFLAGS_IF    (UINT64_C(1) << 9)
#define RFLAGS_NT    (UINT64_C(1) << 14)
#define RFLAGS_RF    (UINT64_C(1) << 16)

/* The order of the general registers is that of their encoding. */
enum {
    GPR_RAX,
    GPR_RCX,
    GPR_RDX,
    GPR_RBX,
    GPR_RSP,
    GPR_RBP,
    GPR_RSI,
    GPR_RDI,
    GPR_R8,
    NR_GPRS = 16
};

enum { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, NR_SEGS };

struct table_register {
    uint64_t base;
    uint32_t limit;
    uint16_t selector; /* LDTR and TR */
    uint32_t flags;    /* LDTR and TR: descriptor bits 32..63 but the base */
};

struct cpu_state {
    uint64_t gpr[NR_GPRS];
    uint64_t rip;
    uint64_t rflags;
    uint64_t cr0, cr2, cr3, cr4;
    uint64_t efer;
    uint16_t selector[NR_SEGS];
    uint64_t fs_base, gs_base, kernel_gs_base;
    struct table_register gdtr, idtr, ldtr, tr;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t star, lstar, cstar, fmask;
    uint64_t pat, tsc_aux;
    uint64_t dr[8]; /* 4 and 5 are not used */
    uint16_t fcw, fsw, ftw;
    uint32_t mxcsr;
    uint8_t st[8][10]; /* ST(0) first */
    uint8_t xmm[16][16];
};

/* What a processor that just starts has, with paging on 'cr3'. */
struct cpu_state cpu_state_at(uint64_t rip, uint64_t rsp, uint64_t cr3);

/* Refuse what this host cannot execute. */
must_check bool cpu_state_check(const struct cpu_state *c, struct error *err);

#endif
