/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A batch of guest frames on its way from the stream into the guest.
 *
 *   read       frame words; pages, or where in a file they are (op's thread)
 *   place      allocate, map, fill, unmap                   (placing threads)
 *
 * A regular file's pages are not read on the operation's thread: it moves past
 * them, and each placer reads its own straight into the guest, leaving out the
 * file's holes, which are zeroes.
 *
 * Several placers work at once on batches that share no pfn; a batch that
 * repeats a pfn waits until all before it are placed, so that the last copy in
 * the stream is the one that stays.
 */
#ifndef ENGINE_PAGE_RESTORE_H
#define ENGINE_PAGE_RESTORE_H

#include <pthread.h>

#include "engine/guest.h"
#include "host/host.h"
#include "stream/xc/xc_page_data.h"

#define NR_PLACERS_MAX 2

/* A page that came without its octets, or is a hole of the file: all zero. */
#define ZERO_NOT   0u
#define ZERO_CLEAR 1u /* what is there has to be cleared */
#define ZERO_FRESH 2u /* it gets memory now, which is zero as it comes */

struct restore_batch {
    struct restore_batch *next;
    struct page_data data; /* frame words */
    uint64_t offset;       /* of the record, for messages */
    bool compare;          /* do not place: compare with what is there */

    /* Frames that have contents, in the order of their pages. */
    uint64_t *pfns;
    unsigned int *types;
    uint8_t *zero; /* what each is, or is where the file has a hole: ZERO_ */
    uint32_t nr_pages;
    /* Frames that were never seen before and need memory. */
    uint64_t *fresh;
    uint32_t nr_fresh;
    uint32_t capacity; /* entries of the arrays */

    /* Where the pages are: in memory, or in the file from here on. */
    uint8_t *pages;
    size_t pages_capacity;
    int64_t file_offset; /* -1: in memory */
};

struct page_placer {
    struct restore *restore; /* borrowed */
    int file_fd;             /* owned: a descriptor of our own; -1: none */
    unsigned int nr_threads;
    pthread_t threads[NR_PLACERS_MAX];
    bool repeated; /* a pfn was; the operation's thread's */

    pthread_mutex_t lock;
    /* All below is under 'lock'. */
    pthread_cond_t changed;
    struct restore_batch *free;
    struct restore_batch *waiting_first, *waiting_last;
    unsigned int nr_batches, nr_free;
    bool stopping;
    bool failed;
    struct error error;
    uint64_t pages, zero_pages, mismatches;
};

must_check bool page_placer_start(struct page_placer *p, struct restore *r,
                                  struct error *err);

/*
 * Read the rest of the PAGE_DATA record whose head was read and have it placed.
 * A failure of an earlier batch is reported by a later call or by drain.
 */
must_check bool page_placer_take_record(struct page_placer *p,
                                        const struct record_head *head,
                                        struct error *err);

/* Wait until everything taken is in the guest. */
must_check bool page_placer_drain(struct page_placer *p, struct error *err);

/* Stop the threads and free everything.  Harmless when not started. */
void page_placer_stop(struct page_placer *p);

#endif
