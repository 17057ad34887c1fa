/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What verify calls clean, restore accepts: images of HVM and PV guests, whole
 * and with one thing changed (a bit, a record left out, twice, or in another's
 * place), are judged, and restored on a host that has room for them.
 *
 * The other way does not hold: verify knows of more than a restore looks at.
 * What only a hypervisor can tell is the host's: whether it pins a page table.
 */
#include "engine_fixture.h"
#include "image_maker.h"
#include "stream/verify.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "unit.h"

#define FIRST_RECORD \
    ((size_t)(XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE))

/* Every so many bits one is changed. */
#define BITS_STEP       17
#define TABLE_BITS_STEP 601

#define START_INFO_OCTETS 96

struct property {
    struct engine_fixture f;
    unsigned int nr_tried, nr_clean, nr_restored;
};

static void note_finding(void *context, const struct finding *finding)
{
    bool *clean = context;

    if (finding->refused || finding->severity >= SEVERITY_WARNING)
        *clean = false;
}

static bool is_clean(const struct buffer *image)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    bool clean = true;
    const struct verify_options options = {.report = note_finding,
                                           .context = &clean};
    struct verify_result result;
    struct error err;

    assert_ok(verify_stream(&source, &options, &result, &err), err);
    return clean;
}

/* Frames that this host's domain has no place for are none of verify's. */
static bool is_about_the_host(const struct error *err)
{
    return !strstr(err->text, "HVM parameter") &&
           (err->code == ERR_HOST || err->code == ERR_NO_MEMORY ||
            strstr(err->text, ", expected one below 0x"));
}

/* 'what' and 'where' say what was changed; at 0: nothing. */
static void try_image(struct property *p, const struct buffer *image,
                      const char *what, size_t where)
{
    struct error err = {0};
    bool restored;

    p->nr_tried++;
    if (!is_clean(image))
        return;
    p->nr_clean++;
    fixture_set_image(&p->f, image->bytes, image->length);
    restored = fixture_restore(&p->f, &err);
    fixture_assert_clean(&p->f);
    p->nr_restored += restored;
    if (!restored && (!is_about_the_host(&err) || !where))
        fail_msg("%s at %zu: clean, but not restored (%d): %s", what, where,
                 (int)err.code, err.text);
}

static struct record_head head_at(const struct buffer *image, size_t at)
{
    return record_head_decode(image->bytes + at, ORDER_LITTLE, at);
}

static size_t size_at(const struct buffer *image, size_t at)
{
    return (size_t)record_size(head_at(image, at).length);
}

/* Octets of a record that are not pages' contents. */
static size_t telling_octets(const struct buffer *image, size_t at)
{
    struct record_head head = head_at(image, at);
    uint32_t nr_frames;

    if (head.type != XCREC_PAGE_DATA)
        return size_at(image, at);
    memcpy(&nr_frames, image->bytes + at + RECORD_HEAD_SIZE, 4);
    return RECORD_HEAD_SIZE + 8 + (size_t)nr_frames * 8;
}

static void flip_bits(struct property *p, struct buffer *image, size_t from,
                      size_t end, size_t step)
{
    for (size_t bit = from * 8; bit < end * 8; bit += step) {
        image->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        try_image(p, image, "bit", bit);
        image->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* Page tables, and of other pages what start info would say there. */
static void flip_pages(struct property *p, struct buffer *image, size_t frames,
                       size_t pages)
{
    for (size_t word = frames, page = pages; word < pages; word += 8) {
        unsigned int type = image->bytes[word + 7] >> 4;

        if (!frame_type_has_page(type))
            continue;
        if (frame_type_table_level(type))
            flip_bits(p, image, page, page + PAGE_SIZE, TABLE_BITS_STEP);
        else
            flip_bits(p, image, page, page + START_INFO_OCTETS, BITS_STEP);
        page += PAGE_SIZE;
    }
}

/* Without the record; with it twice; and behind the one that follows. */
static void shuffle_record(struct property *p, const struct buffer *image,
                           size_t at)
{
    size_t size = size_at(image, at), after = at + size;
    struct buffer b = {.cap = (size_t)64 << 20};

    buffer_bytes(&b, image->bytes, at);
    buffer_bytes(&b, image->bytes + after, image->length - after);
    try_image(p, &b, "without the record", at);
    buffer_reset(&b);
    buffer_bytes(&b, image->bytes, after);
    buffer_bytes(&b, image->bytes + at, image->length - at);
    try_image(p, &b, "twice the record", at);
    buffer_reset(&b);
    if (after < image->length) {
        size_t next = after + size_at(image, after);

        buffer_bytes(&b, image->bytes, at);
        buffer_bytes(&b, image->bytes + after, next - after);
        buffer_bytes(&b, image->bytes + at, size);
        buffer_bytes(&b, image->bytes + next, image->length - next);
        try_image(p, &b, "later the record", at);
    }
    assert_false(b.bad);
    buffer_release(&b);
}

static void change_everything(struct property *p,
                              const struct image_options *options)
{
    struct buffer image = {.cap = (size_t)64 << 20};
    struct error err;

    p->f.target_type =
        options->guest == IMAGE_HVM ? GUEST_X86_HVM : GUEST_X86_PV;
    assert_ok(image_make(options, &image, &err), err);
    try_image(p, &image, "nothing changed", 0);
    flip_bits(p, &image, 1, FIRST_RECORD, BITS_STEP);
    for (size_t at = FIRST_RECORD; at < image.length;
         at += size_at(&image, at)) {
        size_t telling = at + telling_octets(&image, at);

        shuffle_record(p, &image, at);
        flip_bits(p, &image, at, telling, BITS_STEP);
        if (options->guest != IMAGE_HVM &&
            head_at(&image, at).type == XCREC_PAGE_DATA)
            flip_pages(p, &image, at + PAGE_DATA_HEAD_SIZE(0), telling);
    }
    buffer_release(&image);
}

static void what_is_clean_is_restored(void **state)
{
    static const struct image_options kinds[] = {
        {.guest = IMAGE_HVM,  .version = 3, .nr_frames = 12, .nr_vcpus = 2   },
        {.guest = IMAGE_HVM,  .version = 2, .nr_frames = 12, .rounds = 1     },
        {.guest = IMAGE_HVM,  .version = 3, .nr_frames = 12, .verify = true  },
        {.guest = IMAGE_HVM,  .version = 3, .nr_frames = 12, .optional = true},
        {.guest = IMAGE_PV64, .version = 3, .nr_frames = 20, .nr_vcpus = 2   },
        {.guest = IMAGE_PV64, .version = 2, .nr_frames = 20, .rounds = 1     },
        {.guest = IMAGE_PV32, .version = 3, .nr_frames = 20, .verify = true  },
    };
    struct property p = {0};

    fixture_open(&p.f);
    p.f.source_end = p.f.m->next_free;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        change_everything(&p, &kinds[i]);
    print_message("# %u images, %u clean, %u restored\n", p.nr_tried,
                  p.nr_clean, p.nr_restored);
    /* Both answers were given often. */
    assert_true(p.nr_restored > 1000 && p.nr_tried > p.nr_clean + 500);
    fixture_close(&p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_clean_is_restored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
