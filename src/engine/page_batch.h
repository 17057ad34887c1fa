/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A batch of guest frames on its way from the guest to the stream.
 *
 *   gather     choose pfns, find frames and types, map     (operation's thread)
 *   scan       normalise, find the pages that are all zero  (scanning thread)
 *   write      one PAGE_DATA record, then unmap             (writing thread)
 *
 * A batch is big and is used again and again; nothing is allocated per page.
 */
#ifndef ENGINE_PAGE_BATCH_H
#define ENGINE_PAGE_BATCH_H

#include "engine/guest.h"
#include "host/host.h"
#include "stream/stream_io.h"
#include "stream/xc/xc_page_data.h"

#define BATCH_FRAMES HOST_BATCH_MAX

struct page_batch {
    struct page_batch *next; /* in the queue that it is in */
    uint32_t nr;
    uint64_t pfns[BATCH_FRAMES];
    uint64_t frames[BATCH_FRAMES];
    uint32_t types[BATCH_FRAMES];
    bool types_known; /* by the caller: every frame is ordinary memory */

    struct host_mapping mapping;
    /* Contents of frame i: in 'mapping', in 'scratch', or NULL: all zero. */
    const uint8_t *pages[BATCH_FRAMES];
    uint8_t *scratch; /* owned, BATCH_FRAMES pages; NULL: not needed */

    /* pfns that must be sent again when the guest stands still. */
    uint32_t nr_deferred;
    uint64_t deferred[BATCH_FRAMES];

    uint32_t nr_pages; /* with contents */
    uint32_t nr_zero;  /* of these */
    uint64_t words[BATCH_FRAMES];
    int errors[BATCH_FRAMES];
    uint8_t head[PAGE_DATA_HEAD_SIZE(BATCH_FRAMES)];
};

/* NULL when there is no memory. */
struct page_batch *page_batch_new(bool with_scratch);
void page_batch_free(struct page_batch *b);

/*
 * Find frames and types of the batch's pfns and map those with contents.
 * Frames that went away meanwhile become FRAME_XTAB.
 */
must_check bool page_batch_gather(struct save *s, struct page_batch *b,
                                  struct error *err);

/* Fill pages[] and count zero pages. */
must_check bool page_batch_scan(struct save *s, struct page_batch *b,
                                struct error *err);

/* Write the record.  Runs of 'min_hole' zero pages and more go as zeroes. */
must_check bool page_batch_write(struct page_batch *b, struct stream_sink *sink,
                                 uint32_t min_hole, struct error *err);

/* Whether PAGE_SIZE octets are all zero. */
bool gathered_page_is_zero(const uint8_t *page);

#endif
