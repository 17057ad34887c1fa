/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/chunk_pipeline.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Places of chunks are kept until the end: 24 octets for 64 KiB. */
#define PLACES_MAX ((size_t)128 << 20)

/* One in work, and some to bridge the times when the caller does not look. */
#define SLOTS_PER_THREAD 4

static void pack(struct chunk_codec *codec, struct packed_chunk *s)
{
    s->stored =
        chunk_pack(codec, s->kind, s->number, s->contents, s->length, s->chunk);
}

/* The threads -------------------------------------------------------------- */

static struct packed_chunk *slot_of(const struct chunk_pipeline *p, uint64_t n)
{
    return &p->slots[n % p->nr_slots];
}

static void *packer_main(void *argument)
{
    struct chunk_packer *self = argument;
    struct chunk_pipeline *p = self->pipeline;

    pthread_mutex_lock(&p->lock);
    while (!p->stopping) {
        struct packed_chunk *s;

        if (p->begun == p->given) {
            pthread_cond_wait(&p->given_some, &p->lock);
            continue;
        }
        s = slot_of(p, p->begun++);
        pthread_mutex_unlock(&p->lock);
        pack(&self->codec, s);
        pthread_mutex_lock(&p->lock);
        s->packed = true;
        pthread_cond_signal(&p->packed_some);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void wait_until_packed(struct chunk_pipeline *p, struct packed_chunk *s)
{
    if (p->nr_threads == 0) {
        pack(&p->packers[0].codec, s);
        return;
    }
    pthread_mutex_lock(&p->lock);
    while (!s->packed)
        pthread_cond_wait(&p->packed_some, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

/* Signals are for the threads of the program that we are part of. */
static void start_threads(struct chunk_pipeline *p, unsigned int nr)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (p->nr_threads < nr &&
           pthread_create(&p->packers[p->nr_threads].thread, NULL, packer_main,
                          &p->packers[p->nr_threads]) == 0)
        p->nr_threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Start and stop ----------------------------------------------------------- */

static bool make_packers(struct chunk_pipeline *p, int level, unsigned int nr,
                         struct error *err)
{
    p->packers = calloc(nr, sizeof(*p->packers));
    if (!p->packers)
        return error_set(err, ERR_NO_MEMORY, "container: no memory");
    for (; p->nr_packers < nr; p->nr_packers++) {
        struct chunk_packer *packer = &p->packers[p->nr_packers];

        packer->pipeline = p;
        packer->codec.level = level;
        if (!chunk_codec_prepare(&packer->codec, err))
            return false;
    }
    return true;
}

bool chunk_pipeline_start(struct chunk_pipeline *p, struct stream_sink *sink,
                          int level, unsigned int nr_threads, struct error *err)
{
    unsigned int nr_slots = nr_threads ? nr_threads * SLOTS_PER_THREAD : 1;

    *p = (struct chunk_pipeline){.sink = sink, .nr_slots = nr_slots};
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        p->places[kind].cap = PLACES_MAX;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->given_some, NULL);
    pthread_cond_init(&p->packed_some, NULL);
    p->started = true;
    p->slots = calloc(nr_slots, sizeof(*p->slots));
    if (!p->slots)
        error_set(err, ERR_NO_MEMORY, "container: no memory");
    if (!p->slots ||
        !make_packers(p, level, nr_threads ? nr_threads : 1, err)) {
        chunk_pipeline_stop(p);
        return false;
    }
    start_threads(p, nr_threads);
    return true;
}

void chunk_pipeline_stop(struct chunk_pipeline *p)
{
    if (!p->started)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->given_some);
    pthread_mutex_unlock(&p->lock);
    for (unsigned int i = 0; i < p->nr_threads; i++)
        pthread_join(p->packers[i].thread, NULL);
    for (unsigned int i = 0; i < p->nr_packers; i++)
        chunk_codec_release(&p->packers[i].codec);
    for (unsigned int kind = 0; kind < CONTAINER_KINDS; kind++)
        buffer_release(&p->places[kind]);
    free_pointer(&p->packers);
    free_pointer(&p->slots);
    pthread_cond_destroy(&p->packed_some);
    pthread_cond_destroy(&p->given_some);
    pthread_mutex_destroy(&p->lock);
    p->started = false;
}

/* Chunks ------------------------------------------------------------------- */

static bool write_oldest(struct chunk_pipeline *p, struct error *err)
{
    struct packed_chunk *s = slot_of(p, p->written);
    struct buffer *places = &p->places[s->kind];
    uint64_t offset = p->sink->offset;

    wait_until_packed(p, s);
    if (!sink_write(p->sink, s->chunk, chunk_size(s->stored), err))
        return false;
    p->written++;
    buffer_u64(places, offset);
    buffer_u32(places, s->stored);
    buffer_u32(places, s->length);
    buffer_u64(places, s->key);
    return buffer_check(places, "container directory", err);
}

bool chunk_pipeline_give(struct chunk_pipeline *p, enum container_kind kind,
                         uint64_t key, const uint8_t *contents, uint32_t length,
                         struct error *err)
{
    struct packed_chunk *s;

    assert(length <= CONTAINER_CHUNK_MAX);
    if (p->given - p->written == p->nr_slots && !write_oldest(p, err))
        return false;
    s = slot_of(p, p->given);
    s->kind = kind;
    s->number = p->nr_given[kind]++;
    s->key = key;
    s->length = length;
    s->packed = false;
    memcpy(s->contents, contents, length);
    pthread_mutex_lock(&p->lock);
    p->given++;
    pthread_cond_signal(&p->given_some);
    pthread_mutex_unlock(&p->lock);
    return true;
}

bool chunk_pipeline_drain(struct chunk_pipeline *p, struct error *err)
{
    while (p->written < p->given)
        if (!write_oldest(p, err))
            return false;
    return true;
}

bool chunk_pipeline_place(const struct chunk_pipeline *p,
                          enum container_kind kind, uint64_t number,
                          struct chunk_place *ret)
{
    const struct buffer *places = &p->places[kind];
    struct cursor c;

    if (number >= places->length / CONTAINER_ENTRY_SIZE)
        return false;
    c = cursor_over(places->bytes + number * CONTAINER_ENTRY_SIZE,
                    CONTAINER_ENTRY_SIZE, ORDER_LITTLE);
    ret->offset = cursor_u64(&c);
    ret->stored = cursor_u32(&c);
    ret->length = cursor_u32(&c);
    ret->key = cursor_u64(&c);
    return true;
}

const uint8_t *chunk_pipeline_contents(const struct chunk_pipeline *p,
                                       enum container_kind kind,
                                       uint64_t number)
{
    for (uint64_t n = p->written; n < p->given; n++) {
        const struct packed_chunk *s = slot_of(p, n);

        if (s->kind == kind && s->number == number)
            return s->contents;
    }
    return NULL;
}
