/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image into the container, in one pass and without a way back in either.
 *
 * The image is cut in two: its pages, each of which is kept once, and the rest,
 * called text.  The recipe says how to put the two together again, so that the
 * image comes back octet for octet.  What is no image that we know, or breaks
 * off being one, is text to its end: everything can be kept.
 */
#ifndef STREAM_CONTAINER_CONTAINER_WRITE_H
#define STREAM_CONTAINER_CONTAINER_WRITE_H

#include "stream/container/container_chunk.h"

#define CONTAINER_LEVEL_DEFAULT 1
#define CONTAINER_LEVEL_MAX     19
#define CONTAINER_THREADS_MAX   64

struct container_write_options {
    int level; /* of zstd, from 0 (stored) to CONTAINER_LEVEL_MAX */
    /*
     * That compress, beside the caller's, to CONTAINER_THREADS_MAX; 0: the
     * caller's does.  The container is the same whatever they are; each takes
     * up to 1 MiB, and what zstd takes for the level.
     */
    unsigned int threads;
    /*
     * Reads back what the sink was given; only 'read_at' and 'context' count.
     * Without it a page is compared with those of the last few chunks only.
     */
    const struct container_file *written;
    void (*progress)(void *context, uint64_t pages, uint64_t source_offset);
    void *context;
};

struct container_summary {
    uint64_t file_octets;
    uint64_t image_octets;
    uint64_t text_octets;
    uint64_t nr_chunks[CONTAINER_KINDS];
    uint64_t nr_pages;      /* of the image */
    uint64_t nr_zero;       /* of those */
    uint64_t nr_distinct;   /* kept */
    uint64_t nr_frames;     /* in the index */
    uint64_t image_hash[2]; /* XXH3-128, low half first */
    bool whole;             /* the image was understood up to its END */
    bool frames_missing;    /* pfns too high, or too far apart */
    uint64_t directory;     /* octet of the file */
};

/*
 * 'sink' stands at its beginning.  'why', if not NULL, says why the image was
 * not understood to its end, where it was not.
 */
must_check bool container_write(struct stream_source *source,
                                struct stream_sink *sink,
                                const struct container_write_options *options,
                                struct container_summary *ret,
                                struct error *why, struct error *err);

#endif
