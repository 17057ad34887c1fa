/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"

#include <limits.h>
#include <time.h>

int64_t clock_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t deadline_after_ms(int64_t timeout_ms)
{
    int64_t now = clock_now_ns();

    if (timeout_ms < 0 || timeout_ms > (DEADLINE_NONE - now) / NS_PER_MS)
        return DEADLINE_NONE;
    return now + timeout_ms * NS_PER_MS;
}

int deadline_left_ms(int64_t deadline_ns)
{
    int64_t left_ms;

    if (deadline_ns == DEADLINE_NONE)
        return -1;
    left_ms = (deadline_ns - clock_now_ns() + NS_PER_MS - 1) / NS_PER_MS;
    if (left_ms <= 0)
        return 0;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}
