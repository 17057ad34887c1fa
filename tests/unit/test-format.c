/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include <limits.h>

#include "format.h"

#define assert_format(expected, ...)                        \
    do {                                                    \
        char out[128];                                      \
        size_t len = format(out, sizeof(out), __VA_ARGS__); \
        assert_string_equal(out, expected);                 \
        assert_int_equal(len, strlen(expected));            \
    } while (0)

static void numbers_print_as_printf_prints_them(void **state)
{
    static const long values[] = {0, 1, -1, 9, 10, INT_MAX, INT_MIN};
    char wanted[128];

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        int v = (int)values[i];

        snprintf(wanted, sizeof(wanted), "%d %u %x %08x %#x", v, (unsigned)v,
                 (unsigned)v, (unsigned)v, 0x10u);
        assert_format(wanted, "%d %u %x %08x %#x", v, (unsigned)v, (unsigned)v,
                      (unsigned)v, 0x10u);
    }
    snprintf(wanted, sizeof(wanted), "%ld %ld %lu %lx", LONG_MIN, LONG_MAX,
             ULONG_MAX, ULONG_MAX);
    assert_format(wanted, "%ld %ld %lu %lx", LONG_MIN, LONG_MAX, ULONG_MAX,
                  ULONG_MAX);
}

static void text_prints(void **state)
{
    assert_format("a=b c%", "%s=%c %s%%", "a", 'b', "c");
    assert_format("", "%s", "");
}

static void what_does_not_fit_is_cut_off(void **state)
{
    for (size_t size = 1; size < 8; size++) {
        char out[9];

        memset(out, '#', sizeof(out));
        assert_int_equal(format(out, size, "%s%u", "abc", 1234567u), size - 1);
        assert_memory_equal(out, "abc1234", size - 1);
        assert_int_equal(out[size - 1], '\0');
        assert_int_equal(out[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_print_as_printf_prints_them),
        cmocka_unit_test(text_prints),
        cmocka_unit_test(what_does_not_fit_is_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
