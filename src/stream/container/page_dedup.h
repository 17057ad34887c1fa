/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which of the pages that were written lately may be the same as this one.
 *
 * A table from 32 bits of a page's hash to its number, which grows with the
 * pages up to a limit.  It only guesses: who asks compares the octets before he
 * believes it, and what was pushed out of the table is written a second time.
 */
#ifndef STREAM_CONTAINER_PAGE_DEDUP_H
#define STREAM_CONTAINER_PAGE_DEDUP_H

#include "base/error.h"

#define PAGE_DEDUP_BUCKET   4u
#define PAGE_DEDUP_BUCKETS  (UINT32_C(1) << 18) /* at most: 8 MiB */
#define PAGE_DEDUP_PAGE_MAX (UINT32_MAX - 1)

struct page_dedup_entry {
    uint32_t tag;
    uint32_t page; /* its number and one; 0: an empty entry */
};

struct page_dedup {
    struct page_dedup_entry *entries; /* owned */
    uint32_t nr_buckets;
    uint32_t nr_pages; /* in the table, or pushed out of it */
};

must_check bool page_dedup_init(struct page_dedup *d, struct error *err);
void page_dedup_release(struct page_dedup *d);

/* The i-th guess, from 0; false where there are no more. */
bool page_dedup_guess(const struct page_dedup *d, uint64_t hash, unsigned int i,
                      uint32_t *ret_page);
void page_dedup_add(struct page_dedup *d, uint64_t hash, uint32_t page);

#endif
