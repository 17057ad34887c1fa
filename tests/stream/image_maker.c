/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image_maker.h"

#include <string.h>

#include "stream/hvm/hvm_context.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"
#include "stream/xl/xl_file.h"
#include "stream/xl/xl_records.h"

#define CONFIG    "{\"c_info\":{\"type\":\"pvh\",\"name\":\"test\"}}"
#define BATCH_MAX 64

/* Of an HVM guest the last frames are what Xen's domain builder needs. */
enum special {
    SPECIAL_CONSOLE = 1,
    SPECIAL_IDENT_PT,
    SPECIAL_IOREQ,
    SPECIAL_STORE,
    SPECIAL_BUFIOREQ,
    SPECIAL_MAX = SPECIAL_BUFIOREQ,
};

/* Of a PV guest those that its registers, and start info, name. */
enum pv_special {
    PV_CONSOLE = 1,
    PV_STORE,
    PV_START_INFO,
    PV_GDT,
    PV_TOP_TABLE,
    PV_SPECIAL_MAX = PV_TOP_TABLE,
};

/* In an image of fewer frames some share frame 0. */
static uint64_t special_pfn(const struct image_options *o, unsigned int which)
{
    return o->nr_frames > which ? o->nr_frames - which : 0;
}

static uint64_t next_random(uint64_t *state)
{
    /* xorshift64; the state is never 0. */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool guest_is_pv(const struct image_options *o)
{
    return o->guest != IMAGE_HVM;
}

static uint8_t guest_width(const struct image_options *o)
{
    return o->guest == IMAGE_PV32 ? 4 : 8;
}

/* The P2M's own frames, which come first, and those that registers name. */
static bool is_pv_special(const struct image_options *o, uint32_t pfn)
{
    return pfn + PV_SPECIAL_MAX >= o->nr_frames ||
           pfn < p2m_frames_expected(0, o->nr_frames - 1, guest_width(o));
}

/* Ordinary memory, with the occasional page table, hole and broken frame. */
static unsigned int type_of(const struct image_options *o, uint32_t pfn)
{
    if (!guest_is_pv(o) && pfn + SPECIAL_MAX >= o->nr_frames)
        return FRAME_NOTAB;
    if (guest_is_pv(o) && pfn == special_pfn(o, PV_TOP_TABLE))
        return (guest_width(o) == 4 ? FRAME_L3TAB : FRAME_L4TAB) |
               FRAME_PIN_BIT;
    if (guest_is_pv(o) && is_pv_special(o, pfn))
        return FRAME_NOTAB;
    if (pfn % 13 == 7)
        return FRAME_XTAB;
    if (pfn % 17 == 9)
        return FRAME_BROKEN;
    if (guest_is_pv(o) && pfn % 11 == 3)
        return FRAME_L1TAB + pfn % (guest_width(o) == 4 ? 3 : 4);
    if (guest_is_pv(o) && pfn % 19 == 2)
        return FRAME_L2TAB | FRAME_PIN_BIT;
    return FRAME_NOTAB;
}

/* A page table's entry: of a page that is there, or any octets. */
static uint64_t table_entry(const struct image_options *o, uint64_t random)
{
    return random & 2 ? pte_with_frame(PTE_PRESENT, random % o->nr_frames)
                      : random & ~PTE_PRESENT;
}

static void fill_page(const struct image_options *o, uint32_t pfn,
                      uint8_t *page, uint64_t *random)
{
    const struct pv_layout *wide = pv_layout_of(8);
    bool table = frame_type_table_level(type_of(o, pfn)) != 0;

    for (size_t i = 0; i < PAGE_SIZE; i += 512) {
        uint64_t value = next_random(random);

        pv_word_set(wide, page, i, table ? table_entry(o, value) : value);
    }
}

static void append_page(const struct image_options *o, struct buffer *b,
                        uint32_t pfn, uint64_t *random)
{
    const struct pv_layout *l = pv_layout_of(guest_width(o));
    uint8_t *page = buffer_extend(b, PAGE_SIZE);

    if (!page)
        return;
    memset(page, 0, PAGE_SIZE);
    if (pfn % 4 != 0) /* some pages are zero */
        fill_page(o, pfn, page, random);
    if (guest_is_pv(o) && pfn == special_pfn(o, PV_START_INFO)) {
        pv_word_set(l, page, l->store_mfn, special_pfn(o, PV_STORE));
        pv_word_set(l, page, l->console_mfn, special_pfn(o, PV_CONSOLE));
    }
}

static void append_batch(const struct image_options *o, struct buffer *b,
                         uint32_t first, uint32_t nr, uint64_t *random)
{
    size_t begun = record_begin(b, XCREC_PAGE_DATA);

    buffer_u32(b, nr);
    buffer_u32(b, 0);
    for (uint32_t i = 0; i < nr; i++)
        buffer_u64(b, frame_word(type_of(o, first + i), first + i));
    for (uint32_t i = 0; i < nr; i++)
        if (frame_type_has_page(type_of(o, first + i)))
            append_page(o, b, first + i, random);
    record_end(b, begun);
}

static void append_round(const struct image_options *o, struct buffer *b,
                         uint32_t step, uint64_t *random)
{
    for (uint32_t pfn = 0; pfn < o->nr_frames; pfn += BATCH_MAX * step) {
        uint32_t left = o->nr_frames - pfn;

        append_batch(o, b, pfn, left < BATCH_MAX ? left : BATCH_MAX, random);
    }
}

static void append_static(const struct image_options *o, struct buffer *b)
{
    static const struct cpuid_leaf leaves[] = {
        {0x0, CPUID_NO_SUBLEAF, 0xd, 0x756e6547, 0x6c65746e, 0x49656e69},
        {0x7, 0,                0,   0x209,      0,          0         },
    };
    static const struct msr_entry msrs[] = {
        {0xce, 0, 0x80000000}
    };
    const struct pv_info info = {
        .width = guest_width(o),
        .levels = guest_width(o) == 4 ? 3 : 4,
    };

    if (guest_is_pv(o))
        pv_info_append(b, &info);
    if (o->version >= 3) {
        cpuid_policy_append(b, leaves, 2);
        msr_policy_append(b, msrs, 1);
        empty_record_append(b, XCREC_STATIC_DATA_END);
    }
    if (guest_is_pv(o)) {
        uint64_t pfns[64];
        uint64_t nr = p2m_frames_expected(0, o->nr_frames - 1, guest_width(o));

        for (uint64_t i = 0; i < nr && i < 64; i++)
            pfns[i] = i;
        p2m_frames_append(b, 0, o->nr_frames - 1, pfns, (size_t)nr);
    }
}

static void append_vcpus(const struct image_options *o, struct buffer *b)
{
    static const uint8_t zeroes[128];
    static const uint8_t msr[16] = {0x80, 0, 0, 0xc0};
    const struct pv_layout *l = pv_layout_of(guest_width(o));
    uint64_t top = special_pfn(o, PV_TOP_TABLE);
    uint8_t context[XCSTREAM_VCPU_BASIC_64] = {0};

    pv_word_set(l, context, l->edx, special_pfn(o, PV_START_INFO));
    pv_word_set(l, context, l->gdt_ents, 16);
    pv_word_set(l, context, l->gdt_frames, special_pfn(o, PV_GDT));
    pv_word_set(l, context, l->cr3, pv_frame_to_cr3(l, top));
    if (l->cr1)
        pv_word_set(l, context, l->cr1, top << PAGE_SHIFT | 1);
    for (uint32_t vcpu = 0; vcpu < o->nr_vcpus; vcpu++) {
        const struct vcpu_blob blobs[] = {
            {XCREC_X86_PV_VCPU_BASIC,    vcpu, 0, context, l->context_size},
            {XCREC_X86_PV_VCPU_EXTENDED, vcpu, 0, zeroes,  128            },
            {XCREC_X86_PV_VCPU_XSAVE,    vcpu, 0, zeroes,  16             },
            {XCREC_X86_PV_VCPU_MSRS,     vcpu, 0, msr,     16             },
        };

        for (size_t i = 0; i < ARRAY_SIZE(blobs); i++)
            vcpu_blob_append(b, &blobs[i]);
    }
}

static void append_hvm_part(struct buffer *b, uint16_t type, uint16_t instance,
                            uint32_t length)
{
    buffer_u16(b, type);
    buffer_u16(b, instance);
    buffer_u32(b, length);
    buffer_zeroes(b, length);
}

static void append_hvm_context(const struct image_options *o, struct buffer *b)
{
    enum byte_order order = b->order;
    size_t begun = record_begin(b, XCREC_HVM_CONTEXT);

    b->order = ORDER_LITTLE;
    buffer_u16(b, HVM_RECORD_HEADER);
    buffer_u16(b, 0);
    buffer_u32(b, 24);
    buffer_u32(b, HVM_CONTEXT_MAGIC);
    buffer_u32(b, 1);
    buffer_zeroes(b, 16);
    for (uint32_t i = 0; i < o->nr_vcpus; i++) {
        append_hvm_part(b, HVM_RECORD_CPU, (uint16_t)i, 1032);
        append_hvm_part(b, HVM_RECORD_LAPIC, (uint16_t)i, 24);
        append_hvm_part(b, HVM_RECORD_LAPIC_REGS, (uint16_t)i, 1024);
        append_hvm_part(b, HVM_RECORD_MTRR, (uint16_t)i, 240);
    }
    append_hvm_part(b, HVM_RECORD_END, 0, 0);
    b->order = order;
    record_end(b, begun);
}

/* The state that follows the pages of a round. */
static void append_tail(const struct image_options *o, struct buffer *b)
{
    static const uint8_t shared_info[PAGE_SIZE];
    const struct hvm_param params[] = {
        {HVM_PARAM_INDEX_STORE_PFN,    special_pfn(o, SPECIAL_STORE)               },
        {HVM_PARAM_INDEX_IOREQ_PFN,    special_pfn(o, SPECIAL_IOREQ)               },
        {HVM_PARAM_INDEX_BUFIOREQ_PFN, special_pfn(o, SPECIAL_BUFIOREQ)            },
        {HVM_PARAM_INDEX_CONSOLE_PFN,  special_pfn(o, SPECIAL_CONSOLE)             },
        {HVM_PARAM_INDEX_IDENT_PT,
         special_pfn(o,                               SPECIAL_IDENT_PT) * PAGE_SIZE},
    };
    const struct tsc_info tsc = {.khz = 2500000, .nsec = 1000000};

    tsc_info_append(b, &tsc);
    if (guest_is_pv(o)) {
        shared_info_append(b, shared_info);
        append_vcpus(o, b);
    } else {
        append_hvm_context(o, b);
        hvm_params_append(b, params, ARRAY_SIZE(params));
    }
}

static void append_emulator(const struct image_options *o, struct buffer *b)
{
    static const char pairs[] = "physmap/f0000000/start_addr\0"
                                "f0000000\0"
                                "physmap/f0000000/size\0"
                                "800000";
    struct emulator_data data = {.emulator = XLSTREAM_EMULATOR_QEMU};

    if (guest_is_pv(o))
        return;
    if (o->physmap) {
        data.bytes = (const uint8_t *)pairs;
        data.length = sizeof(pairs);
        emulator_data_append(b, XLREC_EMULATOR_XENSTORE_DATA, &data);
    }
    if (o->emulator) {
        data.bytes = (const uint8_t *)"QEVM\0\0\0\3state";
        data.length = 13;
        emulator_data_append(b, XLREC_EMULATOR_CONTEXT, &data);
    }
}

static void append_checkpoint(const struct image_options *o, struct buffer *b)
{
    empty_record_append(b, XCREC_CHECKPOINT);
    if (o->layer == IMAGE_LIBXC)
        return;
    append_emulator(o, b);
    record_append(b, XLREC_CHECKPOINT_END, NULL, 0);
    if (o->colo)
        checkpoint_state_append(b, XLSTREAM_CHECKPOINT_NEW);
}

static void append_libxc(const struct image_options *o, struct buffer *b)
{
    const struct xcstream_headers headers = {
        .version = o->version,
        .type = guest_is_pv(o) ? XCSTREAM_DOMAIN_PV : XCSTREAM_DOMAIN_HVM,
        .page_shift = PAGE_SHIFT,
        .xen_major = 4,
        .xen_minor = o->version >= 3 ? 17 : 11,
    };
    uint64_t random = o->seed + 0x9e3779b97f4a7c15;

    xcstream_headers_append(b, &headers);
    append_static(o, b);
    if (o->optional)
        record_append(b, XCREC_OPTIONAL | 0x1234, "anything", 8);
    append_round(o, b, 1, &random);
    for (unsigned int i = 0; i < o->rounds; i++)
        append_round(o, b, 2 + i, &random);
    if (o->verify) {
        empty_record_append(b, XCREC_VERIFY);
        append_round(o, b, 1, &random);
    }
    append_tail(o, b);
    for (unsigned int i = 0; i < o->checkpoints; i++) {
        append_checkpoint(o, b);
        if (i + 1 == o->checkpoints)
            return; /* the source dies here */
        append_round(o, b, 3, &random);
        append_tail(o, b);
    }
    empty_record_append(b, XCREC_END);
}

bool image_make(const struct image_options *options, struct buffer *out,
                struct error *err)
{
    struct image_options o = *options;

    if (o.nr_frames == 0)
        o.nr_frames = 40;
    if (o.nr_vcpus == 0)
        o.nr_vcpus = 1;
    if (o.version == 0)
        o.version = 3;
    if (guest_is_pv(&o) && o.nr_frames <= PV_SPECIAL_MAX)
        return error_set(err, ERR_USAGE,
                         "image: at least %d frames for a PV guest",
                         PV_SPECIAL_MAX + 1);
    if (o.nr_frames > 32768)
        return error_set(err, ERR_USAGE, "image: at most 32768 frames");

    out->order = o.order;
    if (o.layer == IMAGE_XL)
        xlfile_append(out, CONFIG, sizeof(CONFIG) - 1);
    if (o.layer != IMAGE_LIBXC) {
        xlstream_header_append(out, false);
        record_append(out, XLREC_LIBXC_CONTEXT, NULL, 0);
    }
    append_libxc(&o, out);
    if (o.layer != IMAGE_LIBXC && o.checkpoints == 0) {
        append_emulator(&o, out);
        record_append(out, XLREC_END, NULL, 0);
    }
    return buffer_check(out, "image", err);
}
