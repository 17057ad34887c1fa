/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Page contents that say which page they are of and which generation.
 *
 * Word 0 holds the generation, word 1 the page's number, and every other word
 * a mix of both with its own index, so that a page that is stale, misplaced,
 * torn or touched in any word is found, and the finding says which of these.
 */
#ifndef GUEST_PATTERN_H
#define GUEST_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#define PATTERN_WORDS 512

/* The first word that is not as it should be. */
struct pattern_fault {
    unsigned int word;
    uint64_t expected, found;
};

void pattern_fill(uint64_t *page, uint64_t number, uint64_t generation);

/* True when 'page' is right; otherwise '*ret' says where it is not. */
bool pattern_check(const uint64_t *page, uint64_t number, uint64_t generation,
                   struct pattern_fault *ret);

#endif
