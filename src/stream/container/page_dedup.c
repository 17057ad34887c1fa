/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/page_dedup.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"

bool page_dedup_init(struct page_dedup *d, struct error *err)
{
    d->entries = calloc((size_t)PAGE_DEDUP_BUCKETS * PAGE_DEDUP_BUCKET,
                        sizeof(*d->entries));
    return d->entries ||
           error_set(err, ERR_NO_MEMORY, "table of pages: no memory");
}

void page_dedup_release(struct page_dedup *d)
{
    free_pointer(&d->entries);
}

static struct page_dedup_entry *bucket_of(const struct page_dedup *d,
                                          uint64_t hash)
{
    return &d->entries[(hash & (PAGE_DEDUP_BUCKETS - 1)) * PAGE_DEDUP_BUCKET];
}

bool page_dedup_guess(const struct page_dedup *d, uint64_t hash, unsigned int i,
                      uint32_t *ret_page)
{
    const struct page_dedup_entry *bucket = bucket_of(d, hash);

    for (unsigned int n = 0; n < PAGE_DEDUP_BUCKET; n++) {
        if (bucket[n].page == 0 || bucket[n].tag != (uint32_t)(hash >> 32))
            continue;
        if (i-- == 0) {
            *ret_page = bucket[n].page - 1;
            return true;
        }
    }
    return false;
}

void page_dedup_add(struct page_dedup *d, uint64_t hash, uint32_t page)
{
    struct page_dedup_entry *bucket = bucket_of(d, hash);
    unsigned int n = 0;

    assert(page <= PAGE_DEDUP_PAGE_MAX);
    while (n < PAGE_DEDUP_BUCKET && bucket[n].page != 0)
        n++;
    if (n == PAGE_DEDUP_BUCKET)
        n = page % PAGE_DEDUP_BUCKET;
    bucket[n] = (struct page_dedup_entry){(uint32_t)(hash >> 32), page + 1};
}
