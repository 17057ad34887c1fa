/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/buffer.h"

static void what_a_cursor_reads_a_buffer_wrote(void **state)
{
    for (int order = ORDER_LITTLE; order <= ORDER_BIG; order++) {
        cleanup(buffer_release) struct buffer b = {.order = order};
        struct cursor c;
        struct error err;

        buffer_u8(&b, 0x12);
        buffer_u16(&b, 0x3456);
        buffer_u32(&b, 0x789abcde);
        buffer_u64(&b, UINT64_C(0xf0123456789abcde));
        assert_ok(buffer_check(&b, "integers", &err), err);

        c = cursor_over(b.bytes, b.length, order);
        assert_int_equal(cursor_u8(&c), 0x12);
        assert_int_equal(cursor_u16(&c), 0x3456);
        assert_int_equal(cursor_u32(&c), 0x789abcde);
        assert_true(cursor_u64(&c) == UINT64_C(0xf0123456789abcde));
        assert_int_equal(cursor_left(&c), 0);
    }
}

static void the_cap_is_exact_and_failure_sticks(void **state)
{
    cleanup(buffer_release) struct buffer b = {.cap = 100};
    struct error err;

    buffer_zeroes(&b, 100);
    assert_ok(buffer_check(&b, "hundred", &err), err);
    buffer_u8(&b, 1);
    assert_refused(buffer_check(&b, "hundred", &err), err, ERR_NO_MEMORY,
                   "hundred: no room after 100 octets, expected at most 100");
    buffer_consume(&b, 50);
    buffer_u8(&b, 1);
    assert_int_equal(b.length, 50);

    buffer_reset(&b);
    buffer_u8(&b, 1);
    assert_int_equal(b.length, 1);
    assert_ok(buffer_check(&b, "again", &err), err);
}

static void an_enormous_extension_does_not_wrap(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_u8(&b, 1);
    assert_null(buffer_extend(&b, SIZE_MAX));
    assert_true(b.bad);
    assert_int_equal(b.length, 1);
}

static void text_and_formats_leave_no_nul(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_text(&b, "ab");
    buffer_format(&b, "%d-%s", 7, "x");
    assert_int_equal(b.length, 5);
    assert_memory_equal(b.bytes, "ab7-x", 5);
}

static void alignment_pads_with_zeroes(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_text(&b, "abc");
    buffer_align(&b, 8);
    assert_int_equal(b.length, 8);
    assert_memory_equal(b.bytes, "abc\0\0\0\0\0", 8);
    buffer_align(&b, 8);
    assert_int_equal(b.length, 8);
}

static void a_length_can_be_filled_in_later(void **state)
{
    cleanup(buffer_release) struct buffer b = {.order = ORDER_BIG};

    buffer_u32(&b, 0);
    buffer_text(&b, "xyz");
    buffer_patch_u32(&b, 0, 3);
    assert_memory_equal(b.bytes, "\0\0\0\3xyz", 7);
}

static void a_queue_moves_forward(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_text(&b, "abcdef");
    buffer_consume(&b, 4);
    assert_memory_equal(b.bytes, "ef", 2);
    buffer_consume(&b, 2);
    assert_int_equal(b.length, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_cursor_reads_a_buffer_wrote),
        cmocka_unit_test(the_cap_is_exact_and_failure_sticks),
        cmocka_unit_test(an_enormous_extension_does_not_wrap),
        cmocka_unit_test(text_and_formats_leave_no_nul),
        cmocka_unit_test(alignment_pads_with_zeroes),
        cmocka_unit_test(a_length_can_be_filled_in_later),
        cmocka_unit_test(a_queue_moves_forward),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
