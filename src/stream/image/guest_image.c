/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/guest_image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stream/image/image_scan.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_pv.h"

/* Records that each round says anew. */
static bool of_a_round(const struct guest_record *r)
{
    if (r->libxl)
        return r->type != XLREC_LIBXC_CONTEXT;
    switch (r->type) {
    case XCREC_X86_PV_INFO:
    case XCREC_X86_PV_P2M_FRAMES:
    case XCREC_STATIC_DATA_END:
    case XCREC_X86_CPUID_POLICY:
    case XCREC_X86_MSR_POLICY:
        return false;
    default:
        return true;
    }
}

/* A new round's state begins: what the last one said is out of date. */
static void forget_round(struct guest_image *g)
{
    size_t kept = 0;
    size_t used = 0;

    for (size_t i = 0; i < g->nr_records; i++) {
        struct guest_record r = g->records[i];

        if (of_a_round(&r))
            continue;
        if (r.kept && r.length > 0) {
            memmove(g->bodies.bytes + used, g->bodies.bytes + r.at, r.length);
            r.at = used;
            used += r.length;
        }
        g->records[kept++] = r;
    }
    g->nr_records = kept;
    g->bodies.length = used;
}

static bool add_record(struct guest_image *g, struct stream_source *source,
                       const struct stream_item *item, struct error *err)
{
    struct guest_record r = {
        .libxl = item->kind == ITEM_LIBXL_RECORD,
        .type = item->head.type,
        .length = item->head.length,
        .offset = item->offset,
        .kept = item->head.length <= GUEST_BODY_MAX,
        .at = g->bodies.length,
    };
    struct guest_record *more;

    if (g->nr_records == GUEST_RECORDS_NR_MAX)
        return error_set_at(
            err, ERR_LIMIT, item->offset,
            "%s at offset %" PRIu64 ": more than %d records, expected fewer",
            stream_item_name(item), item->offset, GUEST_RECORDS_NR_MAX);
    /* At most GUEST_RECORDS_NR_MAX entries. */
    if ((g->nr_records & (g->nr_records + 1)) == 0 || !g->records) {
        more =
            realloc(g->records, (g->nr_records * 2 + 2) * sizeof(*g->records));
        if (!more)
            return error_set(err, ERR_NO_MEMORY, "records: no memory");
        g->records = more;
    }
    if (r.kept && !source_read_buffer(source, &g->bodies, r.length,
                                      stream_item_name(item), err))
        return false;
    g->records[g->nr_records++] = r;
    return true;
}

static bool index_pages(struct guest_image *g, struct stream_source *source,
                        const struct stream_item *item, struct page_data *pd,
                        struct error *err)
{
    g->nr_page_records++;
    return image_index_record(source, item, pd, &g->pages, err);
}

static bool take_record(struct guest_image *g, struct stream_source *source,
                        const struct stream_item *item, struct error *err)
{
    const struct guest_record *r;
    struct record rec;
    struct pv_info info;

    if (!add_record(g, source, item, err))
        return false;
    r = &g->records[g->nr_records - 1];
    if (r->libxl || r->type != XCREC_X86_PV_INFO || !r->kept)
        return true;
    rec = guest_record_view(g, r);
    if (!pv_info_decode(&rec, &info, err))
        return false;
    if (!pv_info_known(&info))
        return error_set_at(err, ERR_FORMAT, item->offset,
                            "X86_PV_INFO at offset %" PRIu64
                            ": width %u with %u levels, expected 4 with 3 or 8 "
                            "with 4",
                            item->offset, info.width, info.levels);
    g->pv_width = info.width;
    return true;
}

/* Checkpoints complete as in image_scan.h. */
static bool load_items(struct guest_image *g, struct stream_reader *r,
                       uint32_t checkpoint, struct error *err)
{
    struct stream_item item = {0};
    struct page_data pd = {0};
    uint32_t nr_checkpoints = 0;
    bool new_round = false;
    bool found = false;
    bool ok = true;

    while (ok && item.kind != ITEM_END) {
        ok = stream_reader_next(r, &item, err);
        if (!ok)
            break;
        if (item.kind == ITEM_LIBXC_HEADERS) {
            g->headers = item.libxc;
            found = true;
        } else if (item.kind == ITEM_LIBXC_RECORD &&
                   item.head.type == XCREC_PAGE_DATA) {
            ok = index_pages(g, r->source, &item, &pd, err);
        } else if (item.kind == ITEM_LIBXC_RECORD ||
                   item.kind == ITEM_LIBXL_RECORD) {
            if (new_round && item.kind == ITEM_LIBXC_RECORD) {
                forget_round(g);
                new_round = false;
            }
            ok = take_record(g, r->source, &item, err);
        }
        if (ok && image_completes_checkpoint(r, &item)) {
            new_round = true;
            if (++nr_checkpoints == checkpoint)
                break;
        }
    }
    page_data_release(&pd);
    if (ok && !found)
        return error_set_at(err, ERR_FORMAT, item.offset,
                            "end of the image at offset %" PRIu64
                            ": no libxc image before it, expected one",
                            item.offset);
    if (ok && checkpoint && nr_checkpoints < checkpoint)
        return error_set(err, ERR_UNSUPPORTED,
                         "image: %" PRIu32
                         " checkpoints, expected number %" PRIu32,
                         nr_checkpoints, checkpoint);
    return ok;
}

bool guest_image_load(struct guest_image *ret, struct stream_source *source,
                      int fd, uint64_t base, uint64_t size, uint32_t checkpoint,
                      struct error *err)
{
    struct stream_reader r;
    bool ok;

    memset(ret, 0, sizeof(*ret));
    ret->fd = fd;
    ret->base = base;
    ret->bodies.cap = GUEST_RECORDS_MAX;
    page_index_init(&ret->pages, size);
    stream_reader_init(&r, source);
    ok = load_items(ret, &r, checkpoint, err);
    stream_reader_release(&r);
    return ok;
}

void guest_image_release(struct guest_image *g)
{
    page_index_release(&g->pages);
    buffer_release(&g->bodies);
    free(g->records);
    g->records = NULL;
    g->nr_records = 0;
}

const struct guest_record *guest_image_find(const struct guest_image *g,
                                            uint32_t type, size_t i)
{
    for (size_t at = 0; at < g->nr_records; at++)
        if (!g->records[at].libxl && g->records[at].type == type &&
            g->records[at].kept && i-- == 0)
            return &g->records[at];
    return NULL;
}

struct record guest_record_view(const struct guest_image *g,
                                const struct guest_record *r)
{
    struct record rec = record_over(r->type, g->bodies.bytes + r->at, r->length,
                                    g->headers.order);

    rec.offset = r->offset;
    return rec;
}

enum guest_page guest_image_page(const struct guest_image *g, uint64_t pfn,
                                 uint8_t page[PAGE_SIZE], struct error *err)
{
    struct page_place place = page_index_get(&g->pages, pfn);

    if (!place.known || !frame_type_has_page(place.type))
        return GUEST_PAGE_ABSENT;
    return image_read_page(g->fd, g->base, &place, page, err)
               ? GUEST_PAGE_HERE
               : GUEST_PAGE_FAILED;
}

static bool has_page(const struct guest_image *g, uint64_t pfn)
{
    struct page_place place = page_index_get(&g->pages, pfn);

    return place.known && frame_type_has_page(place.type);
}

bool guest_image_run(const struct guest_image *g, uint64_t from,
                     uint64_t *ret_first, uint64_t *ret_nr)
{
    uint64_t first = page_index_next(&g->pages, from);
    uint64_t nr = 1;

    while (first != UINT64_MAX && !has_page(g, first))
        first = page_index_next(&g->pages, first + 1);
    if (first == UINT64_MAX)
        return false;
    while (has_page(g, first + nr))
        nr++;
    *ret_first = first;
    *ret_nr = nr;
    return true;
}
