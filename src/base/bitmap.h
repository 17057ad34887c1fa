/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A fixed-size set of frame numbers, one bit each, in the layout that Xen's
 * log-dirty interface uses: bit n of the set is bit n % 8 of octet n / 8.
 */
#ifndef BASE_BITMAP_H
#define BASE_BITMAP_H

#include "base/error.h"

struct bitmap {
    unsigned long *words; /* owned; page-aligned, unused bits are zero */
    uint64_t nr_bits;
};

#define BITMAP_END UINT64_MAX /* bitmap_next(): no such bit */

/* All bits clear.  Fails on no memory; 'nr_bits' is the caller's to bound. */
must_check bool bitmap_init(struct bitmap *b, uint64_t nr_bits,
                            struct error *err);
void bitmap_release(struct bitmap *b);

/* Octets behind 'words': whole words. */
size_t bitmap_size(const struct bitmap *b);

bool bitmap_test(const struct bitmap *b, uint64_t bit);
void bitmap_set(struct bitmap *b, uint64_t bit);
void bitmap_clear(struct bitmap *b, uint64_t bit);
/* Returns whether the bit was set before. */
bool bitmap_test_and_set(struct bitmap *b, uint64_t bit);

void bitmap_fill(struct bitmap *b);
void bitmap_empty(struct bitmap *b);
/* 'b' |= 'other'; both have the same size. */
void bitmap_or(struct bitmap *b, const struct bitmap *other);
uint64_t bitmap_count(const struct bitmap *b);

/* The first set (or clear) bit at or after 'from', or BITMAP_END. */
uint64_t bitmap_next(const struct bitmap *b, uint64_t from);
uint64_t bitmap_next_clear(const struct bitmap *b, uint64_t from);

/*
 * Whatever wrote to 'words' directly (a hypercall) may have set bits beyond
 * the end; clear them again.
 */
void bitmap_trim(struct bitmap *b);

#endif
