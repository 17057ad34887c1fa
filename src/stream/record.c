/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct cursor record_cursor(const struct record *rec)
{
    return cursor_over(rec->body, rec->length, rec->order);
}

struct record record_over(uint32_t type, const void *body, uint32_t length,
                          enum byte_order order)
{
    return (struct record){.type = type,
                           .length = length,
                           .order = order,
                           .body = body,
                           .padding_zero = true};
}

struct record_head record_head_decode(const uint8_t bytes[RECORD_HEAD_SIZE],
                                      enum byte_order order, uint64_t offset)
{
    struct cursor c = cursor_over(bytes, RECORD_HEAD_SIZE, order);
    struct record_head head = {.offset = offset, .order = order};

    head.type = cursor_u32(&c);
    head.length = cursor_u32(&c);
    return head;
}

void record_head_encode(uint8_t bytes[RECORD_HEAD_SIZE], enum byte_order order,
                        uint32_t type, uint32_t length)
{
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int shift = 8 * (order == ORDER_BIG ? 3 - i : i);

        bytes[i] = (uint8_t)(type >> shift);
        bytes[4 + i] = (uint8_t)(length >> shift);
    }
}

bool record_read_head(struct stream_source *source, enum byte_order order,
                      struct record_head *ret, struct error *err)
{
    uint8_t bytes[RECORD_HEAD_SIZE];
    uint64_t offset = source->offset;
    struct record_head head;

    if (!source_read(source, bytes, sizeof(bytes), "record header", err))
        return false;
    head = record_head_decode(bytes, order, offset);
    if (head.length > RECORD_LENGTH_MAX)
        return error_set_at(err, ERR_LIMIT, offset,
                            "record of type %#" PRIx32 " at offset %" PRIu64
                            ": body of %" PRIu32
                            " octets, expected at most %" PRIu32,
                            head.type, offset, head.length, RECORD_LENGTH_MAX);
    *ret = head;
    return true;
}

static bool bytes_are_zero(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

bool record_read_body(struct stream_source *source,
                      const struct record_head *head, const char *name,
                      struct buffer *buffer, struct record *ret,
                      struct error *err)
{
    size_t padded;

    assert(head->length <= RECORD_LENGTH_MAX);
    padded = (size_t)padded_to_8(head->length);
    buffer_reset(buffer);
    if (!source_read_buffer(source, buffer, padded, name, err)) {
        if (err)
            err->offset = head->offset;
        return false;
    }
    *ret = (struct record){
        .type = head->type,
        .length = head->length,
        .offset = head->offset,
        .order = head->order,
        .body = buffer->bytes,
        .padding_zero =
            padded == head->length ||
            bytes_are_zero(buffer->bytes + head->length, padded - head->length),
    };
    return true;
}

bool record_skip_body(struct stream_source *source,
                      const struct record_head *head, const char *name,
                      struct error *err)
{
    return source_skip(source, padded_to_8(head->length), name, err);
}

bool record_read_padding(struct stream_source *source,
                         const struct record_head *head, bool *ret_zero,
                         struct error *err)
{
    uint8_t padding[8];
    size_t length = (size_t)(padded_to_8(head->length) - head->length);

    if (!source_read(source, padding, length, "record padding", err))
        return false;
    *ret_zero = bytes_are_zero(padding, length);
    return true;
}

size_t record_begin(struct buffer *buffer, uint32_t type)
{
    size_t begun = buffer->length;

    buffer_u32(buffer, type);
    buffer_u32(buffer, 0);
    return begun;
}

void record_end(struct buffer *buffer, size_t begun)
{
    size_t length;

    if (buffer->bad)
        return;
    length = buffer->length - begun - RECORD_HEAD_SIZE;
    if (length > RECORD_LENGTH_MAX) {
        buffer->bad = true;
        return;
    }
    buffer_patch_u32(buffer, begun + 4, (uint32_t)length);
    buffer_zeroes(buffer, (size_t)(padded_to_8((uint32_t)length) - length));
}

void record_append(struct buffer *buffer, uint32_t type, const void *body,
                   uint32_t length)
{
    size_t begun = record_begin(buffer, type);

    buffer_bytes(buffer, body, length);
    record_end(buffer, begun);
}

bool record_error(const struct record *rec, struct error *err,
                  const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return error_set_at(err, ERR_FORMAT, rec->offset, "%s", text);
}
