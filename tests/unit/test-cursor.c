/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/cursor.h"

static const uint8_t octets[15] = {
    0x01,                                           /* u8 */
    0x02, 0x03,                                     /* u16 */
    0x04, 0x05, 0x06, 0x07,                         /* u32 */
    0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, /* u64 */
};

static void reads_little_endian(void **state)
{
    struct cursor c = cursor_over(octets, sizeof(octets), ORDER_LITTLE);

    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0302);
    assert_int_equal(cursor_u32(&c), 0x07060504);
    assert_true(cursor_u64(&c) == UINT64_C(0x0f0e0d0c0b0a0908));
    assert_false(c.bad);
    assert_int_equal(cursor_left(&c), 0);
}

static void reads_big_endian(void **state)
{
    struct cursor c = cursor_over(octets, sizeof(octets), ORDER_BIG);

    assert_int_equal(cursor_u8(&c), 0x01);
    assert_int_equal(cursor_u16(&c), 0x0203);
    assert_int_equal(cursor_u32(&c), 0x04050607);
    assert_true(cursor_u64(&c) == UINT64_C(0x08090a0b0c0d0e0f));
}

static void every_truncation_is_bad_and_reads_zero(void **state)
{
    for (size_t length = 0; length < 8; length++) {
        /* Memory of exactly this size, so that a sanitizer sees overreads. */
        uint8_t *copy = malloc(length ? length : 1);
        struct cursor c;

        memcpy(copy, octets, length);
        c = cursor_over(copy, length, ORDER_LITTLE);
        assert_true(cursor_u64(&c) == 0);
        assert_true(c.bad);
        assert_int_equal(cursor_left(&c), length);
        assert_int_equal(cursor_u8(&c), 0); /* sticky, though one is left */
        free(copy);
    }
}

static void a_length_near_the_top_does_not_wrap(void **state)
{
    struct cursor c = cursor_over(octets, sizeof(octets), ORDER_LITTLE);

    assert_null(cursor_bytes(&c, SIZE_MAX));
    assert_true(c.bad);
}

static void strings_need_their_nul(void **state)
{
    static const char text[] = {'a', 0, 0, 'b'};
    struct cursor c = cursor_over(text, sizeof(text), ORDER_LITTLE);

    assert_string_equal(cursor_string(&c), "a");
    assert_string_equal(cursor_string(&c), "");
    assert_null(cursor_string(&c));
    assert_true(c.bad);
}

static void zeroes_are_told_from_the_rest(void **state)
{
    static const uint8_t some[] = {0, 0, 0, 1};
    struct cursor c = cursor_over(some, sizeof(some), ORDER_LITTLE);

    assert_true(cursor_zeroes(&c, 3));
    assert_false(cursor_zeroes(&c, 1));
    assert_false(c.bad);
    assert_false(cursor_zeroes(&c, 1));
    assert_true(c.bad);
}

static void an_absent_buffer_is_empty(void **state)
{
    struct cursor c = cursor_over(NULL, 0, ORDER_LITTLE);

    assert_int_equal(cursor_left(&c), 0);
    assert_null(cursor_string(&c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_little_endian),
        cmocka_unit_test(reads_big_endian),
        cmocka_unit_test(every_truncation_is_bad_and_reads_zero),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap),
        cmocka_unit_test(strings_need_their_nul),
        cmocka_unit_test(zeroes_are_told_from_the_rest),
        cmocka_unit_test(an_absent_buffer_is_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
