/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "check.h"

#include "drv_console.h"
#include "libc.h"

#define PRINT_MAX 20
#define KINDS_MAX 8

static uint64_t failures;
static const char *kinds[KINDS_MAX]; /* the first ones seen, each once */

bool check_clean(const char *what)
{
    for (unsigned int i = 0; i < KINDS_MAX && kinds[i]; i++)
        if (!strcmp(kinds[i], what))
            return false;
    return true;
}

void check_fail(const char *what, const char *where, uint64_t index,
                uint64_t expected, uint64_t found)
{
    if (check_clean(what)) {
        for (unsigned int i = 0; i < KINDS_MAX; i++) {
            if (!kinds[i]) {
                kinds[i] = what;
                break;
            }
        }
    }
    if (__atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST) < PRINT_MAX)
        console_print("check FAIL %s %s=%lu expected=%#lx found=%#lx\n", what,
                      where, index, expected, found);
}

uint64_t check_failures(void)
{
    return __atomic_load_n(&failures, __ATOMIC_SEQ_CST);
}
