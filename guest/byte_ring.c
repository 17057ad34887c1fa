/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "byte_ring.h"

#include "libc.h"

uint32_t byte_ring_used(uint32_t size, uint32_t prod, uint32_t cons)
{
    uint32_t used = prod - cons;

    return used <= size ? used : BYTE_RING_BROKEN;
}

uint32_t byte_ring_put(char *ring, uint32_t size, uint32_t prod, uint32_t cons,
                       const void *data, size_t len)
{
    uint32_t used = byte_ring_used(size, prod, cons);
    uint32_t at = prod & (size - 1), n, first;

    if (used == BYTE_RING_BROKEN)
        return BYTE_RING_BROKEN;
    n = size - used < len ? size - used : (uint32_t)len;
    first = n < size - at ? n : size - at;
    memcpy(ring + at, data, first);
    memcpy(ring, (const char *)data + first, n - first);
    return n;
}

uint32_t byte_ring_get(const char *ring, uint32_t size, uint32_t prod,
                       uint32_t cons, void *data, size_t len)
{
    uint32_t used = byte_ring_used(size, prod, cons);
    uint32_t at = cons & (size - 1), n, first;

    if (used == BYTE_RING_BROKEN)
        return BYTE_RING_BROKEN;
    n = used < len ? used : (uint32_t)len;
    first = n < size - at ? n : size - at;
    memcpy(data, ring + at, first);
    memcpy((char *)data + first, ring, n - first);
    return n;
}
