/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A first pass over an image: how many checkpoints are complete, and where the
 * last version of each page is.
 */
#ifndef STREAM_IMAGE_IMAGE_SCAN_H
#define STREAM_IMAGE_IMAGE_SCAN_H

#include "stream/image/page_index.h"
#include "stream/stream_reader.h"
#include "stream/xc/xc_page_data.h"

struct image_scan {
    uint32_t nr_checkpoints; /* complete ones */
    bool ended;              /* the image has its END */
    bool cut_off;            /* it ends within something */
    struct error why;        /* where it was cut off */
};

/*
 * Look for checkpoints up to the end of the source.  An image that is cut off
 * is no failure.
 */
must_check bool image_scan(struct stream_source *source, struct image_scan *ret,
                           struct error *err);

/*
 * Fill 'index' with all frames up to the image's END, or up to the end of
 * checkpoint number 'checkpoint' (from 1; 0: up to END).  Entries' offsets
 * are those of the source.
 */
must_check bool image_index(struct stream_source *source, uint32_t checkpoint,
                            struct page_index *index, struct error *err);

/* Parts of the above: one PAGE_DATA record; whether an item ends a round. */
must_check bool image_index_record(struct stream_source *source,
                                   const struct stream_item *item,
                                   struct page_data *pd,
                                   struct page_index *index, struct error *err);
bool image_completes_checkpoint(const struct stream_reader *r,
                                const struct stream_item *item);

/* Read a page by an index made of the same file.  'base' is the octet of the
 * file that the source's offset 0 stands for. */
must_check bool image_read_page(int fd, uint64_t base,
                                const struct page_place *place,
                                uint8_t page[PAGE_SIZE], struct error *err);

#endif
