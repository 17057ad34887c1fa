/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks on their way into a container: packed by threads, written by the
 * caller's in the order in which it gave them.  So the file does not depend on
 * how many threads there are, and none of them does any I/O.
 *
 *        given >= begun >= written        counts; chunk n is in slot n % NR
 *
 *        slot       free -> waiting -> being packed -> packed -> free
 *        is of the  caller             a thread        caller
 *
 * Without threads the caller packs what it writes.
 */
#ifndef STREAM_CONTAINER_CHUNK_PIPELINE_H
#define STREAM_CONTAINER_CHUNK_PIPELINE_H

#include <pthread.h>

#include "base/buffer.h"
#include "stream/container/container_chunk.h"

struct packed_chunk {
    enum container_kind kind;
    uint64_t number;
    uint64_t key;
    uint32_t length;
    uint32_t stored; /* once it is packed */
    bool packed;
    uint8_t contents[CONTAINER_CHUNK_MAX];
    uint8_t chunk[CONTAINER_CHUNK_ROOM];
};

struct chunk_packer {
    struct chunk_pipeline *pipeline;
    pthread_t thread;
    struct chunk_codec codec;
};

struct chunk_pipeline {
    struct stream_sink *sink;   /* borrowed */
    struct packed_chunk *slots; /* owned */
    unsigned int nr_slots;
    struct chunk_packer *packers; /* owned; without threads one, the caller's */
    unsigned int nr_packers;
    unsigned int nr_threads;
    bool started;

    uint64_t written;
    uint64_t nr_given[CONTAINER_KINDS];
    struct buffer places[CONTAINER_KINDS]; /* entries of the directory */

    pthread_mutex_t lock;
    /* All below, and 'packed' of the slots, is under 'lock'. */
    pthread_cond_t given_some, packed_some;
    uint64_t given, begun;
    bool stopping;
};

/* 'level' is zstd's, 0 for none.  There may be fewer threads than asked for. */
must_check bool chunk_pipeline_start(struct chunk_pipeline *p,
                                     struct stream_sink *sink, int level,
                                     unsigned int nr_threads,
                                     struct error *err);

/* Hand over a copy of the contents, which get the next number of their kind. */
must_check bool chunk_pipeline_give(struct chunk_pipeline *p,
                                    enum container_kind kind, uint64_t key,
                                    const uint8_t *contents, uint32_t length,
                                    struct error *err);

/* Where a chunk was written; false if it is not yet. */
bool chunk_pipeline_place(const struct chunk_pipeline *p,
                          enum container_kind kind, uint64_t number,
                          struct chunk_place *ret);

/*
 * The contents of a chunk that is given and not yet written, good until the
 * next is given; NULL of others.
 */
const uint8_t *chunk_pipeline_contents(const struct chunk_pipeline *p,
                                       enum container_kind kind,
                                       uint64_t number);

/* Write all that was given. */
must_check bool chunk_pipeline_drain(struct chunk_pipeline *p,
                                     struct error *err);

/* What is not written yet is dropped.  Harmless on {0}. */
void chunk_pipeline_stop(struct chunk_pipeline *p);

#endif
