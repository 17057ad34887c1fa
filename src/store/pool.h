/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for very many small objects, without malloc()'s header and rounding
 * to 16 octets: a node of the usual size costs what it is long.
 *
 *   chunk, 64 KiB, aligned   | head | object | object | (free) | object | ...
 *
 * All objects of a chunk have one size, a multiple of 8; an object's chunk is
 * found by its address.  A chunk without objects is given back, except the
 * last one of its size.  Longer objects come from malloc().
 */
#ifndef STORE_POOL_H
#define STORE_POOL_H

#include "base/list.h"

#define POOL_OBJECT_MAX 256u

struct pool {
    /* Chunks with room, by size / 8; unset while there never were any. */
    struct list room[POOL_OBJECT_MAX / 8 + 1];
    uint32_t nr_chunks[POOL_OBJECT_MAX / 8 + 1];
};

void pool_init(struct pool *pool);
/* Every object has been put back. */
void pool_release(struct pool *pool);

/* Uninitialised; NULL: no memory. */
void *pool_get(struct pool *pool, size_t size);
/* With the size that it was got with; NULL is fine. */
void pool_put(struct pool *pool, void *object, size_t size);

#endif
