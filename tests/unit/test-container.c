/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The container: whatever goes in comes out, and nothing that was damaged. */
#include "buffer_file.h"
#include "image_maker.h"
#include "stream/container/container_read.h"
#include "stream/image/image_scan.h"
#include "unit.h"

struct kept {
    struct buffer file;
    struct container_summary summary;
    struct error why;
};

static void keep_as(struct kept *k, const void *image, size_t length,
                    size_t chunk, struct container_write_options options,
                    bool read_back)
{
    struct memory_source memory = {image, length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink;
    struct container_file written;
    struct error err;

    memset(k, 0, sizeof(*k));
    sink = sink_to_buffer(&k->file);
    written = file_of(&k->file);
    if (read_back)
        options.written = &written;
    assert_ok(
        container_write(&source, &sink, &options, &k->summary, &k->why, &err),
        err);
    assert_int_equal(k->summary.image_octets, length);
    assert_int_equal(k->summary.file_octets, k->file.length);
}

static void keep_with(struct kept *k, const void *image, size_t length,
                      size_t chunk, int level, bool read_back)
{
    const struct container_write_options options = {.level = level};

    keep_as(k, image, length, chunk, options, read_back);
}

/* What comes out, in pieces of 'chunk'; false where it was refused. */
static bool expand(struct buffer *file, size_t chunk, struct buffer *out,
                   struct error *err)
{
    struct container_file f = file_of(file);
    struct container *c = calloc(1, sizeof(*c));
    struct container_stream stream = {0};
    struct stream_source source;
    size_t got = 1;
    bool ok;

    assert_non_null(c);
    ok = container_open(c, &f, err) &&
         container_stream_init(&stream, c, true, err);
    source = source_from_container(&stream);
    while (ok && got > 0) {
        uint8_t *at = buffer_extend(out, chunk);

        assert_non_null(at);
        ok = source_read_some(&source, at, chunk, &got, err);
        out->length -= chunk - (ok ? got : 0);
    }
    container_stream_release(&stream);
    container_close(c);
    free(c);
    return ok;
}

static bool verify(struct buffer *file, struct error *err)
{
    struct container_file f = file_of(file);
    struct container *c = calloc(1, sizeof(*c));
    bool ok;

    assert_non_null(c);
    ok = container_open(c, &f, err) && container_verify(c, NULL, NULL, err);
    container_close(c);
    free(c);
    return ok;
}

static void assert_comes_back(const void *image, size_t length)
{
    static const size_t chunks[] = {0, 1, 4097};

    for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
        struct kept k;
        struct buffer out = {0};
        struct error err;

        keep_with(&k, image, length, chunks[i], (int)i, i != 1);
        assert_ok(expand(&k.file, i == 0 ? 65536 : 4000 + i, &out, &err), err);
        assert_int_equal(out.length, length);
        if (length > 0)
            assert_memory_equal(out.bytes, image, length);
        assert_ok(verify(&k.file, &err), err);
        buffer_release(&out);
        buffer_release(&k.file);
    }
}

static const struct image_options all[] = {
    {.guest = IMAGE_HVM,    .layer = IMAGE_XL,    .version = 3,      .rounds = 2     },
    {.guest = IMAGE_HVM,    .layer = IMAGE_LIBXL, .version = 2,      .emulator = true},
    {.guest = IMAGE_PV64,   .layer = IMAGE_LIBXC, .version = 3,      .rounds = 1     },
    {.guest = IMAGE_PV32,   .layer = IMAGE_LIBXL, .version = 2     },
    {.guest = IMAGE_HVM, .layer = IMAGE_LIBXL,         .version = 3,  .checkpoints = 3                },
    {.guest = IMAGE_HVM,
     .layer = IMAGE_LIBXC,
     .version = 3,
     .order = ORDER_BIG},
    {.guest = IMAGE_HVM,    .layer = IMAGE_XL,         .version = 3, .nr_frames = 5000                                                            },
};

static void every_image_comes_back_octet_for_octet(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct buffer image = {0};
        struct error err;

        assert_ok(image_make(&all[i], &image, &err), err);
        assert_comes_back(image.bytes, image.length);
        buffer_release(&image);
    }
}

static void what_is_no_image_comes_back(void **state)
{
    static const uint8_t legacy[64] = {0, 16};
    uint8_t *noise = malloc(200000);
    uint32_t random = 1;

    assert_non_null(noise);
    for (size_t i = 0; i < 200000; i++) {
        random = random * 1664525 + 1013904223;
        noise[i] = (uint8_t)(random >> 24);
    }
    assert_comes_back("", 0);
    assert_comes_back("x", 1);
    assert_comes_back(legacy, sizeof(legacy));
    assert_comes_back(noise, 65536);
    assert_comes_back(noise, 200000);
    free(noise);
}

static void every_truncated_image_comes_back(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_XL, .version = 3, .nr_frames = 6};
    struct buffer image = {0};
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    for (size_t length = 0; length < image.length; length += 37) {
        struct kept k;
        struct buffer out = {0};

        keep_with(&k, image.bytes, length, 0, 1, true);
        assert_false(k.summary.whole);
        assert_int_equal(k.why.code, ERR_TRUNCATED);
        assert_ok(expand(&k.file, 65536, &out, &err), err);
        assert_int_equal(out.length, length);
        if (length > 0)
            assert_memory_equal(out.bytes, image.bytes, length);
        buffer_release(&out);
        buffer_release(&k.file);
    }
    buffer_release(&image);
}

static void octets_behind_the_image_come_back(void **state)
{
    struct buffer image = {0};
    struct error err;

    assert_ok(image_make(&all[0], &image, &err), err);
    buffer_text(&image, "and more");
    assert_comes_back(image.bytes, image.length);
    buffer_release(&image);
}

/* Against the index that 'convert --compact' uses. */
static void a_page_is_the_last_version(void **state)
{
    const struct image_options options = {.guest = IMAGE_PV64,
                                          .layer = IMAGE_XL,
                                          .version = 3,
                                          .rounds = 3,
                                          .nr_frames = 300};
    struct buffer image = {0};
    struct container *c = calloc(1, sizeof(*c));
    struct memory_source memory;
    struct stream_source source;
    struct page_index index;
    struct container_file f;
    struct container_frame frame;
    struct kept k;
    struct error err;
    uint8_t page[PAGE_SIZE];
    uint64_t nr = 0;

    assert_non_null(c);
    assert_ok(image_make(&options, &image, &err), err);
    memory = (struct memory_source){image.bytes, image.length, 0, 0};
    source = source_from_memory(&memory);
    page_index_init(&index, image.length);
    assert_ok(image_index(&source, 0, &index, &err), err);
    keep_with(&k, image.bytes, image.length, 0, 1, true);
    assert_true(k.summary.whole);
    assert_false(k.summary.frames_missing);
    assert_int_equal(k.summary.nr_frames, index.nr_frames);
    f = file_of(&k.file);
    assert_ok(container_open(c, &f, &err), err);
    for (uint64_t pfn = 0; pfn < index.end + 3; pfn++) {
        struct page_place place = page_index_get(&index, pfn);
        bool wanted = place.known && place.type < 0xd;

        assert_int_equal(container_page(c, pfn, page, &err),
                         wanted ? CONTAINER_FOUND : CONTAINER_ABSENT);
        if (wanted)
            assert_memory_equal(page, image.bytes + place.offset, PAGE_SIZE);
    }
    for (uint64_t pfn = 0;
         container_next_frame(c, pfn, &frame, &err) == CONTAINER_FOUND;
         pfn = frame.pfn + 1) {
        assert_int_equal(frame.type, page_index_get(&index, frame.pfn).type);
        nr++;
    }
    assert_int_equal(nr, index.nr_frames);
    container_close(c);
    free(c);
    page_index_release(&index);
    buffer_release(&k.file);
    buffer_release(&image);
}

static void index_image(const struct buffer *image, struct page_index *index)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct error err;

    page_index_init(index, image->length);
    assert_ok(image_index(&source, 0, index, &err), err);
}

/* Near by and, by reading back, far away. */
static void a_page_is_kept_once(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_LIBXC, .version = 3, .nr_frames = 3000};
    static const uint64_t copies[] = {11, 1500, 2999};
    struct buffer image = {.cap = (size_t)64 << 20};
    struct page_index index;
    struct kept before, after, blind;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    index_image(&image, &index);
    keep_with(&before, image.bytes, image.length, 0, 1, true);
    for (size_t i = 0; i < ARRAY_SIZE(copies); i++) {
        struct page_place from = page_index_get(&index, 10);
        struct page_place to = page_index_get(&index, copies[i]);

        assert_true(from.known && to.known);
        memcpy(image.bytes + to.offset, image.bytes + from.offset, PAGE_SIZE);
    }
    keep_with(&after, image.bytes, image.length, 0, 1, true);
    keep_with(&blind, image.bytes, image.length, 0, 1, false);
    assert_int_equal(after.summary.nr_pages, before.summary.nr_pages);
    /* A copy may have taken the place of a page of zeroes. */
    assert_int_equal(after.summary.nr_distinct + after.summary.nr_zero,
                     before.summary.nr_distinct + before.summary.nr_zero -
                         ARRAY_SIZE(copies));
    assert_true(blind.summary.nr_distinct > after.summary.nr_distinct);
    assert_comes_back(image.bytes, image.length);
    page_index_release(&index);
    buffer_release(&before.file);
    buffer_release(&after.file);
    buffer_release(&blind.file);
    buffer_release(&image);
}

/* 2000 pages, every fifth of which is one of 200 that came long ago. */
static void make_repetitive(struct buffer *image)
{
    const struct image_options options = {
        .layer = IMAGE_LIBXC, .version = 3, .nr_frames = 2000};
    struct page_index index;
    struct error err;

    assert_ok(image_make(&options, image, &err), err);
    index_image(image, &index);
    for (uint64_t pfn = 1000; pfn < 2000; pfn += 5) {
        struct page_place from = page_index_get(&index, (pfn - 1000) / 5);
        struct page_place to = page_index_get(&index, pfn);

        memcpy(image->bytes + to.offset, image->bytes + from.offset, PAGE_SIZE);
    }
    page_index_release(&index);
}

static void threads_make_no_difference(void **state)
{
    static const unsigned int threads[] = {1, 2, 7, CONTAINER_THREADS_MAX};
    struct buffer image = {.cap = (size_t)64 << 20};

    make_repetitive(&image);
    for (int read_back = 0; read_back < 2; read_back++) {
        struct kept alone;

        keep_with(&alone, image.bytes, image.length, 0, 1, read_back);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
            const struct container_write_options options = {
                .level = 1, .threads = threads[i]};
            struct kept k;

            keep_as(&k, image.bytes, image.length, 0, options, read_back);
            assert_int_equal(k.file.length, alone.file.length);
            assert_memory_equal(k.file.bytes, alone.file.bytes,
                                alone.file.length);
            buffer_release(&k.file);
        }
        buffer_release(&alone.file);
    }
    buffer_release(&image);
}

/* The disk is full somewhere: the threads end with it. */
static void a_sink_that_fails_ends_the_threads(void **state)
{
    const struct container_write_options options = {.level = 1, .threads = 2};
    struct buffer image = {.cap = (size_t)64 << 20};
    struct kept whole;

    make_repetitive(&image);
    keep_with(&whole, image.bytes, image.length, 0, 1, false);
    for (size_t room = 1; room < whole.file.length;
         room += whole.file.length / 20) {
        struct memory_source memory = {image.bytes, image.length, 0, 0};
        struct stream_source source = source_from_memory(&memory);
        struct buffer file = {.cap = room};
        struct stream_sink sink = sink_to_buffer(&file);
        struct container_summary summary;
        struct error err;

        assert_refused(
            container_write(&source, &sink, &options, &summary, NULL, &err),
            err, ERR_NO_MEMORY, "no room");
        buffer_release(&file);
    }
    buffer_release(&whole.file);
    buffer_release(&image);
}

static void no_changed_octet_is_accepted(void **state)
{
    const struct image_options options = {
        .guest = IMAGE_HVM, .layer = IMAGE_XL, .version = 3, .nr_frames = 20};
    struct buffer image = {0};
    struct kept k;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    keep_with(&k, image.bytes, image.length, 0, 1, true);
    for (size_t i = 0; i < k.file.length; i++) {
        k.file.bytes[i] ^= (uint8_t)(1u << i % 8);
        if (verify(&k.file, &err))
            fail_msg("octet %zu changed, and accepted", i);
        k.file.bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    assert_ok(verify(&k.file, &err), err);
    buffer_release(&k.file);
    buffer_release(&image);
}

static void no_truncation_is_accepted(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_LIBXC, .version = 3, .nr_frames = 4};
    struct buffer image = {0};
    struct kept k;
    struct error err;
    size_t length;

    assert_ok(image_make(&options, &image, &err), err);
    keep_with(&k, image.bytes, image.length, 0, 1, true);
    for (length = k.file.length; k.file.length > 0;) {
        k.file.length--;
        assert_false(verify(&k.file, &err));
        assert_true(err.code == ERR_TRUNCATED || err.code == ERR_FORMAT);
    }
    assert_true(length > 0);
    k.file.length = length;
    buffer_u8(&k.file, 0);
    assert_false(verify(&k.file, &err));
    buffer_release(&k.file);
    buffer_release(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_image_comes_back_octet_for_octet),
        cmocka_unit_test(what_is_no_image_comes_back),
        cmocka_unit_test(every_truncated_image_comes_back),
        cmocka_unit_test(octets_behind_the_image_come_back),
        cmocka_unit_test(a_page_is_the_last_version),
        cmocka_unit_test(a_page_is_kept_once),
        cmocka_unit_test(threads_make_no_difference),
        cmocka_unit_test(a_sink_that_fails_ends_the_threads),
        cmocka_unit_test(no_changed_octet_is_accepted),
        cmocka_unit_test(no_truncation_is_accepted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
