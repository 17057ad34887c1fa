/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/pfn_set.h"
#include "unit.h"

static void pfn_set_remembers(void **state)
{
    struct pfn_set set = {0};

    assert_false(pfn_set_has(&set, 5));
    assert_int_equal(pfn_set_add(&set, 5), PFN_SET_NEW);
    assert_int_equal(pfn_set_add(&set, 5), PFN_SET_KNOWN);
    assert_int_equal(pfn_set_add(&set, PFN_SET_LIMIT - 1), PFN_SET_NEW);
    assert_int_equal(set.nr_frames, 2);
    assert_true(pfn_set_has(&set, 5));
    pfn_set_clear(&set, 5);
    pfn_set_clear(&set, 6);
    assert_false(pfn_set_has(&set, 5));
    assert_int_equal(set.nr_frames, 1);
    pfn_set_release(&set);
    pfn_set_release(&set);
}

static void pfn_set_is_bounded(void **state)
{
    struct pfn_set set = {0};

    assert_int_equal(pfn_set_add(&set, PFN_SET_LIMIT), PFN_SET_BEYOND);
    assert_int_equal(pfn_set_add(&set, UINT64_MAX), PFN_SET_BEYOND);
    for (uint64_t i = 0; i < PFN_SET_CHUNKS; i++)
        assert_int_equal(pfn_set_add(&set, i * PFN_SET_CHUNK_BITS),
                         i < PFN_SET_CHUNKS_MAX ? PFN_SET_NEW : PFN_SET_BEYOND);
    pfn_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pfn_set_remembers),
        cmocka_unit_test(pfn_set_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
