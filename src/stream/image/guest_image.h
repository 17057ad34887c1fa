/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest as an image has it: its records in memory, its pages by pfn in the
 * file.
 *
 * In a checkpointed image the state is that of the wanted checkpoint; its
 * pages are all that came until then.
 */
#ifndef STREAM_IMAGE_GUEST_IMAGE_H
#define STREAM_IMAGE_GUEST_IMAGE_H

#include "stream/image/page_index.h"
#include "stream/stream_reader.h"

/*
 * All records but pages together; a body over GUEST_BODY_MAX is not kept.  Two
 * images, each with its index of pages, are within 64 MiB, however hostile.
 */
#define GUEST_RECORDS_MAX    ((size_t)20 << 20)
#define GUEST_BODY_MAX       ((uint32_t)16 << 20)
#define GUEST_RECORDS_NR_MAX 65536

struct guest_record {
    bool libxl; /* of which layer */
    uint32_t type;
    uint32_t length; /* in the image */
    uint64_t offset; /* in the image */
    bool kept;
    size_t at; /* in 'bodies' */
};

struct guest_image {
    int fd;        /* borrowed */
    uint64_t base; /* see image_read_page() */
    struct xcstream_headers headers;
    uint8_t pv_width; /* 0: not PV */
    struct page_index pages;
    uint64_t nr_page_records;
    struct guest_record *records; /* owned; without PAGE_DATA */
    size_t nr_records;
    struct buffer bodies; /* owned */
};

/*
 * Load from a source whose offset 0 is octet 'base' of 'fd'.  'size' is the
 * file's, 'checkpoint' as for image_index().  '*ret' must be released whatever
 * comes out.
 */
must_check bool guest_image_load(struct guest_image *ret,
                                 struct stream_source *source, int fd,
                                 uint64_t base, uint64_t size,
                                 uint32_t checkpoint, struct error *err);
void guest_image_release(struct guest_image *g);

/* The i-th record of a type of the libxc layer, or NULL. */
const struct guest_record *guest_image_find(const struct guest_image *g,
                                            uint32_t type, size_t i);
/* As a record whose body is borrowed; only of one that is kept. */
struct record guest_record_view(const struct guest_image *g,
                                const struct guest_record *r);

enum guest_page {
    GUEST_PAGE_HERE,
    GUEST_PAGE_ABSENT, /* the image has no contents for it */
    GUEST_PAGE_FAILED,
};
enum guest_page guest_image_page(const struct guest_image *g, uint64_t pfn,
                                 uint8_t page[PAGE_SIZE], struct error *err);

/*
 * Frames with contents, in runs: the first run that ends after 'from', cut to
 * begin there.  False where there is none.
 */
bool guest_image_run(const struct guest_image *g, uint64_t from,
                     uint64_t *ret_first, uint64_t *ret_nr);

#endif
