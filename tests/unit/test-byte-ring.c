/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "byte_ring.h"

#define SIZE 16

/* A ring with something beside it that must stay as it is. */
struct ring {
    char before[8], data[SIZE], after[8];
};

static struct ring new_ring(void)
{
    struct ring r;

    memset(&r, '.', sizeof(r));
    return r;
}

static void assert_surroundings_untouched(const struct ring *r)
{
    assert_memory_equal(r->before, "........", 8);
    assert_memory_equal(r->after, "........", 8);
}

static void every_place_and_length_comes_back(void **state)
{
    static const char text[] = "0123456789abcdef";

    for (uint32_t start = 0; start < 2 * SIZE; start++) {
        for (uint32_t len = 0; len <= SIZE; len++) {
            struct ring r = new_ring();
            char out[SIZE] = {0};

            assert_int_equal(
                byte_ring_put(r.data, SIZE, start, start, text, len), len);
            assert_int_equal(byte_ring_get(r.data, SIZE, start + len, start,
                                           out, sizeof(out)),
                             len);
            assert_memory_equal(out, text, len);
            assert_surroundings_untouched(&r);
        }
    }
}

static void indexes_wrap_at_32_bits(void **state)
{
    struct ring r = new_ring();
    uint32_t cons = UINT32_MAX - 3;
    char out[SIZE];

    assert_int_equal(byte_ring_put(r.data, SIZE, cons, cons, "abcdefgh", 8), 8);
    assert_int_equal(byte_ring_used(SIZE, cons + 8, cons), 8);
    assert_int_equal(byte_ring_get(r.data, SIZE, cons + 8, cons, out, SIZE), 8);
    assert_memory_equal(out, "abcdefgh", 8);
    assert_surroundings_untouched(&r);
}

static void no_more_is_put_than_fits(void **state)
{
    struct ring r = new_ring();

    assert_int_equal(byte_ring_put(r.data, SIZE, 10, 0, "abcdefgh", 8), 6);
    assert_int_equal(byte_ring_put(r.data, SIZE, SIZE, 0, "x", 1), 0);
    assert_surroundings_untouched(&r);
}

static void a_short_buffer_takes_what_it_can(void **state)
{
    struct ring r = new_ring();
    char out[3];

    assert_int_equal(byte_ring_put(r.data, SIZE, 0, 0, "abcdefgh", 8), 8);
    assert_int_equal(byte_ring_get(r.data, SIZE, 8, 2, out, sizeof(out)), 3);
    assert_memory_equal(out, "cde", 3);
}

static void indexes_out_of_range_copy_nothing(void **state)
{
    struct ring r = new_ring();
    char out[SIZE] = "unchanged";

    assert_int_equal(byte_ring_used(SIZE, SIZE + 1, 0), BYTE_RING_BROKEN);
    assert_int_equal(byte_ring_used(SIZE, 0, 1), BYTE_RING_BROKEN);
    assert_int_equal(byte_ring_put(r.data, SIZE, SIZE + 1, 0, "x", 1),
                     BYTE_RING_BROKEN);
    assert_int_equal(byte_ring_get(r.data, SIZE, 0, 1, out, SIZE),
                     BYTE_RING_BROKEN);
    assert_string_equal(out, "unchanged");
    assert_surroundings_untouched(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_place_and_length_comes_back),
        cmocka_unit_test(indexes_wrap_at_32_bits),
        cmocka_unit_test(no_more_is_put_than_fits),
        cmocka_unit_test(a_short_buffer_takes_what_it_can),
        cmocka_unit_test(indexes_out_of_range_copy_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
