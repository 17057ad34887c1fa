/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside a PV guest's vCPU records and its shared info page, for both
 * widths: Xen's public interface, arch-x86/xen.h.
 */
#ifndef STREAM_XC_PV_LAYOUT_H
#define STREAM_XC_PV_LAYOUT_H

#include "stream/field_sink.h"
#include "stream/layout.h"

/* Offsets that do more than explain. */
struct pv_context_offsets {
    uint16_t size;
    uint16_t flags;
    uint16_t start_info; /* edx: of vCPU 0, the frame of its start info */
    uint16_t gdt_frames; /* 16 words */
    uint16_t gdt_entries;
    uint16_t ctrlreg; /* 8 words */
    uint16_t vm_assist;
};
const struct pv_context_offsets *pv_context_offsets(uint8_t width);

struct pv_shared_info_offsets {
    uint16_t evtchn_pending;
    uint16_t evtchn_mask;
    uint16_t evtchn_octets; /* of each of the two */
    uint16_t max_pfn;
    uint16_t frame_list_list;
    uint16_t p2m_cr3;
    uint16_t p2m_vaddr;
    uint16_t p2m_generation;
};
const struct pv_shared_info_offsets *pv_shared_info_offsets(uint8_t width);

/* 'length' decides which width a context has. */
void pv_vcpu_basic_explain(const uint8_t *bytes, size_t length,
                           enum byte_order order, struct field_sink *out);
void pv_vcpu_extended_explain(const uint8_t *bytes, size_t length,
                              enum byte_order order, struct field_sink *out);
void pv_shared_info_explain(const uint8_t *page, uint8_t width,
                            enum byte_order order, struct field_sink *out);

#endif
