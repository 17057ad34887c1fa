/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each kind of bad input by name: verify has a finding with its place, what was
 * found and what was expected; inspect ends; neither crashes.
 *
 * Elsewhere: every truncation of every record (test-record, test-verify and the
 * tests of the codecs), the cap on memory (test-stream-memory); and all of it
 * through each command, with pipes that stall or never end
 * (tests/image/bad_input.py).
 */
#include "image_maker.h"
#include "stream/inspect.h"
#include "stream/record.h"
#include "stream/verify.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_wire.h"
#include "unit.h"

struct seen {
    unsigned int nr;
    bool refused;
    uint64_t first_offset;
};

static void see(void *context, const struct finding *finding)
{
    struct seen *seen = context;

    assert_non_null(finding->id);
    assert_true(strlen(finding->explanation) > 0);
    assert_non_null(finding->found);
    assert_non_null(finding->where);
    if (seen->nr++ == 0)
        seen->first_offset = finding->offset;
    seen->refused |= finding->refused;
}

static struct seen judge(const uint8_t *bytes, size_t length)
{
    /* Not an octet to spare. */
    uint8_t *copy = malloc(length ? length : 1);
    struct memory_source memory = {copy, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct seen seen = {0};
    const struct verify_options verify = {.report = see, .context = &seen};
    const struct inspect_options inspect = {.page_contents = true};
    struct field_sink sink = fields_dropped();
    struct verify_result result;
    struct error err;

    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    assert_ok(verify_stream(&source, &verify, &result, &err), err);
    memory.at = 0;
    source = source_from_memory(&memory);
    if (!inspect_stream(&source, &inspect, &sink, &err))
        assert_true(err.code != ERR_NONE && err.text[0] != '\0');
    free(copy);
    return seen;
}

static void assert_bad(const uint8_t *bytes, size_t length)
{
    struct seen seen = judge(bytes, length);

    assert_true(seen.nr > 0);
    assert_true(seen.refused);
    assert_true(seen.first_offset <= length);
}

/* Headers of an HVM image; what is appended begins with its records. */
static void begin_image(struct buffer *b)
{
    const struct image_options options = {.layer = IMAGE_LIBXC, .version = 2};
    struct error err;

    *b = (struct buffer){0};
    assert_ok(image_make(&options, b, &err), err);
    b->length = XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE;
}

static void assert_bad_record(uint32_t type, const void *body, uint32_t length,
                              uint32_t claimed)
{
    struct buffer b;
    size_t at;

    begin_image(&b);
    at = b.length;
    record_append(&b, type, body, length);
    buffer_patch_u32(&b, at + 4, claimed);
    record_append(&b, XCREC_END, NULL, 0);
    assert_false(b.bad);
    assert_bad(b.bytes, b.length);
    buffer_release(&b);
}

static void empty(void **state)
{
    assert_bad(NULL, 0);
}

static void one_octet(void **state)
{
    for (unsigned int i = 0; i < 256; i++)
        assert_bad(&(uint8_t){(uint8_t)i}, 1);
}

static void wrong_magic(void **state)
{
    struct buffer b;

    for (size_t at = 0; at < 12; at++) {
        const struct image_options options = {.version = 3};
        struct error err;

        b = (struct buffer){0};
        assert_ok(image_make(&options, &b, &err), err);
        b.bytes[at] ^= 0x20;
        assert_bad(b.bytes, b.length);
        buffer_release(&b);
    }
}

static void counts_at_the_limits_of_their_types(void **state)
{
    static const uint32_t counts[] = {0, 0x7fffffff, 0x80000000, 0xfffffffe,
                                      0xffffffff};

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        uint32_t body[6] = {counts[i], 0};

        assert_bad_record(XCREC_PAGE_DATA, body, sizeof(body), sizeof(body));
        /* No parameters at all is what old releases wrote. */
        if (counts[i] != 0)
            assert_bad_record(XCREC_HVM_PARAMS, body, sizeof(body),
                              sizeof(body));
        body[1] = counts[i];
        body[0] = 1;
        assert_bad_record(XCREC_X86_PV_P2M_FRAMES, body, sizeof(body),
                          sizeof(body));
    }
}

static void lengths_at_the_limits_of_their_types(void **state)
{
    static const uint32_t lengths[] = {0x7fffffff, 0x80000000, 0xfffffff8,
                                       0xfffffff9, 0xffffffff};
    const uint64_t body[2] = {1, 0};

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        assert_bad_record(XCREC_PAGE_DATA, body, sizeof(body), lengths[i]);
        assert_bad_record(XCREC_HVM_CONTEXT, body, sizeof(body), lengths[i]);
        assert_bad_record(0x80000123, body, sizeof(body), lengths[i]);
    }
}

/* One page of each frame, whatever their words say. */
static void page_data(struct buffer *b, const uint64_t *words, uint32_t nr)
{
    size_t begun = record_begin(b, XCREC_PAGE_DATA);

    buffer_u32(b, nr);
    buffer_u32(b, 0);
    for (uint32_t i = 0; i < nr; i++)
        buffer_u64(b, words[i]);
    buffer_zeroes(b, nr * PAGE_SIZE);
    record_end(b, begun);
}

static void overlapping_and_duplicate_pfns(void **state)
{
    const uint64_t twice[] = {5, 6, 5};
    const uint64_t overlap[] = {6, 7};
    struct buffer b;

    begin_image(&b);
    page_data(&b, twice, 3);
    page_data(&b, overlap, 2);
    record_append(&b, XCREC_END, NULL, 0);
    assert_false(b.bad);
    assert_true(judge(b.bytes, b.length).nr > 0);
    buffer_release(&b);
}

static void pfns_beyond_2_to_the_52(void **state)
{
    for (unsigned int bit = 52; bit < 60; bit++) {
        const uint64_t word = UINT64_C(1) << bit | 5;
        struct buffer b;
        struct seen seen;

        begin_image(&b);
        page_data(&b, &word, 1);
        record_append(&b, XCREC_END, NULL, 0);
        seen = judge(b.bytes, b.length);
        assert_true(seen.nr > 0);
        buffer_release(&b);
    }
}

static void endless_optional_records(void **state)
{
    struct buffer b;
    struct seen seen;

    begin_image(&b);
    for (unsigned int i = 0; i < 200000; i++)
        record_append(&b, 0x80000000u | (i + 0x1000), NULL, 0);
    assert_false(b.bad);
    seen = judge(b.bytes, b.length);
    assert_true(seen.refused); /* it has no END */
    /* What is repeated is told only so often. */
    assert_true(seen.nr < 1000);
    buffer_release(&b);
}

static void nested_garbage_in_libxl(void **state)
{
    const struct image_options options = {.layer = IMAGE_LIBXL, .version = 3};
    static const uint8_t patterns[] = {0x00, 0xff, 0xa5};
    struct error err;

    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
        struct buffer b = {0};

        assert_ok(image_make(&options, &b, &err), err);
        /* Behind the libxl header and LIBXC_CONTEXT. */
        memset(b.bytes + 24, patterns[i], 64);
        assert_bad(b.bytes, b.length);
        buffer_release(&b);
    }
}

static void padding_that_is_not_zero(void **state)
{
    struct buffer b;
    uint8_t *padding;

    begin_image(&b);
    record_append(&b, 0x80000123, "abc", 3);
    padding = b.bytes + b.length - 5;
    for (unsigned int i = 0; i < 5; i++) {
        memset(padding, 0, 5);
        padding[i] = 1;
        assert_true(judge(b.bytes, b.length).nr > 0);
    }
    buffer_release(&b);
}

static void big_endian_flag_on_little_endian_data(void **state)
{
    static const enum made_layer layers[] = {IMAGE_LIBXC, IMAGE_LIBXL};

    for (size_t i = 0; i < ARRAY_SIZE(layers); i++) {
        const struct image_options options = {.layer = layers[i], .version = 3};
        struct buffer b = {0};
        struct error err;

        assert_ok(image_make(&options, &b, &err), err);
        /* libxc: options, big-endian u16 at 16; libxl: u32 at 12. */
        b.bytes[i == 0 ? 17 : 15] ^= 1;
        assert_bad(b.bytes, b.length);
        buffer_release(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(one_octet),
        cmocka_unit_test(wrong_magic),
        cmocka_unit_test(counts_at_the_limits_of_their_types),
        cmocka_unit_test(lengths_at_the_limits_of_their_types),
        cmocka_unit_test(overlapping_and_duplicate_pfns),
        cmocka_unit_test(pfns_beyond_2_to_the_52),
        cmocka_unit_test(endless_optional_records),
        cmocka_unit_test(nested_garbage_in_libxl),
        cmocka_unit_test(padding_that_is_not_zero),
        cmocka_unit_test(big_endian_flag_on_little_endian_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
