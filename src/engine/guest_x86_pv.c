/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/guest_x86_pv.h"

#include <assert.h>
#include <string.h>

static const struct pv_layout layout_64 = {
    .width = 8,
    .levels = 4,
    .pending_sel = 8,
    .evtchn_pending = 2048,
    .evtchn_mask = 2560,
    .evtchn_size = 512,
    .arch = 3088,
    .arch_size = 48,
    .max_pfn = 3088,
    .frame_list_list = 3096,
    .p2m_cr3 = 3112,
    .p2m_vaddr = 3120,
    .p2m_generation = 3128,
    .nr_pages = 32,
    .shared_info = 40,
    .flags = 48,
    .store_mfn = 56,
    .store_evtchn = 64,
    .console_mfn = 72,
    .console_evtchn = 80,
    .context_size = 5168,
    .edx = 616,
    .gdt_frames = 4832,
    .gdt_ents = 4960,
    .cr1 = 4992,
    .cr3 = 5008,
};

static const struct pv_layout layout_32 = {
    .width = 4,
    .levels = 3,
    .pending_sel = 4,
    .evtchn_pending = 2048,
    .evtchn_mask = 2176,
    .evtchn_size = 128,
    .arch = 2316,
    .arch_size = 28,
    .max_pfn = 2316,
    .frame_list_list = 2320,
    .p2m_cr3 = 2328,
    .p2m_vaddr = 2332,
    .p2m_generation = 2336,
    .nr_pages = 32,
    .shared_info = 36,
    .flags = 40,
    .store_mfn = 44,
    .store_evtchn = 48,
    .console_mfn = 52,
    .console_evtchn = 56,
    .context_size = 2800,
    .edx = 524,
    .gdt_frames = 2640,
    .gdt_ents = 2704,
    .cr1 = 0, /* no page tables for user mode alone */
    .cr3 = 2728,
};

const struct pv_layout *pv_layout_of(uint32_t width)
{
    assert(width == 4 || width == 8);
    return width == 8 ? &layout_64 : &layout_32;
}

uint64_t pv_word_get(const struct pv_layout *l, const uint8_t *at,
                     size_t offset)
{
    uint64_t word = 0;

    /* x86 hosts and guests are little-endian. */
    memcpy(&word, at + offset, l->width);
    return word;
}

void pv_word_set(const struct pv_layout *l, uint8_t *at, size_t offset,
                 uint64_t value)
{
    memcpy(at + offset, &value, l->width);
}

void pv_u32_set(uint8_t *at, size_t offset, uint32_t value)
{
    memcpy(at + offset, &value, sizeof(value));
}

uint64_t pv_cr3_to_frame(const struct pv_layout *l, uint64_t cr3)
{
    uint32_t low = (uint32_t)cr3;

    if (l->width == 8)
        return cr3 >> PAGE_SHIFT;
    return (low >> PAGE_SHIFT) | (uint32_t)(low << 20);
}

uint64_t pv_frame_to_cr3(const struct pv_layout *l, uint64_t frame)
{
    uint32_t low = (uint32_t)frame;

    if (l->width == 8)
        return frame << PAGE_SHIFT;
    return (uint32_t)(low << PAGE_SHIFT) | (low >> 20);
}
