/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Byte rings as the console and xenstore share them: free-running 32-bit
 * indexes, a power of two in size, a completely full ring is legal.
 *
 * The other side writes one of the indexes.  One that is out of range is
 * reported as BYTE_RING_BROKEN and nothing is copied.
 */
#ifndef GUEST_BYTE_RING_H
#define GUEST_BYTE_RING_H

#include <stddef.h>
#include <stdint.h>

#define BYTE_RING_BROKEN UINT32_MAX

/* Bytes between the two indexes. */
uint32_t byte_ring_used(uint32_t size, uint32_t prod, uint32_t cons);

/*
 * Copy as much of 'data' as there is room for; returns how much that was.
 * The caller publishes 'prod' plus that number.
 */
uint32_t byte_ring_put(char *ring, uint32_t size, uint32_t prod, uint32_t cons,
                       const void *data, size_t len);

/* Copy at most 'len' bytes out; the caller publishes 'cons' plus the result. */
uint32_t byte_ring_get(const char *ring, uint32_t size, uint32_t prod,
                       uint32_t cons, void *data, size_t len);

#endif
