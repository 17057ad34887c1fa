/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three threads that pass batches round in a ring:
 *
 *       free --> gather --> scan --> write --> free
 *                 op's     scanner   writer
 *
 * The operation's thread gathers; the other two are started here.  The first
 * failure anywhere stays: later batches pass through untouched and are only
 * unmapped, and save_pipeline_drain() reports it.
 */
#ifndef ENGINE_SAVE_PIPELINE_H
#define ENGINE_SAVE_PIPELINE_H

#include <pthread.h>

#include "engine/page_batch.h"

struct batch_queue {
    struct page_batch *first;
    struct page_batch *last;
    unsigned int length;
};

struct save_pipeline {
    struct save *save; /* borrowed */
    struct stream_sink *sink;
    uint32_t min_hole;

    pthread_t scanner, writer;
    bool started;

    pthread_mutex_t lock;
    /* All below is under 'lock'. */
    pthread_cond_t changed;
    struct batch_queue free, gathered, scanned;
    unsigned int nr_batches;
    bool stopping;
    bool failed;
    struct error error;
    uint64_t pages, zero_pages, bytes; /* written */
};

must_check bool save_pipeline_start(struct save_pipeline *p, struct save *s,
                                    struct stream_sink *sink, uint32_t min_hole,
                                    struct error *err);

/* An empty batch, when there is one; NULL and '*err' after a failure. */
struct page_batch *save_pipeline_take(struct save_pipeline *p,
                                      struct error *err);

/* Hand a gathered batch on. */
void save_pipeline_give(struct save_pipeline *p, struct page_batch *b);

/* Give back a batch that will not be written. */
void save_pipeline_return(struct save_pipeline *p, struct page_batch *b);

/* Wait until everything given is written and unmapped. */
must_check bool save_pipeline_drain(struct save_pipeline *p, struct error *err);

/* Fill in the pages and octets written so far. */
void save_pipeline_progress(struct save_pipeline *p,
                            struct engine_event *event);

/* Stop the threads and free the batches.  Harmless when not started. */
void save_pipeline_stop(struct save_pipeline *p);

#endif
