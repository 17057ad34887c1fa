/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What every unit test includes, in the order that cmocka wants. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"

/* 'call' must succeed; what it says otherwise is shown. */
#define assert_ok(call, err)                       \
    do {                                           \
        if (!(call))                               \
            fail_msg("%s: %s", #call, (err).text); \
    } while (0)

/* 'call' must fail with this code, and a message that contains 'part'. */
#define assert_refused(call, err, wanted_code, part)                          \
    do {                                                                      \
        assert_false(call);                                                   \
        if ((err).code != (wanted_code))                                      \
            fail_msg("%s: code %s, expected %s (%s)", #call,                  \
                     error_code_name((err).code),                             \
                     error_code_name(wanted_code), (err).text);               \
        if (!strstr((err).text, part))                                        \
            fail_msg("%s: \"%s\", expected \"%s\"", #call, (err).text, part); \
    } while (0)

#endif
