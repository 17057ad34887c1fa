/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records, pulled and pushed, by the same reader.
 *
 * The pusher keeps octets until they make a whole header, and tries the reader
 * on them; one that wants more leaves its state as it was.  Bodies are passed
 * on as they come, so that what is kept is one header (an xl configuration of
 * 16 MiB at most).
 */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "stream/stream_reader.h"

struct xenferry_reader {
    struct stream_reader reader;
    struct stream_source *source;
    uint64_t body_end; /* without its padding */
    bool ended;
};

static void item_from(const struct stream_item *from, struct xenferry_item *to)
{
    bool record = from->kind == ITEM_LIBXC_RECORD ||
                  from->kind == ITEM_LIBXL_RECORD || from->kind == ITEM_END;
    enum byte_order order = from->head.order;

    *to = (struct xenferry_item){.offset = from->offset,
                                 .name = stream_item_name(from)};
    switch (from->kind) {
    case ITEM_XL_FILE_HEADER:
        to->kind = XENFERRY_ITEM_XL_HEADER;
        order = from->xl_file.order;
        break;
    case ITEM_LIBXL_HEADER:
        to->kind = XENFERRY_ITEM_LIBXL_HEADER;
        order = from->libxl.order;
        break;
    case ITEM_LIBXC_HEADERS:
        to->kind = XENFERRY_ITEM_LIBXC_HEADERS;
        order = from->libxc.order;
        break;
    case ITEM_LIBXL_RECORD:
        to->kind = XENFERRY_ITEM_LIBXL_RECORD;
        break;
    default:
        to->kind = XENFERRY_ITEM_LIBXC_RECORD;
    }
    to->big_endian = order == ORDER_BIG;
    if (record) {
        to->type = from->head.type;
        to->length = from->head.length;
    }
}

/* Pull ----------------------------------------------------------------------- */

struct xenferry_reader *xenferry_reader_new(struct xenferry_source *source)
{
    struct xenferry_reader *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->source = &source->source;
    stream_reader_init(&r->reader, r->source);
    return r;
}

void xenferry_reader_free(struct xenferry_reader *r)
{
    if (!r)
        return;
    stream_reader_release(&r->reader);
    free(r);
}

int xenferry_reader_next(struct xenferry_reader *r, struct xenferry_item *ret,
                         struct xenferry_error *err)
{
    struct stream_item item;
    struct error problem = {0};

    if (r->ended)
        return XENFERRY_END;
    if (!stream_reader_next(&r->reader, &item, &problem))
        return api_failed(err, &problem);
    r->ended = item.kind == ITEM_END;
    if (r->ended)
        return XENFERRY_END;
    item_from(&item, ret);
    r->body_end = r->source->offset + ret->length;
    return XENFERRY_OK;
}

int xenferry_reader_body(struct xenferry_reader *r, void *buffer, size_t length,
                         size_t *ret_got, struct xenferry_error *err)
{
    uint64_t left =
        r->body_end > r->source->offset ? r->body_end - r->source->offset : 0;
    size_t wanted = left < length ? (size_t)left : length;
    struct error problem = {0};

    *ret_got = 0;
    if (left == 0)
        return XENFERRY_END;
    if (!source_read_some(r->source, buffer, wanted, ret_got, &problem))
        return api_failed(err, &problem);
    if (*ret_got == 0 && wanted > 0) {
        error_set_at(&problem, ERR_TRUNCATED, r->source->offset,
                     "record: stream ends, expected %zu octets more", wanted);
        return api_failed(err, &problem);
    }
    return XENFERRY_OK;
}

/* Push ----------------------------------------------------------------------- */

/* Up to so many octets the reader is tried with each that comes. */
#define TRY_ALWAYS 4096

struct xenferry_pusher {
    struct xenferry_push_calls calls;
    struct stream_reader reader;
    struct memory_source memory; /* over 'pending' */
    struct stream_source source;
    struct buffer pending;
    size_t try_at;      /* octets pending before the next try */
    uint64_t body_left; /* to pass on */
    uint64_t padding;   /* to drop behind it */
    bool ended;
    bool failed;
    struct error error;
};

struct xenferry_pusher *
xenferry_pusher_new(const struct xenferry_push_calls *calls)
{
    struct xenferry_pusher *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    memcpy(&p->calls, calls, size_min(calls->size, sizeof(p->calls)));
    p->source = source_from_memory(&p->memory);
    stream_reader_init(&p->reader, &p->source);
    return p;
}

void xenferry_pusher_free(struct xenferry_pusher *p)
{
    if (!p)
        return;
    stream_reader_release(&p->reader);
    buffer_release(&p->pending);
    free(p);
}

/* Pass on and drop what is known to be no header; returns octets taken. */
static size_t push_body(struct xenferry_pusher *p, const uint8_t *bytes,
                        size_t length)
{
    size_t body = p->body_left < length ? (size_t)p->body_left : length;
    size_t rest = length - body;
    size_t padding = p->padding < rest ? (size_t)p->padding : rest;

    if (body > 0 && p->calls.body)
        p->calls.body(p->calls.context, bytes, body);
    p->body_left -= body;
    p->padding -= padding;
    p->source.offset += body + padding;
    return body + padding;
}

enum try_outcome { TRY_ITEM, TRY_MORE, TRY_FAILED };

static enum try_outcome try_header(struct xenferry_pusher *p)
{
    struct stream_reader before = p->reader;
    uint64_t offset = p->source.offset;
    struct stream_item item;
    struct xenferry_item out;

    p->memory = (struct memory_source){.bytes = p->pending.bytes,
                                       .length = p->pending.length};
    if (!stream_reader_next(&p->reader, &item, &p->error)) {
        if (p->error.code != ERR_TRUNCATED)
            return TRY_FAILED;
        before.scratch = p->reader.scratch;
        p->reader = before;
        p->source.offset = offset;
        p->try_at = p->pending.length < TRY_ALWAYS
                        ? p->pending.length + 1
                        : p->pending.length + p->pending.length / 4;
        return TRY_MORE;
    }
    item_from(&item, &out);
    if (p->reader.body_open) {
        p->body_left = out.length;
        p->padding = p->reader.body_end - p->source.offset - out.length;
    }
    p->ended = item.kind == ITEM_END;
    if (!p->ended && p->calls.item)
        p->calls.item(p->calls.context, &out);
    buffer_consume(&p->pending, p->memory.at);
    p->try_at = 0;
    return TRY_ITEM;
}

/* As far as what is pending goes. */
static bool push_pending(struct xenferry_pusher *p)
{
    for (;;) {
        if (p->body_left + p->padding > 0)
            buffer_consume(&p->pending,
                           push_body(p, p->pending.bytes, p->pending.length));
        if (p->ended || p->body_left + p->padding > 0 ||
            p->pending.length < p->try_at)
            return true;
        switch (try_header(p)) {
        case TRY_FAILED:
            return false;
        case TRY_MORE:
            return true;
        case TRY_ITEM:
            break;
        }
    }
}

int xenferry_push(struct xenferry_pusher *p, const void *bytes, size_t length,
                  struct xenferry_error *err)
{
    const uint8_t *at = bytes;

    while (!p->failed && !p->ended && length > 0) {
        size_t n = p->pending.length == 0 ? push_body(p, at, length) : 0;

        at += n;
        length -= n;
        n = size_min(length, TRY_ALWAYS);
        buffer_bytes(&p->pending, at, n);
        at += n;
        length -= n;
        p->failed =
            !buffer_check(&p->pending, "image", &p->error) || !push_pending(p);
    }
    if (p->failed)
        return api_failed(err, &p->error);
    return p->ended ? XENFERRY_END : XENFERRY_OK;
}

int xenferry_push_end(struct xenferry_pusher *p, struct xenferry_error *err)
{
    if (p->failed)
        return api_failed(err, &p->error);
    p->try_at = 0;
    if (p->ended)
        return XENFERRY_OK;
    if (push_pending(p)) {
        if (p->ended)
            return XENFERRY_OK;
        if (p->body_left + p->padding > 0)
            error_set_at(&p->error, ERR_TRUNCATED, p->source.offset,
                         "record: stream ends, expected more octets");
    }
    p->failed = true;
    return api_failed(err, &p->error);
}
