/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/save_pipeline.h"

#include "engine/save.h"

/* Two for each stage: one in work, one waiting. */
#define NR_BATCHES 6

static void queue_push(struct batch_queue *q, struct page_batch *b)
{
    b->next = NULL;
    if (q->last)
        q->last->next = b;
    else
        q->first = b;
    q->last = b;
    q->length++;
}

static struct page_batch *queue_pop(struct batch_queue *q)
{
    struct page_batch *b = q->first;

    if (!b)
        return NULL;
    q->first = b->next;
    if (!q->first)
        q->last = NULL;
    q->length--;
    return b;
}

/* The next batch of a stage, or NULL when the pipeline stops. */
static struct page_batch *stage_take(struct save_pipeline *p,
                                     struct batch_queue *q, bool *ret_failed)
{
    struct page_batch *b;

    pthread_mutex_lock(&p->lock);
    while (!(b = queue_pop(q)) && !p->stopping)
        pthread_cond_wait(&p->changed, &p->lock);
    *ret_failed = p->failed;
    pthread_mutex_unlock(&p->lock);
    return b;
}

static void stage_give(struct save_pipeline *p, struct batch_queue *q,
                       struct page_batch *b)
{
    pthread_mutex_lock(&p->lock);
    queue_push(q, b);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void pipeline_fail(struct save_pipeline *p, const struct error *error)
{
    pthread_mutex_lock(&p->lock);
    if (!p->failed) {
        p->failed = true;
        p->error = *error;
    }
    pthread_mutex_unlock(&p->lock);
}

static void *scanner_main(void *argument)
{
    struct save_pipeline *p = argument;
    struct page_batch *b;
    struct error error;
    bool failed;

    while ((b = stage_take(p, &p->gathered, &failed))) {
        if (!failed && !page_batch_scan(p->save, b, &error))
            pipeline_fail(p, &error);
        stage_give(p, &p->scanned, b);
    }
    return NULL;
}

static void *writer_main(void *argument)
{
    struct save_pipeline *p = argument;
    struct host *host = p->save->request->host;
    struct page_batch *b;
    struct error error;
    bool failed;

    while ((b = stage_take(p, &p->scanned, &failed))) {
        if (!failed && !page_batch_write(b, p->sink, p->min_hole, &error))
            pipeline_fail(p, &error);
        host->ops->unmap_frames(host, &b->mapping);
        if (!failed) {
            pthread_mutex_lock(&p->lock);
            p->pages += b->nr_pages;
            p->zero_pages += b->nr_zero;
            p->bytes = p->sink->offset;
            pthread_mutex_unlock(&p->lock);
        }
        stage_give(p, &p->free, b);
    }
    return NULL;
}

static void free_batches(struct save_pipeline *p)
{
    struct page_batch *b;

    while ((b = queue_pop(&p->free)))
        page_batch_free(b);
}

bool save_pipeline_start(struct save_pipeline *p, struct save *s,
                         struct stream_sink *sink, uint32_t min_hole,
                         struct error *err)
{
    *p = (struct save_pipeline){.save = s, .sink = sink, .min_hole = min_hole};
    for (; p->nr_batches < NR_BATCHES; p->nr_batches++) {
        struct page_batch *b = page_batch_new(s->hooks->normalises);

        if (!b) {
            free_batches(p);
            return error_set(err, ERR_NO_MEMORY, "page batches");
        }
        queue_push(&p->free, b);
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    if (pthread_create(&p->scanner, NULL, scanner_main, p) != 0)
        goto out;
    if (pthread_create(&p->writer, NULL, writer_main, p) != 0) {
        pthread_mutex_lock(&p->lock);
        p->stopping = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->scanner, NULL);
        goto out;
    }
    p->started = true;
    return true;

out:
    free_batches(p);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    return error_set(err, ERR_NO_MEMORY, "threads of the save");
}

/* Deferrals are the operation's thread's to note. */
static void note_deferred(struct save_pipeline *p, struct page_batch *b)
{
    for (uint32_t i = 0; i < b->nr_deferred; i++)
        bitmap_set(&p->save->deferred, b->deferred[i]);
    b->nr_deferred = 0;
}

struct page_batch *save_pipeline_take(struct save_pipeline *p,
                                      struct error *err)
{
    struct page_batch *b = NULL;

    pthread_mutex_lock(&p->lock);
    while (!p->failed && !(b = queue_pop(&p->free)))
        pthread_cond_wait(&p->changed, &p->lock);
    if (!b && err)
        *err = p->error;
    pthread_mutex_unlock(&p->lock);
    if (b)
        note_deferred(p, b);
    return b;
}

void save_pipeline_give(struct save_pipeline *p, struct page_batch *b)
{
    stage_give(p, &p->gathered, b);
}

void save_pipeline_return(struct save_pipeline *p, struct page_batch *b)
{
    struct host *host = p->save->request->host;

    host->ops->unmap_frames(host, &b->mapping);
    b->nr_deferred = 0;
    stage_give(p, &p->free, b);
}

bool save_pipeline_drain(struct save_pipeline *p, struct error *err)
{
    bool failed;

    pthread_mutex_lock(&p->lock);
    while (p->free.length < p->nr_batches)
        pthread_cond_wait(&p->changed, &p->lock);
    failed = p->failed;
    if (failed && err)
        *err = p->error;
    for (struct page_batch *b = p->free.first; b; b = b->next)
        note_deferred(p, b);
    pthread_mutex_unlock(&p->lock);
    return !failed;
}

void save_pipeline_progress(struct save_pipeline *p, struct engine_event *event)
{
    pthread_mutex_lock(&p->lock);
    event->pages = p->pages;
    event->zero_pages = p->zero_pages;
    event->bytes = p->bytes;
    pthread_mutex_unlock(&p->lock);
}

void save_pipeline_stop(struct save_pipeline *p)
{
    if (!p->started)
        return;
    /* Whatever is under way finishes first, so that nothing stays mapped. */
    if (!save_pipeline_drain(p, NULL))
        log_debug(p->save->request->options.log, "save pipeline: failed");
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->scanner, NULL);
    pthread_join(p->writer, NULL);
    free_batches(p);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    p->started = false;
}
