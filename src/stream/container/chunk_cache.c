/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/chunk_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void chunk_cache_init(struct chunk_cache *cache, enum container_kind kind,
                      unsigned int nr_slots)
{
    assert(nr_slots > 0 && nr_slots <= CHUNK_CACHE_SLOTS_MAX);
    memset(cache, 0, sizeof(*cache));
    cache->kind = kind;
    cache->nr_slots = nr_slots;
}

void chunk_cache_release(struct chunk_cache *cache)
{
    for (unsigned int i = 0; i < CHUNK_CACHE_SLOTS_MAX; i++) {
        free_pointer(&cache->slots[i].contents);
        cache->slots[i].filled = false;
    }
}

static struct chunk_slot *slot_of(struct chunk_cache *cache, uint64_t number)
{
    return &cache->slots[number % cache->nr_slots];
}

const uint8_t *chunk_cache_find(const struct chunk_cache *cache,
                                uint64_t number)
{
    const struct chunk_slot *slot = &cache->slots[number % cache->nr_slots];

    return slot->filled && slot->number == number ? slot->contents : NULL;
}

static bool slot_prepare(struct chunk_slot *slot)
{
    slot->filled = false;
    if (!slot->contents)
        slot->contents = malloc(CONTAINER_CHUNK_MAX);
    return slot->contents;
}

const uint8_t *
chunk_cache_read(struct chunk_cache *cache, struct chunk_codec *codec,
                 const struct container_file *file, uint64_t number,
                 const struct chunk_place *place, struct error *err)
{
    const uint8_t *found = chunk_cache_find(cache, number);
    struct chunk_slot *slot = slot_of(cache, number);

    if (found)
        return found;
    if (!slot_prepare(slot)) {
        error_set(err, ERR_NO_MEMORY, "container chunk: no memory");
        return NULL;
    }
    if (!chunk_read(codec, file, cache->kind, number, place, slot->contents,
                    err))
        return NULL;
    slot->number = number;
    slot->filled = true;
    return slot->contents;
}

void chunk_cache_put(struct chunk_cache *cache, uint64_t number,
                     const uint8_t *contents, uint32_t length)
{
    struct chunk_slot *slot = slot_of(cache, number);

    assert(length <= CONTAINER_CHUNK_MAX);
    if (!slot_prepare(slot))
        return;
    memcpy(slot->contents, contents, length);
    slot->number = number;
    slot->filled = true;
}
