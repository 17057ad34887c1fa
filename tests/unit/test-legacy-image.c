/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/legacy/legacy_image.h"

#include <sys/mman.h>

#include "legacy_maker.h"
#include "stream/legacy/legacy_compress.h"
#include "stream/legacy/legacy_convert.h"
#include "stream/legacy/legacy_toolstack.h"
#include "stream/xc/xc_wire.h"
#include "stream/xc/xc_x86_hvm.h"
#include "unit.h"

static bool convert(const struct buffer *image, size_t length,
                    const struct legacy_shape *s, const int *scratch,
                    struct buffer *out, struct error *err)
{
    /* To the octet, so that the sanitizers see a read past the end. */
    uint8_t *copy = malloc(length + 1);
    struct memory_source memory = {.bytes = copy, .length = length};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink = sink_to_buffer(out);
    const struct legacy_convert_options options = {
        .image = {.width = s->width, .guest = s->guest},
        .libxl = true,
        .scratch = scratch,
    };
    struct legacy_convert_result result;
    bool ok;

    assert_non_null(copy);
    memcpy(copy, image->bytes, length);
    ok = legacy_convert(&source, &sink, &options, &result, err);
    free(copy);
    return ok;
}

/* The image must be refused with this code, and a text with 'part'. */
static void assert_image_refused(const struct buffer *image,
                                 const struct legacy_shape *s,
                                 enum error_code code, const char *part)
{
    struct buffer out = {0};
    struct error err = {0};

    assert_refused(convert(image, image->length, s, NULL, &out, &err), err,
                   code, part);
    buffer_release(&out);
}

static void patch_u32(struct buffer *b, size_t offset, uint32_t value)
{
    buffer_patch_u32(b, offset, value);
}

/* Tests -------------------------------------------------------------------- */

static void detects_width_and_guest(void **state)
{
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        struct buffer b = {0};
        struct legacy_options options = {0};

        legacy_put_image(&b, &legacy_shapes[i]);
        assert_true(legacy_detect(b.bytes, LEGACY_DETECT_SIZE, &options));
        assert_int_equal(options.width, legacy_shapes[i].width);
        assert_int_equal(options.guest, legacy_shapes[i].guest);
        options = (struct legacy_options){0};
        assert_false(legacy_detect(b.bytes, 7, &options));
        buffer_release(&b);
    }
}

static void detects_no_other_octets(void **state)
{
    static const uint8_t none[][16] = {
        {0    },
        {     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        { 1, 0, 0, 0, 1, 4, 0, 0}, /* a batch of 1025 */
        {        1,           0,              0, 0, 0xea, 0xff, 0xff, 0xff}, /* chunk -22 */
        {       1,          0,             0, 0x10}, /* 2^28 + 1 frames */
    };

    for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
        struct legacy_options options = {0};

        assert_false(legacy_detect(none[i], 16, &options));
    }
}

static void gives_items_in_the_order_of_the_image(void **state)
{
    static const enum legacy_item_kind wanted[] = {
        LEGACY_START,        LEGACY_PAGES,      LEGACY_TSC,
        LEGACY_VCPUS,        LEGACY_PARAM,      LEGACY_LAST_CHECKPOINT,
        LEGACY_CHUNKS_END,   LEGACY_MAGIC_PFNS, LEGACY_HVM_CONTEXT,
        LEGACY_DEVICE_MODEL, LEGACY_ROUND_END,  LEGACY_END,
        LEGACY_END,
    };
    const struct legacy_shape *s = &legacy_shapes[1];
    struct buffer b = {0};
    struct memory_source memory;
    struct stream_source source;
    struct legacy_reader *r = malloc(sizeof(*r));
    struct legacy_item item;
    struct error err = {0};

    legacy_put_image(&b, s);
    memory = (struct memory_source){.bytes = b.bytes, .length = b.length};
    source = source_from_memory(&memory);
    assert_non_null(r);
    legacy_reader_init(
        r, &source,
        &(struct legacy_options){.width = s->width, .guest = s->guest});
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        assert_ok(legacy_reader_next(r, &item, &err), err);
        assert_string_equal(legacy_item_name(item.kind),
                            legacy_item_name(wanted[i]));
        if (item.kind == LEGACY_PAGES) {
            assert_int_equal(item.frames.nr_frames, 2);
            assert_int_equal(item.frames.nr_pages, 1);
            assert_int_equal(item.frames.nr_fillers, 1);
        }
        if (item.kind == LEGACY_PARAM) {
            assert_int_equal(item.param.index, HVM_PARAM_INDEX_X87_FIP_WIDTH);
            assert_int_equal(item.param.value, 4);
        }
    }
    assert_int_equal(source.offset, b.length);
    legacy_reader_release(r);
    free(r);
    buffer_release(&b);
}

static void converts_every_shape(void **state)
{
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        struct buffer image = {0}, out = {0};
        struct error err = {0};

        legacy_put_image(&image, &legacy_shapes[i]);
        assert_ok(
            convert(&image, image.length, &legacy_shapes[i], NULL, &out, &err),
            err);
        buffer_release(&image);
        buffer_release(&out);
    }
}

/* Whether the reader comes to the end of so many octets. */
static bool read_all(struct legacy_reader *r, const struct legacy_shape *s,
                     const uint8_t *bytes, size_t length, struct error *err)
{
    struct memory_source memory = {.bytes = bytes, .length = length};
    struct stream_source source = source_from_memory(&memory);
    struct legacy_item item = {0};
    bool ok = true;

    legacy_reader_init(
        r, &source,
        &(struct legacy_options){.width = s->width, .guest = s->guest});
    while (ok && item.kind != LEGACY_END)
        ok = legacy_reader_next(r, &item, err);
    legacy_reader_release(r);
    return ok;
}

static void refuses_every_truncation(void **state)
{
    struct legacy_reader *r = malloc(sizeof(*r));

    assert_non_null(r);
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        struct buffer image = {0};
        struct error err = {0};

        legacy_put_image(&image, &legacy_shapes[i]);
        assert_ok(
            read_all(r, &legacy_shapes[i], image.bytes, image.length, &err),
            err);
        for (size_t length = 0; length < image.length; length++) {
            uint8_t *exact = malloc(length + 1);

            assert_non_null(exact);
            memcpy(exact, image.bytes, length);
            if (read_all(r, &legacy_shapes[i], exact, length, &err))
                fail_msg("shape %zu: %zu of %zu octets were accepted", i,
                         length, image.length);
            assert_int_equal(err.code, ERR_TRUNCATED);
            free(exact);
        }
        buffer_release(&image);
    }
    free(r);
}

/* The converter has contents of its own to read: not each length, but many. */
static void converts_no_truncation(void **state)
{
    for (size_t i = 0; i < LEGACY_SHAPES; i++) {
        struct buffer image = {0}, out = {0};

        legacy_put_image(&image, &legacy_shapes[i]);
        for (size_t length = 0; length < image.length; length += 97) {
            struct error err = {0};

            buffer_reset(&out);
            assert_false(
                convert(&image, length, &legacy_shapes[i], NULL, &out, &err));
            assert_int_equal(err.code, ERR_TRUNCATED);
        }
        buffer_release(&image);
        buffer_release(&out);
    }
}

static void refuses_sizes_of_no_guest(void **state)
{
    static const uint32_t sizes[] = {0, LEGACY_P2M_MAX + 1, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct buffer b = {0};

        legacy_put_head(&b, &legacy_shapes[0], sizes[i]);
        legacy_put_chunks(&b, &legacy_shapes[0]);
        assert_image_refused(&b, &legacy_shapes[0], ERR_FORMAT, "p2m_size");
        buffer_release(&b);
    }
}

/* What a 64-bit host once read from a 32-bit one's stream. */
static void refuses_an_image_of_the_other_width(void **state)
{
    struct buffer b = {0};

    legacy_put_image(&b, &legacy_shapes[2]);
    assert_image_refused(&b, &legacy_shapes[5], ERR_FORMAT, "width");
    buffer_release(&b);
}

static void refuses_frame_words(void **state)
{
    static const struct {
        uint32_t word;
        const char *part;
    } words[] = {
        {0x50000001, "frame word"}, /* no such type */
        {0x80000001, "frame word"},
        {0x00000002, "pfn"       }, /* p2m_size is 2 */
        {0xf0000002, "pfn"       },
        {0x00000000, "twice"     },
    };

    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        struct buffer b = {0};

        legacy_put_image(&b, &legacy_shapes[0]);
        patch_u32(&b, 4 + 4 + 8, words[i].word);
        assert_image_refused(&b, &legacy_shapes[0], ERR_FORMAT, words[i].part);
        buffer_release(&b);
    }
}

static void refuses_markers(void **state)
{
    static const struct {
        uint32_t marker;
        const char *part;
    } markers[] = {
        {LEGACY_BATCH_MAX + 1,                   "at most 1024"      },
        {INT32_MAX,                              "at most 1024"      },
        {(uint32_t)-22,                          "marker -22"        },
        {(uint32_t)INT32_MIN,                    "marker"            },
        {(uint32_t)LEGACY_CHUNK_COMPRESSED_DATA, "ENABLE_COMPRESSION"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
        struct buffer b = {0};

        legacy_put_image(&b, &legacy_shapes[0]);
        patch_u32(&b, 4, markers[i].marker);
        assert_image_refused(&b, &legacy_shapes[0], ERR_FORMAT,
                             markers[i].part);
        buffer_release(&b);
    }
}

static void refuses_an_hvm_chunk_in_a_pv_image(void **state)
{
    struct buffer b = {0};

    legacy_put_head(&b, &legacy_shapes[5], 2);
    buffer_u32(&b, (uint32_t)LEGACY_CHUNK_CONSOLE_PFN);
    buffer_zeroes(&b, 12);
    assert_image_refused(&b, &legacy_shapes[5], ERR_FORMAT, "CONSOLE_PFN");
    buffer_release(&b);
}

static void refuses_lengths_beyond_reason(void **state)
{
    static const struct {
        int32_t marker;
        uint32_t length;
        const char *part;
    } chunks[] = {
        {LEGACY_CHUNK_VCPU_INFO, 4096,       "highest vCPU"},
        {LEGACY_CHUNK_VCPU_INFO, UINT32_MAX, "highest vCPU"},
        {LEGACY_CHUNK_TOOLSTACK, UINT32_MAX, "TOOLSTACK"   },
    };

    for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
        struct buffer b = {0};

        legacy_put_head(&b, &legacy_shapes[0], 2);
        buffer_u32(&b, (uint32_t)chunks[i].marker);
        buffer_u32(&b, chunks[i].length);
        assert_image_refused(&b, &legacy_shapes[0], ERR_FORMAT, chunks[i].part);
        buffer_release(&b);
    }
}

static void refuses_hvm_context_lengths(void **state)
{
    static const uint32_t lengths[] = {0, (UINT32_C(8) << 20) + 1, UINT32_MAX};

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        struct buffer b = {0};

        legacy_put_head(&b, &legacy_shapes[1], 2);
        legacy_put_chunks(&b, &legacy_shapes[1]);
        buffer_zeroes(&b, 24);
        buffer_u32(&b, lengths[i]);
        assert_image_refused(&b, &legacy_shapes[1], ERR_FORMAT, "HVM context");
        buffer_release(&b);
    }
}

static void refuses_extended_info(void **state)
{
    static const struct {
        size_t offset;
        uint32_t value;
        const char *part;
    } wrong[] = {
        {8,  UINT32_MAX,   NULL                  }, /* its blocks do not add up */
        {8,  8 + 2800 + 3, NULL                  }, /* ends within a block's head */
        {12, 0x75706363,   NULL                  }, /* no "vcpu" */
        {16, 2799,         "vCPU context size"   },
        {16, UINT32_MAX,   "extended info length"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct buffer b = {0};
        struct buffer out = {0};
        struct error err = {0};

        legacy_put_image(&b, &legacy_shapes[2]);
        patch_u32(&b, wrong[i].offset, wrong[i].value);
        if (wrong[i].part)
            assert_image_refused(&b, &legacy_shapes[2], ERR_FORMAT,
                                 wrong[i].part);
        else
            assert_false(
                convert(&b, b.length, &legacy_shapes[2], NULL, &out, &err));
        buffer_release(&b);
        buffer_release(&out);
    }
}

static void refuses_an_unknown_device_model(void **state)
{
    struct buffer b = {0};

    legacy_put_image(&b, &legacy_shapes[0]);
    b.bytes[b.length - 9] = '3';
    assert_image_refused(&b, &legacy_shapes[0], ERR_FORMAT, "signature");
    buffer_release(&b);
}

static void wants_scratch_files_for_a_second_round(void **state)
{
    const struct legacy_shape *s = &legacy_shapes[1];
    struct buffer b = {0}, out = {0};
    struct error err = {0};
    int scratch[SCRATCH_MAX];

    legacy_put_head(&b, s, 2);
    legacy_put_batch(&b, s);
    buffer_u32(&b, LEGACY_CHUNK_END);
    legacy_put_tail(&b, s);
    legacy_put_chunks(&b, s);
    legacy_put_tail(&b, s);
    assert_image_refused(&b, s, ERR_UNSUPPORTED, "another checkpoint");
    for (size_t i = 0; i < SCRATCH_MAX; i++)
        scratch[i] = memfd_create("scratch", MFD_CLOEXEC);
    assert_ok(convert(&b, b.length, s, scratch, &out, &err), err);
    /* Cut off anywhere in the second round, the first one counts. */
    for (size_t cut = 1; cut < 80; cut += 3) {
        buffer_reset(&out);
        assert_ok(convert(&b, b.length - cut, s, scratch, &out, &err), err);
    }
    for (size_t i = 0; i < SCRATCH_MAX; i++)
        close(scratch[i]);
    buffer_release(&b);
    buffer_release(&out);
}

static bool decompress(const uint8_t *bytes, size_t length, uint8_t *page,
                       struct error *err)
{
    struct memory_source memory = {.bytes = bytes, .length = length};
    struct stream_source source = source_from_memory(&memory);

    return legacy_decompress_page(&source, page, err) &&
           source.offset == length;
}

static void decompresses_pages(void **state)
{
    static const uint8_t unchanged[] = {0};
    /* 1 word new, 127 kept, 7 times; then 128 new would be too long a run */
    uint8_t runs[] = {1,          'a',        'b',        'c',
                      'd',        0x80 | 127, 0x80 | 127, 0x80 | 127,
                      0x80 | 127, 0x80 | 127, 0x80 | 127, 0x80 | 127,
                      0x80 | 127, 0x80 | 7};
    static uint8_t whole[1 + PAGE_SIZE] = {0x80};
    uint8_t page[PAGE_SIZE];
    struct error err = {0};

    memset(page, 'x', sizeof(page));
    assert_ok(decompress(unchanged, sizeof(unchanged), page, &err), err);
    assert_int_equal(page[0], 'x');
    assert_ok(decompress(runs, sizeof(runs), page, &err), err);
    assert_memory_equal(page, "abcdx", 5);
    assert_int_equal(page[PAGE_SIZE - 1], 'x');
    memset(whole + 1, 'y', PAGE_SIZE);
    assert_ok(decompress(whole, sizeof(whole), page, &err), err);
    assert_int_equal(page[0], 'y');

    runs[sizeof(runs) - 1] = 0x80 | 8; /* one word too many */
    assert_refused(decompress(runs, sizeof(runs), page, &err), err, ERR_FORMAT,
                   "run of");
    runs[sizeof(runs) - 1] = 0; /* a run of nothing */
    assert_refused(decompress(runs, sizeof(runs), page, &err), err, ERR_FORMAT,
                   "run of 0");
    for (size_t length = 0; length < sizeof(runs) - 1; length++)
        assert_refused(decompress(runs, length, page, &err), err, ERR_TRUNCATED,
                       "compressed page");
}

static void refuses_toolstack_blobs(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
    } blobs[] = {
        {"",                         0 },
        {"\1\0\0",                   3 },
        {"\2\0\0\0\0\0\0\0",         8 }, /* version 2 */
        {"\1\0\0\0\1\0\0\0",         8 }, /* an entry is missing */
        {"\1\0\0\0\377\377\377\377", 8 }, /* all are */
        {"\1\0\0\0\1\0\0\0"
         "aaaaaaaa"
         "bbbbbbbb"
         "cccccccc"
         "\377\377\377\377"
         "name",            40}, /* a name without end */
        {"\1\0\0\0\1\0\0\0"
         "aaaaaaaa"
         "bbbbbbbb"
         "cccccccc"
         "\4\0\0\0"
         "name"
         "leak",            44}, /* ... without a NUL */
        {"\1\0\0\0\1\0\0\0"
         "aaaaaaaa"
         "bbbbbbbb"
         "cccccccc"
         "\4\0\0\0"
         "n\0e\0"
         "leak",            44}, /* ... with two */
    };

    for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
        enum legacy_toolstack_layout layout;
        struct buffer strings = {0};
        struct error err = {0};

        assert_refused(legacy_toolstack_convert((const uint8_t *)blobs[i].bytes,
                                                blobs[i].length, 8, 0, &strings,
                                                &layout, &err),
                       err, ERR_FORMAT, "TOOLSTACK");
        buffer_release(&strings);
    }
}

static void names_every_chunk(void **state)
{
    assert_string_equal(legacy_chunk_name(17), "page batch");
    assert_string_equal(legacy_chunk_name(LEGACY_CHUNK_END), "END");
    assert_string_equal(legacy_chunk_name(-7), "TSC_INFO");
    assert_string_equal(legacy_chunk_name(-21), "X87_FIP_WIDTH");
    assert_null(legacy_chunk_name(-22));
    assert_null(legacy_chunk_name(INT32_MIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(detects_width_and_guest),
        cmocka_unit_test(detects_no_other_octets),
        cmocka_unit_test(gives_items_in_the_order_of_the_image),
        cmocka_unit_test(converts_every_shape),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(converts_no_truncation),
        cmocka_unit_test(refuses_sizes_of_no_guest),
        cmocka_unit_test(refuses_an_image_of_the_other_width),
        cmocka_unit_test(refuses_frame_words),
        cmocka_unit_test(refuses_markers),
        cmocka_unit_test(refuses_an_hvm_chunk_in_a_pv_image),
        cmocka_unit_test(refuses_lengths_beyond_reason),
        cmocka_unit_test(refuses_hvm_context_lengths),
        cmocka_unit_test(refuses_extended_info),
        cmocka_unit_test(refuses_an_unknown_device_model),
        cmocka_unit_test(wants_scratch_files_for_a_second_round),
        cmocka_unit_test(decompresses_pages),
        cmocka_unit_test(refuses_toolstack_blobs),
        cmocka_unit_test(names_every_chunk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
