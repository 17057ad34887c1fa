/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * As much of cmocka as the codecs' tests use, for machines that have a compiler
 * and a C library but no cmocka.  The first failure of a test ends it.
 */
#ifndef TESTS_PORTABILITY_CMOCKA_H
#define TESTS_PORTABILITY_CMOCKA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
};

#define cmocka_unit_test(function) \
    {                              \
#function, function        \
    }

static jmp_buf portable_failure;

#define fail_msg(...)                            \
    do {                                         \
        printf("# %s:%d: ", __FILE__, __LINE__); \
        printf(__VA_ARGS__);                     \
        printf("\n");                            \
        longjmp(portable_failure, 1);            \
    } while (0)

#define portable_check(good, text) \
    do {                           \
        if (!(good))               \
            fail_msg("%s", text);  \
    } while (0)

/* As wide as cmocka's own. */
#define portable_int(x) ((unsigned long long)(x))

#define assert_true(x)     portable_check(x, #x)
#define assert_false(x)    portable_check(!(x), "not " #x)
#define assert_null(x)     portable_check((x) == NULL, #x " is NULL")
#define assert_non_null(x) portable_check((x) != NULL, #x " is not NULL")
#define assert_int_equal(a, b)                                         \
    do {                                                               \
        unsigned long long a_ = portable_int(a), b_ = portable_int(b); \
                                                                       \
        if (a_ != b_)                                                  \
            fail_msg("%s == %s: %#llx and %#llx", #a, #b, a_, b_);     \
    } while (0)
#define assert_int_not_equal(a, b) \
    portable_check(portable_int(a) != portable_int(b), #a " != " #b)
#define assert_in_range(x, low, high)                         \
    portable_check(portable_int(x) >= portable_int(low) &&    \
                       portable_int(x) <= portable_int(high), \
                   #x " in range")
#define assert_ptr_equal(a, b) \
    portable_check((const void *)(a) == (const void *)(b), #a " == " #b)
#define assert_string_equal(a, b)                \
    do {                                         \
        if (strcmp(a, b) != 0)                   \
            fail_msg("\"%s\" and \"%s\"", a, b); \
    } while (0)
#define assert_string_not_equal(a, b) \
    portable_check(strcmp(a, b) != 0, #a " != " #b)
#define assert_memory_equal(a, b, n) \
    portable_check(memcmp(a, b, n) == 0, #a " as " #b)

static inline int portable_run(const struct CMUnitTest *tests, size_t nr)
{
    int failed = 0;

    for (size_t i = 0; i < nr; i++) {
        void *state = NULL;

        if (setjmp(portable_failure) == 0) {
            tests[i].test(&state);
            printf("ok %s\n", tests[i].name);
        } else {
            printf("not ok %s\n", tests[i].name);
            failed++;
        }
        fflush(stdout);
    }
    return failed;
}

#define cmocka_run_group_tests(tests, setup, teardown) \
    portable_run(tests, sizeof(tests) / sizeof((tests)[0]))

#endif
