/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is JSON, what is not, and from which octet on. */
#include "stream/xl/json_text.h"
#include "unit.h"

static void json_is_accepted(void **state)
{
    static const char *const texts[] = {
        "{}",
        " [ ] ",
        "\"\"",
        "null",
        "-0.5e+10",
        "[1,2.25E3,true,false,null,\"a\"]",
        "{\"c_info\": {\"name\": \"g\", \"list\": [\"\", {}]},\n\t\"x\": "
        "-1}\r\n",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\uD800\"",
        "\"\xc3\xa4 \xe2\x82\xac \xed\x9f\xbf \xef\xbf\xbf "
        "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\"",
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        size_t bad;

        if (!json_text_check(texts[i], strlen(texts[i]), &bad))
            fail_msg("%s: octet %zu", texts[i], bad);
    }
}

static void anything_else_is_refused_where_it_goes_wrong(void **state)
{
    static const struct {
        const char *text;
        size_t bad;
    } cases[] = {
        {"",                   0},
        {"   ",                3},
        {"{",                  1},
        {"{\"a\"}",            4},
        {"{\"a\":}",           5},
        {"{\"a\":1,}",         7},
        {"{a:1}",              1},
        {"[1 2]",              3},
        {"[1,]",               3},
        {"[1}",                2},
        {"{} {}",              3},
        {"nulx",               3},
        {"tru",                3},
        {"01",                 1},
        {"-",                  1},
        {"1.",                 2},
        {"1e+",                3},
        {"+1",                 0},
        {"\"",                 1},
        {"\"a",                2},
        {"\"\n\"",             1},
        {"\"\\x\"",            2},
        {"\"\\u12g4\"",        5},
        {"\"\x80\"",           1},
        {"\"\xc0\x80\"",       1},
        {"\"\xc3(\"",          2},
        {"\"\xe0\x80\x80\"",   2},
        {"\"\xed\xa0\x80\"",   2},
        {"\"\xe2\x82(\"",      3},
        {"\"\xf4\x90\x80\x80", 2},
        {"\"\xff\"",           1},
        {"/* a */ 1",          0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t bad = SIZE_MAX;

        if (json_text_check(cases[i].text, strlen(cases[i].text), &bad))
            fail_msg("accepted: %s", cases[i].text);
        if (bad != cases[i].bad)
            fail_msg("%s: octet %zu, expected %zu", cases[i].text, bad,
                     cases[i].bad);
    }
}

/* Every beginning of a text is none, and nothing beyond is looked at. */
static void what_is_cut_is_refused(void **state)
{
    static const char text[] =
        "{\"a\": [\"\xe2\x82\xac\\u1234\", -1.5e7, true]}";
    size_t bad;

    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        char *copy = malloc(length ? length : 1);

        assert_non_null(copy);
        memcpy(copy, text, length);
        assert_false(json_text_check(copy, length, &bad));
        assert_int_equal(bad, length);
        free(copy);
    }
    assert_true(json_text_check(text, sizeof(text) - 1, &bad));
}

static void depth_is_bounded(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 2];
    size_t bad;

    for (size_t depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(json_text_check(text, 2 * depth, &bad),
                         depth == JSON_DEPTH_MAX);
    }
    assert_int_equal(bad, JSON_DEPTH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_accepted),
        cmocka_unit_test(anything_else_is_refused_where_it_goes_wrong),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(depth_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
