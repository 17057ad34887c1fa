/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "pattern.h"

static void a_page_matches_only_itself(void **state)
{
    uint64_t page[PATTERN_WORDS];
    struct pattern_fault fault;

    for (uint64_t number = 0; number < 4; number++) {
        for (uint64_t generation = 1; generation < 5; generation++) {
            pattern_fill(page, number, generation);
            assert_true(pattern_check(page, number, generation, &fault));
            assert_false(pattern_check(page, number, generation + 1, &fault));
            assert_int_equal(fault.word, 0);
            assert_true(fault.expected == generation + 1);
            assert_true(fault.found == generation);
            assert_false(pattern_check(page, number + 1, generation, &fault));
            assert_int_equal(fault.word, 1);
        }
    }
}

static void any_flipped_bit_is_found_where_it_is(void **state)
{
    uint64_t page[PATTERN_WORDS];
    struct pattern_fault fault;

    pattern_fill(page, 7, 9);
    for (unsigned int word = 0; word < PATTERN_WORDS; word++) {
        uint64_t right = page[word];

        page[word] ^= UINT64_C(1) << word % 64;
        assert_false(pattern_check(page, 7, 9, &fault));
        assert_int_equal(fault.word, word);
        assert_true(fault.expected == right);
        assert_true(fault.found == page[word]);
        page[word] = right;
    }
}

/* A page of which only a part was rewritten, as a torn copy would be. */
static void a_torn_page_is_found(void **state)
{
    for (unsigned int cut = 1; cut < PATTERN_WORDS; cut++) {
        uint64_t old[PATTERN_WORDS], new[PATTERN_WORDS];
        struct pattern_fault fault;

        pattern_fill(old, 3, 10);
        pattern_fill(new, 3, 11);
        memcpy(old, new, cut * sizeof(*old));
        assert_false(pattern_check(old, 3, 10, &fault));
        /* The page's number is the same in both generations. */
        if (cut == 1)
            memcpy(old + 1, new + 1, sizeof(*old));
        assert_false(pattern_check(old, 3, 11, &fault));
        assert_int_equal(fault.word, cut == 1 ? 2 : cut);
    }
}

static void pages_of_zeroes_and_ones_never_match(void **state)
{
    uint64_t page[PATTERN_WORDS];
    struct pattern_fault fault;

    memset(page, 0, sizeof(page));
    assert_false(pattern_check(page, 0, 1, &fault));
    memset(page, 0xff, sizeof(page));
    assert_false(pattern_check(page, 0, 1, &fault));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_matches_only_itself),
        cmocka_unit_test(any_flipped_bit_is_found_where_it_is),
        cmocka_unit_test(a_torn_page_is_found),
        cmocka_unit_test(pages_of_zeroes_and_ones_never_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
