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

/* What a run does is what its frames would do one by one. */
static void runs_are_their_frames(void **state)
{
    static const uint32_t lengths[] = {1, 2, 63, 64, 65, 128, 1000};
    struct pfn_set set = {0};

    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        uint64_t pfn = PFN_SET_CHUNK_BITS - 40;
        uint32_t nr = lengths[i];

        assert_true(pfn_set_add_run(&set, pfn, nr, true));
        assert_int_equal(set.nr_frames, nr);
        for (uint32_t n = 0; n < nr; n++)
            assert_true(pfn_set_has(&set, pfn + n));
        assert_false(pfn_set_has(&set, pfn - 1));
        assert_false(pfn_set_has(&set, pfn + nr));
        /* Its last frame is known, so that nothing of it is added. */
        assert_false(pfn_set_add_run(&set, pfn - 5, nr + 5, true));
        assert_false(pfn_set_has(&set, pfn - 5));
        assert_true(pfn_set_add_run(&set, pfn - 5, nr + 5, false));
        assert_int_equal(set.nr_frames, nr + 5);
        pfn_set_clear_run(&set, pfn - 64, 59);
        assert_int_equal(set.nr_frames, nr + 5);
        pfn_set_clear_run(&set, pfn - 5, nr + 5);
        assert_int_equal(set.nr_frames, 0);
    }
    assert_false(pfn_set_add_run(&set, PFN_SET_LIMIT - 1, 2, false));
    assert_int_equal(set.nr_frames, 0);
    pfn_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pfn_set_remembers),
        cmocka_unit_test(pfn_set_is_bounded),
        cmocka_unit_test(runs_are_their_frames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
