/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Legacy images with one thing in them that is odd: what verify finds, inspect
 * explains and the converter makes of each.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"
#include "legacy_maker.h"
#include "stream/inspect.h"
#include "stream/legacy/legacy_convert.h"
#include "stream/verify.h"
#include "stream/xc/xc_wire.h"
#include "unit.h"

#define HVM (&legacy_shapes[1])
#define PV  (&legacy_shapes[5])

/* What is said ------------------------------------------------------------- */

static void note_finding(void *context, const struct finding *finding)
{
    buffer_format(context, "%s;", finding->id);
}

static void note_begin(void *context, const char *key, enum fields_kind kind)
{
}

static void note_end(void *context)
{
}

static void note_number(void *context, const char *key, uint64_t value)
{
    buffer_format(context, "%s=%" PRIu64 ";", key, value);
}

static void note_flag(void *context, const char *key, bool value)
{
    buffer_format(context, "%s=%d;", key, value);
}

static void note_text(void *context, const char *key, const char *text,
                      size_t length)
{
    buffer_format(context, "%s=%.*s;", key ? key : "", (int)length, text);
}

static const struct field_ops note_ops = {
    .begin = note_begin,
    .end = note_end,
    .number = note_number,
    .hex = note_number,
    .flag = note_flag,
    .text = note_text,
};

static void assert_part(struct buffer *text, const char *part)
{
    buffer_u8(text, '\0');
    assert_false(text->bad);
    if (!strstr((const char *)text->bytes, part))
        fail_msg("no \"%s\" in: %s", part, (const char *)text->bytes);
    buffer_release(text);
}

static struct legacy_options options_of(const struct legacy_shape *s)
{
    return (struct legacy_options){.width = s->width, .guest = s->guest};
}

/* Either may be NULL. */
static void says(const struct buffer *image, const struct legacy_shape *s,
                 const char *id, const char *part)
{
    struct buffer findings = {0}, fields = {0};
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct verify_options verify = {
        .legacy = options_of(s), .report = note_finding, .context = &findings};
    const struct inspect_options inspect = {.legacy = options_of(s)};
    struct field_sink sink = {.ops = &note_ops, .context = &fields};
    struct verify_result result;
    struct error err;

    assert_false(image->bad);
    if (id) {
        assert_ok(verify_stream(&source, &verify, &result, &err), err);
        assert_part(&findings, id);
    }
    if (part) {
        memory.at = 0;
        source = source_from_memory(&memory);
        /* What is wrong is among the fields, where it is an error as well. */
        if (!inspect_stream(&source, &inspect, &sink, NULL))
            buffer_text(&fields, "error;");
        assert_part(&fields, part);
    }
}

static bool convert(const struct buffer *image, const struct legacy_shape *s,
                    const int *scratch, bool first_only, struct error *err)
{
    struct buffer out = {0};
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink = sink_to_buffer(&out);
    struct legacy_convert_options options = {
        .image = options_of(s), .libxl = true, .scratch = scratch};
    struct legacy_convert_result result;
    bool ok;

    options.image.first_round_only = first_only;
    assert_false(image->bad);
    ok = legacy_convert(&source, &sink, &options, &result, err);
    buffer_release(&out);
    return ok;
}

/* Refused by the converter; without scratch files, and with them. */
static void no_conversion(const struct buffer *image,
                          const struct legacy_shape *s, enum error_code code,
                          const char *part)
{
    struct error err = {0};

    assert_refused(convert(image, s, NULL, false, &err), err, code, part);
    assert_false(convert(image, s, NULL, false, NULL));
}

/* Up to where one odd chunk may stand, and from there on. */
static void begin(struct buffer *b, const struct legacy_shape *s)
{
    *b = (struct buffer){0};
    legacy_put_head(b, s, 2);
    legacy_put_batch(b, s);
}

static void finish(struct buffer *b, const struct legacy_shape *s)
{
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_LAST_CHECKPOINT);
    buffer_u32(b, LEGACY_CHUNK_END);
    legacy_put_tail(b, s);
}

static void put_chunk(struct buffer *b, int32_t marker)
{
    buffer_u32(b, (uint32_t)marker);
}

/* Chunks ------------------------------------------------------------------- */

static void odd_chunks_are_told(void **state)
{
    struct buffer b;

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_TSC_INFO);
    buffer_u32(&b, 9);
    buffer_zeroes(&b, 16);
    finish(&b, HVM);
    says(&b, HVM, "xc-tsc-mode;", "mode=9;");
    says(&b, HVM, "legacy-no-vcpu-map;", NULL);
    buffer_release(&b);

    begin(&b, HVM);
    for (int i = 0; i < 2; i++) {
        put_chunk(&b, LEGACY_CHUNK_X87_FIP_WIDTH);
        buffer_u32(&b, 0);
        buffer_u64(&b, 4);
    }
    finish(&b, HVM);
    says(&b, HVM, "legacy-hvm-param-duplicate;", "param=X87_FIP_WIDTH;");
    buffer_release(&b);

    begin(&b, HVM);
    buffer_u32(&b, 1);
    legacy_put_ul(&b, HVM, 0x10000001);
    buffer_zeroes(&b, PAGE_SIZE);
    put_chunk(&b, LEGACY_CHUNK_VERIFY);
    legacy_put_batch(&b, HVM);
    finish(&b, HVM);
    says(&b, HVM, "legacy-page-hvm-type;", "type=L1TAB;");
    says(&b, HVM, "legacy-verify-mode;", NULL);
    buffer_release(&b);
}

static void put_toolstack(struct buffer *b, const char *octets, uint32_t length)
{
    put_chunk(b, LEGACY_CHUNK_TOOLSTACK);
    buffer_u32(b, length);
    buffer_bytes(b, octets, length);
}

static void the_toolstacks_data_are_told(void **state)
{
    static const char narrow[] = "\1\0\0\0\1\0\0\0"
                                 "aaaaaaaabbbbbbbbcccccccc"
                                 "\4\0\0\0"
                                 "abc\0";
    struct buffer b;
    struct error err;

    begin(&b, HVM);
    put_toolstack(&b, narrow, sizeof(narrow) - 1);
    finish(&b, HVM);
    says(&b, HVM, "legacy-toolstack-layout;", "layout_bits=32;");
    assert_ok(convert(&b, HVM, NULL, false, &err), err);
    buffer_release(&b);

    begin(&b, HVM);
    put_toolstack(&b, "\2\0\0\0\0\0\0\0", 8);
    finish(&b, HVM);
    says(&b, HVM, "legacy-toolstack;", "problem=");
    no_conversion(&b, HVM, ERR_FORMAT, "TOOLSTACK");
    buffer_release(&b);

    begin(&b, HVM);
    put_toolstack(&b, "", 0);
    finish(&b, HVM);
    says(&b, HVM, "legacy-image;", "length=0;");
    assert_ok(convert(&b, HVM, NULL, false, &err), err);
    buffer_release(&b);

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_TOOLSTACK);
    says(&b, HVM, "truncated;", "error;");
    no_conversion(&b, HVM, ERR_TRUNCATED, "TOOLSTACK");
    buffer_u32(&b, UINT32_MAX);
    no_conversion(&b, HVM, ERR_FORMAT, "TOOLSTACK: length");
    buffer_release(&b);
}

static void compressed_pages_are_told(void **state)
{
    struct buffer b;

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_COMPRESSED_DATA);
    no_conversion(&b, HVM, ERR_FORMAT, "before ENABLE_COMPRESSION");
    buffer_release(&b);

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_ENABLE_COMPRESSION);
    put_chunk(&b, LEGACY_CHUNK_COMPRESSED_DATA);
    no_conversion(&b, HVM, ERR_TRUNCATED, "COMPRESSED_DATA");
    legacy_put_ul(&b, HVM, UINT64_MAX);
    no_conversion(&b, HVM, ERR_FORMAT, "less than a guest's memory");
    buffer_release(&b);

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_ENABLE_COMPRESSION);
    put_chunk(&b, LEGACY_CHUNK_COMPRESSED_DATA);
    legacy_put_ul(&b, HVM, 0);
    finish(&b, HVM);
    says(&b, HVM, "legacy-compressed;", NULL);
    no_conversion(&b, HVM, ERR_UNSUPPORTED, "another checkpoint");
    buffer_release(&b);

    begin(&b, HVM);
    put_chunk(&b, LEGACY_CHUNK_ENABLE_COMPRESSION);
    buffer_u32(&b, 1);
    legacy_put_ul(&b, HVM, 0);
    finish(&b, HVM);
    no_conversion(&b, HVM, ERR_FORMAT, "after ENABLE_COMPRESSION in its round");
    buffer_release(&b);
}

/* PV heads and tails ------------------------------------------------------- */

/* Extended info: the guest's width, and one more block. */
static void put_info(struct buffer *b, const char *id, const void *octets,
                     uint32_t length)
{
    *b = (struct buffer){0};
    legacy_put_ul(b, PV, 2);
    legacy_put_ul(b, PV, UINT64_MAX);
    buffer_u32(b, 8 + XCSTREAM_VCPU_BASIC_64 + 8 + length);
    buffer_text(b, "vcpu");
    buffer_u32(b, XCSTREAM_VCPU_BASIC_64);
    buffer_zeroes(b, XCSTREAM_VCPU_BASIC_64);
    buffer_text(b, id);
    buffer_u32(b, length);
    buffer_bytes(b, octets, length);
    legacy_put_ul(b, PV, 0);
}

static void extended_info_is_told(void **state)
{
    static const uint8_t sizes[][4] = {
        {15, 0, 0, 0   },
        {17, 0, 0, 0x7f}
    };
    static const uint8_t none[4];
    struct buffer b;
    struct error err;

    put_info(&b, "xcnt", none, 3);
    no_conversion(&b, PV, ERR_FORMAT, "\"xcnt\" block length");
    buffer_release(&b);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        put_info(&b, "xcnt", sizes[i], 4);
        no_conversion(&b, PV, ERR_FORMAT, "XSAVE size");
        buffer_release(&b);
    }
    /* No XSAVE area is legal. */
    for (int i = 0; i < 2; i++) {
        put_info(&b, i ? "what" : "xcnt", none, 4);
        put_chunk(&b, LEGACY_CHUNK_LAST_CHECKPOINT);
        put_chunk(&b, LEGACY_CHUNK_END);
        buffer_u32(&b, 0);
        buffer_zeroes(&b, XCSTREAM_VCPU_BASIC_64 + PAGE_SIZE);
        says(&b, PV, i ? "legacy-extended-info-block;" : "legacy-image;",
             i ? "unknown_blocks=1;" : "extended_vcpu_state=0;");
        assert_ok(convert(&b, PV, NULL, false, &err), err);
        buffer_release(&b);
    }
}

/* As Xen 3.1 wrote them. */
static void an_image_without_extended_info_is_taken(void **state)
{
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        const struct legacy_shape *s = &legacy_shapes[i];
        struct buffer b = {0};
        struct error err;

        if (s->guest != LEGACY_GUEST_PV || s->width != s->guest_width)
            continue;
        legacy_put_ul(&b, s, 2);
        legacy_put_ul(&b, s, 1);
        legacy_put_batch(&b, s);
        put_chunk(&b, LEGACY_CHUNK_END);
        buffer_u32(&b, 0);
        buffer_zeroes(&b, legacy_context_size(s) + PAGE_SIZE);
        says(&b, s, "legacy-no-extended-info;", "remark=no extended info");
        says(&b, s, NULL, "Xen 3.1 or earlier;");
        assert_ok(convert(&b, s, NULL, false, &err), err);
        assert_ok(convert(&b, s, NULL, true, &err), err);
        buffer_release(&b);
    }
}

static void the_p2m_is_told(void **state)
{
    struct buffer b = {0};

    legacy_put_head(&b, PV, 1024);
    legacy_put_ul(&b, PV, 0);
    says(&b, PV, "legacy-p2m-duplicate;", "nr_frames=2;");
    b.length -= 8;
    legacy_put_ul(&b, PV, 1024);
    no_conversion(&b, PV, ERR_FORMAT, "P2M frame list: frame");
    buffer_release(&b);
}

static void tails_are_told(void **state)
{
    const uint32_t context = XCSTREAM_VCPU_BASIC_64 + 128;
    struct buffer b;

    begin(&b, PV);
    put_chunk(&b, LEGACY_CHUNK_END);
    buffer_u32(&b, LEGACY_P2M_MAX + 1);
    no_conversion(&b, PV, ERR_FORMAT, "unmapped frames");
    buffer_release(&b);

    begin(&b, PV);
    put_chunk(&b, LEGACY_CHUNK_END);
    buffer_u32(&b, 0);
    buffer_zeroes(&b, context);
    buffer_u64(&b, 3);
    buffer_u64(&b, LEGACY_XSAVE_LENGTH + 1);
    no_conversion(&b, PV, ERR_FORMAT, "vCPU XSAVE: size");
    buffer_release(&b);

    /* Only vCPU 1 is online. */
    begin(&b, PV);
    put_chunk(&b, LEGACY_CHUNK_VCPU_INFO);
    buffer_u32(&b, 1);
    buffer_u64(&b, 2);
    finish(&b, PV);
    says(&b, PV, "legacy-vcpu0-missing;", NULL);
    buffer_release(&b);
}

/* HVM tails ---------------------------------------------------------------- */

static void put_model(struct buffer *b, const char *signature)
{
    begin(b, HVM);
    put_chunk(b, LEGACY_CHUNK_LAST_CHECKPOINT);
    put_chunk(b, LEGACY_CHUNK_END);
    buffer_zeroes(b, 24);
    buffer_u32(b, 5);
    buffer_text(b, "state");
    buffer_text(b, signature);
}

static void scratch_open(int *scratch)
{
    for (size_t i = 0; i < SCRATCH_MAX; i++) {
        scratch[i] = memfd_create("scratch", MFD_CLOEXEC);
        assert_true(scratch[i] >= 0);
    }
}

static void scratch_close(const int *scratch)
{
    for (size_t i = 0; i < SCRATCH_MAX; i++)
        close(scratch[i]);
}

static void device_models_are_told(void **state)
{
    int scratch[SCRATCH_MAX];
    struct buffer b;
    struct error err = {0};

    put_model(&b, LEGACY_QEMU_0002);
    buffer_u32(&b, 4);
    buffer_text(&b, "qevm");
    says(&b, HVM, "legacy-device-model-state;", "starts_with=qevm;");
    buffer_release(&b);
    put_model(&b, LEGACY_QEMU_0002);
    buffer_u32(&b, 2);
    buffer_text(&b, "QE");
    says(&b, HVM, "legacy-device-model-state;", "starts_with=QE;");
    buffer_release(&b);
    put_model(&b, LEGACY_QEMU_REMUS);
    buffer_u32(&b, 4);
    buffer_text(&b, "QEVM");
    says(&b, HVM, "legacy-device-model-signature;", "starts_with=QEVM;");
    buffer_release(&b);

    /* Too long for a record, and for memory where rounds may follow. */
    put_model(&b, LEGACY_QEMU_0002);
    buffer_u32(&b, UINT32_MAX);
    no_conversion(&b, HVM, ERR_LIMIT, "fit a record");
    scratch_open(scratch);
    assert_refused(convert(&b, HVM, scratch, false, &err), err, ERR_LIMIT,
                   "where another round may follow");
    scratch_close(scratch);
    buffer_release(&b);

    /* To the end, and too long. */
    put_model(&b, LEGACY_QEMU_OLD);
    buffer_text(&b, "QEVM and the rest");
    says(&b, HVM, "legacy-device-model-signature;", "length=17;");
    assert_ok(convert(&b, HVM, NULL, false, &err), err);
    b.cap = (size_t)64 << 20;
    buffer_zeroes(&b, (size_t)24 << 20);
    no_conversion(&b, HVM, ERR_LIMIT, "device model: more than");
    buffer_release(&b);
}

/* Each read of an image with a device model to its end fails once. */
static void a_device_model_that_breaks_off_is_told(void **state)
{
    struct buffer b;

    put_model(&b, LEGACY_QEMU_OLD);
    buffer_text(&b, "QEVM");
    buffer_zeroes(&b, 3 * PAGE_SIZE);
    for (int what = 0; what < 3; what++) {
        bool failed = true;

        for (unsigned long n = 0; failed; n++) {
            struct faulty_source f;
            struct stream_source source = source_with_faults(&f, &b, 0, false);
            const struct verify_options verify = {.legacy = options_of(HVM),
                                                  .report = note_finding};
            const struct inspect_options inspect = {.legacy = options_of(HVM)};
            const struct legacy_convert_options options = {
                .image = options_of(HVM), .libxl = true};
            struct field_sink none = fields_dropped();
            struct buffer text = {0};
            struct verify_options with = verify;
            struct stream_sink sink = sink_to_buffer(&text);
            struct legacy_convert_result converted;
            struct verify_result result;
            struct error err = {0};
            bool ok;

            with.context = &text;
            fault_arm(FAULT_READ, n);
            ok = what == 0   ? verify_stream(&source, &with, &result, &err)
                 : what == 1 ? inspect_stream(&source, &inspect, &none, &err)
                             : legacy_convert(&source, &sink, &options,
                                              &converted, &err);
            failed = fault_disarm();
            assert_int_equal(ok, !failed);
            if (failed)
                assert_int_equal(err.code, fault_code(FAULT_READ));
            buffer_release(&text);
        }
    }
    buffer_release(&b);
}

static void a_single_round_goes_through_scratch_files(void **state)
{
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        int scratch[SCRATCH_MAX];
        struct buffer b = {0};
        struct error err;

        legacy_put_image(&b, &legacy_shapes[i]);
        scratch_open(scratch);
        assert_ok(convert(&b, &legacy_shapes[i], scratch, false, &err), err);
        scratch_close(scratch);
        buffer_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_chunks_are_told),
        cmocka_unit_test(the_toolstacks_data_are_told),
        cmocka_unit_test(compressed_pages_are_told),
        cmocka_unit_test(extended_info_is_told),
        cmocka_unit_test(an_image_without_extended_info_is_taken),
        cmocka_unit_test(the_p2m_is_told),
        cmocka_unit_test(tails_are_told),
        cmocka_unit_test(device_models_are_told),
        cmocka_unit_test(a_device_model_that_breaks_off_is_told),
        cmocka_unit_test(a_single_round_goes_through_scratch_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
