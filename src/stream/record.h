/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A record: what the libxc and the libxl layer, and the xenstore stream, are
 * all made of.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | type                  | length of the body      |
 *    +-----------------------+-------------------------+
 *    | body, then zeroes up to a multiple of 8 octets  |
 *    +-------------------------------------------------+
 *
 * Reading goes in two steps: the head, eight octets, and then the body, by the
 * way that suits the type: whole into memory (record_read_body()), past it
 * (record_skip_body()), or in pieces (PAGE_DATA, see xc_page_data.h).
 *
 * Decoders of bodies return views: they allocate nothing, and what they return
 * borrows from the record.
 */
#ifndef STREAM_RECORD_H
#define STREAM_RECORD_H

#include "base/buffer.h"
#include "base/cursor.h"
#include "stream/stream_io.h"

#define RECORD_HEAD_SIZE 8

/* A body longer than this is refused, as every release since 4.10 does. */
#define RECORD_LENGTH_MAX ((uint32_t)128 << 20)

struct record_head {
    uint32_t type;
    uint32_t length; /* of the body, without padding */
    uint64_t offset; /* of the head, from the start of the stream */
    enum byte_order order;
};

struct record {
    uint32_t type;
    uint32_t length;
    uint64_t offset;
    enum byte_order order;
    const uint8_t *body; /* borrowed; 'length' octets */
    bool padding_zero;   /* what followed the body was all zero */
};

/* Octets that a whole record takes: head, body and padding. */
static inline uint64_t record_size(uint32_t length)
{
    return RECORD_HEAD_SIZE + padded_to_8(length);
}

struct cursor record_cursor(const struct record *rec);

/* A record over bytes in memory, for tests and for nested use. */
struct record record_over(uint32_t type, const void *body, uint32_t length,
                          enum byte_order order);

/* From eight octets; does not judge the length. */
struct record_head record_head_decode(const uint8_t bytes[RECORD_HEAD_SIZE],
                                      enum byte_order order, uint64_t offset);
void record_head_encode(uint8_t bytes[RECORD_HEAD_SIZE], enum byte_order order,
                        uint32_t type, uint32_t length);

/* Read the next head.  A length above RECORD_LENGTH_MAX is ERR_LIMIT. */
must_check bool record_read_head(struct stream_source *source,
                                 enum byte_order order, struct record_head *ret,
                                 struct error *err);

/*
 * Read the body and its padding into 'buffer', which is reset first and lends
 * its bytes to '*ret'.  'name' is for messages.
 */
must_check bool record_read_body(struct stream_source *source,
                                 const struct record_head *head,
                                 const char *name, struct buffer *buffer,
                                 struct record *ret, struct error *err);

/* Move past the body and its padding. */
must_check bool record_skip_body(struct stream_source *source,
                                 const struct record_head *head,
                                 const char *name, struct error *err);

/*
 * Read the padding after a body that was read in pieces; *ret_zero says
 * whether it was all zero.
 */
must_check bool record_read_padding(struct stream_source *source,
                                    const struct record_head *head,
                                    bool *ret_zero, struct error *err);

/*
 * Append a record to 'buffer': record_begin(), the body by the buffer_*()
 * functions, record_end() with what record_begin() returned.
 */
size_t record_begin(struct buffer *buffer, uint32_t type);
void record_end(struct buffer *buffer, size_t begun);

/* A record whose body is at hand. */
void record_append(struct buffer *buffer, uint32_t type, const void *body,
                   uint32_t length);

/* Shorthand of the decoders: an ERR_FORMAT at the record. */
bool record_error(const struct record *rec, struct error *err,
                  const char *format, ...) printf_like(3, 4);

#endif
