/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/record.h"
#include "unit.h"

/* clang-format off */
static const uint8_t little[] = {
    0x05, 0x00, 0x00, 0x00, /* type */
    0x03, 0x00, 0x00, 0x00, /* length */
    'a', 'b', 'c',          /* body */
    0, 0, 0, 0, 0,          /* padding */
    0x00, 0x00, 0x00, 0x80, /* type */
    0x00, 0x00, 0x00, 0x00, /* length */
};
static const uint8_t big[] = {
    0x00, 0x00, 0x00, 0x05, /* type */
    0x00, 0x00, 0x00, 0x03, /* length */
    'a', 'b', 'c',          /* body */
    0, 0, 0, 0, 1,          /* padding that is not zero */
};
/* clang-format on */

static void record_reads_little_endian(void **state)
{
    struct memory_source memory = {little, sizeof(little), 0, 1};
    struct stream_source source = source_from_memory(&memory);
    struct buffer body = {0};
    struct record_head head;
    struct record rec;
    struct error err;

    assert_ok(record_read_head(&source, ORDER_LITTLE, &head, &err), err);
    assert_int_equal(head.type, 5);
    assert_int_equal(head.length, 3);
    assert_int_equal(head.offset, 0);
    assert_ok(record_read_body(&source, &head, "X", &body, &rec, &err), err);
    assert_int_equal(rec.length, 3);
    assert_memory_equal(rec.body, "abc", 3);
    assert_true(rec.padding_zero);
    assert_ok(record_read_head(&source, ORDER_LITTLE, &head, &err), err);
    assert_int_equal(head.type, 0x80000000);
    assert_int_equal(head.offset, 16);
    assert_ok(record_skip_body(&source, &head, "X", &err), err);
    assert_int_equal(source.offset, sizeof(little));
    assert_refused(record_read_head(&source, ORDER_LITTLE, &head, &err), err,
                   ERR_TRUNCATED, "record header");
    buffer_release(&body);
}

static void record_reads_big_endian(void **state)
{
    struct memory_source memory = {big, sizeof(big), 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct buffer body = {0};
    struct record_head head;
    struct record rec;
    struct error err;

    assert_ok(record_read_head(&source, ORDER_BIG, &head, &err), err);
    assert_int_equal(head.type, 5);
    assert_int_equal(head.length, 3);
    assert_ok(record_read_body(&source, &head, "X", &body, &rec, &err), err);
    assert_false(rec.padding_zero);
    buffer_release(&body);
}

static void record_refuses_every_truncation(void **state)
{
    for (size_t length = 0; length < 16; length++) {
        struct memory_source memory = {little, length, 0, 0};
        struct stream_source source = source_from_memory(&memory);
        struct buffer body = {0};
        struct record_head head;
        struct record rec;
        struct error err = {0};
        bool ok = record_read_head(&source, ORDER_LITTLE, &head, &err) &&
                  record_read_body(&source, &head, "X", &body, &rec, &err);

        assert_false(ok);
        assert_int_equal(err.code, ERR_TRUNCATED);
        buffer_release(&body);
    }
}

static void record_refuses_lengths_that_round_to_zero(void **state)
{
    static const uint32_t lengths[] = {0xffffffff, 0xfffffff9, 0xfffffff8,
                                       0x80000000, RECORD_LENGTH_MAX + 1};

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        uint8_t bytes[RECORD_HEAD_SIZE];
        struct memory_source memory = {bytes, sizeof(bytes), 0, 0};
        struct stream_source source = source_from_memory(&memory);
        struct record_head head;
        struct error err;

        record_head_encode(bytes, ORDER_LITTLE, 1, lengths[i]);
        assert_refused(record_read_head(&source, ORDER_LITTLE, &head, &err),
                       err, ERR_LIMIT, "at most 134217728");
    }
    assert_int_equal(padded_to_8(0xfffffff9), UINT64_C(0x100000000));
}

static void record_body_takes_no_memory_for_octets_that_miss(void **state)
{
    uint8_t bytes[RECORD_HEAD_SIZE + 16] = {0};
    struct memory_source memory = {bytes, sizeof(bytes), 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct buffer body = {0};
    struct record_head head;
    struct record rec;
    struct error err;

    record_head_encode(bytes, ORDER_LITTLE, 1, RECORD_LENGTH_MAX);
    assert_ok(record_read_head(&source, ORDER_LITTLE, &head, &err), err);
    assert_refused(record_read_body(&source, &head, "X", &body, &rec, &err),
                   err, ERR_TRUNCATED, "X: stream ends");
    assert_true(body.capacity <= (size_t)2 << 20);
    buffer_release(&body);
}

static void record_end_pads_and_patches(void **state)
{
    struct buffer b = {0};
    size_t begun = record_begin(&b, 5);

    buffer_bytes(&b, "abc", 3);
    record_end(&b, begun);
    record_append(&b, 0x80000000, NULL, 0);
    assert_false(b.bad);
    assert_int_equal(b.length, sizeof(little));
    assert_memory_equal(b.bytes, little, sizeof(little));
    buffer_release(&b);
}

static void source_skips_exactly(void **state)
{
    static const uint8_t bytes[200000];
    struct memory_source memory = {bytes, sizeof(bytes), 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct error err;

    assert_ok(source_skip(&source, sizeof(bytes), "S", &err), err);
    assert_int_equal(source.offset, sizeof(bytes));
    assert_refused(source_skip(&source, 1, "S", &err), err, ERR_TRUNCATED,
                   "S: stream ends at offset 200000");
}

static void source_readv_refuses_an_early_end(void **state)
{
    static const uint8_t bytes[10];
    struct memory_source memory = {bytes, sizeof(bytes), 0, 0};
    struct stream_source source = source_from_memory(&memory);
    uint8_t a[4];
    uint8_t b[7];
    struct iovec iov[] = {
        {a, sizeof(a)},
        {b, sizeof(b)}
    };
    struct error err;

    assert_refused(source_readv(&source, iov, 2, "pages", &err), err,
                   ERR_TRUNCATED, "pages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_reads_little_endian),
        cmocka_unit_test(record_reads_big_endian),
        cmocka_unit_test(record_refuses_every_truncation),
        cmocka_unit_test(record_refuses_lengths_that_round_to_zero),
        cmocka_unit_test(record_body_takes_no_memory_for_octets_that_miss),
        cmocka_unit_test(record_end_pads_and_patches),
        cmocka_unit_test(source_skips_exactly),
        cmocka_unit_test(source_readv_refuses_an_early_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
