/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "engine/precopy_policy.h"

static const struct precopy_limits limits = {
    .downtime_ms = 100,
    .max_rounds = 5,
    .fallback = PRECOPY_STOP_ANYWAY,
};

/* 1000 pages a second. */
static const struct precopy_measurement busy = {
    .round = 2,
    .dirty_pages = 1000,
    .round_pages = 2000,
    .round_ns = 2000000000,
};

static void the_prediction_is_what_is_left_over_the_rate(void **state)
{
    struct precopy_limits l = limits;

    assert_int_equal(precopy_predict_downtime_ms(&l, &busy), 1000);
    l.bandwidth = 4096 * 10000;
    assert_int_equal(precopy_predict_downtime_ms(&l, &busy), 100);
}

static void nothing_measured_predicts_nothing(void **state)
{
    struct precopy_measurement m = {.round = 1, .dirty_pages = 1000};

    assert_true(precopy_predict_downtime_ms(&limits, &m) == INT64_MAX);
    assert_int_equal(precopy_decide(&limits, &m), PRECOPY_CONTINUE);
}

static void a_downtime_within_the_target_stops(void **state)
{
    struct precopy_measurement m = busy;

    m.dirty_pages = 101;
    assert_int_equal(precopy_decide(&limits, &m), PRECOPY_CONTINUE);
    m.dirty_pages = 100;
    assert_int_equal(precopy_decide(&limits, &m), PRECOPY_STOP);
}

static void a_handful_of_pages_stops_however_slow_the_wire(void **state)
{
    struct precopy_measurement m = busy;

    m.round_pages = 1;
    m.dirty_pages = 49;
    assert_int_equal(precopy_decide(&limits, &m), PRECOPY_STOP);
    m.dirty_pages = 50;
    assert_int_equal(precopy_decide(&limits, &m), PRECOPY_CONTINUE);
}

static void rounds_end_as_asked(void **state)
{
    struct precopy_limits l = limits;
    struct precopy_measurement m = busy;

    m.round = 5;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_STOP);
    l.fallback = PRECOPY_CANCEL;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_GIVE_UP);
    l.fallback = PRECOPY_KEEP_TRYING;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_STOP);
}

static void a_set_that_does_not_shrink_ends_as_asked(void **state)
{
    struct precopy_limits l = limits;
    struct precopy_measurement m = busy;

    m.not_shrinking = 1;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_CONTINUE);
    m.not_shrinking = 2;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_STOP);
    l.fallback = PRECOPY_CANCEL;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_GIVE_UP);
    l.fallback = PRECOPY_KEEP_TRYING;
    assert_int_equal(precopy_decide(&l, &m), PRECOPY_CONTINUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prediction_is_what_is_left_over_the_rate),
        cmocka_unit_test(nothing_measured_predicts_nothing),
        cmocka_unit_test(a_downtime_within_the_target_stops),
        cmocka_unit_test(a_handful_of_pages_stops_however_slow_the_wire),
        cmocka_unit_test(rounds_end_as_asked),
        cmocka_unit_test(a_set_that_does_not_shrink_ends_as_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
