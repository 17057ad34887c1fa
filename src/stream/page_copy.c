/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/page_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool page_copier_init(struct page_copier *p, bool find_zeroes,
                      struct error *err)
{
    *p = (struct page_copier){.find_zeroes = find_zeroes};
    p->buffer = malloc(PAGE_COPY_PAGES * PAGE_SIZE);
    return p->buffer || error_set(err, ERR_NO_MEMORY, "page buffer: no memory");
}

void page_copier_release(struct page_copier *p)
{
    free_pointer(&p->buffer);
}

bool page_is_zero(const uint8_t page[PAGE_SIZE])
{
    static const uint8_t none[16];

    return memcmp(page, none, sizeof(none)) == 0 &&
           memcmp(page, page + sizeof(none), PAGE_SIZE - sizeof(none)) == 0;
}

static size_t zero_run(const uint8_t *page, size_t nr_pages)
{
    size_t run = 0;

    while (run < nr_pages && page_is_zero(page + run * PAGE_SIZE))
        run++;
    return run;
}

/* The first of 'nr' pages where a run of zeroes worth a hole starts. */
static size_t next_zero_run(const uint8_t *pages, size_t from, size_t nr,
                            size_t *ret_run)
{
    while (from < nr) {
        size_t run = zero_run(pages + from * PAGE_SIZE, nr - from);

        if (run >= PAGE_COPY_ZERO_RUN) {
            *ret_run = run;
            return from;
        }
        from += run + 1;
    }
    *ret_run = 0;
    return nr;
}

static bool write_pages(struct page_copier *p, struct stream_sink *sink,
                        struct iovec *head, size_t nr, struct error *err)
{
    size_t done = 0;

    while (done < nr || head->iov_len > 0) {
        size_t run = 0;
        size_t stop =
            p->find_zeroes ? next_zero_run(p->buffer, done, nr, &run) : nr;
        struct iovec iov[2] = {
            *head,
            {.iov_base = p->buffer + done * PAGE_SIZE,
                  .iov_len = (stop - done) * PAGE_SIZE},
        };

        if (iov[0].iov_len + iov[1].iov_len > 0 &&
            !sink_writev(sink, iov, 2, err))
            return false;
        head->iov_len = 0;
        if (run > 0 && !sink_write_zeroes(sink, (uint64_t)run * PAGE_SIZE, err))
            return false;
        p->nr_holes += run;
        done = stop + run;
    }
    return true;
}

/* Pages that the source knows to be zero; '*ret_done' says how many. */
static bool copy_hole(struct page_copier *p, struct stream_source *source,
                      struct stream_sink *sink, struct iovec *head,
                      uint64_t nr_pages, uint64_t *ret_done, struct error *err)
{
    uint64_t pages = source_hole_ahead(source) / PAGE_SIZE;

    *ret_done = 0;
    if (pages > nr_pages)
        pages = nr_pages;
    if (pages < PAGE_COPY_ZERO_RUN)
        return true;
    if (head->iov_len > 0 &&
        !sink_write(sink, head->iov_base, head->iov_len, err))
        return false;
    head->iov_len = 0;
    if (!source_skip_hole(source, pages * PAGE_SIZE, err) ||
        !sink_write_zeroes(sink, pages * PAGE_SIZE, err))
        return false;
    p->nr_holes += pages;
    *ret_done = pages;
    return true;
}

/*
 * Pages that nobody has to look at stay in the kernel where that is possible.
 * '*ret_done' says how many did.
 */
static bool move_pages(struct page_copier *p, struct stream_source *source,
                       struct stream_sink *sink, struct iovec *head,
                       uint64_t nr_pages, uint64_t *ret_done, struct error *err)
{
    uint64_t octets, rest;

    *ret_done = 0;
    if (p->find_zeroes || !source->ops->move || !sink->ops->io)
        return true;
    if (head->iov_len > 0 &&
        !sink_write(sink, head->iov_base, head->iov_len, err))
        return false;
    head->iov_len = 0;
    if (!stream_move(source, sink, nr_pages * PAGE_SIZE, &octets, err))
        return false;
    /* Whole pages: what is left of the last goes through memory. */
    rest = (0 - octets) & (PAGE_SIZE - 1);
    if (rest > 0 &&
        (!source_read(source, p->buffer, (size_t)rest, "pages", err) ||
         !sink_write(sink, p->buffer, (size_t)rest, err)))
        return false;
    *ret_done = (octets + rest) / PAGE_SIZE;
    return true;
}

bool page_copy(struct page_copier *p, struct stream_source *source,
               struct stream_sink *sink, const void *head, size_t head_length,
               uint64_t nr_pages, struct error *err)
{
    struct iovec first = {.iov_base = (void *)(uintptr_t)head,
                          .iov_len = head_length};
    uint64_t done = 0;

    if (nr_pages == 0)
        return sink_write(sink, head, head_length, err);
    while (done < nr_pages) {
        uint64_t hole, moved;
        size_t piece;

        if (!copy_hole(p, source, sink, &first, nr_pages - done, &hole, err))
            return false;
        done += hole;
        if (!move_pages(p, source, sink, &first, nr_pages - done, &moved, err))
            return false;
        done += moved;
        piece = size_min((size_t)(nr_pages - done), PAGE_COPY_PAGES);
        if (piece > 0 &&
            (!source_read(source, p->buffer, piece * PAGE_SIZE, "pages", err) ||
             !write_pages(p, sink, &first, piece, err)))
            return false;
        done += piece;
    }
    p->nr_pages += nr_pages;
    return true;
}

bool octets_copy(struct page_copier *p, struct stream_source *source,
                 struct stream_sink *sink, uint64_t length, const char *what,
                 struct error *err)
{
    const size_t room = PAGE_COPY_PAGES * PAGE_SIZE;
    uint64_t moved;

    if (!stream_move(source, sink, length, &moved, err))
        return false;
    length -= moved;
    while (length > 0) {
        size_t piece = length < room ? (size_t)length : room;

        if (!source_read(source, p->buffer, piece, what, err) ||
            !sink_write(sink, p->buffer, piece, err))
            return false;
        length -= piece;
    }
    return true;
}
