/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/pfn_set.h"

#include <stdlib.h>

static uint64_t *word_of(const struct pfn_set *set, uint64_t pfn)
{
    uint64_t *chunk;

    if (pfn >= PFN_SET_LIMIT)
        return NULL;
    chunk = set->chunks[pfn / PFN_SET_CHUNK_BITS];
    return chunk ? &chunk[pfn % PFN_SET_CHUNK_BITS / 64] : NULL;
}

enum pfn_set_outcome pfn_set_add(struct pfn_set *set, uint64_t pfn)
{
    uint64_t bit = UINT64_C(1) << pfn % 64;
    uint64_t *word = word_of(set, pfn);

    if (!word) {
        uint64_t **chunk;

        if (pfn >= PFN_SET_LIMIT || set->nr_chunks == PFN_SET_CHUNKS_MAX)
            return PFN_SET_BEYOND;
        chunk = &set->chunks[pfn / PFN_SET_CHUNK_BITS];
        *chunk = calloc(PFN_SET_CHUNK_BITS / 64, sizeof(**chunk));
        if (!*chunk)
            return PFN_SET_BEYOND;
        set->nr_chunks++;
        word = word_of(set, pfn);
    }
    if (*word & bit)
        return PFN_SET_KNOWN;
    *word |= bit;
    set->nr_frames++;
    return PFN_SET_NEW;
}

bool pfn_set_has(const struct pfn_set *set, uint64_t pfn)
{
    const uint64_t *word = word_of(set, pfn);

    return word && (*word >> pfn % 64 & 1);
}

void pfn_set_clear(struct pfn_set *set, uint64_t pfn)
{
    uint64_t *word = word_of(set, pfn);
    uint64_t bit = UINT64_C(1) << pfn % 64;

    if (!word || !(*word & bit))
        return;
    *word &= ~bit;
    set->nr_frames--;
}

void pfn_set_release(struct pfn_set *set)
{
    for (size_t i = 0; i < PFN_SET_CHUNKS; i++)
        free(set->chunks[i]);
    *set = (struct pfn_set){0};
}
