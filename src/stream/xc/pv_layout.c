/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/pv_layout.h"

#include <assert.h>

#include "stream/xc/xc_wire.h"

/* The first 512 octets of a context are the FPU's; trap tables are left out. */
/* clang-format off */
static const struct layout_field context_64[] = {
    {"flags", 512, 8, 1},
    {"r15", 520, 8, 1},
    {"r14", 528, 8, 1},
    {"r13", 536, 8, 1},
    {"r12", 544, 8, 1},
    {"rbp", 552, 8, 1},
    {"rbx", 560, 8, 1},
    {"r11", 568, 8, 1},
    {"r10", 576, 8, 1},
    {"r9", 584, 8, 1},
    {"r8", 592, 8, 1},
    {"rax", 600, 8, 1},
    {"rcx", 608, 8, 1},
    {"rdx", 616, 8, 1},
    {"rsi", 624, 8, 1},
    {"rdi", 632, 8, 1},
    {"error_code", 640, 4, 1},
    {"entry_vector", 644, 4, 1},
    {"rip", 648, 8, 1},
    {"cs", 656, 2, 1},
    {"saved_upcall_mask", 660, 1, 1},
    {"rflags", 664, 8, 1},
    {"rsp", 672, 8, 1},
    {"ss", 680, 2, 1},
    {"es", 688, 2, 1},
    {"ds", 696, 2, 1},
    {"fs", 704, 2, 1},
    {"gs", 712, 2, 1},
    {"ldt_base", 4816, 8, 1},
    {"ldt_ents", 4824, 8, 1},
    {"gdt_frames", 4832, 8, 16},
    {"gdt_ents", 4960, 8, 1},
    {"kernel_ss", 4968, 8, 1},
    {"kernel_sp", 4976, 8, 1},
    {"ctrlreg", 4984, 8, 8},
    {"debugreg", 5048, 8, 8},
    {"event_callback_eip", 5112, 8, 1},
    {"failsafe_callback_eip", 5120, 8, 1},
    {"syscall_callback_eip", 5128, 8, 1},
    {"vm_assist", 5136, 8, 1},
    {"fs_base", 5144, 8, 1},
    {"gs_base_kernel", 5152, 8, 1},
    {"gs_base_user", 5160, 8, 1},
};

static const struct layout_field context_32[] = {
    {"flags", 512, 4, 1},
    {"ebx", 516, 4, 1},
    {"ecx", 520, 4, 1},
    {"edx", 524, 4, 1},
    {"esi", 528, 4, 1},
    {"edi", 532, 4, 1},
    {"ebp", 536, 4, 1},
    {"eax", 540, 4, 1},
    {"error_code", 544, 2, 1},
    {"entry_vector", 546, 2, 1},
    {"eip", 548, 4, 1},
    {"cs", 552, 2, 1},
    {"saved_upcall_mask", 554, 1, 1},
    {"eflags", 556, 4, 1},
    {"esp", 560, 4, 1},
    {"ss", 564, 2, 1},
    {"es", 568, 2, 1},
    {"ds", 572, 2, 1},
    {"fs", 576, 2, 1},
    {"gs", 580, 2, 1},
    {"ldt_base", 2632, 4, 1},
    {"ldt_ents", 2636, 4, 1},
    {"gdt_frames", 2640, 4, 16},
    {"gdt_ents", 2704, 4, 1},
    {"kernel_ss", 2708, 4, 1},
    {"kernel_sp", 2712, 4, 1},
    {"ctrlreg", 2716, 4, 8},
    {"debugreg", 2748, 4, 8},
    {"event_callback_cs", 2780, 4, 1},
    {"event_callback_eip", 2784, 4, 1},
    {"failsafe_callback_cs", 2788, 4, 1},
    {"failsafe_callback_eip", 2792, 4, 1},
    {"vm_assist", 2796, 4, 1},
};

static const struct layout_field extended[] = {
    {"vcpu", 0, 4, 1},
    {"size", 4, 4, 1},
    {"syscall32_callback_eip", 8, 8, 1},
    {"sysenter_callback_eip", 16, 8, 1},
    {"syscall32_callback_cs", 24, 2, 1},
    {"sysenter_callback_cs", 26, 2, 1},
    {"syscall32_disables_events", 28, 1, 1},
    {"sysenter_disables_events", 29, 1, 1},
    {"vmce_caps", 32, 8, 1},
    {"vmce_mci_ctl2_bank0", 40, 8, 1},
    {"vmce_mci_ctl2_bank1", 48, 8, 1},
    {"vmce_mcg_ext_ctl", 56, 8, 1},
};

static const struct layout_field shared_info_64[] = {
    {"wc_version", 3072, 4, 1},
    {"wc_sec", 3076, 4, 1},
    {"wc_nsec", 3080, 4, 1},
    {"wc_sec_hi", 3084, 4, 1},
    {"max_pfn", 3088, 8, 1},
    {"pfn_to_mfn_frame_list_list", 3096, 8, 1},
    {"nmi_reason", 3104, 8, 1},
    {"p2m_cr3", 3112, 8, 1},
    {"p2m_vaddr", 3120, 8, 1},
    {"p2m_generation", 3128, 8, 1},
};

static const struct layout_field shared_info_32[] = {
    {"wc_version", 2304, 4, 1},
    {"wc_sec", 2308, 4, 1},
    {"wc_nsec", 2312, 4, 1},
    {"max_pfn", 2316, 4, 1},
    {"pfn_to_mfn_frame_list_list", 2320, 4, 1},
    {"nmi_reason", 2324, 4, 1},
    {"p2m_cr3", 2328, 4, 1},
    {"p2m_vaddr", 2332, 4, 1},
    {"p2m_generation", 2336, 4, 1},
    {"wc_sec_hi", 2340, 4, 1},
};

/* clang-format on */

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
    return layout_integer(at, offset, l->width, ORDER_LITTLE);
}

static void set_octets(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

void pv_word_set(const struct pv_layout *l, uint8_t *at, size_t offset,
                 uint64_t value)
{
    set_octets(at + offset, value, l->width);
}

void pv_u32_set(uint8_t *at, size_t offset, uint32_t value)
{
    set_octets(at + offset, value, sizeof(value));
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

void pv_vcpu_basic_explain(const uint8_t *bytes, size_t length,
                           enum byte_order order, struct field_sink *out)
{
    if (length == XCSTREAM_VCPU_BASIC_32)
        layout_explain(context_32, ARRAY_SIZE(context_32), bytes, length, order,
                       out);
    else
        layout_explain(context_64, ARRAY_SIZE(context_64), bytes, length, order,
                       out);
}

void pv_vcpu_extended_explain(const uint8_t *bytes, size_t length,
                              enum byte_order order, struct field_sink *out)
{
    layout_explain(extended, ARRAY_SIZE(extended), bytes, length, order, out);
}

static unsigned int bits_set(const uint8_t *bytes, size_t length)
{
    unsigned int bits = 0;

    for (size_t i = 0; i < length; i++)
        bits += (unsigned int)__builtin_popcount(bytes[i]);
    return bits;
}

void pv_shared_info_explain(const uint8_t *page, uint8_t width,
                            enum byte_order order, struct field_sink *out)
{
    const struct pv_layout *at = pv_layout_of(width == 4 ? 4 : 8);

    fields_number(out, "event_channels_pending",
                  bits_set(page + at->evtchn_pending, at->evtchn_size));
    fields_number(out, "event_channels_masked",
                  bits_set(page + at->evtchn_mask, at->evtchn_size));
    if (width == 4)
        layout_explain(shared_info_32, ARRAY_SIZE(shared_info_32), page,
                       PAGE_SIZE, order, out);
    else
        layout_explain(shared_info_64, ARRAY_SIZE(shared_info_64), page,
                       PAGE_SIZE, order, out);
}
