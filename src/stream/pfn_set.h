/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which frame numbers an image has had: a sparse set whose memory is bounded
 * whatever the numbers are.
 *
 * Frames from PFN_SET_LIMIT on (2 TiB) are not kept; who asks learns that.
 */
#ifndef STREAM_PFN_SET_H
#define STREAM_PFN_SET_H

#include "base/error.h"

#define PFN_SET_CHUNK_BITS (UINT64_C(1) << 18)
#define PFN_SET_CHUNKS     1024
#define PFN_SET_LIMIT      (PFN_SET_CHUNK_BITS * PFN_SET_CHUNKS)
/* Chunks that are given out at most: 16 MiB, a guest of 512 GiB. */
#define PFN_SET_CHUNKS_MAX 512

struct pfn_set {
    uint64_t *chunks[PFN_SET_CHUNKS]; /* owned; NULL: no frame there */
    unsigned int nr_chunks;
    unsigned int chunks_max; /* 0: PFN_SET_CHUNKS_MAX */
    uint64_t nr_frames;
};

enum pfn_set_outcome {
    PFN_SET_NEW,
    PFN_SET_KNOWN,  /* was in the set before */
    PFN_SET_BEYOND, /* not kept: too high, or too many */
};

enum pfn_set_outcome pfn_set_add(struct pfn_set *set, uint64_t pfn);
bool pfn_set_has(const struct pfn_set *set, uint64_t pfn);
void pfn_set_clear(struct pfn_set *set, uint64_t pfn);

/*
 * 'nr' frames from 'pfn' on, word by word.  False, and nothing added, if one of
 * them cannot be kept or, with 'all_new', was in the set before.
 */
bool pfn_set_add_run(struct pfn_set *set, uint64_t pfn, uint32_t nr,
                     bool all_new);
void pfn_set_clear_run(struct pfn_set *set, uint64_t pfn, uint32_t nr);
void pfn_set_release(struct pfn_set *set);

#endif
