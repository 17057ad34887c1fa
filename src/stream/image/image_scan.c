/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/image_scan.h"

#include <inttypes.h>

#include "stream/file_window.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"

bool image_completes_checkpoint(const struct stream_reader *r,
                                const struct stream_item *item)
{
    return r->in_libxl ? item->kind == ITEM_LIBXL_RECORD &&
                             item->head.type == XLREC_CHECKPOINT_END
                       : item->kind == ITEM_LIBXC_RECORD &&
                             item->head.type == XCREC_CHECKPOINT;
}

bool image_scan(struct stream_source *source, struct image_scan *ret,
                struct error *err)
{
    struct stream_reader r;
    struct stream_item item = {0};
    struct image_scan scan = {0};
    bool ok = true;

    stream_reader_init(&r, source);
    while (item.kind != ITEM_END) {
        ok = stream_reader_next(&r, &item, &scan.why);
        if (!ok)
            break;
        if (image_completes_checkpoint(&r, &item) &&
            stream_reader_finish_body(&r, &scan.why))
            scan.nr_checkpoints++;
    }
    scan.ended = ok;
    if (!ok && scan.why.code == ERR_TRUNCATED) {
        scan.cut_off = true;
        ok = true;
    }
    if (ok)
        *ret = scan;
    else if (err)
        *err = scan.why;
    stream_reader_release(&r);
    return ok;
}

bool image_index_record(struct stream_source *source,
                        const struct stream_item *item, struct page_data *pd,
                        struct page_index *index, struct error *err)
{
    uint64_t offset;

    if (!page_data_read_frames(source, &item->head, pd, err))
        return false;
    offset = source->offset;
    for (uint32_t i = 0; i < pd->nr_frames; i++) {
        unsigned int type = frame_type(pd->frames[i]);

        if (!page_index_set(index, frame_pfn(pd->frames[i]), type, offset, err))
            return error_wrap(err, "PAGE_DATA at offset %" PRIu64,
                              item->head.offset);
        if (frame_type_has_page(type))
            offset += PAGE_SIZE;
    }
    return true;
}

bool image_index(struct stream_source *source, uint32_t checkpoint,
                 struct page_index *index, struct error *err)
{
    struct stream_reader r;
    struct stream_item item = {0};
    struct page_data pd = {0};
    uint32_t nr_checkpoints = 0;
    bool ok = true;

    stream_reader_init(&r, source);
    while (ok && item.kind != ITEM_END) {
        ok = stream_reader_next(&r, &item, err);
        if (!ok)
            break;
        if (item.kind == ITEM_LIBXC_RECORD && item.head.type == XCREC_PAGE_DATA)
            ok = image_index_record(source, &item, &pd, index, err);
        else if (image_completes_checkpoint(&r, &item) &&
                 ++nr_checkpoints == checkpoint)
            break;
    }
    page_data_release(&pd);
    stream_reader_release(&r);
    return ok;
}

bool image_read_page(int fd, uint64_t base, const struct page_place *place,
                     uint8_t page[PAGE_SIZE], struct error *err)
{
    return file_read_at(fd, page, PAGE_SIZE, base + place->offset, "page", err);
}
