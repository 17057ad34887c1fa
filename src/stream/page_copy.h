/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages from a source to a sink, through one buffer of a batch's size.
 *
 * Runs of zero pages are given to the sink as such, which a file turns into
 * holes; the octets stay the same.  A hole in the source is not read at all.
 */
#ifndef STREAM_PAGE_COPY_H
#define STREAM_PAGE_COPY_H

#include "stream/stream_io.h"

struct page_copier {
    uint8_t *buffer; /* owned; PAGE_COPY_PAGES pages */
    bool
        find_zeroes; /* look for zero pages: worth it where the sink is a file */
    uint64_t nr_pages;
    uint64_t nr_holes; /* of those, zeroes in runs worth a hole */
};

#define PAGE_COPY_PAGES 256

/* A run of fewer zero pages than this is written like any other. */
#define PAGE_COPY_ZERO_RUN 8

must_check bool page_copier_init(struct page_copier *p, bool find_zeroes,
                                 struct error *err);
void page_copier_release(struct page_copier *p);

/* 'head' goes before the pages, in the same write where that is possible. */
must_check bool page_copy(struct page_copier *p, struct stream_source *source,
                          struct stream_sink *sink, const void *head,
                          size_t head_length, uint64_t nr_pages,
                          struct error *err);

/* The same for octets that are no pages. */
must_check bool octets_copy(struct page_copier *p, struct stream_source *source,
                            struct stream_sink *sink, uint64_t length,
                            const char *what, struct error *err);

bool page_is_zero(const uint8_t page[PAGE_SIZE]);

#endif
