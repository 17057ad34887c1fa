/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where in an image file the last version of each frame is.
 *
 * A tree of three levels over pfns below 2^32 (a guest of 16 TiB); what it may
 * take is bounded by the size of the image, whatever pfns that names.
 */
#ifndef STREAM_IMAGE_PAGE_INDEX_H
#define STREAM_IMAGE_PAGE_INDEX_H

#include "base/error.h"

#define PAGE_INDEX_PFN_LIMIT (UINT64_C(1) << 32)

#define PAGE_INDEX_TOP  2048
#define PAGE_INDEX_MID  4096
#define PAGE_INDEX_LEAF 512

struct page_index {
    /* owned; entries are offset << 4 | type, 0 for no frame */
    uint64_t **mid[PAGE_INDEX_TOP];
    uint64_t octets;     /* allocated */
    uint64_t octets_max; /* ERR_LIMIT beyond */
    uint64_t nr_frames;  /* with an entry */
    uint64_t nr_updates; /* how often an entry was replaced */
    uint64_t end;        /* one past the highest pfn with an entry */
};

struct page_place {
    bool known; /* the image has said something about the frame */
    unsigned int type;
    uint64_t offset; /* of its contents, if the type has any */
};

/* 'image_size' in octets bounds the memory; it may be 0. */
void page_index_init(struct page_index *index, uint64_t image_size);
void page_index_release(struct page_index *index);

/* 'offset' is above 0 and below 2^59. */
must_check bool page_index_set(struct page_index *index, uint64_t pfn,
                               unsigned int type, uint64_t offset,
                               struct error *err);
struct page_place page_index_get(const struct page_index *index, uint64_t pfn);

/* The first pfn from 'from' on that has an entry, or UINT64_MAX. */
uint64_t page_index_next(const struct page_index *index, uint64_t from);

#endif
