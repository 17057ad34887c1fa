/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <endian.h>

#include "stream/xc/xc_page_data.h"
#include "unit_stream.h"

/* clang-format off */
static const uint8_t head_little[] = {
    0x03, 0x00, 0x00, 0x00, /* count */
    0x00, 0x00, 0x00, 0x00, /* reserved */
    0x10, 0, 0, 0, 0, 0, 0, 0x00, /* NOTAB, pfn 0x10 */
    0x11, 0, 0, 0, 0, 0, 0, 0xf0, /* XTAB, pfn 0x11 */
    0x12, 0, 0, 0, 0, 0, 0, 0xc0, /* L4TAB|PIN, pfn 0x12 */
};
static const uint8_t head_big[] = {
    0x00, 0x00, 0x00, 0x03, /* count */
    0x00, 0x00, 0x00, 0x00, /* reserved */
    0x00, 0, 0, 0, 0, 0, 0, 0x10,
    0xf0, 0, 0, 0, 0, 0, 0, 0x11,
    0xc0, 0, 0, 0, 0, 0, 0, 0x12,
};
/* clang-format on */

#define BODY_SIZE (sizeof(head_little) + 2 * PAGE_SIZE)

static void fill_body(uint8_t body[BODY_SIZE], const uint8_t *head)
{
    memcpy(body, head, sizeof(head_little));
    memset(body + sizeof(head_little), 'a', PAGE_SIZE);
    memset(body + sizeof(head_little) + PAGE_SIZE, 'b', PAGE_SIZE);
}

static void check_frames(const struct page_data *pd)
{
    assert_int_equal(pd->nr_frames, 3);
    assert_int_equal(pd->nr_pages, 2);
    assert_int_equal(pd->frames[0], frame_word(FRAME_NOTAB, 0x10));
    assert_int_equal(frame_type(pd->frames[1]), FRAME_XTAB);
    assert_int_equal(frame_pfn(pd->frames[1]), 0x11);
    assert_int_equal(frame_type_table_level(frame_type(pd->frames[2])), 4);
    assert_int_equal(pd->fault, PAGE_DATA_GOOD);
}

static void page_data_decodes_both_byte_orders_into_a_used_object(void **state)
{
    static uint8_t body[BODY_SIZE];
    struct page_data pd = {0};
    struct error err;

    /* Twice into the same object: nothing leaks. */
    for (int i = 0; i < 4; i++) {
        bool big = i % 2;
        struct record rec;

        fill_body(body, big ? head_big : head_little);
        rec = exact_record(XCREC_PAGE_DATA, body, sizeof(body),
                           big ? ORDER_BIG : ORDER_LITTLE);
        assert_ok(page_data_decode(&rec, &pd, &err), err);
        check_frames(&pd);
        assert_int_equal(pd.pages[0], 'a');
        assert_int_equal(pd.pages[PAGE_SIZE], 'b');
        exact_record_free(&rec);
    }
    page_data_release(&pd);
    page_data_release(&pd);
}

static void page_data_rejects_every_truncation(void **state)
{
    static uint8_t body[BODY_SIZE];
    struct page_data pd = {0};

    fill_body(body, head_little);
    assert_truncations_refused(XCREC_PAGE_DATA, body, ORDER_LITTLE,
                               page_data_decode(&rec, &pd, &err));
    page_data_release(&pd);
}

static void page_data_rejects_a_longer_body(void **state)
{
    static uint8_t body[BODY_SIZE + 8];
    struct page_data pd = {0};
    struct record rec;
    struct error err;

    fill_body(body, head_little);
    rec = exact_record(XCREC_PAGE_DATA, body, sizeof(body), ORDER_LITTLE);
    assert_refused(page_data_decode(&rec, &pd, &err), err, ERR_FORMAT,
                   "octets of pages");
    assert_int_equal(pd.fault, PAGE_DATA_BAD_SIZE);
    exact_record_free(&rec);
    page_data_release(&pd);
}

static void page_data_rejects_absurd_counts(void **state)
{
    static const uint32_t counts[] = {0,          4,          0x20000000,
                                      0x7fffffff, 0x80000000, 0xffffffff};

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        uint8_t body[sizeof(head_little)];
        uint32_t count = htole32(counts[i]);
        struct page_data pd = {0};
        struct record rec;
        struct error err;

        memcpy(body, head_little, sizeof(body));
        memcpy(body, &count, 4);
        rec = exact_record(XCREC_PAGE_DATA, body, sizeof(body), ORDER_LITTLE);
        assert_refused(page_data_decode(&rec, &pd, &err), err, ERR_FORMAT,
                       "PAGE_DATA at offset 40");
        assert_int_equal(pd.fault, PAGE_DATA_BAD_COUNT);
        assert_null(pd.frames);
        exact_record_free(&rec);
    }
}

static void page_data_bounds_the_frames_of_one_record(void **state)
{
    /* 2^20 + 1 frames without contents, in a body that is long enough. */
    uint32_t count = PAGE_DATA_FRAMES_MAX + 1;
    uint32_t length = 8 + count * 8;
    uint32_t count_little = htole32(count);
    uint8_t *body = calloc(1, length);
    struct page_data pd = {0};
    struct record rec;
    struct error err;

    assert_non_null(body);
    memcpy(body, &count_little, 4);
    rec = record_over(XCREC_PAGE_DATA, body, length, ORDER_LITTLE);
    assert_refused(page_data_decode(&rec, &pd, &err), err, ERR_LIMIT,
                   "at most 1048576");
    assert_int_equal(pd.fault, PAGE_DATA_MANY);
    free(body);
}

static void page_data_rejects_types_without_a_meaning(void **state)
{
    for (unsigned int type = 0; type < 16; type++) {
        uint8_t body[16 + PAGE_SIZE] = {1};
        uint32_t length = frame_type_has_page(type) ? sizeof(body) : 16;
        struct page_data pd = {0};
        struct record rec;
        struct error err;
        bool ok;

        body[15] = (uint8_t)(type << 4);
        rec = exact_record(XCREC_PAGE_DATA, body, length, ORDER_LITTLE);
        ok = page_data_decode(&rec, &pd, &err);
        assert_int_equal(ok, type < 5 || type > 8);
        if (!ok)
            assert_int_equal(pd.fault, PAGE_DATA_BAD_TYPE);
        exact_record_free(&rec);
        page_data_release(&pd);
    }
}

static void page_data_reads_up_to_the_pages(void **state)
{
    static uint8_t body[BODY_SIZE];
    struct record_head head = {XCREC_PAGE_DATA, BODY_SIZE, 0, ORDER_LITTLE};
    struct page_data pd = {0};
    struct error err;

    fill_body(body, head_little);
    /* Octet by octet and at once: the same. */
    for (size_t chunk = 0; chunk < 3; chunk++) {
        struct memory_source memory = {body, sizeof(body), 0, chunk};
        struct stream_source source = source_from_memory(&memory);

        assert_ok(page_data_read_frames(&source, &head, &pd, &err), err);
        check_frames(&pd);
        assert_int_equal(source.offset, sizeof(head_little));
    }
    for (size_t length = 0; length < sizeof(head_little); length++) {
        struct memory_source memory = {body, length, 0, 0};
        struct stream_source source = source_from_memory(&memory);

        assert_refused(page_data_read_frames(&source, &head, &pd, &err), err,
                       ERR_TRUNCATED, "PAGE_DATA");
        assert_int_equal(pd.fault, PAGE_DATA_UNREAD);
    }
    page_data_release(&pd);
}

static void page_data_encodes_what_it_decodes(void **state)
{
    const uint64_t frames[] = {frame_word(FRAME_NOTAB, 0x10),
                               frame_word(FRAME_XTAB, 0x11),
                               frame_word(FRAME_L4TAB | FRAME_PIN_BIT, 0x12)};
    uint8_t out[PAGE_DATA_HEAD_SIZE(3)];
    uint32_t length;

    assert_int_equal(page_data_encode_head(out, frames, 3), 2);
    assert_int_equal(out[0], XCREC_PAGE_DATA);
    memcpy(&length, out + 4, 4);
    assert_int_equal(le32toh(length), BODY_SIZE);
    assert_memory_equal(out + RECORD_HEAD_SIZE, head_little,
                        sizeof(head_little));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_data_decodes_both_byte_orders_into_a_used_object),
        cmocka_unit_test(page_data_rejects_every_truncation),
        cmocka_unit_test(page_data_rejects_a_longer_body),
        cmocka_unit_test(page_data_rejects_absurd_counts),
        cmocka_unit_test(page_data_bounds_the_frames_of_one_record),
        cmocka_unit_test(page_data_rejects_types_without_a_meaning),
        cmocka_unit_test(page_data_reads_up_to_the_pages),
        cmocka_unit_test(page_data_encodes_what_it_decodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
