/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks of one kind that were read or written lately, ready for use.
 *
 * A chunk has one slot that it may be in; the slots' memory is taken when they
 * are first used.
 */
#ifndef STREAM_CONTAINER_CHUNK_CACHE_H
#define STREAM_CONTAINER_CHUNK_CACHE_H

#include "stream/container/container_chunk.h"

#define CHUNK_CACHE_SLOTS_MAX 64

struct chunk_cache {
    enum container_kind kind;
    unsigned int nr_slots;
    struct chunk_slot {
        uint8_t *contents; /* owned; CONTAINER_CHUNK_MAX octets, or NULL */
        bool filled;
        uint64_t number;
    } slots[CHUNK_CACHE_SLOTS_MAX];
};

void chunk_cache_init(struct chunk_cache *cache, enum container_kind kind,
                      unsigned int nr_slots);
void chunk_cache_release(struct chunk_cache *cache);

/* NULL if it is not there. */
const uint8_t *chunk_cache_find(const struct chunk_cache *cache,
                                uint64_t number);

/*
 * Read the chunk at 'place', unless it is there.  What is returned stays until
 * the next call that fills the cache; NULL is a failure.
 */
const uint8_t *
chunk_cache_read(struct chunk_cache *cache, struct chunk_codec *codec,
                 const struct container_file *file, uint64_t number,
                 const struct chunk_place *place, struct error *err);

/* Remember one that was just written; without memory it does nothing. */
void chunk_cache_put(struct chunk_cache *cache, uint64_t number,
                     const uint8_t *contents, uint32_t length);

#endif
