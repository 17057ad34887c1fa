/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was found wrong.  Once anything was, every later report says FAIL.
 */
#ifndef GUEST_CHECK_H
#define GUEST_CHECK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Print "check FAIL <what> <where>=<index> expected=... found=..." (the first
 * 20 of them) and remember it.  On any vCPU, in handlers too.
 */
void check_fail(const char *what, const char *where, uint64_t index,
                uint64_t expected, uint64_t found);

/* How often, in all and for one 'what'. */
uint64_t check_failures(void);
bool check_clean(const char *what);

#endif
