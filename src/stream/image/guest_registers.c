/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/guest_registers.h"

#include <string.h>

#include "stream/hvm/hvm_context.h"
#include "stream/layout.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_pv.h"

#define CR0_PG    UINT64_C(0x80000000)
#define CR4_PAE   UINT64_C(0x20)
#define CR4_LA57  UINT64_C(0x1000)
#define EFER_LMA  UINT64_C(0x400)
#define EFER_LONG (UINT64_C(0x500) | 1)

/* flags of a PV context. */
#define VGCF_IN_KERNEL UINT64_C(0x4)
/* flags of an HVM CPU record: bit 0, the FPU state is there. */

static uint64_t get(const uint8_t *bytes, size_t offset, size_t size)
{
    return layout_integer(bytes, offset, size, ORDER_LITTLE);
}

/* PV ----------------------------------------------------------------------- */

static void pv_registers_64(const uint8_t *b, struct guest_registers *r)
{
    uint64_t flags = get(b, 512, 8);
    bool kernel = flags & VGCF_IN_KERNEL;

    r->r15 = get(b, 520, 8);
    r->r14 = get(b, 528, 8);
    r->r13 = get(b, 536, 8);
    r->r12 = get(b, 544, 8);
    r->rbp = get(b, 552, 8);
    r->rbx = get(b, 560, 8);
    r->r11 = get(b, 568, 8);
    r->r10 = get(b, 576, 8);
    r->r9 = get(b, 584, 8);
    r->r8 = get(b, 592, 8);
    r->rax = get(b, 600, 8);
    r->rcx = get(b, 608, 8);
    r->rdx = get(b, 616, 8);
    r->rsi = get(b, 624, 8);
    r->rdi = get(b, 632, 8);
    r->rip = get(b, 648, 8);
    r->cs = get(b, 656, 2);
    r->rflags = get(b, 664, 8);
    r->rsp = get(b, 672, 8);
    r->ss = get(b, 680, 2);
    r->es = get(b, 688, 2);
    r->ds = get(b, 696, 2);
    r->fs = get(b, 704, 2);
    r->gs = get(b, 712, 2);
    r->cr0 = get(b, 4984, 8) | CR0_PG;
    r->cr2 = get(b, 4984 + 16, 8);
    /* cr3 and, with bit 0 for a mark, cr1: the user's table. */
    r->cr3 = get(b, 4984 + (kernel ? 24 : 8), 8) & ~(uint64_t)1;
    r->cr4 = get(b, 4984 + 32, 8) | CR4_PAE;
    r->efer = EFER_LONG;
    r->fs_base = get(b, 5144, 8);
    r->gs_base = get(b, kernel ? 5152 : 5160, 8);
    r->paging = PAGING_4;
    r->wide = true;
}

static void pv_registers_32(const uint8_t *b, struct guest_registers *r)
{
    uint32_t cr3 = (uint32_t)get(b, 2716 + 12, 4);

    r->rbx = get(b, 516, 4);
    r->rcx = get(b, 520, 4);
    r->rdx = get(b, 524, 4);
    r->rsi = get(b, 528, 4);
    r->rdi = get(b, 532, 4);
    r->rbp = get(b, 536, 4);
    r->rax = get(b, 540, 4);
    r->rip = get(b, 548, 4);
    r->cs = get(b, 552, 2);
    r->rflags = get(b, 556, 4);
    r->rsp = get(b, 560, 4);
    r->ss = get(b, 564, 2);
    r->es = get(b, 568, 2);
    r->ds = get(b, 572, 2);
    r->fs = get(b, 576, 2);
    r->gs = get(b, 580, 2);
    r->cr0 = get(b, 2716, 4) | CR0_PG;
    r->cr2 = get(b, 2716 + 8, 4);
    /* Frame numbers over 2^20 are rotated into the low bits. */
    r->cr3 = ((uint64_t)(cr3 >> 12) | (uint64_t)(cr3 & 0xfff) << 20) << 12;
    r->cr4 = get(b, 2716 + 16, 4) | CR4_PAE;
    r->paging = PAGING_PAE;
}

static bool pv_registers(const struct guest_image *g, size_t i,
                         struct guest_registers *r)
{
    const struct guest_record *at =
        guest_image_find(g, XCREC_X86_PV_VCPU_BASIC, i);
    struct record rec;
    struct vcpu_blob blob;

    if (!at)
        return false;
    rec = guest_record_view(g, at);
    if (!vcpu_blob_decode(&rec, g->pv_width, &blob, NULL) || blob.length == 0)
        return false;
    r->vcpu = blob.vcpu;
    r->online = true;
    if (blob.length == XCSTREAM_VCPU_BASIC_64)
        pv_registers_64(blob.bytes, r);
    else
        pv_registers_32(blob.bytes, r);
    return true;
}

/* HVM ---------------------------------------------------------------------- */

/* Up to here every release's CPU record reaches. */
#define HVM_CPU_LEAST 1024

static enum guest_paging hvm_paging(const struct guest_registers *r)
{
    if (!(r->cr0 & CR0_PG))
        return PAGING_NONE;
    if (!(r->cr4 & CR4_PAE))
        return PAGING_32;
    if (!(r->efer & EFER_LMA))
        return PAGING_PAE;
    return r->cr4 & CR4_LA57 ? PAGING_5 : PAGING_4;
}

static void hvm_registers_from(const struct hvm_record *part,
                               struct guest_registers *r)
{
    const uint8_t *b = part->data;

    r->vcpu = part->instance;
    r->online = true;
    r->rax = get(b, 512, 8);
    r->rbx = get(b, 520, 8);
    r->rcx = get(b, 528, 8);
    r->rdx = get(b, 536, 8);
    r->rbp = get(b, 544, 8);
    r->rsi = get(b, 552, 8);
    r->rdi = get(b, 560, 8);
    r->rsp = get(b, 568, 8);
    r->r8 = get(b, 576, 8);
    r->r9 = get(b, 584, 8);
    r->r10 = get(b, 592, 8);
    r->r11 = get(b, 600, 8);
    r->r12 = get(b, 608, 8);
    r->r13 = get(b, 616, 8);
    r->r14 = get(b, 624, 8);
    r->r15 = get(b, 632, 8);
    r->rip = get(b, 640, 8);
    r->rflags = get(b, 648, 8);
    r->cr0 = get(b, 656, 8);
    r->cr2 = get(b, 664, 8);
    r->cr3 = get(b, 672, 8);
    r->cr4 = get(b, 680, 8);
    r->cs = get(b, 736, 4);
    r->ds = get(b, 740, 4);
    r->es = get(b, 744, 4);
    r->fs = get(b, 748, 4);
    r->gs = get(b, 752, 4);
    r->ss = get(b, 756, 4);
    r->fs_base = get(b, 832, 8);
    r->gs_base = get(b, 840, 8);
    r->efer = get(b, 992, 8);
    r->wide = r->efer & EFER_LMA;
    r->paging = hvm_paging(r);
}

static bool hvm_registers(const struct guest_image *g, size_t i,
                          struct guest_registers *r)
{
    const struct guest_record *at = guest_image_find(g, XCREC_HVM_CONTEXT, 0);
    struct hvm_record part;
    struct cursor c;

    if (!at)
        return false;
    c = cursor_over(g->bodies.bytes + at->at, at->length, ORDER_LITTLE);
    while (hvm_record_next(&c, at->length, &part) == HVM_RECORD_FOUND) {
        if (part.type != HVM_RECORD_CPU || part.length < HVM_CPU_LEAST ||
            i-- > 0)
            continue;
        hvm_registers_from(&part, r);
        return true;
    }
    return false;
}

bool guest_registers_get(const struct guest_image *g, size_t i,
                         struct guest_registers *ret)
{
    struct guest_registers r = {0};

    if (g->headers.type == XCSTREAM_DOMAIN_PV ? !pv_registers(g, i, &r)
                                              : !hvm_registers(g, i, &r))
        return false;
    *ret = r;
    return true;
}
