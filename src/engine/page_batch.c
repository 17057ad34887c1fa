/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/page_batch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/save.h"

struct page_batch *page_batch_new(bool with_scratch)
{
    struct page_batch *b = calloc(1, sizeof(*b));
    void *scratch = NULL;

    if (!b)
        return NULL;
    if (with_scratch &&
        posix_memalign(&scratch, PAGE_SIZE, BATCH_FRAMES * PAGE_SIZE) != 0) {
        free(b);
        return NULL;
    }
    b->scratch = scratch;
    return b;
}

void page_batch_free(struct page_batch *b)
{
    if (!b)
        return;
    assert(!b->mapping.pages);
    free(b->scratch);
    free(b);
}

static void defer(struct page_batch *b, uint32_t i)
{
    b->deferred[b->nr_deferred++] = b->pfns[i];
}

/* Ask for the types of all frames that exist. */
static bool find_types(struct save *s, struct page_batch *b, struct error *err)
{
    struct host *host = s->request->host;
    uint64_t present[BATCH_FRAMES];
    uint32_t found[BATCH_FRAMES];
    uint32_t nr = 0;

    for (uint32_t i = 0; i < b->nr; i++)
        if (b->frames[i] != INVALID_FRAME)
            present[nr++] = b->frames[i];
    if (nr > 0 && !host->ops->frame_types(host, s->request->domid, present, nr,
                                          found, err))
        return false;
    nr = 0;
    for (uint32_t i = 0; i < b->nr; i++) {
        b->types[i] = b->frames[i] == INVALID_FRAME ? FRAME_XTAB : found[nr++];
        if (!frame_type_known(b->types[i]))
            return error_set(err, ERR_HOST,
                             "pfn %#" PRIx64
                             ": the host gives it type %#" PRIx32
                             ", expected one that streams can carry",
                             b->pfns[i], b->types[i]);
        /* A page that was given away may come back while the guest runs. */
        if (b->frames[i] == INVALID_FRAME)
            defer(b, i);
    }
    return true;
}

/*
 * Frame i would not map.  A running guest may have given it away since its
 * type was asked for; anything else is a page that we would lose.
 */
static bool explain_map_failure(struct save *s, struct page_batch *b,
                                uint32_t i, int map_errno, struct error *err)
{
    struct host *host = s->request->host;
    uint32_t type;

    if (!host->ops->frame_types(host, s->request->domid, &b->frames[i], 1,
                                &type, err))
        return false;
    if (type != FRAME_XTAB && type != FRAME_BROKEN)
        return error_set_errno(err, ERR_HOST, map_errno,
                               "pfn %#" PRIx64 " (frame %#" PRIx64
                               ") cannot be mapped",
                               b->pfns[i], b->frames[i]);
    b->types[i] = type;
    if (type == FRAME_XTAB)
        defer(b, i);
    return true;
}

static bool map_contents(struct save *s, struct page_batch *b,
                         struct error *err)
{
    struct host *host = s->request->host;
    uint64_t wanted[BATCH_FRAMES];
    uint32_t nr = 0, at = 0;

    for (uint32_t i = 0; i < b->nr; i++)
        if (frame_type_has_page(b->types[i]))
            wanted[nr++] = b->frames[i];
    if (nr == 0)
        return true;
    if (!host->ops->map_frames(host, s->request->domid, MAP_READ, wanted, nr,
                               b->errors, &b->mapping, err))
        return false;
    for (uint32_t i = 0; i < b->nr; i++) {
        if (!frame_type_has_page(b->types[i]))
            continue;
        if (b->errors[at])
            if (!explain_map_failure(s, b, i, b->errors[at], err))
                return false;
        b->pages[i] = b->mapping.pages + (size_t)at++ * PAGE_SIZE;
    }
    return true;
}

bool page_batch_gather(struct save *s, struct page_batch *b, struct error *err)
{
    b->nr_deferred = 0;
    s->hooks->frames_of(s, b->pfns, b->nr, b->frames);
    if (b->types_known)
        memset(b->types, 0, b->nr * sizeof(b->types[0]));
    else if (!find_types(s, b, err))
        return false;
    return map_contents(s, b, err);
}

bool gathered_page_is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    /* Most pages with data show it early. */
    if (words[0] | words[1] | words[PAGE_SIZE / sizeof(*words) - 1])
        return false;
    for (size_t i = 0; i < PAGE_SIZE / sizeof(*words); i += 16) {
        const uint64_t *w = words + i;

        if ((w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7] | w[8] |
             w[9] | w[10] | w[11] | w[12] | w[13] | w[14] | w[15]) != 0)
            return false;
    }
    return true;
}

bool page_batch_scan(struct save *s, struct page_batch *b, struct error *err)
{
    b->nr_pages = b->nr_zero = 0;
    for (uint32_t i = 0; i < b->nr; i++) {
        enum page_outcome outcome = PAGE_READY;

        if (frame_type_has_page(b->types[i]) && b->scratch)
            outcome = s->hooks->normalise_page(
                s, b->pfns[i], b->types[i], &b->pages[i],
                b->scratch + (size_t)i * PAGE_SIZE, err);
        if (outcome == PAGE_FAILED)
            return false;
        if (outcome == PAGE_RETRY_LATER) {
            b->types[i] = FRAME_XTAB;
            defer(b, i);
        }
        b->words[i] = frame_word(b->types[i], b->pfns[i]);
        if (!frame_type_has_page(b->types[i]))
            continue;
        b->nr_pages++;
        if (gathered_page_is_zero(b->pages[i])) {
            b->nr_zero++;
            b->pages[i] = NULL;
        }
    }
    return true;
}

static const uint8_t zero_page[PAGE_SIZE];

/* Octets gathered for one write. */
struct gathering {
    struct stream_sink *sink;
    struct iovec iov[BATCH_FRAMES + 1];
    int nr_iov;
};

static void gather_octets(struct gathering *g, const void *octets,
                          size_t length)
{
    struct iovec *last = g->nr_iov > 0 ? &g->iov[g->nr_iov - 1] : NULL;

    if (last && (const uint8_t *)last->iov_base + last->iov_len == octets) {
        last->iov_len += length;
        return;
    }
    g->iov[g->nr_iov++] =
        (struct iovec){.iov_base = (void *)octets, .iov_len = length};
}

static bool gathering_flush(struct gathering *g, struct error *err)
{
    int nr_iov = g->nr_iov;

    g->nr_iov = 0;
    return nr_iov == 0 || sink_writev(g->sink, g->iov, nr_iov, err);
}

/* How many pages from frame i on are all zero. */
static uint32_t zero_run(const struct page_batch *b, uint32_t i,
                         uint32_t *ret_next)
{
    uint32_t run = 0;

    for (; i < b->nr; i++) {
        if (!frame_type_has_page(b->types[i]))
            continue;
        if (b->pages[i])
            break;
        run++;
    }
    *ret_next = i;
    return run;
}

bool page_batch_write(struct page_batch *b, struct stream_sink *sink,
                      uint32_t min_hole, struct error *err)
{
    struct gathering g = {.sink = sink};
    uint32_t i = 0;

    page_data_encode_head(b->head, b->words, b->nr);
    gather_octets(&g, b->head, PAGE_DATA_HEAD_SIZE(b->nr));
    while (i < b->nr) {
        uint32_t next, run;

        if (!frame_type_has_page(b->types[i])) {
            i++;
            continue;
        }
        if (b->pages[i]) {
            gather_octets(&g, b->pages[i++], PAGE_SIZE);
            continue;
        }
        run = zero_run(b, i, &next);
        if (run >= min_hole) {
            if (!gathering_flush(&g, err) ||
                !sink_write_zeroes(sink, (uint64_t)run * PAGE_SIZE, err))
                return false;
        } else {
            for (; run > 0; run--)
                gather_octets(&g, zero_page, PAGE_SIZE);
        }
        i = next;
    }
    return gathering_flush(&g, err);
}
