/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Monotonic time in nanoseconds, and deadlines on it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/macros.h"

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* A deadline that never comes. */
#define DEADLINE_NONE INT64_MAX

/* CLOCK_MONOTONIC, in ns. */
int64_t clock_now_ns(void);

/* 'timeout_ms' from now; a negative timeout never comes. */
int64_t deadline_after_ms(int64_t timeout_ms);

/*
 * Milliseconds left until 'deadline_ns', as poll() takes them: rounded up, 0
 * when it has passed, -1 for DEADLINE_NONE.
 */
int deadline_left_ms(int64_t deadline_ns);

#endif
