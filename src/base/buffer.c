/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buffer_release(struct buffer *b)
{
    free(b->bytes);
    *b = (struct buffer){.cap = b->cap, .order = b->order};
}

void buffer_reset(struct buffer *b)
{
    b->length = 0;
    b->bad = false;
}

uint8_t *buffer_extend(struct buffer *b, size_t extra)
{
    size_t cap = b->cap ? b->cap : BUFFER_CAP_DEFAULT;
    uint8_t *at;

    if (b->bad || extra > cap - size_min(b->length, cap)) {
        b->bad = true;
        return NULL;
    }
    if (extra > b->capacity - b->length) {
        size_t wanted = b->capacity < 64 ? 64 : b->capacity;
        uint8_t *grown;

        while (wanted < b->length + extra)
            wanted *= 2;
        grown = realloc(b->bytes, size_min(wanted, cap));
        if (!grown) {
            b->bad = true;
            return NULL;
        }
        b->bytes = grown;
        b->capacity = size_min(wanted, cap);
    }
    at = b->bytes + b->length;
    b->length += extra;
    return at;
}

static void integer_store(uint8_t *at, enum byte_order order, uint64_t value,
                          size_t size)
{
    for (size_t i = 0; i < size; i++) {
        size_t shift = 8 * (order == ORDER_BIG ? size - 1 - i : i);

        at[i] = (uint8_t)(value >> shift);
    }
}

static void buffer_integer(struct buffer *b, uint64_t value, size_t size)
{
    uint8_t *at = buffer_extend(b, size);

    if (at)
        integer_store(at, b->order, value, size);
}

void buffer_u8(struct buffer *b, uint8_t value)
{
    buffer_integer(b, value, 1);
}

void buffer_u16(struct buffer *b, uint16_t value)
{
    buffer_integer(b, value, 2);
}

void buffer_u32(struct buffer *b, uint32_t value)
{
    buffer_integer(b, value, 4);
}

void buffer_u64(struct buffer *b, uint64_t value)
{
    buffer_integer(b, value, 8);
}

void buffer_bytes(struct buffer *b, const void *bytes, size_t length)
{
    uint8_t *at = buffer_extend(b, length);

    if (at && length > 0)
        memcpy(at, bytes, length);
}

void buffer_zeroes(struct buffer *b, size_t length)
{
    uint8_t *at = buffer_extend(b, length);

    if (at && length > 0)
        memset(at, 0, length);
}

void buffer_text(struct buffer *b, const char *text)
{
    buffer_bytes(b, text, strlen(text));
}

void buffer_format(struct buffer *b, const char *format, ...)
{
    va_list args;
    int length;
    uint8_t *at;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(length >= 0);
    /* vsnprintf() wants room for the NUL; it is not part of the buffer. */
    at = buffer_extend(b, (size_t)length + 1);
    if (!at)
        return;
    va_start(args, format);
    vsnprintf((char *)at, (size_t)length + 1, format, args);
    va_end(args);
    b->length--;
}

void buffer_align(struct buffer *b, size_t alignment)
{
    size_t over = b->length % alignment;

    if (over)
        buffer_zeroes(b, alignment - over);
}

void buffer_patch_u32(struct buffer *b, size_t offset, uint32_t value)
{
    if (b->bad)
        return;
    assert(offset <= b->length && b->length - offset >= 4);
    integer_store(b->bytes + offset, b->order, value, 4);
}

void buffer_consume(struct buffer *b, size_t length)
{
    assert(length <= b->length);
    if (length == 0)
        return;
    b->length -= length;
    memmove(b->bytes, b->bytes + length, b->length);
}

bool buffer_check(const struct buffer *b, const char *what, struct error *err)
{
    if (!b->bad)
        return true;
    return error_set(err, ERR_NO_MEMORY,
                     "%s: no room after %zu octets, expected at most %zu", what,
                     b->length, b->cap ? b->cap : BUFFER_CAP_DEFAULT);
}
