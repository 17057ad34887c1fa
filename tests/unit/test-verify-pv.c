/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What verify makes of the frames that a PV guest's page tables, P2M, registers
 * and start info name: good images, each changed in one place.
 */
#include "image_maker.h"
#include "stream/verify.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_pv.h"
#include "unit.h"

#define FRAMES 1500 /* three, or two, of them for the P2M */

/* The last frames of image_maker.c's PV guests. */
#define CONSOLE    (FRAMES - 1)
#define START_INFO (FRAMES - 3)
#define TOP_TABLE  (FRAMES - 5)

#define FIRST_RECORD \
    ((size_t)(XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE))

static void note_finding(void *context, const struct finding *finding)
{
    buffer_format(context, "%s;", finding->id);
}

static void assert_finds(struct stream_source *source, const char *ids)
{
    struct buffer text = {0};
    const struct verify_options options = {.report = note_finding,
                                           .context = &text};
    struct verify_result result;
    struct error err;

    assert_ok(verify_stream(source, &options, &result, &err), err);
    buffer_u8(&text, '\0');
    assert_false(text.bad);
    assert_string_equal(text.bytes, ids);
    buffer_release(&text);
}

static void image_finds(const struct buffer *image, const char *ids)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);

    assert_false(image->bad);
    assert_finds(&source, ids);
}

/* A guest of two vCPUs, each page once. */
static const struct pv_layout *make(struct buffer *image,
                                    enum image_guest guest)
{
    const struct image_options options = {
        .guest = guest, .version = 3, .nr_frames = FRAMES, .nr_vcpus = 2};
    struct error err;

    *image = (struct buffer){.cap = (size_t)64 << 20};
    assert_ok(image_make(&options, image, &err), err);
    return pv_layout_of(guest == IMAGE_PV64 ? 8 : 4);
}

static struct record_head head_at(const struct buffer *image, size_t at)
{
    assert_true(at < image->length);
    return record_head_decode(image->bytes + at, ORDER_LITTLE, at);
}

static size_t find_record(const struct buffer *image, uint32_t type,
                          unsigned int which)
{
    size_t at = FIRST_RECORD;

    for (;; at += (size_t)record_size(head_at(image, at).length))
        if (head_at(image, at).type == type && which-- == 0)
            return at;
}

/* The context of a vCPU; of each there are four records. */
static uint8_t *context_of(struct buffer *image, uint32_t vcpu)
{
    return image->bytes + find_record(image, XCREC_X86_PV_VCPU_BASIC, vcpu) +
           RECORD_HEAD_SIZE + 8;
}

static uint8_t *page_of(struct buffer *image, uint64_t pfn)
{
    for (unsigned int batch = 0;; batch++) {
        size_t at = find_record(image, XCREC_PAGE_DATA, batch);
        const uint8_t *body = image->bytes + at + RECORD_HEAD_SIZE;
        uint32_t nr = (uint32_t)layout_integer(body, 0, 4, ORDER_LITTLE);
        size_t page = at + PAGE_DATA_HEAD_SIZE(nr);

        for (uint32_t i = 0; i < nr; i++) {
            uint64_t word = layout_integer(body, 8 + i * 8, 8, ORDER_LITTLE);

            if (frame_pfn(word) == pfn)
                return image->bytes + page;
            if (frame_type_has_page(frame_type(word)))
                page += PAGE_SIZE;
        }
    }
}

static void good_guests_are_clean(void **state)
{
    struct buffer image;

    for (int guest = IMAGE_PV64; guest <= IMAGE_PV32; guest++) {
        make(&image, (enum image_guest)guest);
        image_finds(&image, "");
        buffer_release(&image);
    }
}

static void page_tables_name_frames_of_the_p2m(void **state)
{
    const struct pv_layout *wide = pv_layout_of(8);
    struct buffer image;

    make(&image, IMAGE_PV32);
    pv_word_set(wide, page_of(&image, TOP_TABLE), 8 * 511,
                pte_with_frame(PTE_PRESENT, FRAMES - 1));
    image_finds(&image, "");
    /* Not present: the octets mean nothing. */
    pv_word_set(wide, page_of(&image, TOP_TABLE), 8 * 510,
                pte_with_frame(0, FRAMES));
    image_finds(&image, "");
    pv_word_set(wide, page_of(&image, TOP_TABLE), 8 * 511,
                pte_with_frame(PTE_PRESENT, FRAMES));
    image_finds(&image, "xc-page-table-entry;");
    buffer_release(&image);
}

/* Set one word of a vCPU's context, look, and put it back. */
static void word_finds(struct buffer *image, const struct pv_layout *l,
                       uint32_t vcpu, size_t offset, uint64_t value,
                       const char *ids)
{
    uint8_t *context = context_of(image, vcpu);
    uint64_t before = pv_word_get(l, context, offset);

    pv_word_set(l, context, offset, value);
    image_finds(image, ids);
    pv_word_set(l, context, offset, before);
}

static void registers_name_what_was_sent(void **state)
{
    static const char id[] = "xc-vcpu-frame;";

    for (int guest = IMAGE_PV64; guest <= IMAGE_PV32; guest++) {
        struct buffer image;
        const struct pv_layout *l = make(&image, (enum image_guest)guest);
        uint64_t cr3 = pv_frame_to_cr3(l, CONSOLE);

        word_finds(&image, l, 0, l->edx, TOP_TABLE, id);
        word_finds(&image, l, 0, l->edx, FRAMES, id);
        /* Only vCPU 0 has start info. */
        word_finds(&image, l, 1, l->edx, FRAMES, "");
        word_finds(&image, l, 1, l->gdt_frames, TOP_TABLE, id);
        word_finds(&image, l, 1, l->gdt_ents, 0, "");
        word_finds(&image, l, 1, l->gdt_ents, 16 * 512 + 1, "xc-vcpu-gdt;");
        /* One more frame than is filled in: pfn 0, which is a page. */
        word_finds(&image, l, 1, l->gdt_ents, 513, "");
        word_finds(&image, l, 1, l->cr3, cr3, id);
        if (l->cr1) {
            word_finds(&image, l, 1, l->cr1, CONSOLE << PAGE_SHIFT | 1, id);
            word_finds(&image, l, 1, l->cr1, CONSOLE << PAGE_SHIFT, "");
        }
        buffer_release(&image);
    }
}

static void start_info_names_its_rings(void **state)
{
    const struct {
        uint64_t store, console;
        const char *ids;
    } cases[] = {
        {CONSOLE,   CONSOLE,   ""                                      },
        {TOP_TABLE, CONSOLE,   "xc-start-info-ring;"                   },
        {CONSOLE,   FRAMES,    "xc-start-info-ring;"                   },
        {FRAMES,    TOP_TABLE, "xc-start-info-ring;xc-start-info-ring;"},
    };
    struct buffer image;
    const struct pv_layout *l = make(&image, IMAGE_PV64);
    uint8_t *page = page_of(&image, START_INFO);

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        pv_word_set(l, page, l->store_mfn, cases[i].store);
        pv_word_set(l, page, l->console_mfn, cases[i].console);
        image_finds(&image, cases[i].ids);
    }
    buffer_release(&image);
}

static void start_info_is_read_again_where_that_is_possible(void **state)
{
    struct buffer image;
    const struct pv_layout *l = make(&image, IMAGE_PV64);
    struct memory_source memory = {.chunk = 0};
    struct stream_source source = source_from_memory(&memory);
    struct source_ops one_way = *source.ops;
    uint8_t *page;

    /* What comes in a VERIFY pass is compared, and does not count. */
    image.length = find_record(&image, XCREC_END, 0);
    empty_record_append(&image, XCREC_VERIFY);
    page = buffer_extend(&image, PAGE_DATA_HEAD_SIZE(1) + PAGE_SIZE);
    page_data_encode_head(page, &(uint64_t){START_INFO}, 1);
    memset(page + PAGE_DATA_HEAD_SIZE(1), 0xff, PAGE_SIZE);
    empty_record_append(&image, XCREC_END);
    image_finds(&image, "xc-order-pages-after-state;");
    pv_word_set(l, page_of(&image, START_INFO), l->store_mfn, FRAMES);
    image_finds(&image, "xc-order-pages-after-state;xc-start-info-ring;");

    one_way.read_again = NULL;
    memory = (struct memory_source){image.bytes, image.length, 0, 0};
    source.ops = &one_way;
    assert_finds(&source,
                 "xc-order-pages-after-state;xc-start-info-not-examined;");
    buffer_release(&image);
}

/* The image with another P2M, in these pieces; 'last' ends them. */
struct piece {
    uint32_t first, last;
    uint64_t pfns[3];
};

static void pieces_find(const struct piece *pieces, size_t nr, const char *ids)
{
    struct buffer image, b = {.cap = (size_t)64 << 20};
    size_t at, after;

    make(&image, IMAGE_PV64);
    at = find_record(&image, XCREC_X86_PV_P2M_FRAMES, 0);
    after = at + (size_t)record_size(head_at(&image, at).length);
    buffer_bytes(&b, image.bytes, at);
    for (size_t i = 0; i < nr; i++)
        p2m_frames_append(
            &b, pieces[i].first, pieces[i].last, pieces[i].pfns,
            p2m_frames_expected(pieces[i].first, pieces[i].last, 8));
    buffer_bytes(&b, image.bytes + after, image.length - after);
    image_finds(&b, ids);
    buffer_release(&b);
    buffer_release(&image);
}

static void a_p2m_may_come_in_pieces(void **state)
{
    static const struct piece whole[] = {
        {0,    1023,       {0, 1}},
        {1024, FRAMES - 1, {2}   }
    };
    static const struct piece gap[] = {
        {0,    511,        {0}},
        {1024, FRAMES - 1, {2}}
    };
    static const struct piece table[] = {
        {0, FRAMES - 1, {0, TOP_TABLE, 2}}
    };
    /* A frame that only the next piece brings within the P2M. */
    static const struct piece later[] = {
        {0,    1023,       {0, CONSOLE}},
        {1024, FRAMES - 1, {FRAMES}    }
    };

    pieces_find(whole, 2, "");
    pieces_find(gap, 2, "xc-p2m-gap;");
    pieces_find(table, 1, "xc-p2m-page;");
    pieces_find(later, 2, "xc-p2m-beyond;");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_guests_are_clean),
        cmocka_unit_test(page_tables_name_frames_of_the_p2m),
        cmocka_unit_test(registers_name_what_was_sent),
        cmocka_unit_test(start_info_names_its_rings),
        cmocka_unit_test(start_info_is_read_again_where_that_is_possible),
        cmocka_unit_test(a_p2m_may_come_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
