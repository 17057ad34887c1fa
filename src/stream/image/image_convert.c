/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/image_convert.h"

#include <inttypes.h>
#include <string.h>

#include "stream/image/image_scan.h"
#include "stream/page_copy.h"
#include "stream/stream_reader.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"

#define BIT(name) (UINT32_C(1) << XCREC_##name)

/* What a round says besides its pages. */
#define STATE_RECORDS                                                       \
    (BIT(X86_TSC_INFO) | BIT(SHARED_INFO) | BIT(HVM_CONTEXT) |              \
     BIT(HVM_PARAMS) | BIT(X86_PV_VCPU_BASIC) | BIT(X86_PV_VCPU_EXTENDED) | \
     BIT(X86_PV_VCPU_XSAVE) | BIT(X86_PV_VCPU_MSRS))
#define VERSION_3_RECORDS \
    (BIT(STATIC_DATA_END) | BIT(X86_CPUID_POLICY) | BIT(X86_MSR_POLICY))

struct conversion {
    const struct image_convert_options *options;
    struct image_input *in;
    struct stream_source *source;
    struct stream_sink *sink;
    struct image_convert_result *result;
    struct page_copier copier;
    struct page_data pd;
    struct buffer scratch;  /* of what is written next */
    struct buffer gathered; /* pages from wherever in the file they are */
    uint32_t libxl_options;
    bool outer_written; /* the headers of the layers outside libxc */
    bool static_data_end;
    bool compacted; /* the pages are written */
    bool libxc_ended;
    bool done;
};

static bool record_in(uint32_t type, uint32_t set)
{
    return type < 32 && (set >> type & 1);
}

static bool flush(struct conversion *c, struct error *err)
{
    bool ok = buffer_check(&c->scratch, "record", err) &&
              sink_write(c->sink, c->scratch.bytes, c->scratch.length, err);

    buffer_reset(&c->scratch);
    return ok;
}

static void append_empty(struct conversion *c, uint32_t type)
{
    record_append(&c->scratch, type, NULL, 0);
    c->result->nr_records++;
}

/* Headers ------------------------------------------------------------------ */

static void append_xl_header(struct conversion *c,
                             const struct stream_item *item,
                             const struct buffer *optional)
{
    const struct image_convert_options *o = c->options;

    if (o->layer != LAYER_XL)
        return;
    if (!o->config && item)
        xlfile_append_again(&c->scratch, &item->xl_file, &item->config,
                            optional, true);
    else
        xlfile_append(&c->scratch, o->config, o->config_length);
}

/* The headers of the layers that the image does not have itself. */
static void append_outer_headers(struct conversion *c, bool in_libxl)
{
    if (c->outer_written || c->options->layer == LAYER_LIBXC)
        return;
    c->outer_written = true;
    xlstream_header_append(&c->scratch,
                           c->libxl_options & XLSTREAM_OPTION_LEGACY);
    if (!in_libxl)
        append_empty(c, XLREC_LIBXC_CONTEXT);
}

static bool refuse_big_endian(enum byte_order order, uint64_t offset,
                              struct error *err)
{
    return order == ORDER_LITTLE ||
           error_set_at(err, ERR_UNSUPPORTED, offset,
                        "image: big-endian, expected little-endian (no "
                        "release reads or writes the other)");
}

static bool convert_libxl_header(struct conversion *c,
                                 const struct stream_item *item,
                                 struct error *err)
{
    if (!refuse_big_endian(item->libxl.order, item->offset, err))
        return false;
    c->libxl_options = item->libxl.options;
    append_outer_headers(c, true);
    return flush(c, err);
}

static bool convert_libxc_headers(struct conversion *c, bool in_libxl,
                                  const struct stream_item *item,
                                  struct error *err)
{
    struct xcstream_headers h = item->libxc;

    if (!refuse_big_endian(h.order, item->offset, err))
        return false;
    if (h.xen_major == XCSTREAM_MAJOR_CONVERTED && !in_libxl)
        c->libxl_options |= XLSTREAM_OPTION_LEGACY;
    append_outer_headers(c, in_libxl);
    if (c->options->version)
        h.version = c->options->version;
    c->result->version = h.version;
    h.options = 0;
    h.image_reserved = 0;
    h.domain_reserved = 0;
    xcstream_headers_append(&c->scratch, &h);
    return flush(c, err);
}

/* Records ------------------------------------------------------------------ */

static bool copy_record(struct conversion *c, const struct stream_item *item,
                        struct error *err)
{
    static const uint8_t zeroes[8];
    uint8_t head[RECORD_HEAD_SIZE];
    uint32_t length = item->head.length;

    record_head_encode(head, ORDER_LITTLE, item->head.type, length);
    c->result->nr_records++;
    return sink_write(c->sink, head, sizeof(head), err) &&
           octets_copy(&c->copier, c->source, c->sink, length,
                       stream_item_name(item), err) &&
           sink_write(c->sink, zeroes, (size_t)(padded_to_8(length) - length),
                      err);
}

static bool drop_record(struct conversion *c, const struct stream_item *item)
{
    c->result->nr_dropped++;
    log_debug(c->options->log, "%s at offset %" PRIu64 " left out",
              stream_item_name(item), item->offset);
    return true;
}

/* Version 3 says where the static data end; version 2 implies it. */
static void end_static_data(struct conversion *c)
{
    if (c->result->version < XCSTREAM_VERSION_3 || c->static_data_end)
        return;
    c->static_data_end = true;
    append_empty(c, XCREC_STATIC_DATA_END);
}

static void report_progress(struct conversion *c)
{
    if (c->options->progress)
        c->options->progress(c->options->context, c->result->nr_pages,
                             c->source->offset);
}

static bool convert_pages(struct conversion *c, const struct stream_item *item,
                          struct error *err)
{
    size_t length;
    uint8_t *head;

    if (!page_data_read_frames(c->source, &item->head, &c->pd, err))
        return false;
    /* Not more than the image has just given. */
    length = PAGE_DATA_HEAD_SIZE(c->pd.nr_frames);
    head = buffer_extend(&c->scratch, length);
    if (!head)
        return buffer_check(&c->scratch, "PAGE_DATA", err);
    page_data_encode_head(head, c->pd.frames, c->pd.nr_frames);
    if (!page_copy(&c->copier, c->source, c->sink, c->scratch.bytes,
                   c->scratch.length, c->pd.nr_pages, err))
        return error_wrap(err, "PAGE_DATA at offset %" PRIu64, item->offset);
    buffer_reset(&c->scratch);
    c->result->nr_records++;
    c->result->nr_pages += c->pd.nr_pages;
    report_progress(c);
    return true;
}

/* A source over pages wherever in the file they are, for page_copy(). */
static bool write_indexed(struct conversion *c, const uint64_t *words,
                          const struct page_place *places, uint32_t nr,
                          struct error *err)
{
    uint8_t head[PAGE_DATA_HEAD_SIZE(PAGE_COPY_PAGES)];
    struct memory_source memory = {0};
    struct stream_source source;
    uint32_t nr_pages = page_data_encode_head(head, words, nr);
    uint8_t *at;

    buffer_reset(&c->gathered);
    at = buffer_extend(&c->gathered, (size_t)nr_pages * PAGE_SIZE);
    if (!at)
        return buffer_check(&c->gathered, "pages", err);
    for (uint32_t i = 0; i < nr; i++) {
        if (!frame_type_has_page(frame_type(words[i])))
            continue;
        if (!image_read_page(c->options->pages_fd, c->options->pages_base,
                             &places[i], at, err))
            return false;
        at += PAGE_SIZE;
    }
    memory.bytes = c->gathered.bytes;
    memory.length = c->gathered.length;
    source = source_from_memory(&memory);
    c->result->nr_records++;
    c->result->nr_pages += nr_pages;
    report_progress(c);
    return page_copy(&c->copier, &source, c->sink, head,
                     PAGE_DATA_HEAD_SIZE(nr), nr_pages, err);
}

static bool convert_compact(struct conversion *c, struct error *err)
{
    const struct page_index *index = c->options->pages;
    struct page_place places[PAGE_COPY_PAGES];
    uint64_t words[PAGE_COPY_PAGES];
    uint32_t nr = 0;
    uint64_t pfn = page_index_next(index, 0);

    if (c->compacted)
        return true;
    c->compacted = true;
    if (!flush(c, err))
        return false;
    while (pfn != UINT64_MAX) {
        places[nr] = page_index_get(index, pfn);
        words[nr] = frame_word(places[nr].type, pfn);
        nr++;
        pfn = page_index_next(index, pfn + 1);
        if (nr == PAGE_COPY_PAGES || pfn == UINT64_MAX) {
            if (!write_indexed(c, words, places, nr, err))
                return false;
            nr = 0;
        }
    }
    return true;
}

/* The emulator's records of a XenServer image, which follow the libxc one. */
static bool convert_xenopsd_rest(struct conversion *c, struct error *err)
{
    uint64_t type, length;

    while (c->in->wrapping == WRAPPED_XENOPSD) {
        struct stream_item item = {.kind = ITEM_LIBXL_RECORD,
                                   .offset = c->source->offset};
        uint8_t head[8 + RECORD_HEAD_SIZE] = {0};

        if (!xenopsd_header_read(c->source, &type, &length, err))
            return false;
        if (type == XENOPSD_END)
            return true;
        if (length > RECORD_LENGTH_MAX - 8)
            return error_set_at(err, ERR_LIMIT, item.offset,
                                "suspend image: record of %" PRIu64
                                " octets, expected fewer",
                                length);
        item.head = (struct record_head){.type = XLREC_EMULATOR_CONTEXT,
                                         .length = (uint32_t)length};
        if ((type != XENOPSD_QEMU_TRAD && type != XENOPSD_QEMU_XEN) ||
            c->options->layer == LAYER_LIBXC) {
            drop_record(c, &item);
            if (!source_skip(c->source, length, "suspend image record", err))
                return false;
            continue;
        }
        record_head_encode(head, ORDER_LITTLE, XLREC_EMULATOR_CONTEXT,
                           (uint32_t)length + 8);
        head[RECORD_HEAD_SIZE] = type == XENOPSD_QEMU_TRAD
                                     ? XLSTREAM_EMULATOR_QEMU_TRADITIONAL
                                     : XLSTREAM_EMULATOR_QEMU;
        buffer_bytes(&c->scratch, head, sizeof(head));
        if (!flush(c, err) || !octets_copy(&c->copier, c->source, c->sink,
                                           length, "device model", err))
            return false;
        c->result->nr_records++;
        buffer_zeroes(&c->scratch,
                      (size_t)(padded_to_8((uint32_t)length) - length));
    }
    return true;
}

/* The libxc layer is complete. */
static bool end_libxc(struct conversion *c, bool in_libxl, struct error *err)
{
    end_static_data(c);
    if (c->options->pages && !convert_compact(c, err))
        return false;
    append_empty(c, XCREC_END);
    c->libxc_ended = true;
    if (in_libxl)
        return flush(c, err);
    if (!flush(c, err) || !convert_xenopsd_rest(c, err))
        return false;
    if (c->options->layer != LAYER_LIBXC)
        append_empty(c, XLREC_END);
    c->done = true;
    return flush(c, err);
}

static bool convert_checkpoint(struct conversion *c, bool in_libxl,
                               const struct stream_item *item,
                               struct error *err)
{
    if (c->options->checkpoint == 0)
        return error_set_at(err, ERR_UNSUPPORTED, item->offset,
                            "CHECKPOINT at offset %" PRIu64
                            ": a checkpointed image, expected a plain one (or "
                            "which checkpoint)",
                            item->offset);
    if (c->libxc_ended)
        return true;
    c->result->nr_checkpoints++;
    if (c->result->nr_checkpoints < c->options->checkpoint)
        return true;
    return end_libxc(c, in_libxl, err);
}

static bool convert_libxc_record(struct conversion *c, bool in_libxl,
                                 const struct stream_item *item,
                                 struct error *err)
{
    uint32_t type = item->head.type;
    bool other_round = c->options->checkpoint &&
                       c->result->nr_checkpoints + 1 < c->options->checkpoint;

    if (type == XCREC_CHECKPOINT)
        return convert_checkpoint(c, in_libxl, item, err);
    if (type == XCREC_END) {
        if (c->options->checkpoint)
            return error_set_at(err, ERR_UNSUPPORTED, item->offset,
                                "END at offset %" PRIu64 ": after %" PRIu32
                                " checkpoints, expected number %" PRIu32,
                                item->offset, c->result->nr_checkpoints,
                                c->options->checkpoint);
        return end_libxc(c, in_libxl, err);
    }
    if (c->result->version < XCSTREAM_VERSION_3 &&
        record_in(type, VERSION_3_RECORDS))
        return drop_record(c, item);
    if (record_in(type, STATE_RECORDS) && other_round)
        return drop_record(c, item);
    if (type == XCREC_STATIC_DATA_END)
        c->static_data_end = true;
    if (type == XCREC_X86_PV_P2M_FRAMES || type == XCREC_PAGE_DATA)
        end_static_data(c);
    if (c->options->pages && type == XCREC_VERIFY)
        return drop_record(c, item);
    if (type == XCREC_PAGE_DATA && c->options->pages)
        return convert_compact(c, err);
    if (type == XCREC_PAGE_DATA)
        return convert_pages(c, item, err);
    return flush(c, err) && copy_record(c, item, err);
}

static bool convert_libxl_record(struct conversion *c,
                                 const struct stream_item *item,
                                 struct error *err)
{
    bool wanted = c->options->layer != LAYER_LIBXC;

    switch (item->head.type) {
    case XLREC_END:
        if (!c->libxc_ended)
            return error_set_at(err, ERR_FORMAT, item->offset,
                                "libxl END at offset %" PRIu64
                                ": no libxc image before it, expected one",
                                item->offset);
        c->done = true;
        break;
    case XLREC_CHECKPOINT_END:
        if (!c->libxc_ended)
            return drop_record(c, item);
        /* Of the wanted checkpoint: nothing more belongs to it. */
        c->done = true;
        if (wanted)
            append_empty(c, XLREC_END);
        return flush(c, err);
    case XLREC_CHECKPOINT_STATE:
        return drop_record(c, item);
    case XLREC_LIBXC_CONTEXT:
        if (c->libxc_ended)
            return error_set_at(err, ERR_FORMAT, item->offset,
                                "LIBXC_CONTEXT at offset %" PRIu64
                                ": a second libxc image, expected one",
                                item->offset);
        break;
    default:
        if (c->options->checkpoint && !c->libxc_ended)
            return drop_record(c, item); /* of an earlier checkpoint */
        break;
    }
    if (wanted)
        return copy_record(c, item, err);
    return item->head.type == XLREC_END ||
           item->head.type == XLREC_LIBXC_CONTEXT || drop_record(c, item);
}

static bool convert_item(struct conversion *c, const struct stream_reader *r,
                         const struct stream_item *item, struct error *err)
{
    switch (item->kind) {
    case ITEM_XL_FILE_HEADER:
        append_xl_header(c, item, &r->scratch);
        return flush(c, err);
    case ITEM_LIBXL_HEADER:
        return convert_libxl_header(c, item, err);
    case ITEM_LIBXC_HEADERS:
        return convert_libxc_headers(c, r->in_libxl, item, err);
    case ITEM_LIBXL_RECORD:
        return convert_libxl_record(c, item, err);
    case ITEM_LIBXC_RECORD:
        return convert_libxc_record(c, r->in_libxl, item, err);
    case ITEM_END:
        c->done = true;
        return true;
    }
    return error_set(err, ERR_STATE, "image item %d", (int)item->kind);
}

bool image_convert(struct image_input *in, struct stream_sink *sink,
                   const struct image_convert_options *options,
                   struct image_convert_result *result, struct error *err)
{
    struct conversion c = {
        .options = options,
        .in = in,
        .source = &in->source,
        .sink = sink,
        .result = result,
    };
    struct stream_reader r;
    struct stream_item item;
    bool ok;

    *result = (struct image_convert_result){0};
    if (!page_copier_init(&c.copier, options->find_zeroes, err))
        return false;
    stream_reader_init(&r, &in->source);
    ok = true;
    if (in->kind != STREAM_XL_FILE)
        append_xl_header(&c, NULL, NULL);
    while (ok && !c.done)
        ok = stream_reader_next(&r, &item, err) &&
             convert_item(&c, &r, &item, err);
    result->nr_holes = c.copier.nr_holes;
    stream_reader_release(&r);
    page_data_release(&c.pd);
    buffer_release(&c.scratch);
    buffer_release(&c.gathered);
    page_copier_release(&c.copier);
    return ok;
}
