/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/progress.h"
#include "unit.h"

#define MIB UINT64_C(1048576)

static const struct progress_sample half = {
    .phase = "precopy",
    .round = 2,
    .bytes = 123 * MIB,
    .round_pages = 4500,
    .round_total = 10000,
    .rate = 25 * MIB,
    .downtime_ms = 40,
};

static const char *bar(const struct progress_sample *s, unsigned int columns)
{
    static char text[256];

    progress_render_bar(s, "g1", columns, text, sizeof(text));
    return text;
}

static void bars_look_like_this(void **state)
{
    struct progress_sample s = half;

    assert_string_equal(bar(&s, 100),
                        "g1: precopy 2 [#############.................]  45%"
                        "  123.0 MiB  25.0 MiB/s  859 ms left");
    assert_string_equal(bar(&s, 70), "g1: precopy 2 [#####........]  45%"
                                     "  123.0 MiB  25.0 MiB/s  859 ms left");
    s.round_pages = s.round_total;
    assert_string_equal(bar(&s, 80),
                        "g1: precopy 2 [##############################] 100%"
                        "  123.0 MiB  25.0 MiB/s");
}

static void what_the_guest_writes_is_there_with_room(void **state)
{
    struct progress_sample s = half;

    s.dirty_rate = 2560;
    assert_string_equal(bar(&s, 100),
                        "g1: precopy 2 [#####.......]  45%"
                        "  123.0 MiB  25.0 MiB/s  writes 10.0 MiB/s, stop "
                        "40 ms  859 ms left");
    assert_string_equal(bar(&s, 70), "g1: precopy 2 [#####........]  45%"
                                     "  123.0 MiB  25.0 MiB/s  859 ms left");
}

static void without_room_or_total_there_is_no_bar(void **state)
{
    struct progress_sample s = half;

    assert_string_equal(bar(&s, 58),
                        "g1: precopy 2  123.0 MiB  25.0 MiB/s  859 ms left");
    assert_string_equal(bar(&s, 20), "g1: precopy 2  123.0");
    s.round_total = 0;
    assert_string_equal(bar(&s, 80), "g1: precopy 2  123.0 MiB  25.0 MiB/s");
}

static void no_width_is_ever_exceeded(void **state)
{
    for (unsigned int columns = 20; columns < 200; columns++)
        assert_true(strlen(bar(&half, columns)) <= columns);
}

static void more_than_everything_is_a_full_bar(void **state)
{
    struct progress_sample s = half;

    s.round_pages = UINT64_MAX;
    assert_non_null(strstr(bar(&s, 80), "100%"));
}

static void rounds_look_like_this(void **state)
{
    struct progress_sample s = half;
    char text[256];

    s.dirty_pages = 812;
    progress_render_round(&s, text, sizeof(text));
    assert_string_equal(text, "precopy 2: 4500 pages, 123.0 MiB so far, "
                              "25.0 MiB/s, guest wrote 812 pages");
    s.dirty_pages = 0;
    s.round = 0;
    strcpy(s.phase, "final");
    progress_render_round(&s, text, sizeof(text));
    assert_string_equal(text,
                        "final: 4500 pages, 123.0 MiB so far, 25.0 MiB/s");
}

static void numbers_look_like_this(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0,              "0 B"           },
        {1023,           "1023 B"        },
        {1536,           "1.5 KiB"       },
        {5 * MIB * 1024, "5.0 GiB"       },
        {UINT64_MAX,     "16777216.0 TiB"},
    };
    static const struct {
        int64_t ms;
        const char *text;
    } times[] = {
        {0,      "0 ms"   },
        {9999,   "9999 ms"},
        {12340,  "12.3 s" },
        {125000, "2:05"   },
    };
    char text[32];

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        format_bytes(sizes[i].bytes, text, sizeof(text));
        assert_string_equal(text, sizes[i].text);
    }
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        format_ms(times[i].ms, text, sizeof(text));
        assert_string_equal(text, times[i].text);
    }
}

static void samples_are_read_from_lines(void **state)
{
    struct progress_sample s;

    assert_true(progress_sample_parse(
        "{\"event\":\"progress\",\"phase\":\"precopy\",\"round\":3,"
        "\"bytes\":5000000000,\"rate\":7,\"downtime_ms\":12}",
        &s));
    assert_string_equal(s.phase, "precopy");
    assert_int_equal(s.round, 3);
    assert_int_equal(s.bytes, 5000000000);
    assert_int_equal(s.downtime_ms, 12);
    assert_true(progress_sample_parse("{\"phase\":\"setup\"}", &s));
    assert_int_equal(s.downtime_ms, -1);
}

/* The helper may be anybody's. */
static void strange_lines_do_no_harm(void **state)
{
    static const char *const not_samples[] = {
        "", "x", "[]", "{", "{}", "{\"phase\":1}", "null", "\"phase\"",
    };
    struct progress_sample s = {0};

    for (size_t i = 0; i < sizeof(not_samples) / sizeof(not_samples[0]); i++)
        assert_false(progress_sample_parse(not_samples[i], &s));
    assert_true(progress_sample_parse(
        "{\"phase\":\"\\u001b[31mlonger-than-any-phase-name\",\"round\":-1,"
        "\"bytes\":\"many\",\"rate\":1e9}",
        &s));
    assert_string_equal(s.phase, "mlongerthananyp");
    assert_int_equal(s.round, 0);
    assert_int_equal(s.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars_look_like_this),
        cmocka_unit_test(what_the_guest_writes_is_there_with_room),
        cmocka_unit_test(without_room_or_total_there_is_no_bar),
        cmocka_unit_test(no_width_is_ever_exceeded),
        cmocka_unit_test(more_than_everything_is_a_full_bar),
        cmocka_unit_test(rounds_look_like_this),
        cmocka_unit_test(numbers_look_like_this),
        cmocka_unit_test(samples_are_read_from_lines),
        cmocka_unit_test(strange_lines_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
