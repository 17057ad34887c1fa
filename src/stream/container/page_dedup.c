/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/page_dedup.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"

#define BUCKETS_AT_FIRST 256u

static bool make_table(struct page_dedup *d, uint32_t nr_buckets)
{
    void *entries =
        calloc((size_t)nr_buckets * PAGE_DEDUP_BUCKET, sizeof(*d->entries));

    if (!entries)
        return false;
    *d = (struct page_dedup){.entries = entries, .nr_buckets = nr_buckets};
    return true;
}

bool page_dedup_init(struct page_dedup *d, struct error *err)
{
    return make_table(d, BUCKETS_AT_FIRST) ||
           error_set(err, ERR_NO_MEMORY, "table of pages: no memory");
}

void page_dedup_release(struct page_dedup *d)
{
    free_pointer(&d->entries);
}

static struct page_dedup_entry *bucket_of(const struct page_dedup *d,
                                          uint32_t tag)
{
    return &d->entries[(size_t)(tag & (d->nr_buckets - 1)) * PAGE_DEDUP_BUCKET];
}

bool page_dedup_guess(const struct page_dedup *d, uint64_t hash, unsigned int i,
                      uint32_t *ret_page)
{
    uint32_t tag = (uint32_t)(hash >> 32);
    const struct page_dedup_entry *bucket = bucket_of(d, tag);

    for (unsigned int n = 0; n < PAGE_DEDUP_BUCKET; n++) {
        if (bucket[n].page == 0 || bucket[n].tag != tag)
            continue;
        if (i-- == 0) {
            *ret_page = bucket[n].page - 1;
            return true;
        }
    }
    return false;
}

static void add(struct page_dedup *d, uint32_t tag, uint32_t page)
{
    struct page_dedup_entry *bucket = bucket_of(d, tag);
    unsigned int n = 0;

    while (n < PAGE_DEDUP_BUCKET && bucket[n].page != 0)
        n++;
    if (n == PAGE_DEDUP_BUCKET)
        n = page % PAGE_DEDUP_BUCKET;
    bucket[n] = (struct page_dedup_entry){tag, page + 1};
    d->nr_pages++;
}

/* Twice as large; without memory for that it stays as it is. */
static void grow(struct page_dedup *d)
{
    struct page_dedup old = *d;

    if (!make_table(d, old.nr_buckets * 2)) {
        d->nr_pages = 0;
        return;
    }
    for (size_t i = 0; i < (size_t)old.nr_buckets * PAGE_DEDUP_BUCKET; i++)
        if (old.entries[i].page != 0)
            add(d, old.entries[i].tag, old.entries[i].page - 1);
    page_dedup_release(&old);
}

void page_dedup_add(struct page_dedup *d, uint64_t hash, uint32_t page)
{
    assert(page <= PAGE_DEDUP_PAGE_MAX);
    if (d->nr_pages >= d->nr_buckets * 2 && d->nr_buckets < PAGE_DEDUP_BUCKETS)
        grow(d);
    add(d, (uint32_t)(hash >> 32), page);
}
