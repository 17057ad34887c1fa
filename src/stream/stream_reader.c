/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/stream_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "stream/xc/xc_records.h"

enum reader_state {
    STATE_START,
    STATE_XL_FILE,      /* its header was given: a libxl header follows */
    STATE_LIBXL_HEADER, /* given: libxl records follow */
    STATE_LIBXL,
    STATE_LIBXC_START,   /* LIBXC_CONTEXT was given: libxc headers follow */
    STATE_LIBXC_HEADERS, /* given: libxc records follow */
    STATE_LIBXC,
    STATE_DONE,
};

void stream_reader_init(struct stream_reader *r, struct stream_source *source)
{
    *r = (struct stream_reader){
        .source = source,
        .state = STATE_START,
        .scratch = {.cap = XLFILE_OPTIONAL_MAX},
    };
}

void stream_reader_release(struct stream_reader *r)
{
    buffer_release(&r->scratch);
}

static bool read_libxl_header(struct stream_reader *r, const uint8_t *first,
                              struct stream_item *item, struct error *err)
{
    uint8_t bytes[XLSTREAM_HEADER_SIZE];
    size_t have = first ? SNIFF_SIZE : 0;
    uint64_t offset = r->source->offset - have;

    if (first)
        memcpy(bytes, first, have);
    if (!source_read(r->source, bytes + have, sizeof(bytes) - have,
                     "libxl header", err))
        return false;
    r->in_libxl = true;
    r->libxl = xlstream_header_decode(bytes, offset);
    item->kind = ITEM_LIBXL_HEADER;
    item->offset = offset;
    item->libxl = r->libxl;
    r->state = STATE_LIBXL_HEADER;
    return true;
}

static bool read_libxc_headers(struct stream_reader *r, const uint8_t *first,
                               struct stream_item *item, struct error *err)
{
    uint8_t bytes[XCSTREAM_HEADERS_SIZE];
    size_t have = first ? SNIFF_SIZE : 0;
    uint64_t offset = r->source->offset - have;

    if (first)
        memcpy(bytes, first, have);
    if (!source_read(r->source, bytes + have, sizeof(bytes) - have,
                     "image and domain header", err))
        return false;
    r->libxc = xcstream_headers_decode(bytes, offset);
    r->libxc_open = true;
    item->kind = ITEM_LIBXC_HEADERS;
    item->offset = offset;
    item->libxc = r->libxc;
    r->state = STATE_LIBXC_HEADERS;
    return true;
}

static bool read_xl_file(struct stream_reader *r, const uint8_t *first,
                         struct stream_item *item, struct error *err)
{
    uint8_t bytes[XLFILE_HEADER_SIZE];
    uint64_t offset = r->source->offset - SNIFF_SIZE;

    memcpy(bytes, first, SNIFF_SIZE);
    if (!source_read(r->source, bytes + SNIFF_SIZE, sizeof(bytes) - SNIFF_SIZE,
                     "xl header", err) ||
        !xlfile_header_decode(bytes, offset, &r->xl_file, err) ||
        !xlfile_config_read(r->source, &r->xl_file, &r->scratch, &item->config,
                            err))
        return false;
    item->kind = ITEM_XL_FILE_HEADER;
    item->offset = offset;
    item->xl_file = r->xl_file;
    r->state = STATE_XL_FILE;
    return true;
}

static bool read_start(struct stream_reader *r, struct stream_item *item,
                       struct error *err)
{
    uint8_t first[SNIFF_SIZE];

    if (!source_read(r->source, first, sizeof(first), "image", err))
        return false;
    r->kind = sniff(first);
    switch (r->kind) {
    case STREAM_XL_FILE:
        return read_xl_file(r, first, item, err);
    case STREAM_LIBXL:
        return read_libxl_header(r, first, item, err);
    case STREAM_LIBXC:
        return read_libxc_headers(r, first, item, err);
    case STREAM_UNKNOWN:
        return error_set_at(err, ERR_FORMAT, 0,
                            "image: unknown data, expected an xl save file, a "
                            "libxl stream or a libxc image");
    default:
        return error_set_at(err, ERR_UNSUPPORTED, 0,
                            "image: %s, expected an xl save file, a libxl "
                            "stream or a libxc image",
                            stream_kind_name(r->kind));
    }
}

static void open_body(struct stream_reader *r, const struct record_head *head)
{
    r->body_open = true;
    r->body_end = head->offset + record_size(head->length);
}

static void take_libxc(struct stream_reader *r, struct stream_item *item)
{
    item->kind = ITEM_LIBXC_RECORD;
    if (item->head.type == XCREC_END) {
        r->libxc_open = false;
        r->state = r->in_libxl ? STATE_LIBXL : STATE_DONE;
    } else if (item->head.type == XCREC_CHECKPOINT && r->in_libxl) {
        r->state = STATE_LIBXL;
    } else {
        r->state = STATE_LIBXC;
    }
}

static void take_libxl(struct stream_reader *r, struct stream_item *item)
{
    item->kind = ITEM_LIBXL_RECORD;
    r->state = STATE_LIBXL;
    if (item->head.type == XLREC_END)
        r->state = STATE_DONE;
    else if (item->head.type == XLREC_LIBXC_CONTEXT)
        r->state = STATE_LIBXC_START;
    else if (item->head.type == XLREC_CHECKPOINT_END && r->libxc_open)
        r->after_checkpoint_end = true;
    else if (item->head.type == XLREC_CHECKPOINT_STATE && r->libxc_open)
        r->state = STATE_LIBXC;
}

static bool read_record(struct stream_reader *r, struct stream_item *item,
                        struct error *err)
{
    bool libxc = r->state == STATE_LIBXC;

    if (!record_read_head(r->source, libxc ? r->libxc.order : r->libxl.order,
                          &item->head, err))
        return false;
    if (r->after_checkpoint_end) {
        r->after_checkpoint_end = false;
        libxc =
            item->head.type != XLREC_CHECKPOINT_STATE || item->head.length >= 8;
        if (libxc && r->libxc.order != r->libxl.order) {
            item->head.type = __builtin_bswap32(item->head.type);
            item->head.length = __builtin_bswap32(item->head.length);
            item->head.order = r->libxc.order;
            if (item->head.length > RECORD_LENGTH_MAX)
                return error_set_at(
                    err, ERR_LIMIT, item->head.offset,
                    "record at offset %" PRIu64 ": body of %" PRIu32
                    " octets, expected at most %" PRIu32,
                    item->head.offset, item->head.length, RECORD_LENGTH_MAX);
        }
    }
    item->offset = item->head.offset;
    if (libxc)
        take_libxc(r, item);
    else
        take_libxl(r, item);
    open_body(r, &item->head);
    return true;
}

bool stream_reader_finish_body(struct stream_reader *r, struct error *err)
{
    if (!r->body_open)
        return true;
    assert(r->source->offset <= r->body_end); /* callers read only the body */
    r->body_open = false;
    return source_skip(r->source, r->body_end - r->source->offset,
                       "record body", err);
}

bool stream_reader_next(struct stream_reader *r, struct stream_item *ret,
                        struct error *err)
{
    struct stream_item item = {.offset = r->source->offset};
    bool ok = false;

    if (!stream_reader_finish_body(r, err))
        return false;
    switch ((enum reader_state)r->state) {
    case STATE_START:
        ok = read_start(r, &item, err);
        break;
    case STATE_XL_FILE:
        ok = xlfile_header_check(&r->xl_file, err) &&
             read_libxl_header(r, NULL, &item, err);
        break;
    case STATE_LIBXL_HEADER:
        ok = xlstream_header_check(&r->libxl, err);
        if (ok) {
            r->state = STATE_LIBXL;
            ok = read_record(r, &item, err);
        }
        break;
    case STATE_LIBXC_START:
        ok = read_libxc_headers(r, NULL, &item, err);
        break;
    case STATE_LIBXC_HEADERS:
        ok = xcstream_headers_check(&r->libxc, err);
        if (ok) {
            r->state = STATE_LIBXC;
            ok = read_record(r, &item, err);
        }
        break;
    case STATE_LIBXL:
    case STATE_LIBXC:
        ok = read_record(r, &item, err);
        break;
    case STATE_DONE:
        item.kind = ITEM_END;
        item.offset = r->source->offset;
        ok = true;
        break;
    }
    if (ok)
        *ret = item;
    return ok;
}

const char *stream_item_name(const struct stream_item *item)
{
    switch (item->kind) {
    case ITEM_XL_FILE_HEADER:
        return "xl file header";
    case ITEM_LIBXL_HEADER:
        return "libxl header";
    case ITEM_LIBXL_RECORD:
        return xlstream_record_name(item->head.type);
    case ITEM_LIBXC_HEADERS:
        return "libxc headers";
    case ITEM_LIBXC_RECORD:
        return xcstream_record_name(item->head.type);
    case ITEM_END:
        return "end of image";
    }
    return "unknown";
}
