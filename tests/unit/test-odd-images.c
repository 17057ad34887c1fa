/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images of records that no saver writes, or not like that: each is judged by
 * verify, explained by inspect, and has what both must say of it.
 */
#include "faults.h"
#include "flat_fields.h"
#include "image_maker.h"
#include "stream/hvm/hvm_context.h"
#include "stream/inspect.h"
#include "stream/verify.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"
#include "stream/xl/xl_file.h"
#include "stream/xl/xl_records.h"
#include "unit.h"

/* What is said ------------------------------------------------------------- */

static void note_finding(void *context, const struct finding *finding)
{
    buffer_format(context, "%s;", finding->id);
}

static void assert_part(struct buffer *text, const char *part)
{
    assert_false(text->bad);
    if (!strstr((const char *)text->bytes, part))
        fail_msg("no \"%s\" in: %s", part, (const char *)text->bytes);
}

/* All findings for a release of Xen 4.x, 0 for none. */
static void list_findings(const struct buffer *image, unsigned int release,
                          struct buffer *text)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct verify_options options = {
        .release = release, .report = note_finding, .context = text};
    struct verify_result result;
    struct error err;

    assert_false(image->bad);
    assert_ok(verify_stream(&source, &options, &result, &err), err);
    buffer_text(text, "none;");
    buffer_u8(text, '\0');
    assert_false(text->bad);
}

static void finds(const struct buffer *image, unsigned int release,
                  const char *id)
{
    struct buffer text = {0};

    list_findings(image, release, &text);
    assert_part(&text, id);
    buffer_release(&text);
}

static bool has_finding(const struct buffer *image, const char *id)
{
    struct buffer text = {0};
    bool found;

    list_findings(image, 0, &text);
    found = strstr((const char *)text.bytes, id);
    buffer_release(&text);
    return found;
}

static void explains(const struct buffer *image, bool ok, const char *part)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    struct buffer text = {0};
    struct field_sink sink = {.ops = &flat_ops, .context = &text};

    /* Without an error's place as well. */
    assert_int_equal(inspect_stream(&source, &options, &sink, NULL), ok);
    buffer_u8(&text, '\0');
    assert_part(&text, part);
    buffer_release(&text);
}

/* Images of one odd record ------------------------------------------------- */

static void begin_libxc(struct buffer *b, uint32_t type)
{
    const struct xcstream_headers headers = {.version = 3,
                                             .type = type,
                                             .page_shift = PAGE_SHIFT,
                                             .xen_major = 4,
                                             .xen_minor = 17};

    *b = (struct buffer){.cap = (size_t)64 << 20};
    xcstream_headers_append(b, &headers);
}

static void begin_hvm(struct buffer *b)
{
    begin_libxc(b, XCSTREAM_DOMAIN_HVM);
}

static void begin_pv(struct buffer *b)
{
    const struct pv_info info = {.width = 8, .levels = 4};

    begin_libxc(b, XCSTREAM_DOMAIN_PV);
    pv_info_append(b, &info);
}

/* What is found, and what is explained; either may be NULL. */
static void end_libxc(struct buffer *b, unsigned int release, const char *id,
                      const char *part)
{
    empty_record_append(b, XCREC_END);
    if (id)
        finds(b, release, id);
    if (part)
        explains(b, true, part);
    buffer_release(b);
}

/* One record of a guest type. */
static void libxc_record(uint32_t guest, uint32_t type, const void *body,
                         uint32_t length, const char *id, const char *part)
{
    struct buffer b;

    if (guest == XCSTREAM_DOMAIN_PV)
        begin_pv(&b);
    else
        begin_hvm(&b);
    record_append(&b, type, body, length);
    end_libxc(&b, 0, id, part);
}

static void bodies_that_cannot_be_read_are_told(void **state)
{
    static const uint8_t zeroes[PAGE_SIZE + 8];
    static const uint8_t vcpu[8] = {0, 0, 0, 0, 1};
    static const struct {
        uint32_t type;
        uint32_t length;
        const char *id;
    } cases[] = {
        {XCREC_X86_PV_INFO,       4,             "xc-pv-info-short;"     },
        {XCREC_X86_PV_P2M_FRAMES, 4,             "xc-p2m-frames;"        },
        {XCREC_X86_PV_VCPU_BASIC, 4,             "xc-vcpu-body;"         },
        {XCREC_X86_PV_VCPU_MSRS,  20,            "xc-vcpu-body;"         },
        {XCREC_SHARED_INFO,       PAGE_SIZE + 8, "xc-shared-info-length;"},
        {XCREC_X86_TSC_INFO,      8,             "xc-tsc-length;"        },
        {XCREC_X86_CPUID_POLICY,  8,             "xc-cpuid-policy-length"},
        {XCREC_X86_MSR_POLICY,    8,             "xc-msr-policy-length;" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        libxc_record(XCSTREAM_DOMAIN_PV, cases[i].type, zeroes, cases[i].length,
                     cases[i].id, "problem=");
    libxc_record(XCSTREAM_DOMAIN_PV, XCREC_X86_PV_VCPU_MSRS, vcpu, 8,
                 "xc-vcpu-reserved;", "octets=0;");
    libxc_record(XCSTREAM_DOMAIN_HVM, XCREC_HVM_PARAMS, zeroes, 4,
                 "xc-hvm-params-length;", "problem=");
    libxc_record(XCSTREAM_DOMAIN_HVM, XCREC_CHECKPOINT_DIRTY_PFN_LIST, zeroes,
                 12, NULL, "problem=");
    libxc_record(XCSTREAM_DOMAIN_HVM, XCREC_CHECKPOINT_DIRTY_PFN_LIST, zeroes,
                 16, NULL, "pfns=2;");
    libxc_record(XCSTREAM_DOMAIN_HVM, XCREC_TOOLSTACK, zeroes, 16,
                 "xc-record-retired;", "remark=of the draft");
    libxc_record(XCSTREAM_DOMAIN_HVM, XCREC_HVM_CONTEXT, zeroes, 0,
                 "xc-hvm-context-empty;", "name=HVM_CONTEXT;");
}

static void vcpus_are_judged_by_their_order(void **state)
{
    static const uint8_t zeroes[XCSTREAM_VCPU_BASIC_64];
    struct vcpu_blob basic = {XCREC_X86_PV_VCPU_BASIC, 1, 0, zeroes,
                              sizeof(zeroes)};
    struct vcpu_blob other = {XCREC_X86_PV_VCPU_XSAVE, 1, 0, zeroes, 16};
    struct buffer b;

    begin_pv(&b);
    vcpu_blob_append(&b, &basic);
    end_libxc(&b, 0, "xc-vcpu0-missing;", NULL);
    begin_pv(&b);
    vcpu_blob_append(&b, &basic);
    vcpu_blob_append(&b, &basic);
    end_libxc(&b, 0, "xc-vcpu-once;", NULL);
    begin_pv(&b);
    vcpu_blob_append(&b, &other);
    end_libxc(&b, 0, "xc-vcpu-no-basic;", "octets=16;");
    other.length = 0;
    begin_pv(&b);
    vcpu_blob_append(&b, &other);
    end_libxc(&b, 10, "for-empty-record;", "octets=0;");
    begin_pv(&b);
    vcpu_blob_append(&b, &other);
    end_libxc(&b, 11, "xc-vcpu-empty;", NULL);
    other.type = XCREC_X86_PV_VCPU_EXTENDED;
    other.length = 120;
    begin_pv(&b);
    vcpu_blob_append(&b, &other);
    end_libxc(&b, 13, "for-vcpu-extended;", NULL);
    other.length = XCSTREAM_VCPU_EXTENDED_MAX;
    begin_pv(&b);
    vcpu_blob_append(&b, &other);
    end_libxc(&b, 13, "xc-vcpu-no-basic;", NULL);
}

/* One frame with its page, or without. */
static void frame_append(struct buffer *b, uint64_t word, uint32_t reserved)
{
    size_t begun = record_begin(b, XCREC_PAGE_DATA);

    buffer_u32(b, 1);
    buffer_u32(b, reserved);
    buffer_u64(b, word);
    if (frame_type_has_page(frame_type(word)))
        buffer_zeroes(b, PAGE_SIZE);
    record_end(b, begun);
}

static void frames_are_judged_by_their_guest(void **state)
{
    const uint64_t pfns[] = {9};
    const uint64_t high = (UINT64_C(1) << 52) - 2;
    struct buffer b;

    begin_hvm(&b);
    frame_append(&b, frame_word(FRAME_L1TAB, 5), 0);
    end_libxc(&b, 0, "xc-page-data-hvm-type;", "type=L1TAB;");
    begin_hvm(&b);
    frame_append(&b, frame_word(FRAME_NOTAB, high), 1);
    end_libxc(&b, 0, "xc-page-data-pfn-high;", "pages=1;zero_pages=1;");
    begin_pv(&b);
    p2m_frames_append(&b, 0, 7, pfns, 1);
    frame_append(&b, frame_word(FRAME_NOTAB, 8), 0);
    end_libxc(&b, 0, "xc-page-data-beyond-p2m;", NULL);
    begin_pv(&b);
    p2m_frames_append(&b, 0, 7, pfns, 1);
    p2m_frames_append(&b, 0, 6, pfns, 1);
    frame_append(&b, frame_word(FRAME_NOTAB, 7), 0);
    end_libxc(&b, 0, "xc-p2m-beyond;", "last_pfn=0x7;nr_frames=1;");
}

static void parameters_are_judged_for_a_release(void **state)
{
    static const struct hvm_param params[] = {
        {37, 1}, /* VM86_TSS_SIZED, since 4.9 */
        {38, 1}, /* MCA_CAP, since 4.10 */
        {3,  1}, /* no name */
        {38, 2},
    };
    struct buffer b;

    for (unsigned int release = 6; release <= 11; release++) {
        begin_hvm(&b);
        hvm_params_append(&b, &params[0], 1);
        finds(&b, release, release < 9 ? "for-hvm-param;" : "none;");
        buffer_release(&b);
        begin_hvm(&b);
        hvm_params_append(&b, &params[1], 1);
        finds(&b, release, release < 10 ? "for-hvm-param;" : "none;");
        buffer_release(&b);
    }
    begin_hvm(&b);
    hvm_params_append(&b, params, ARRAY_SIZE(params));
    finds(&b, 0, "xc-hvm-params-duplicate;");
    end_libxc(&b, 0, "xc-hvm-params-unknown;", "index=3;param=unknown;");
}

/* What a parameter names must have come, in whichever order. */
static void rings_are_in_memory(void **state)
{
    struct buffer b;

    for (uint64_t index = 1; index < 20; index++) {
        bool ring = index == 1 || index == 5 || index == 6 || index == 17;
        const struct hvm_param param = {index, 0x77};

        if (index == 3 || index == 7 || index == 8)
            continue;
        for (unsigned int i = 0; i < 5; i++) {
            begin_hvm(&b);
            if (i == 1)
                frame_append(&b, frame_word(FRAME_NOTAB, 0x77), 0);
            if (i == 2)
                frame_append(&b, frame_word(FRAME_XTAB, 0x77), 0);
            if (i == 4)
                frame_append(&b, frame_word(FRAME_NOTAB, 0x78), 0);
            hvm_params_append(&b, &param, 1);
            if (i == 3)
                frame_append(&b, frame_word(FRAME_NOTAB, 0x77), 0);
            record_append(&b, XCREC_END, NULL, 0);
            assert_int_equal(has_finding(&b, "xc-hvm-params-frame;"),
                             ring && i != 1 && i != 3);
            buffer_release(&b);
        }
    }
}

static void records_are_judged_for_a_release(void **state)
{
    struct buffer b;
    size_t begun;

    begin_hvm(&b);
    begun = record_begin(&b, XCREC_OPTIONAL | 5);
    buffer_zeroes(&b, ((size_t)8 << 20) + 8);
    record_end(&b, begun);
    finds(&b, 9, "for-record-length;");
    end_libxc(&b, 10, "none;", NULL);
    begin_hvm(&b);
    empty_record_append(&b, XCREC_CHECKPOINT);
    empty_record_append(&b, XCREC_OPTIONAL | 5);
    end_libxc(&b, 0, "xc-record-optional-checkpoint;", "type=0x80000005;");
}

/* Parts of HVM_CONTEXT ----------------------------------------------------- */

static void part_append(struct buffer *b, uint16_t type, uint32_t length,
                        uint8_t fill)
{
    buffer_u16(b, type);
    buffer_u16(b, 0);
    buffer_u32(b, length);
    for (uint32_t i = 0; i < length; i++)
        buffer_u8(b, fill);
}

static void header_append(struct buffer *b, uint32_t magic)
{
    buffer_u16(b, HVM_RECORD_HEADER);
    buffer_u16(b, 0);
    buffer_u32(b, 24);
    buffer_u32(b, magic);
    buffer_zeroes(b, 20);
}

/* A part of the type between header and END. */
static void hvm_part(uint16_t type, uint32_t length, const char *id,
                     const char *part)
{
    struct buffer b;
    size_t begun;

    begin_hvm(&b);
    begun = record_begin(&b, XCREC_HVM_CONTEXT);
    header_append(&b, HVM_CONTEXT_MAGIC);
    part_append(&b, type, length, 1);
    part_append(&b, HVM_RECORD_END, 0, 0);
    record_end(&b, begun);
    end_libxc(&b, 0, id, part);
}

static void parts_have_the_length_of_their_type(void **state)
{
    static const char wrong[] = "xc-hvm-context-part-length;";

    hvm_part(HVM_RECORD_CPU, 1016, "none;", "part=CPU;");
    hvm_part(HVM_RECORD_CPU, 1017, wrong, "part=CPU;");
    hvm_part(HVM_RECORD_CPU, 1024, "none;", "part=CPU;");
    hvm_part(HVM_RECORD_VMCE_VCPU, 8, "none;", "part=VMCE_VCPU;");
    hvm_part(HVM_RECORD_VMCE_VCPU, 24, "none;", "part=VMCE_VCPU;");
    hvm_part(HVM_RECORD_VMCE_VCPU, 23, wrong, "part=VMCE_VCPU;");
    hvm_part(HVM_RECORD_CPU_MSR, 8 + 32, "none;",
             "msrs[{index=0x1010101;value=0x101010101010101;}");
    hvm_part(HVM_RECORD_CPU_MSR, 8 + 20, wrong, "part=CPU_MSR;");
    hvm_part(HVM_RECORD_CPU_MSR, 7, wrong, "msrs[}");
    hvm_part(HVM_RECORD_CPU_XSAVE, 24, "none;", "part=CPU_XSAVE;");
    hvm_part(HVM_RECORD_CPU_XSAVE, 23, wrong, "part=CPU_XSAVE;");
    hvm_part(HVM_RECORD_CPU_XSAVE, 24 + 100, "none;", "area_octets=100;");
    hvm_part(HVM_RECORD_CPU_XSAVE, 24 + 576 + 16, "none;", "extended");
    hvm_part(HVM_RECORD_PIC, 7, wrong, "part=PIC;");
    hvm_part(99, 7, "xc-hvm-context-part-unknown;", "part=unknown;type=99;");
}

static void a_context_begins_with_its_header(void **state)
{
    struct buffer b;
    size_t begun;

    begin_hvm(&b);
    begun = record_begin(&b, XCREC_HVM_CONTEXT);
    header_append(&b, HVM_CONTEXT_MAGIC + 1);
    part_append(&b, HVM_RECORD_END, 0, 0);
    record_end(&b, begun);
    end_libxc(&b, 0, "xc-hvm-context-header;", "part=HEADER;");

    begin_hvm(&b);
    begun = record_begin(&b, XCREC_HVM_CONTEXT);
    part_append(&b, HVM_RECORD_PIC, 8, 0);
    part_append(&b, HVM_RECORD_END, 0, 0);
    buffer_zeroes(&b, 3);
    record_end(&b, begun);
    finds(&b, 0, "xc-hvm-context-after-end;");
    end_libxc(&b, 0, "xc-hvm-context-header;", "octets_after_end=3;");

    begin_hvm(&b);
    begun = record_begin(&b, XCREC_HVM_CONTEXT);
    header_append(&b, HVM_CONTEXT_MAGIC);
    buffer_zeroes(&b, 3);
    record_end(&b, begun);
    end_libxc(&b, 0, "xc-hvm-context-parts;", "context ends within a part;");
}

/* libxl -------------------------------------------------------------------- */

static void begin_libxl(struct buffer *b, uint32_t type)
{
    struct buffer inner;

    *b = (struct buffer){.cap = (size_t)64 << 20};
    xlstream_header_append(b, false);
    record_append(b, XLREC_LIBXC_CONTEXT, NULL, 0);
    begin_libxc(&inner, type);
    buffer_bytes(b, inner.bytes, inner.length);
    buffer_release(&inner);
    empty_record_append(b, XCREC_END);
}

static void end_libxl(struct buffer *b, unsigned int release, const char *id,
                      const char *part)
{
    record_append(b, XLREC_END, NULL, 0);
    if (id)
        finds(b, release, id);
    if (part)
        explains(b, true, part);
    buffer_release(b);
}

static void emulator(uint32_t guest, uint32_t type, uint32_t id,
                     const char *octets, uint32_t length, unsigned int release,
                     const char *finding, const char *part)
{
    const struct emulator_data data = {
        .emulator = id, .bytes = (const uint8_t *)octets, .length = length};
    struct buffer b;

    begin_libxl(&b, guest);
    emulator_data_append(&b, type, &data);
    end_libxl(&b, release, finding, part);
}

static void emulators_are_judged(void **state)
{
    const uint32_t pv = XCSTREAM_DOMAIN_PV, hvm = XCSTREAM_DOMAIN_HVM;
    const uint32_t context = XLREC_EMULATOR_CONTEXT;
    const uint32_t pairs = XLREC_EMULATOR_XENSTORE_DATA;
    const struct emulator_data data = {.emulator = 2};
    struct buffer b;
    size_t begun;

    emulator(pv, context, 2, "QEVM", 4, 0, "xl-emulator-guest-type;",
             "starts_with=QEVM;");
    emulator(hvm, context, 2, "QEV", 3, 0, "xl-emulator-signature;",
             "octets=3;}");
    emulator(hvm, context, 2, "QEVN", 4, 0, "xl-emulator-signature;", NULL);
    emulator(hvm, context, 0, "state", 5, 0, "xl-emulator-id;", "emulator=0");
    emulator(hvm, context, 77, "state", 5, 0, "xl-emulator-id;", "emulator=77");
    emulator(hvm, context, 1, "state", 5, 20, "none;", "emulator=1");
    emulator(hvm, context, 1, "state", 5, 21, "for-emulator;", NULL);
    emulator(hvm, pairs, 2, "\0v", 3, 0, "xl-xenstore-key;", "key=;value=v;");
    emulator(hvm, pairs, 2, "/k\0v", 5, 0, "xl-xenstore-key;", "key=/k;");
    emulator(hvm, pairs, 2, "k\0v", 3, 0, "xl-xenstore-strings;",
             "a string has no NUL;");
    for (int i = 0; i < 2; i++) {
        begin_libxl(&b, hvm);
        record_append(&b, i ? context : pairs, "abcd", 4);
        end_libxl(&b, 0, "xl-emulator-length;", "problem=");
        begin_libxl(&b, hvm);
        emulator_data_append(&b, context, &data);
        emulator_data_append(&b, i ? context : pairs, &data);
        end_libxl(&b, 0, i ? "xl-emulator-once;" : "xl-emulator-order;", NULL);
    }
    begin_libxl(&b, hvm);
    begun = record_begin(&b, context);
    buffer_zeroes(&b, VERIFY_BODY_MAX + 8);
    record_end(&b, begun);
    end_libxl(&b, 0, "none;", "too long to be explained;");
}

static void checkpoints_and_xenstore_are_judged(void **state)
{
    static const char strings[] = "/a\0b\0";
    struct domain_xenstore_data data = {
        .type = XLSTREAM_XENSTORE_NODES,
        .strings = (const uint8_t *)strings,
        .length = sizeof(strings) - 1,
    };
    struct buffer b;

    begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
    checkpoint_state_append(&b, XLSTREAM_CHECKPOINT_NEW);
    end_libxl(&b, 6, "for-record;", "state=0 (");
    begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
    checkpoint_state_append(&b, XLSTREAM_CHECKPOINT_SVM_READY);
    end_libxl(&b, 7, "xl-checkpoint-state-id;", "state=2 (");
    begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
    record_append(&b, XLREC_CHECKPOINT_STATE, "ab", 2);
    record_append(&b, XLREC_CHECKPOINT_END, "ab", 2);
    finds(&b, 0, "xl-checkpoint-unexpected;");
    finds(&b, 0, "xl-record-not-empty;");
    end_libxl(&b, 0, "xl-checkpoint-state-length;", "problem=");
    for (int i = 0; i < 2; i++) {
        begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
        domain_xenstore_data_append(&b, &data);
        end_libxl(&b, 0, "xl-domain-xenstore-data;none;",
                  i ? "kind=watches;strings[=/a;=b;}"
                    : "kind=nodes;strings[=/a;=b;}");
        data.type = XLSTREAM_XENSTORE_WATCHES;
    }
    begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
    record_append(&b, XLREC_DOMAIN_XENSTORE_DATA, "ab", 2);
    end_libxl(&b, 0, "xl-domain-xenstore-body;", "problem=");
    begin_libxl(&b, XCSTREAM_DOMAIN_HVM);
    record_append(&b, XLREC_LIBXC_CONTEXT, NULL, 0);
    finds(&b, 0, "xl-libxc-context-once;");
    buffer_release(&b);
}

static void a_checkpoint_must_be_ended(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_LIBXL, .version = 3, .checkpoints = 1};
    struct buffer image = {0};
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    image.length -= RECORD_HEAD_SIZE; /* CHECKPOINT_END */
    record_append(&image, XLREC_END, NULL, 0);
    finds(&image, 0, "xl-end-early;");
    buffer_release(&image);
}

/* xl ----------------------------------------------------------------------- */

static void xl_file(uint32_t mandatory, uint32_t optional, const char *config,
                    uint32_t length, uint32_t more, const char *id,
                    const char *part)
{
    struct buffer b = {0};

    buffer_bytes(&b, XLFILE_MAGIC, XLFILE_MAGIC_SIZE);
    buffer_u32(&b, XLFILE_BYTEORDER);
    buffer_u32(&b, mandatory);
    buffer_u32(&b, optional);
    buffer_u32(&b, config ? 4 + length + more : 0);
    if (config) {
        buffer_u32(&b, length);
        buffer_bytes(&b, config, length);
        buffer_zeroes(&b, more);
    }
    xlstream_header_append(&b, false);
    record_append(&b, XLREC_LIBXC_CONTEXT, NULL, 0);
    finds(&b, 0, id);
    explains(&b, false, part);
    buffer_release(&b);
}

static void configurations_are_judged(void **state)
{
    const uint32_t json = XLFILE_MANDATORY_JSON | XLFILE_MANDATORY_STREAM2;

    xl_file(json, 0, "{}", 2, 0, "xlfile-config-nul;", "text={};");
    xl_file(json, 0, "", 0, 0, "xlfile-config-nul;xlfile-config-json;",
            "text=;");
    xl_file(json, 0, "\0\0", 2, 0, "xlfile-config-json;", "length=2;");
    xl_file(json, 0, "{\"a\": 1]", 9, 0, "xlfile-config-json;", "length=9;");
    xl_file(json, 0, "{}", 3, 5, "xlfile-ignored-data;", "ignored_octets=5;");
    xl_file(json, 8, NULL, 0, 0, "xlfile-optional-flags;",
            "optional_flags=0x8;");
    xl_file(json, 0, NULL, 0, 0, "xlfile-no-config;", "optional_length=0;");
    xl_file(XLFILE_MANDATORY_STREAM2, 0, "a=1", 3, 0, "truncated;",
            "form=text;");
}

/* Holes -------------------------------------------------------------------- */

/* Runs of zero pages that the source knows of count as if they were read. */
static void holes_are_drawn(void **state)
{
    struct buffer b;
    struct memory_map *maps = calloc(2, sizeof(*maps));
    struct error err;
    size_t begun;

    assert_non_null(maps);
    begin_hvm(&b);
    for (uint64_t first = 0; first < 64; first += 32) {
        begun = record_begin(&b, XCREC_PAGE_DATA);
        buffer_u32(&b, 32);
        buffer_u32(&b, 0);
        for (uint64_t i = 0; i < 32; i++)
            buffer_u64(&b, frame_word(i % 8 == 7 ? FRAME_XTAB : FRAME_NOTAB,
                                      first + i));
        for (uint64_t i = 0; i < 28; i++) {
            buffer_zeroes(&b, PAGE_SIZE);
            /* A page in the middle that is not zero. */
            if (first == 0 && i == 9)
                b.bytes[b.length - 1] = 1;
        }
        record_end(&b, begun);
    }
    empty_record_append(&b, XCREC_END);
    assert_false(b.bad);
    for (int holes = 0; holes < 2; holes++) {
        const struct inspect_options options = {.page_contents = true,
                                                .map = &maps[holes]};
        struct field_sink none = fields_dropped();
        struct faulty_source f;
        struct stream_source source = source_with_faults(&f, &b, 0, holes);

        assert_ok(inspect_stream(&source, &options, &none, &err), err);
    }
    assert_memory_equal(&maps[0], &maps[1], sizeof(*maps));
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(memory_map_class(&maps[0], i),
                         i % 8 == 7 ? MEMORY_CLASSES
                         : i == 10  ? MEMORY_DATA
                                    : MEMORY_ZERO);
    free(maps);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_cannot_be_read_are_told),
        cmocka_unit_test(vcpus_are_judged_by_their_order),
        cmocka_unit_test(frames_are_judged_by_their_guest),
        cmocka_unit_test(parameters_are_judged_for_a_release),
        cmocka_unit_test(rings_are_in_memory),
        cmocka_unit_test(records_are_judged_for_a_release),
        cmocka_unit_test(parts_have_the_length_of_their_type),
        cmocka_unit_test(a_context_begins_with_its_header),
        cmocka_unit_test(emulators_are_judged),
        cmocka_unit_test(checkpoints_and_xenstore_are_judged),
        cmocka_unit_test(a_checkpoint_must_be_ended),
        cmocka_unit_test(configurations_are_judged),
        cmocka_unit_test(holes_are_drawn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
