/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "cmdline.h"

static void numbers_are_read_whole_or_not_at_all(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {
        {"0",                    0                          },
        {"17",                   17                         },
        {"4K",                   4096                       },
        {"4M",                   4 << 20                    },
        {"3G",                   UINT64_C(3) << 30          },
        {"18446744073709551615", UINT64_MAX                 },
        {"17179869183G",         UINT64_C(17179869183) << 30},
    };
    static const char *const bad[] = {
        "",    "K",
        "-1",  " 1",
        "1 ",  "0x10",
        "4KB", "18446744073709551616",
        "1m",  "17179869184G",
    };

    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        uint64_t value;

        assert_true(number_parse(good[i].text, &value));
        assert_true(value == good[i].value);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        uint64_t value = 42;

        if (number_parse(bad[i], &value))
            fail_msg("\"%s\" was read as %lu", bad[i], value);
        assert_true(value == 42);
    }
}

static void a_line_sets_what_it_names(void **state)
{
    struct options o;
    char refused[64];

    options_init(&o);
    options_parse(
        &o,
        " mem=2M rate=17\tdisk=on disk_rate=5 disk_blocks=9 "
        "disk_depth=3 vcpus=2 tick_ms=20 report_ms=500 ping_ticks=7 ping=storm "
        "evtchn=2l callback=domain timer=periodic idle=poll\n",
        refused, sizeof(refused));
    assert_string_equal(refused, "");
    assert_true(o.mem == 2 << 20);
    assert_true(o.rate == 17);
    assert_true(o.disk);
    assert_true(o.disk_rate == 5);
    assert_true(o.disk_blocks == 9);
    assert_true(o.disk_depth == 3);
    assert_true(o.vcpus == 2);
    assert_true(o.tick_ms == 20);
    assert_true(o.report_ms == 500);
    assert_true(o.ping_ticks == 7);
    assert_int_equal(o.ping, PING_STORM);
    assert_int_equal(o.event_abi, EVENT_ABI_2L);
    assert_int_equal(o.callback, CALLBACK_DOMAIN);
    assert_int_equal(o.timer, TIMER_PERIODIC);
    assert_int_equal(o.idle, IDLE_POLL);
}

static void refused_words_change_nothing(void **state)
{
    static const char *const words[] = {
        "rat=1",     "rate",         "rate=",         "rate=x",
        "vcpus=0",   "vcpus=9",      "tick_ms=0",     "disk=yes",
        "evtchn=3l", "disk_depth=0", "disk_depth=32", "disk_blocks=65537",
        "=",         "ratex=1",      "mem=4G",
    };
    struct options o, before;

    options_init(&o);
    options_init(&before);
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (options_apply(&o, words[i]))
            fail_msg("\"%s\" was accepted", words[i]);
        assert_memory_equal(&o, &before, sizeof(o));
    }
}

static void refused_words_are_named_as_far_as_there_is_room(void **state)
{
    struct options o;
    char refused[8];

    options_init(&o);
    options_parse(&o, "rate=1 foo bar=1 quux", refused, sizeof(refused));
    assert_string_equal(refused, "foo bar");
    assert_true(o.rate == 1);
}

static void a_long_word_is_refused(void **state)
{
    struct options o;
    char line[512], refused[512];

    memset(line, '7', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    memcpy(line, "rate=", 5);
    options_init(&o);
    options_parse(&o, line, refused, sizeof(refused));
    assert_true(strlen(refused) > 5);
    assert_true(o.rate != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_read_whole_or_not_at_all),
        cmocka_unit_test(a_line_sets_what_it_names),
        cmocka_unit_test(refused_words_change_nothing),
        cmocka_unit_test(refused_words_are_named_as_far_as_there_is_room),
        cmocka_unit_test(a_long_word_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
