/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/cpu_state.h"

#include <inttypes.h>

#define CR0_START UINT64_C(0x80000033) /* PG, NE, ET, MP, PE */
#define PAT_START UINT64_C(0x0007040600070406)

struct cpu_state cpu_state_at(uint64_t rip, uint64_t rsp, uint64_t cr3)
{
    struct cpu_state c = {
        .rip = rip,
        .rflags = RFLAGS_FIXED,
        .cr0 = CR0_START,
        .cr3 = cr3,
        .cr4 = CR4_PAE,
        .efer = EFER_LME | EFER_LMA,
        .pat = PAT_START,
        .fcw = 0x37f,
        .ftw = 0xffff,
        .mxcsr = 0x1f80,
        .dr = {[6] = 0xffff0ff0, [7] = 0x400},
    };

    c.gpr[GPR_RSP] = rsp;
    return c;
}

bool cpu_state_check(const struct cpu_state *c, struct error *err)
{
    if (!(c->cr0 & CR0_PE) || !(c->cr0 & CR0_PG) || !(c->cr4 & CR4_PAE) ||
        !(c->efer & EFER_LMA))
        return error_set(err, ERR_UNSUPPORTED,
                         "vCPU: CR0 %#" PRIx64 " CR4 %#" PRIx64
                         " EFER %#" PRIx64 ", expected 64-bit mode with paging",
                         c->cr0, c->cr4, c->efer);
    if ((c->selector[SEG_CS] & 3) != 0)
        return error_set(err, ERR_UNSUPPORTED,
                         "vCPU: CS %#x at ring %u, expected ring 0",
                         c->selector[SEG_CS], c->selector[SEG_CS] & 3);
    return true;
}
