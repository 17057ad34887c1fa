/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/page_restore.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/restore.h"

/* One in work and one waiting for each thread, and one being read. */
#define NR_BATCHES 5

static void batch_free(struct restore_batch *b)
{
    if (!b)
        return;
    page_data_release(&b->data);
    free(b->pfns);
    free(b->types);
    free(b->zero);
    free(b->fresh);
    free(b->pages);
    free(b);
}

/* ---- reading --------------------------------------------------------- */

static bool grow_arrays(struct restore_batch *b, struct error *err)
{
    uint32_t nr = b->data.nr_frames; /* bounded by PAGE_DATA_FRAMES_MAX */

    if (nr <= b->capacity)
        return true;
    free(b->pfns);
    free(b->types);
    free(b->zero);
    free(b->fresh);
    b->zero = calloc(nr, sizeof(*b->zero));
    b->pfns = calloc(nr, sizeof(*b->pfns));
    b->types = calloc(nr, sizeof(*b->types));
    b->fresh = calloc(nr, sizeof(*b->fresh));
    b->capacity = b->pfns && b->types && b->zero && b->fresh ? nr : 0;
    if (!b->capacity)
        return error_set_at(err, ERR_NO_MEMORY, b->offset,
                            "PAGE_DATA: %" PRIu32 " frames", nr);
    return true;
}

/* Sort the frames out; *ret_repeats says whether one was seen before. */
static bool sort_frames(struct restore *r, struct restore_batch *b,
                        bool *ret_repeats, struct error *err)
{
    bool repeats = false;

    b->nr_pages = b->nr_fresh = 0;
    for (uint32_t i = 0; i < b->data.nr_frames; i++) {
        uint64_t pfn = frame_pfn(b->data.frames[i]);
        unsigned int type = frame_type(b->data.frames[i]);
        bool fresh;

        if (pfn >= r->nr_pfns_max)
            return error_set_at(err, ERR_FORMAT, b->offset,
                                "PAGE_DATA: frame %" PRIu32 " has pfn %#" PRIx64
                                ", expected one below %#" PRIx64,
                                i, pfn, r->nr_pfns_max);
        r->hooks->note_type(r, pfn, type);
        if (!frame_type_needs_memory(type))
            continue;
        fresh = !bitmap_test_and_set(&r->seen, pfn);
        if (fresh)
            b->fresh[b->nr_fresh++] = pfn;
        else
            repeats = true;
        if (frame_type_has_page(type)) {
            b->pfns[b->nr_pages] = pfn;
            /* What it is if its octets do not come. */
            b->zero[b->nr_pages] =
                fresh && r->scrubbed ? ZERO_FRESH : ZERO_CLEAR;
            b->types[b->nr_pages++] = type;
        }
    }
    *ret_repeats = repeats;
    return true;
}

/*
 * Whole pages that come without octets keep their mark in 'zero', and what is
 * in 'pages' there is not theirs unless something will look at it.
 */
static bool read_runs(struct restore *r, struct restore_batch *b, size_t size,
                      struct error *err)
{
    size_t at = 0;

    while (at < size) {
        size_t hole = at % PAGE_SIZE == 0
                          ? size_min(source_hole_ahead(&r->source), size - at)
                          : 0;
        size_t first = at / PAGE_SIZE, got;

        hole -= hole % PAGE_SIZE;
        if (hole > 0 && !b->compare) {
            if (!source_skip_hole(&r->source, hole, err))
                return false;
            at += hole;
            continue;
        }
        if (!source_read_some(&r->source, b->pages + at, size - at, &got, err))
            return false;
        if (got == 0)
            return error_set_at(err, ERR_TRUNCATED, r->source.offset,
                                "PAGE_DATA pages: the stream ends after %zu "
                                "octets, expected %zu",
                                at, size);
        at += got;
        for (size_t i = first; i * PAGE_SIZE < at; i++)
            b->zero[i] = ZERO_NOT;
    }
    return true;
}

/* Bring the pages into memory. */
static bool read_pages(struct restore *r, struct restore_batch *b,
                       struct error *err)
{
    size_t size = (size_t)b->nr_pages * PAGE_SIZE;

    b->file_offset = -1;
    /* Bounded by the record's length, RECORD_LENGTH_MAX at most. */
    if (size > b->pages_capacity) {
        void *pages = NULL;

        free(b->pages);
        b->pages = NULL;
        b->pages_capacity = 0;
        if (posix_memalign(&pages, PAGE_SIZE, size) != 0)
            return error_set_at(err, ERR_NO_MEMORY, b->offset,
                                "PAGE_DATA: %" PRIu32 " pages", b->nr_pages);
        b->pages = pages;
        b->pages_capacity = size;
    }
    if (r->request->runs)
        return read_runs(r, b, size, err);
    memset(b->zero, ZERO_NOT, b->nr_pages);
    return source_read(&r->source, b->pages, size, "PAGE_DATA pages", err);
}

/* Leave the pages in the file for the placer. */
static bool pass_pages(struct restore *r, struct restore_batch *b,
                       struct error *err)
{
    off_t at = lseek(r->io.fd, 0, SEEK_CUR);
    off_t end = lseek(r->placer.file_fd, 0, SEEK_END);
    uint64_t size = (uint64_t)b->nr_pages * PAGE_SIZE;

    if (at < 0 || end < 0)
        return error_set_errno(err, ERR_IO, errno, "position in the image");
    if ((uint64_t)(end - at) < size)
        return error_set_at(err, ERR_TRUNCATED, r->source.offset,
                            "PAGE_DATA pages: the stream ends after %" PRIu64
                            " octets, expected %" PRIu64,
                            (uint64_t)(end - at), size);
    b->file_offset = at;
    return source_skip(&r->source, size, "PAGE_DATA pages", err);
}

static bool read_record(struct page_placer *p, struct restore_batch *b,
                        const struct record_head *head, bool *ret_repeats,
                        struct error *err)
{
    struct restore *r = p->restore;
    bool zero;

    b->offset = head->offset;
    b->compare = r->verifying;
    if (!page_data_read_frames(&r->source, head, &b->data, err) ||
        !grow_arrays(b, err) || !sort_frames(r, b, ret_repeats, err))
        return false;
    if (p->file_fd >= 0 ? !pass_pages(r, b, err) : !read_pages(r, b, err))
        return false;
    return record_read_padding(&r->source, head, &zero, err);
}

/* ---- placing --------------------------------------------------------- */

static bool read_file(int fd, uint8_t *to, size_t length, int64_t offset,
                      struct restore_batch *b, struct error *err)
{
    while (length > 0) {
        ssize_t got = pread(fd, to, length, offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, ERR_IO, errno, "image at %" PRId64,
                                   offset);
        if (got == 0)
            return error_set_at(err, ERR_TRUNCATED, b->offset,
                                "PAGE_DATA pages: the file ends at %" PRId64,
                                offset);
        to += got;
        offset += got;
        length -= (size_t)got;
    }
    return true;
}

/* Pages in a hole of the file; returns how many. */
static uint64_t clear_pages(const struct restore_batch *b, uint8_t *to,
                            int64_t from, int64_t end)
{
    for (size_t at = (size_t)from; at < (size_t)end; at += PAGE_SIZE)
        if (b->zero[at / PAGE_SIZE] != ZERO_FRESH)
            memset(to + at, 0, PAGE_SIZE);
    return (uint64_t)(end - from) / PAGE_SIZE;
}

/* Read the batch's pages from the file to consecutive pages at 'to'. */
static bool fill_from_file(struct page_placer *p, int fd,
                           struct restore_batch *b, uint8_t *to,
                           uint64_t *zero_pages, struct error *err)
{
    int64_t begin = b->file_offset;
    int64_t end = begin + (int64_t)b->nr_pages * (int64_t)PAGE_SIZE;
    int64_t page_size = (int64_t)PAGE_SIZE;
    int64_t at = begin;

    while (at < end) {
        int64_t data = file_next_data(fd, at, end);
        int64_t hole, upto;

        /* Whole pages in the hole. */
        upto = begin + (data - begin) / page_size * page_size;
        if (data == end)
            upto = end;
        *zero_pages += clear_pages(b, to, at - begin, upto - begin);
        if (upto == end)
            break;
        hole = file_next_hole(fd, data, end);
        at = upto;
        upto = begin + (hole - begin + page_size - 1) / page_size * page_size;
        if (!read_file(fd, to + (at - begin), (size_t)(upto - at), at, b, err))
            return false;
        at = upto;
    }
    return true;
}

static bool map_batch(struct restore *r, struct restore_batch *b,
                      uint32_t first, uint32_t nr, enum map_access access,
                      struct host_mapping *ret, struct error *err)
{
    struct host *host = r->request->host;
    uint64_t frames[HOST_BATCH_MAX];
    int errors[HOST_BATCH_MAX];

    r->hooks->frames_of(r, b->pfns + first, nr, frames);
    if (!host->ops->map_frames(host, r->request->domid, access, frames, nr,
                               errors, ret, err))
        return false;
    for (uint32_t i = 0; i < nr; i++) {
        if (!errors[i])
            continue;
        host->ops->unmap_frames(host, ret);
        error_set_errno(err, ERR_HOST, errors[i],
                        "PAGE_DATA: pfn %#" PRIx64 " (frame %#" PRIx64
                        ") cannot be mapped",
                        b->pfns[first + i], frames[i]);
        if (err)
            err->offset = b->offset;
        return false;
    }
    return true;
}

static uint32_t compare_pages(struct restore *r, struct restore_batch *b,
                              uint32_t first, uint32_t nr, const uint8_t *found,
                              const uint8_t *expected)
{
    uint32_t mismatches = 0;

    for (uint32_t i = 0; i < nr; i++) {
        if (memcmp(found + (size_t)i * PAGE_SIZE,
                   expected + (size_t)i * PAGE_SIZE, PAGE_SIZE) == 0)
            continue;
        mismatches++;
        log_warning(r->request->options.log,
                    "verify: pfn %#" PRIx64 " differs from its second copy",
                    b->pfns[first + i]);
    }
    return mismatches;
}

/* Some pages change on the way: bring them into memory and change them. */
static bool localise_batch(struct page_placer *p, int fd,
                           struct restore_batch *b, uint64_t *zero_pages,
                           struct error *err)
{
    struct restore *r = p->restore;
    bool needed = b->compare;

    for (uint32_t i = 0; i < b->nr_pages && !needed; i++)
        needed = r->hooks->needs_localising(b->types[i]);
    if (!needed)
        return true;
    if (b->file_offset >= 0) {
        size_t size = (size_t)b->nr_pages * PAGE_SIZE;

        /* Bounded by the record's length, RECORD_LENGTH_MAX at most. */
        if (size > b->pages_capacity) {
            void *pages = realloc(b->pages, size);

            if (!pages)
                return error_set_at(err, ERR_NO_MEMORY, b->offset,
                                    "PAGE_DATA: %" PRIu32 " pages",
                                    b->nr_pages);
            b->pages = pages;
            b->pages_capacity = size;
        }
        /* In a buffer nothing is zero as it comes. */
        memset(b->zero, ZERO_NOT, b->nr_pages);
        if (!fill_from_file(p, fd, b, b->pages, zero_pages, err))
            return false;
        b->file_offset = -1;
    }
    for (uint32_t i = 0; i < b->nr_pages; i++) {
        if (b->zero[i] != ZERO_NOT)
            continue; /* all zero: nothing in it names a frame */
        if (r->hooks->needs_localising(b->types[i]) &&
            !r->hooks->localise_page(r, b->pfns[i], b->types[i],
                                     b->pages + (size_t)i * PAGE_SIZE, err)) {
            if (err)
                err->offset = b->offset;
            return error_wrap(err, "PAGE_DATA: pfn %#" PRIx64, b->pfns[i]);
        }
    }
    return true;
}

/* Pages from memory to 'to', as their marks say. */
static void copy_pages(const struct restore_batch *b, uint32_t first,
                       uint32_t nr, uint8_t *to, uint64_t *zero_pages)
{
    for (uint32_t i = 0, n; i < nr; i += n) {
        uint8_t mark = b->zero[first + i];
        size_t length;

        for (n = 1; i + n < nr && b->zero[first + i + n] == mark; n++)
            ;
        length = (size_t)n * PAGE_SIZE;
        if (mark == ZERO_NOT)
            memcpy(to + (size_t)i * PAGE_SIZE,
                   b->pages + (size_t)(first + i) * PAGE_SIZE, length);
        if (mark == ZERO_CLEAR)
            memset(to + (size_t)i * PAGE_SIZE, 0, length);
        if (mark != ZERO_NOT)
            *zero_pages += n;
    }
}

static bool place_part(struct page_placer *p, int fd, struct restore_batch *b,
                       uint32_t first, uint32_t nr, uint64_t *zero_pages,
                       struct error *err)
{
    struct restore *r = p->restore;
    struct host *host = r->request->host;
    struct host_mapping mapping = {0};
    bool ok = true;

    if (!map_batch(r, b, first, nr, b->compare ? MAP_READ : MAP_WRITE, &mapping,
                   err))
        return false;
    if (b->compare) {
        uint32_t mismatches =
            compare_pages(r, b, first, nr, mapping.pages,
                          b->pages + (size_t)first * PAGE_SIZE);

        pthread_mutex_lock(&p->lock);
        p->mismatches += mismatches;
        pthread_mutex_unlock(&p->lock);
    } else if (b->file_offset < 0) {
        copy_pages(b, first, nr, mapping.pages, zero_pages);
    } else {
        struct restore_batch part = {
            .nr_pages = nr,
            .zero = b->zero + first,
            .offset = b->offset,
            .file_offset = b->file_offset + (int64_t)first * (int64_t)PAGE_SIZE,
        };

        ok = fill_from_file(p, fd, &part, mapping.pages, zero_pages, err);
    }
    host->ops->unmap_frames(host, &mapping);
    return ok;
}

static bool place_batch(struct page_placer *p, int fd, struct restore_batch *b,
                        uint64_t *zero_pages, struct error *err)
{
    struct restore *r = p->restore;

    if (b->nr_fresh > 0 && !r->hooks->allocate(r, b->fresh, b->nr_fresh, err)) {
        if (err)
            err->offset = b->offset;
        return false;
    }
    if (!localise_batch(p, fd, b, zero_pages, err))
        return false;
    for (uint32_t first = 0; first < b->nr_pages; first += HOST_BATCH_MAX) {
        uint32_t left = b->nr_pages - first;
        uint32_t nr = left < HOST_BATCH_MAX ? left : HOST_BATCH_MAX;

        if (!place_part(p, fd, b, first, nr, zero_pages, err))
            return false;
    }
    return true;
}

/* ---- threads --------------------------------------------------------- */

static struct restore_batch *next_waiting(struct page_placer *p,
                                          bool *ret_failed)
{
    struct restore_batch *b;

    pthread_mutex_lock(&p->lock);
    while (!p->waiting_first && !p->stopping)
        pthread_cond_wait(&p->changed, &p->lock);
    b = p->waiting_first;
    if (b) {
        p->waiting_first = b->next;
        if (!p->waiting_first)
            p->waiting_last = NULL;
    }
    *ret_failed = p->failed;
    pthread_mutex_unlock(&p->lock);
    return b;
}

static void finish_batch(struct page_placer *p, struct restore_batch *b,
                         bool ok, const struct error *error,
                         uint64_t zero_pages)
{
    pthread_mutex_lock(&p->lock);
    if (!ok && !p->failed) {
        p->failed = true;
        p->error = *error;
    }
    if (ok) {
        p->pages += b->nr_pages;
        p->zero_pages += zero_pages;
    }
    b->next = p->free;
    p->free = b;
    p->nr_free++;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *placer_main(void *argument)
{
    struct page_placer *p = argument;
    struct restore_batch *b;
    bool failed;
    /* SEEK_DATA moves the position: every placer needs its own. */
    cleanup_fd int fd = -1;

    if (p->file_fd >= 0) {
        char path[64];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", p->file_fd);
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    while ((b = next_waiting(p, &failed))) {
        struct error error = {0};
        uint64_t zero_pages = 0;
        bool ok = true;

        if (!failed && p->file_fd >= 0 && fd < 0)
            ok = error_set_errno(&error, ERR_IO, errno, "opening the image");
        else if (!failed)
            ok = place_batch(p, fd, b, &zero_pages, &error);
        finish_batch(p, b, ok, &error, zero_pages);
    }
    return NULL;
}

static void free_batches(struct page_placer *p)
{
    while (p->free) {
        struct restore_batch *b = p->free;

        p->free = b->next;
        batch_free(b);
    }
}

/* A regular file, opened once more, so that its position is our own. */
static int open_file_again(const struct io *io)
{
    char path[64];

    if (io->kind != IO_FILE)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", io->fd);
    return open(path, O_RDONLY | O_CLOEXEC);
}

static void stop_threads(struct page_placer *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (; p->nr_threads > 0; p->nr_threads--)
        pthread_join(p->threads[p->nr_threads - 1], NULL);
}

static void release_all(struct page_placer *p)
{
    free_batches(p);
    close_fd(&p->file_fd);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
}

bool page_placer_start(struct page_placer *p, struct restore *r,
                       struct error *err)
{
    unsigned int wanted = r->hooks->nr_placers;

    *p = (struct page_placer){.restore = r, .file_fd = open_file_again(&r->io)};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    assert(wanted >= 1 && wanted <= NR_PLACERS_MAX);
    for (; p->nr_batches < NR_BATCHES; p->nr_batches++) {
        struct restore_batch *b = calloc(1, sizeof(*b));

        if (!b) {
            release_all(p);
            return error_set(err, ERR_NO_MEMORY, "page batches");
        }
        b->next = p->free;
        p->free = b;
        p->nr_free++;
    }
    for (; p->nr_threads < wanted; p->nr_threads++) {
        if (pthread_create(&p->threads[p->nr_threads], NULL, placer_main, p) ==
            0)
            continue;
        stop_threads(p);
        release_all(p);
        return error_set(err, ERR_NO_MEMORY, "threads of the restore");
    }
    return true;
}

/* A free batch, or NULL after a failure. */
static struct restore_batch *take_free(struct page_placer *p, struct error *err)
{
    struct restore_batch *b = NULL;

    pthread_mutex_lock(&p->lock);
    while (!p->failed && !p->free)
        pthread_cond_wait(&p->changed, &p->lock);
    if (p->failed) {
        if (err)
            *err = p->error;
    } else {
        b = p->free;
        p->free = b->next;
        p->nr_free--;
    }
    pthread_mutex_unlock(&p->lock);
    return b;
}

static bool wait_until_free(struct page_placer *p, unsigned int nr_free,
                            struct error *err)
{
    bool failed;

    pthread_mutex_lock(&p->lock);
    while (p->nr_free < nr_free)
        pthread_cond_wait(&p->changed, &p->lock);
    failed = p->failed;
    if (failed && err)
        *err = p->error;
    pthread_mutex_unlock(&p->lock);
    return !failed;
}

bool page_placer_take_record(struct page_placer *p,
                             const struct record_head *head, struct error *err)
{
    struct restore_batch *b = take_free(p, err);
    struct error untouched = {0};
    bool repeats;

    if (!b)
        return false;
    if (!read_record(p, b, head, &repeats, err) ||
        (repeats && !wait_until_free(p, p->nr_batches - 1, err))) {
        finish_batch(p, b, true, &untouched, 0);
        return false;
    }
    if (repeats && !p->repeated) {
        struct host *host = p->restore->request->host;

        /* A live move, and its guest runs yet: unmapping now is free. */
        p->repeated = true;
        host->ops->unmap_rest(host);
    }
    pthread_mutex_lock(&p->lock);
    b->next = NULL;
    if (p->waiting_last)
        p->waiting_last->next = b;
    else
        p->waiting_first = b;
    p->waiting_last = b;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return true;
}

bool page_placer_drain(struct page_placer *p, struct error *err)
{
    return wait_until_free(p, p->nr_batches, err);
}

void page_placer_stop(struct page_placer *p)
{
    if (p->nr_threads == 0)
        return;
    if (!page_placer_drain(p, NULL))
        log_debug(p->restore->request->options.log, "placing: failed");
    stop_threads(p);
    release_all(p);
}
