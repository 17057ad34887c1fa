/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image_maker.h"
#include "stream/inspect.h"
#include "unit.h"

/* Fields as "key=value;", nesting as "key{" and "}". */
static void flat_begin(void *context, const char *key, enum fields_kind kind)
{
    buffer_format(context, "%s%c", key ? key : "",
                  kind == FIELDS_LIST ? '[' : '{');
}

static void flat_end(void *context)
{
    buffer_text(context, "}");
}

static void flat_number(void *context, const char *key, uint64_t value)
{
    buffer_format(context, "%s=%" PRIu64 ";", key, value);
}

static void flat_hex(void *context, const char *key, uint64_t value)
{
    buffer_format(context, "%s=%#" PRIx64 ";", key, value);
}

static void flat_flag(void *context, const char *key, bool value)
{
    buffer_format(context, "%s=%s;", key, value ? "yes" : "no");
}

static void flat_text(void *context, const char *key, const char *text,
                      size_t length)
{
    buffer_format(context, "%s=%.*s;", key ? key : "", (int)length, text);
}

static const struct field_ops flat_ops = {
    .begin = flat_begin,
    .end = flat_end,
    .number = flat_number,
    .hex = flat_hex,
    .flag = flat_flag,
    .text = flat_text,
};

static const char *inspect_bytes(const uint8_t *bytes, size_t length,
                                 struct buffer *out, bool expected_ok)
{
    struct memory_source memory = {bytes, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    struct field_sink sink = {.ops = &flat_ops, .context = out};
    struct error err = {0};
    bool ok;

    buffer_reset(out);
    ok = inspect_stream(&source, &options, &sink, &err);
    if (ok != expected_ok)
        fail_msg("%s", err.text);
    buffer_u8(out, '\0');
    assert_false(out->bad);
    return (const char *)out->bytes;
}

static void assert_explains(const struct image_options *options,
                            const char *const *parts)
{
    struct buffer image = {0};
    struct buffer out = {0};
    const char *text;
    struct error err;

    assert_ok(image_make(options, &image, &err), err);
    text = inspect_bytes(image.bytes, image.length, &out, true);
    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("no \"%s\" in: %s", *parts, text);
    buffer_release(&image);
    buffer_release(&out);
}

static void inspect_explains_an_hvm_image(void **state)
{
    const struct image_options options = {.layer = IMAGE_XL,
                                          .version = 3,
                                          .emulator = true,
                                          .physmap = true,
                                          .nr_vcpus = 2,
                                          .nr_frames = 100};

    assert_explains(&options, (const char *const[]){
                                  "name=file header;",
                                  "form=JSON;",
                                  "text={\"c_info\"",
                                  "type=2 (x86 HVM);",
                                  "writer=Xen 4.17;",
                                  "leaf=0x7;subleaf=0;eax=0;ebx=0x209;",
                                  "index=0xce;flags=0;",
                                  "first=0;last=0x6;type=NOTAB;",
                                  "type=XTAB;",
                                  "type=BROKEN;",
                                  "khz=2500000;",
                                  "part=CPU;type=2;instance=1;",
                                  "rip=0;",
                                  "part=MTRR;",
                                  "param=STORE_PFN;value=0xfefff;",
                                  "key=physmap/f0000000/size;value=800000;",
                                  "starts_with=QEVM;",
                                  "vcpus=2;",
                                  "written_by=Xen 4.14 or later;",
                                  "zero_pages=",
                                  NULL});
}

static void inspect_explains_a_pv_image(void **state)
{
    const struct image_options options = {.guest = IMAGE_PV32,
                                          .version = 2,
                                          .nr_frames = 3000,
                                          .order = ORDER_BIG};

    assert_explains(&options,
                    (const char *const[]){
                        "byte_order=big-endian;",
                        "guest_width=4;page_table_levels=3;",
                        "first_pfn=0;last_pfn=0xbb7;nr_frames=3;",
                        "index=0;first=0;last=0x2;", "type=L2TAB|PIN;",
                        "eip=0;", "vmce_caps=0;", "xcr0=0;",
                        "index=0x800000c0;", "event_channels_pending=0;",
                        "guest_bits=32;", "written_by=Xen 4.6 to 4.13;", NULL});
}

static void inspect_counts(void **state)
{
    const struct image_options options = {.version = 2, .nr_frames = 8};

    /* 8 frames: 7 is a hole; 0 and 4 are zero pages. */
    assert_explains(&options, (const char *const[]){
                                  "count=8;pages=7;zero_pages=2;", "summary{",
                                  "pages=7;", "distinct_frames=8;",
                                  "repeated_frames=0;", "passes=1;", NULL});
}

static void inspect_tells_as_far_as_it_can(void **state)
{
    const struct image_options options = {.version = 3, .nr_frames = 3};
    struct buffer image = {0};
    struct buffer out = {0};
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    for (size_t length = 0; length < image.length; length++) {
        const char *text = inspect_bytes(image.bytes, length, &out, false);

        assert_non_null(strstr(text, "summary{"));
        assert_non_null(strstr(text, "error{code=truncated;"));
    }
    buffer_release(&image);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspect_explains_an_hvm_image),
        cmocka_unit_test(inspect_explains_a_pv_image),
        cmocka_unit_test(inspect_counts),
        cmocka_unit_test(inspect_tells_as_far_as_it_can),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
