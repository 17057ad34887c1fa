/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest in an image: its records, its pages and its page tables. */
#include "stream/image/guest_image.h"

#include <sys/mman.h>
#include <unistd.h>

#include "image_maker.h"
#include "stream/image/guest_walk.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_pv.h"
#include "unit.h"

/* An image by hand: headers of a type, then what is appended. */
static void begin_image(struct buffer *b, uint32_t type)
{
    const struct xcstream_headers headers = {.marker = XCSTREAM_MARKER,
                                             .id = XCSTREAM_ID,
                                             .version = 2,
                                             .type = type,
                                             .page_shift = PAGE_SHIFT,
                                             .xen_major = 4};

    *b = (struct buffer){0};
    xcstream_headers_append(b, &headers);
}

static bool load(struct buffer *b, struct guest_image *g, uint32_t checkpoint,
                 struct error *err)
{
    struct memory_source memory = {b->bytes, b->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    int fd = memfd_create("image", MFD_CLOEXEC);

    assert_false(b->bad);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->bytes, b->length), b->length);
    return guest_image_load(g, &source, fd, 0, b->length, checkpoint, err);
}

static void unload(struct guest_image *g)
{
    guest_image_release(g);
    close(g->fd);
}

static void assert_image_refused(struct buffer *b, enum error_code code,
                                 const char *part)
{
    struct guest_image g;
    struct error err = {0};

    record_append(b, XCREC_END, NULL, 0);
    assert_refused(load(b, &g, 0, &err), err, code, part);
    unload(&g);
    buffer_release(b);
}

/* Records ------------------------------------------------------------------ */

static void refuses_pv_guests_of_no_width(void **state)
{
    static const uint8_t widths[][2] = {
        {4, 4},
        {8, 3},
        {2, 4},
        {0, 0},
        {8, 0}
    };
    struct buffer b;

    for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
        const uint8_t body[8] = {widths[i][0], widths[i][1]};

        begin_image(&b, XCSTREAM_DOMAIN_PV);
        record_append(&b, XCREC_X86_PV_INFO, body, sizeof(body));
        assert_image_refused(&b, ERR_FORMAT, "X86_PV_INFO");
    }
    begin_image(&b, XCSTREAM_DOMAIN_PV);
    record_append(&b, XCREC_X86_PV_INFO, "\x08", 1);
    assert_image_refused(&b, ERR_FORMAT, "X86_PV_INFO");
}

static void keeps_no_more_records_than_it_says(void **state)
{
    struct buffer b;

    begin_image(&b, XCSTREAM_DOMAIN_HVM);
    for (uint32_t i = 0; i <= GUEST_RECORDS_NR_MAX; i++)
        record_append(&b, UINT32_C(0x80001234), NULL, 0);
    assert_image_refused(&b, ERR_LIMIT, "more than 65536 records");
}

static void knows_a_long_body_without_keeping_it(void **state)
{
    struct guest_image g;
    struct error err = {0};
    struct buffer b;
    size_t begun;

    begin_image(&b, XCSTREAM_DOMAIN_HVM);
    begun = record_begin(&b, XCREC_HVM_CONTEXT);
    buffer_zeroes(&b, (size_t)GUEST_BODY_MAX + 1);
    record_end(&b, begun);
    record_append(&b, XCREC_HVM_CONTEXT, "kept", 4);
    record_append(&b, XCREC_END, NULL, 0);
    assert_ok(load(&b, &g, 0, &err), err);
    assert_int_equal(g.nr_records, 3);
    assert_false(g.records[0].kept);
    assert_int_equal(g.records[0].length, GUEST_BODY_MAX + 1);
    /* The first that is kept is the second. */
    assert_ptr_equal(guest_image_find(&g, XCREC_HVM_CONTEXT, 0), &g.records[1]);
    assert_null(guest_image_find(&g, XCREC_HVM_CONTEXT, 1));
    assert_null(guest_image_find(&g, XCREC_X86_TSC_INFO, 0));
    assert_memory_equal(guest_record_view(&g, &g.records[1]).body, "kept", 4);
    unload(&g);
    buffer_release(&b);
}

static void takes_the_state_of_the_checkpoint_asked_for(void **state)
{
    static const enum image_guest guests[] = {IMAGE_HVM, IMAGE_PV64};

    for (size_t i = 0; i < 4; i++) {
        const struct image_options options = {.guest = guests[i / 2],
                                              .layer = i % 2 ? IMAGE_LIBXL
                                                             : IMAGE_LIBXC,
                                              .version = 3,
                                              .checkpoints = 3};
        struct buffer b = {0};
        struct error err = {0};
        size_t nr_first = 0;

        assert_ok(image_make(&options, &b, &err), err);
        for (uint32_t checkpoint = 1; checkpoint <= 3; checkpoint++) {
            struct guest_image g;

            assert_ok(load(&b, &g, checkpoint, &err), err);
            /* As many vCPUs after each, and static data once. */
            if (options.guest == IMAGE_PV64) {
                assert_non_null(
                    guest_image_find(&g, XCREC_X86_PV_VCPU_BASIC, 0));
                assert_null(guest_image_find(&g, XCREC_X86_PV_VCPU_BASIC, 1));
                assert_int_equal(g.pv_width, 8);
            } else {
                assert_non_null(guest_image_find(&g, XCREC_HVM_CONTEXT, 0));
                assert_null(guest_image_find(&g, XCREC_HVM_CONTEXT, 1));
            }
            assert_non_null(guest_image_find(&g, XCREC_STATIC_DATA_END, 0));
            assert_null(guest_image_find(&g, XCREC_STATIC_DATA_END, 1));
            if (checkpoint == 1)
                nr_first = g.nr_records;
            assert_true(g.nr_records <= nr_first + 2);
            unload(&g);
        }
        for (uint32_t checkpoint = 4; checkpoint < 6; checkpoint++) {
            struct guest_image g;

            assert_false(load(&b, &g, checkpoint, &err));
            assert_true(err.code == ERR_TRUNCATED ||
                        err.code == ERR_UNSUPPORTED);
            unload(&g);
        }
        buffer_release(&b);
    }
}

static void a_plain_image_has_no_checkpoint(void **state)
{
    const struct image_options options = {.version = 3};
    struct buffer b = {0};
    struct guest_image g;
    struct error err = {0};

    assert_ok(image_make(&options, &b, &err), err);
    assert_refused(load(&b, &g, 1, &err), err, ERR_UNSUPPORTED,
                   "0 checkpoints, expected number 1");
    unload(&g);
    buffer_release(&b);
}

/* Pages and their tables ---------------------------------------------------- */

#define NR_PAGES 12
#define ABSENT   100 /* a frame the image does not have */
#define UNBACKED 13  /* one it knows, without contents */
#define PRESENT  UINT64_C(1)
#define LARGE    UINT64_C(0x80)

static uint64_t table_at(unsigned int pfn)
{
    return (uint64_t)pfn << PAGE_SHIFT | PRESENT;
}

/* Frames 1 to NR_PAGES, whose contents are 'words'. */
static void begin_pages(struct buffer *b, uint64_t words[][512])
{
    size_t begun;

    begin_image(b, XCSTREAM_DOMAIN_HVM);
    begun = record_begin(b, XCREC_PAGE_DATA);
    buffer_u32(b, NR_PAGES + 1);
    buffer_u32(b, 0);
    for (uint64_t pfn = 1; pfn <= NR_PAGES; pfn++)
        buffer_u64(b, frame_word(FRAME_NOTAB, pfn));
    buffer_u64(b, frame_word(FRAME_XTAB, UNBACKED));
    for (size_t i = 1; i <= NR_PAGES; i++)
        for (size_t k = 0; k < 512; k++)
            buffer_u64(b, words[i][k]);
    record_end(b, begun);
    record_append(b, XCREC_END, NULL, 0);
}

static void walks_four_levels(void **state)
{
    static uint64_t words[NR_PAGES + 1][512];
    const struct guest_registers r = {.paging = PAGING_4,
                                      .cr3 = UINT64_C(1) << PAGE_SHIFT};
    static const struct {
        uint64_t address;
        enum walk_outcome outcome;
        unsigned int level;
        uint64_t physical;
        uint64_t page_size;
    } cases[] = {
        {0x123,                        WALK_MAPPED,        1, 0x5123,     PAGE_SIZE},
        {0x1000,                       WALK_NOT_MAPPED,    1, 0,          0        },
        {UINT64_C(2) << 20 | 0x1234,   WALK_MAPPED,        2, 0x40001234,
         UINT64_C(2) << 20                                                         },
        {UINT64_C(4) << 20,            WALK_TABLE_MISSING, 1, 0,          0        },
        {UINT64_C(6) << 20,            WALK_TABLE_MISSING, 1, 0,          0        },
        {UINT64_C(1) << 30 | 0x54321,  WALK_MAPPED,        3, 0x80054321,
         UINT64_C(1) << 30                                                         },
        {UINT64_C(2) << 30,            WALK_NOT_MAPPED,    3, 0,          0        },
        {UINT64_C(1) << 39,            WALK_NOT_MAPPED,    4, 0,          0        },
 /* Not canonical, and the upper half. */
        {UINT64_C(1) << 47,            WALK_NOT_MAPPED,    0, 0,          0        },
        {UINT64_C(0xffff800000000000), WALK_NOT_MAPPED,    4, 0,          0        },
    };
    struct guest_image g;
    struct error err = {0};
    struct buffer b;

    memset(words, 0, sizeof(words));
    words[1][0] = table_at(2);
    words[2][0] = table_at(3);
    words[2][1] = UINT64_C(0x80000000) | PRESENT | LARGE;
    words[3][0] = table_at(4);
    words[3][1] = UINT64_C(0x40000000) | PRESENT | LARGE;
    words[3][2] = table_at(ABSENT);
    words[3][3] = table_at(UNBACKED);
    words[4][0] = table_at(5);
    begin_pages(&b, words);
    assert_ok(load(&b, &g, 0, &err), err);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct walk_result ret = {0};

        assert_int_equal(guest_walk(&g, &r, cases[i].address, &ret, &err),
                         cases[i].outcome);
        assert_int_equal(ret.level, cases[i].level);
        if (cases[i].outcome != WALK_MAPPED)
            continue;
        assert_int_equal(ret.physical, cases[i].physical);
        assert_int_equal(ret.page_size, cases[i].page_size);
    }
    unload(&g);
    buffer_release(&b);
}

struct extents {
    struct walk_extent all[8];
    size_t nr;
    size_t most;
};

static bool collect(void *context, const struct walk_extent *extent,
                    struct error *err)
{
    struct extents *e = context;

    if (e->nr == e->most)
        return error_set(err, ERR_CANCELLED, "enough");
    e->all[e->nr++] = *extent;
    return true;
}

static void finds_every_stretch(void **state)
{
    static uint64_t words[NR_PAGES + 1][512];
    const struct guest_registers r = {.paging = PAGING_4,
                                      .cr3 = UINT64_C(1) << PAGE_SHIFT};
    struct guest_image g;
    struct error err = {0};
    struct buffer b;

    memset(words, 0, sizeof(words));
    words[1][0] = table_at(2);
    words[1][511] = table_at(ABSENT);
    words[1][510] = table_at(2);
    words[2][0] = table_at(3);
    words[3][0] = table_at(4);
    words[3][1] = table_at(UNBACKED);
    words[4][0] = table_at(5);
    words[4][1] = table_at(6);
    words[4][3] = table_at(9);
    begin_pages(&b, words);
    assert_ok(load(&b, &g, 0, &err), err);
    for (size_t most = 0; most <= 4; most++) {
        struct extents e = {.most = most};
        bool ok = guest_walk_all(&g, &r, collect, &e, &err);

        assert_int_equal(ok, most == 4);
        assert_int_equal(e.nr, most);
        if (!ok)
            assert_int_equal(err.code, ERR_CANCELLED);
        if (most < 4)
            continue;
        assert_int_equal(e.all[0].address, 0);
        assert_int_equal(e.all[0].physical, 0x5000);
        assert_int_equal(e.all[0].length, 0x2000);
        assert_int_equal(e.all[1].address, 0x3000);
        assert_int_equal(e.all[1].physical, 0x9000);
        assert_int_equal(e.all[1].length, 0x1000);
        /* The upper half is the same once more. */
        assert_int_equal(e.all[2].address, UINT64_C(0xffffff0000000000));
        assert_int_equal(e.all[3].address, UINT64_C(0xffffff0000003000));
    }
    unload(&g);
    buffer_release(&b);
}

static void tables_that_never_end_do(void **state)
{
    static uint64_t words[NR_PAGES + 1][512];
    const struct guest_registers off = {.paging = PAGING_NONE};
    struct guest_registers r = {.paging = PAGING_4,
                                .cr3 = UINT64_C(1) << PAGE_SHIFT};
    struct extents e = {.most = 0};
    struct walk_result ret = {0};
    struct guest_image g;
    struct error err = {0};
    struct buffer b;

    memset(words, 0, sizeof(words));
    for (size_t i = 0; i < 512; i++) {
        words[1][i] = table_at(2);
        words[2][i] = table_at(3);
        words[3][i] = table_at(ABSENT);
    }
    begin_pages(&b, words);
    assert_ok(load(&b, &g, 0, &err), err);
    assert_refused(guest_walk_all(&g, &r, collect, &e, &err), err, ERR_LIMIT,
                   "loop");
    assert_refused(guest_walk_all(&g, &off, collect, &e, &err), err,
                   ERR_UNSUPPORTED, "paging off");
    assert_int_equal(guest_walk(&g, &off, 0x1234, &ret, &err), WALK_MAPPED);
    assert_int_equal(ret.physical, 0x1234);
    r.cr3 = (uint64_t)ABSENT << PAGE_SHIFT;
    assert_refused(guest_walk_all(&g, &r, collect, &e, &err), err, ERR_FORMAT,
                   "top table");
    assert_int_equal(guest_walk(&g, &r, 0, &ret, &err), WALK_TABLE_MISSING);
    unload(&g);
    buffer_release(&b);
}

/* The file got shorter behind the index. */
static void a_page_that_cannot_be_read_is_told(void **state)
{
    static uint64_t words[NR_PAGES + 1][512];
    const struct guest_registers r = {.paging = PAGING_4,
                                      .cr3 = UINT64_C(1) << PAGE_SHIFT};
    struct extents e = {.most = 8};
    struct walk_result ret = {0};
    uint8_t page[PAGE_SIZE];
    struct guest_image g;
    struct error err = {0};
    struct buffer b;

    memset(words, 0, sizeof(words));
    words[1][0] = table_at(2);
    begin_pages(&b, words);
    assert_ok(load(&b, &g, 0, &err), err);
    assert_int_equal(guest_image_page(&g, ABSENT, page, &err),
                     GUEST_PAGE_ABSENT);
    assert_int_equal(guest_image_page(&g, UNBACKED, page, &err),
                     GUEST_PAGE_ABSENT);
    assert_int_equal(guest_image_page(&g, 2, page, &err), GUEST_PAGE_HERE);
    assert_int_equal(ftruncate(g.fd, PAGE_SIZE + 512), 0);
    assert_int_equal(guest_image_page(&g, 2, page, &err), GUEST_PAGE_FAILED);
    assert_int_equal(err.code, ERR_TRUNCATED);
    assert_int_equal(guest_walk(&g, &r, 0, &ret, &err), WALK_FAILED);
    assert_refused(guest_walk_all(&g, &r, collect, &e, &err), err,
                   ERR_TRUNCATED, "");
    assert_int_equal(ftruncate(g.fd, 0), 0);
    assert_refused(guest_walk_all(&g, &r, collect, &e, &err), err,
                   ERR_TRUNCATED, "");
    unload(&g);
    buffer_release(&b);
}

static void runs_of_frames_with_contents(void **state)
{
    static uint64_t words[NR_PAGES + 1][512];
    struct guest_image g;
    struct error err = {0};
    struct buffer b;
    uint64_t first, nr;

    begin_pages(&b, words);
    assert_ok(load(&b, &g, 0, &err), err);
    assert_true(guest_image_run(&g, 0, &first, &nr));
    assert_int_equal(first, 1);
    assert_int_equal(nr, NR_PAGES);
    assert_true(guest_image_run(&g, 5, &first, &nr));
    assert_int_equal(first, 5);
    assert_int_equal(nr, NR_PAGES - 4);
    /* What is known without contents is in none. */
    assert_false(guest_image_run(&g, UNBACKED, &first, &nr));
    assert_false(guest_image_run(&g, UINT64_MAX, &first, &nr));
    unload(&g);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_pv_guests_of_no_width),
        cmocka_unit_test(keeps_no_more_records_than_it_says),
        cmocka_unit_test(knows_a_long_body_without_keeping_it),
        cmocka_unit_test(takes_the_state_of_the_checkpoint_asked_for),
        cmocka_unit_test(a_plain_image_has_no_checkpoint),
        cmocka_unit_test(walks_four_levels),
        cmocka_unit_test(finds_every_stretch),
        cmocka_unit_test(tables_that_never_end_do),
        cmocka_unit_test(a_page_that_cannot_be_read_is_told),
        cmocka_unit_test(runs_of_frames_with_contents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
