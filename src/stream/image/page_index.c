/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/page_index.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOP_SHIFT 21
#define MID_SHIFT 9

/* An index of this size is always allowed: a small guest with a large hole. */
#define OCTETS_FLOOR (UINT64_C(8) << 20)

void page_index_init(struct page_index *index, uint64_t image_size)
{
    memset(index, 0, sizeof(*index));
    /* A page in the image pays for 64 octets; its entry takes 8. */
    index->octets_max = OCTETS_FLOOR + image_size / 64;
}

void page_index_release(struct page_index *index)
{
    for (size_t t = 0; t < PAGE_INDEX_TOP; t++) {
        if (!index->mid[t])
            continue;
        for (size_t m = 0; m < PAGE_INDEX_MID; m++)
            free(index->mid[t][m]);
        free(index->mid[t]);
    }
    memset(index, 0, sizeof(*index));
}

static void *index_alloc(struct page_index *index, size_t nr, size_t size,
                         struct error *err)
{
    void *memory;

    if (nr * size > index->octets_max - index->octets) {
        error_set(err, ERR_LIMIT,
                  "page index: more than %" PRIu64
                  " octets for frames this far apart, expected fewer",
                  index->octets_max);
        return NULL;
    }
    memory = calloc(nr, size);
    if (!memory)
        error_set(err, ERR_NO_MEMORY, "page index: no memory");
    else
        index->octets += nr * size;
    return memory;
}

static uint64_t *index_leaf(struct page_index *index, uint64_t pfn,
                            struct error *err)
{
    uint64_t ***mid = &index->mid[pfn >> TOP_SHIFT];
    uint64_t **leaf;

    if (!*mid)
        *mid = index_alloc(index, PAGE_INDEX_MID, sizeof(**mid), err);
    if (!*mid)
        return NULL;
    leaf = &(*mid)[pfn >> MID_SHIFT & (PAGE_INDEX_MID - 1)];
    if (!*leaf)
        *leaf = index_alloc(index, PAGE_INDEX_LEAF, sizeof(**leaf), err);
    return *leaf;
}

bool page_index_set(struct page_index *index, uint64_t pfn, unsigned int type,
                    uint64_t offset, struct error *err)
{
    uint64_t *leaf, *entry;

    assert(offset > 0 && offset < UINT64_C(1) << 59 && type < 16);
    if (pfn >= PAGE_INDEX_PFN_LIMIT)
        return error_set(
            err, ERR_LIMIT,
            "page index: pfn %#" PRIx64 ", expected one below 2^32", pfn);
    leaf = index_leaf(index, pfn, err);
    if (!leaf)
        return false;
    entry = &leaf[pfn & (PAGE_INDEX_LEAF - 1)];
    if (*entry)
        index->nr_updates++;
    else
        index->nr_frames++;
    *entry = offset << 4 | type;
    if (pfn >= index->end)
        index->end = pfn + 1;
    return true;
}

static const uint64_t *find_leaf(const struct page_index *index, uint64_t pfn)
{
    uint64_t *const *mid = index->mid[pfn >> TOP_SHIFT];

    return mid ? mid[pfn >> MID_SHIFT & (PAGE_INDEX_MID - 1)] : NULL;
}

struct page_place page_index_get(const struct page_index *index, uint64_t pfn)
{
    const uint64_t *leaf =
        pfn < PAGE_INDEX_PFN_LIMIT ? find_leaf(index, pfn) : NULL;
    uint64_t entry = leaf ? leaf[pfn & (PAGE_INDEX_LEAF - 1)] : 0;

    return (struct page_place){.known = entry != 0,
                               .type = (unsigned int)(entry & 0xf),
                               .offset = entry >> 4};
}

uint64_t page_index_next(const struct page_index *index, uint64_t from)
{
    while (from < index->end) {
        const uint64_t *leaf;

        if (!index->mid[from >> TOP_SHIFT]) {
            from = ((from >> TOP_SHIFT) + 1) << TOP_SHIFT;
            continue;
        }
        leaf = find_leaf(index, from);
        if (!leaf) {
            from = ((from >> MID_SHIFT) + 1) << MID_SHIFT;
            continue;
        }
        if (leaf[from & (PAGE_INDEX_LEAF - 1)])
            return from;
        from++;
    }
    return UINT64_MAX;
}
