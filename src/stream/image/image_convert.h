/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A current image into another current form: between versions 2 and 3 of the
 * libxc layer, with more or fewer layers around it, without what was sent
 * twice, or as of one checkpoint.
 *
 * One pass, record by record, in constant memory.  Records that stay are
 * copied octet by octet; padding is written as zeroes.
 *
 *  3 -> 2     drops STATIC_DATA_END and the policies
 *  2 -> 3     adds STATIC_DATA_END where version 2 implies it
 *  compact    all PAGE_DATA in the place of the first, by pfn, read back by
 *             an index; VERIFY is dropped
 *  checkpoint the pages of all rounds up to it, the state of its round alone,
 *             the emulator's records of that checkpoint
 */
#ifndef STREAM_IMAGE_IMAGE_CONVERT_H
#define STREAM_IMAGE_IMAGE_CONVERT_H

#include "base/log.h"
#include "stream/image/image_open.h"
#include "stream/image/page_index.h"

enum image_layer { LAYER_LIBXC, LAYER_LIBXL, LAYER_XL };

struct image_convert_options {
    enum image_layer layer; /* the outermost one */
    unsigned int version;   /* of the libxc layer: 2, 3, or 0 as it is */
    uint32_t checkpoint;    /* from 1; 0: the image is a plain one */
    /* compact: the pages as of END or the checkpoint; else NULL */
    const struct page_index *pages;
    int pages_fd;
    uint64_t pages_base; /* see image_read_page() */
    /* JSON for an xl header, instead of what the image has; may be NULL */
    const char *config;
    uint32_t config_length;
    bool find_zeroes; /* the sink is a file: leave holes */
    const struct log *log;
    void (*progress)(void *context, uint64_t pages, uint64_t source_offset);
    void *context;
};

struct image_convert_result {
    unsigned int version; /* written */
    uint64_t nr_records;  /* written, of both layers */
    uint64_t nr_dropped;
    uint64_t nr_pages;       /* written */
    uint64_t nr_holes;       /* of those, zeroes in runs worth a hole */
    uint32_t nr_checkpoints; /* passed */
};

must_check bool image_convert(struct image_input *in, struct stream_sink *sink,
                              const struct image_convert_options *options,
                              struct image_convert_result *result,
                              struct error *err);

#endif
