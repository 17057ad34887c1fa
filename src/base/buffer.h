/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Growable bytes with a hard cap, and the appending side of cursor.h.
 *
 * Like a cursor, a buffer remembers its first failure: when 'bad' is set
 * appends do nothing, and the builder of a whole record checks once with
 * buffer_check().
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/cursor.h"
#include "base/error.h"

struct buffer {
    uint8_t *bytes; /* owned */
    size_t length;
    size_t capacity;
    size_t cap; /* 'length' never exceeds this; 0 means BUFFER_CAP_DEFAULT */
    enum byte_order order; /* of the integers appended */
    bool bad;              /* out of memory, or over the cap; sticky */
};

#define BUFFER_CAP_DEFAULT ((size_t)128 << 20)

/* Free the bytes.  Safe to call twice, or on {0}. */
void buffer_release(struct buffer *b);

/* Forget the contents, keep the memory for the next use; clears 'bad'. */
void buffer_reset(struct buffer *b);

/* Room for 'extra' octets after 'length', uninitialised; NULL and 'bad'. */
uint8_t *buffer_extend(struct buffer *b, size_t extra);

void buffer_u8(struct buffer *b, uint8_t value);
void buffer_u16(struct buffer *b, uint16_t value);
void buffer_u32(struct buffer *b, uint32_t value);
void buffer_u64(struct buffer *b, uint64_t value);
void buffer_bytes(struct buffer *b, const void *bytes, size_t length);
void buffer_zeroes(struct buffer *b, size_t length);

/* Text without its NUL. */
void buffer_text(struct buffer *b, const char *text);
void buffer_format(struct buffer *b, const char *format, ...) printf_like(2, 3);

/* Zeroes up to the next multiple of 'alignment' octets from the start. */
void buffer_align(struct buffer *b, size_t alignment);

/* Overwrite a u32 appended earlier, e.g. a length known only now. */
void buffer_patch_u32(struct buffer *b, size_t offset, uint32_t value);

/* Drop the first 'length' octets (a queue's consumed head). */
void buffer_consume(struct buffer *b, size_t length);

/* Whether everything appended so far is there; 'what' names the thing. */
must_check bool buffer_check(const struct buffer *b, const char *what,
                             struct error *err);

#endif
