/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pages of a checkpointed image, kept in scratch files until it is known
 * which rounds count.
 *
 *  words   u64[]: the frame words of the round that is being read
 *  data    for each of them that carries contents, a page as compressed
 *          rounds have it (legacy_compress.h); read anew for each round
 *  pages   the guest as of the last complete round: pfn * 4096, and after
 *          the last page one octet per pfn: 0x10 | type, 0 for none
 *
 * Sparse, so that the files are no larger than what came in.
 */
#ifndef STREAM_LEGACY_LEGACY_ROUNDS_H
#define STREAM_LEGACY_LEGACY_ROUNDS_H

#include "stream/page_copy.h"

struct legacy_rounds {
    int pages_fd, words_fd, data_fd; /* borrowed */
    uint64_t p2m_size;
    uint64_t words_length; /* octets of the round so far */
    uint64_t data_length;
};

/* A batch: its words, and its pages unless they come compressed later. */
must_check bool legacy_rounds_frames(struct legacy_rounds *r,
                                     struct page_copier *copier,
                                     struct stream_source *source,
                                     const uint64_t *words, uint32_t nr_frames,
                                     uint32_t nr_pages, bool pages_here,
                                     struct error *err);

must_check bool legacy_rounds_compressed(struct legacy_rounds *r,
                                         struct page_copier *copier,
                                         struct stream_source *source,
                                         uint64_t length, struct error *err);

/* The round is complete: it becomes part of the guest. */
must_check bool legacy_rounds_commit(struct legacy_rounds *r,
                                     struct error *err);

/* All frames as PAGE_DATA records, by pfn. */
must_check bool legacy_rounds_write(struct legacy_rounds *r,
                                    struct page_copier *copier,
                                    struct stream_sink *sink,
                                    uint64_t *nr_written, struct error *err);

#endif
