/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/bitmap.h"

/* Sizes around the edges of a word and of a page of bits. */
static const uint64_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 32768, 32769};

static void single_bits_are_found_again(void **state)
{
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        cleanup(bitmap_release) struct bitmap b = {0};
        struct error err;
        uint64_t last = sizes[s] - 1;

        assert_ok(bitmap_init(&b, sizes[s], &err), err);
        assert_true(bitmap_next(&b, 0) == BITMAP_END);
        assert_false(bitmap_test_and_set(&b, last));
        assert_true(bitmap_test_and_set(&b, last));
        assert_true(bitmap_next(&b, 0) == last);
        assert_true(bitmap_next(&b, last) == last);
        assert_true(bitmap_next(&b, last + 1) == BITMAP_END);
        assert_true(bitmap_count(&b) == 1);
        bitmap_clear(&b, last);
        assert_false(bitmap_test(&b, last));
        assert_true(bitmap_count(&b) == 0);
    }
}

static void a_full_set_ends_where_it_should(void **state)
{
    for (size_t s = 0; s < ARRAY_SIZE(sizes); s++) {
        cleanup(bitmap_release) struct bitmap b = {0};
        struct error err;

        assert_ok(bitmap_init(&b, sizes[s], &err), err);
        bitmap_fill(&b);
        assert_true(bitmap_count(&b) == sizes[s]);
        assert_true(bitmap_next_clear(&b, 0) == BITMAP_END);
        bitmap_clear(&b, sizes[s] / 2);
        assert_true(bitmap_next_clear(&b, 0) == sizes[s] / 2);
        bitmap_empty(&b);
        assert_true(bitmap_count(&b) == 0);
    }
}

static void stray_bits_beyond_the_end_are_trimmed(void **state)
{
    cleanup(bitmap_release) struct bitmap b = {0};
    struct error err;

    assert_ok(bitmap_init(&b, 65, &err), err);
    memset(b.words, 0xff, bitmap_size(&b));
    bitmap_trim(&b);
    assert_true(bitmap_count(&b) == 65);
}

static void sets_are_joined(void **state)
{
    cleanup(bitmap_release) struct bitmap a = {0}, b = {0};
    struct error err;

    assert_ok(bitmap_init(&a, 200, &err), err);
    assert_ok(bitmap_init(&b, 200, &err), err);
    bitmap_set(&a, 3);
    bitmap_set(&b, 150);
    bitmap_or(&a, &b);
    assert_true(bitmap_next(&a, 4) == 150);
    assert_true(bitmap_count(&a) == 2);
}

static void the_layout_is_the_hypervisors(void **state)
{
    cleanup(bitmap_release) struct bitmap b = {0};
    struct error err;

    assert_ok(bitmap_init(&b, 64, &err), err);
    bitmap_set(&b, 9);
    assert_int_equal(((uint8_t *)b.words)[1], 1 << 1);
    assert_int_equal((uintptr_t)b.words % PAGE_SIZE, 0);
}

static void an_absurd_size_is_refused(void **state)
{
    struct bitmap b = {0};
    struct error err;

    assert_refused(bitmap_init(&b, UINT64_MAX, &err), err, ERR_LIMIT, "bitmap");
    assert_null(b.words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_bits_are_found_again),
        cmocka_unit_test(a_full_set_ends_where_it_should),
        cmocka_unit_test(stray_bits_beyond_the_end_are_trimmed),
        cmocka_unit_test(sets_are_joined),
        cmocka_unit_test(the_layout_is_the_hypervisors),
        cmocka_unit_test(an_absurd_size_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
