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

/* The same, making room for it.  NULL: it cannot be kept. */
static uint64_t *word_made(struct pfn_set *set, uint64_t pfn)
{
    unsigned int most = set->chunks_max ? set->chunks_max : PFN_SET_CHUNKS_MAX;
    uint64_t *word = word_of(set, pfn);
    uint64_t **chunk;

    if (word || pfn >= PFN_SET_LIMIT || set->nr_chunks == most)
        return word;
    chunk = &set->chunks[pfn / PFN_SET_CHUNK_BITS];
    *chunk = calloc(PFN_SET_CHUNK_BITS / 64, sizeof(**chunk));
    set->nr_chunks += *chunk != NULL;
    return word_of(set, pfn);
}

enum pfn_set_outcome pfn_set_add(struct pfn_set *set, uint64_t pfn)
{
    uint64_t bit = UINT64_C(1) << pfn % 64;
    uint64_t *word = word_made(set, pfn);

    if (!word)
        return PFN_SET_BEYOND;
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

/* The bits of a run that are in the word of its first frame. */
static uint64_t first_bits(uint64_t pfn, uint32_t nr, uint32_t *ret_nr)
{
    uint32_t room = 64 - (uint32_t)(pfn % 64);

    *ret_nr = nr < room ? nr : room;
    return (*ret_nr == 64 ? UINT64_MAX : (UINT64_C(1) << *ret_nr) - 1)
           << pfn % 64;
}

bool pfn_set_add_run(struct pfn_set *set, uint64_t pfn, uint32_t nr,
                     bool all_new)
{
    uint32_t part;

    for (uint32_t done = 0; done < nr; done += part) {
        uint64_t bits = first_bits(pfn + done, nr - done, &part);
        const uint64_t *word = word_made(set, pfn + done);

        if (!word || (all_new && *word & bits))
            return false;
    }
    for (uint32_t done = 0; done < nr; done += part) {
        uint64_t bits = first_bits(pfn + done, nr - done, &part);
        uint64_t *word = word_of(set, pfn + done);

        set->nr_frames += (uint64_t)__builtin_popcountll(bits & ~*word);
        *word |= bits;
    }
    return true;
}

void pfn_set_clear_run(struct pfn_set *set, uint64_t pfn, uint32_t nr)
{
    uint32_t part;

    for (uint32_t done = 0; done < nr; done += part) {
        uint64_t bits = first_bits(pfn + done, nr - done, &part);
        uint64_t *word = word_of(set, pfn + done);

        if (!word)
            continue;
        set->nr_frames -= (uint64_t)__builtin_popcountll(bits & *word);
        *word &= ~bits;
    }
}

void pfn_set_release(struct pfn_set *set)
{
    for (size_t i = 0; i < PFN_SET_CHUNKS; i++)
        free(set->chunks[i]);
    *set = (struct pfn_set){.chunks_max = set->chunks_max};
}
