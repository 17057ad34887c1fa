/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>

#include "unit.h"

static void setting_an_error_answers_false_and_fills_it(void **state)
{
    struct error err = {0};

    assert_false(error_set_at(&err, ERR_FORMAT, 24, "END: length %d", 3));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_int_equal(err.offset, 24);
    assert_int_equal(err.os_errno, 0);
    assert_string_equal(err.text, "END: length 3");
}

static void an_errno_is_described(void **state)
{
    struct error err = {0};

    assert_false(error_set_errno(&err, ERR_IO, ENOSPC, "image.xl"));
    assert_int_equal(err.os_errno, ENOSPC);
    assert_string_equal(err.text, "image.xl: No space left on device");
    assert_true(err.offset == ERROR_NO_OFFSET);
}

static void wrapping_prefixes_and_keeps_the_rest(void **state)
{
    struct error err = {0};

    error_set_at(&err, ERR_TRUNCATED, 7, "ends");
    assert_false(error_wrap(&err, "domain %d", 3));
    assert_string_equal(err.text, "domain 3: ends");
    assert_int_equal(err.code, ERR_TRUNCATED);
    assert_int_equal(err.offset, 7);
}

static void a_long_text_is_cut_and_terminated(void **state)
{
    struct error err;
    char long_text[2 * ERROR_TEXT_MAX];

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    error_set_errno(&err, ERR_IO, EIO, "%s", long_text);
    error_wrap(&err, "%s", long_text);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
}

static void nobody_has_to_listen(void **state)
{
    assert_false(error_set(NULL, ERR_IO, "x"));
    assert_false(error_set_at(NULL, ERR_IO, 0, "x"));
    assert_false(error_set_errno(NULL, ERR_IO, EIO, "x"));
    assert_false(error_wrap(NULL, "x"));
}

static void every_code_has_a_name_of_its_own(void **state)
{
    for (int a = ERR_NONE; a <= ERR_USAGE; a++)
        for (int b = ERR_NONE; b < a; b++)
            assert_string_not_equal(error_code_name(a), error_code_name(b));
    assert_string_equal(error_code_name(ERR_USAGE + 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_answers_false_and_fills_it),
        cmocka_unit_test(an_errno_is_described),
        cmocka_unit_test(wrapping_prefixes_and_keeps_the_rest),
        cmocka_unit_test(a_long_text_is_cut_and_terminated),
        cmocka_unit_test(nobody_has_to_listen),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
