/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bounds-checked reading of untrusted bytes, in either byte order.
 *
 * A cursor never reads outside its bytes.  The first read that would sets
 * 'bad', and from then on every read answers 0 or NULL and moves nothing: a
 * decoder may take all its fields and look at 'bad' once.
 */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include "base/macros.h"

enum byte_order { ORDER_LITTLE, ORDER_BIG };

struct cursor {
    const uint8_t *at;  /* borrowed */
    const uint8_t *end; /* one past the last octet */
    enum byte_order order;
    bool bad; /* a read went past the end; sticky */
};

static inline struct cursor cursor_over(const void *bytes, size_t length,
                                        enum byte_order order)
{
    const uint8_t *at = bytes;

    return (struct cursor){
        .at = at, .end = at ? at + length : at, .order = order};
}

static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);

/* The next 'length' octets, borrowed, or NULL and 'bad'. */
const uint8_t *cursor_bytes(struct cursor *c, size_t length);

/*
 * The next NUL-terminated string, borrowed, or NULL and 'bad' when no NUL is
 * left.
 */
const char *cursor_string(struct cursor *c);

/* True if the next 'length' octets are all zero; moves past them. */
bool cursor_zeroes(struct cursor *c, size_t length);

#endif
