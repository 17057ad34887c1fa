/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where things are in the pages and structures that a PV guest and Xen share:
 * vCPU contexts, shared info, start info and page tables, for both widths.
 *
 * Spec: Xen's public headers xen.h, arch-x86/xen.h and their foreign forms.
 */
#ifndef STREAM_XC_PV_LAYOUT_H
#define STREAM_XC_PV_LAYOUT_H

#include "stream/field_sink.h"
#include "stream/layout.h"

/* Offsets that do more than explain. */
struct pv_layout {
    uint32_t width;  /* octets of a guest's word */
    uint32_t levels; /* of its page tables */

    /* shared_info; vcpu_info[32] is at its start, 64 octets each */
    uint16_t pending_sel; /* in vcpu_info; one word */
    uint16_t evtchn_pending, evtchn_mask, evtchn_size;
    uint16_t arch, arch_size;
    uint16_t max_pfn, frame_list_list, p2m_cr3, p2m_vaddr, p2m_generation;

    /* start_info; the event channels and flags have 32 bits */
    uint16_t nr_pages, shared_info, flags;
    uint16_t store_mfn, store_evtchn, console_mfn, console_evtchn;

    /* vcpu_guest_context */
    uint16_t context_size, edx, gdt_frames, gdt_ents, cr1, cr3;
};

#define PV_VCPU_INFOS     32
#define PV_VCPU_INFO_SIZE 64
#define PV_GDT_FRAMES     16
#define PV_GDT_PER_FRAME  512

/* The layout for guests of 'width' octets, 4 or 8. */
const struct pv_layout *pv_layout_of(uint32_t width);

/* A word of the guest's width at 'offset'; x86 is little-endian. */
uint64_t pv_word_get(const struct pv_layout *l, const uint8_t *at,
                     size_t offset);
void pv_word_set(const struct pv_layout *l, uint8_t *at, size_t offset,
                 uint64_t value);
void pv_u32_set(uint8_t *at, size_t offset, uint32_t value);

/* cr3 as the guest's contexts hold it; 32-bit ones rotate the frame. */
uint64_t pv_cr3_to_frame(const struct pv_layout *l, uint64_t cr3);
uint64_t pv_frame_to_cr3(const struct pv_layout *l, uint64_t frame);

/* Page-table entries: 64 bits for guests of either width. */
#define PTE_PRESENT    UINT64_C(0x001)
#define PTE_PSE        UINT64_C(0x080)
#define PTE_FRAME_MASK UINT64_C(0x000ffffffffff000)
#define PTE_PER_PAGE   512
#define PTE_INDEX_BITS 9

static inline uint64_t pte_frame(uint64_t pte)
{
    return (pte & PTE_FRAME_MASK) >> PAGE_SHIFT;
}

static inline uint64_t pte_with_frame(uint64_t pte, uint64_t frame)
{
    return (pte & ~PTE_FRAME_MASK) | (frame << PAGE_SHIFT & PTE_FRAME_MASK);
}

/* 'length' decides which width a context has. */
void pv_vcpu_basic_explain(const uint8_t *bytes, size_t length,
                           enum byte_order order, struct field_sink *out);
void pv_vcpu_extended_explain(const uint8_t *bytes, size_t length,
                              enum byte_order order, struct field_sink *out);
void pv_shared_info_explain(const uint8_t *page, uint8_t width,
                            enum byte_order order, struct field_sink *out);

#endif
