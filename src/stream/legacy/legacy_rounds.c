/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_rounds.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/file_window.h"
#include "stream/legacy/legacy_compress.h"
#include "stream/xc/xc_page_data.h"

#define TYPE_KNOWN 0x10

static uint64_t type_offset(const struct legacy_rounds *r, uint64_t pfn)
{
    return r->p2m_size * PAGE_SIZE + pfn;
}

bool legacy_rounds_frames(struct legacy_rounds *r, struct page_copier *copier,
                          struct stream_source *source, const uint64_t *words,
                          uint32_t nr_frames, uint32_t nr_pages,
                          bool pages_here, struct error *err)
{
    static const uint8_t whole = 0x80;
    size_t length = nr_frames * sizeof(*words);

    if (!file_write_at(r->words_fd, words, length, r->words_length,
                       "scratch file", err))
        return false;
    r->words_length += length;
    if (!pages_here)
        return true;
    for (uint32_t i = 0; i < nr_pages; i++) {
        if (!source_read(source, copier->buffer + 1, PAGE_SIZE, "pages", err))
            return false;
        copier->buffer[0] = whole;
        if (!file_write_at(r->data_fd, copier->buffer, 1 + PAGE_SIZE,
                           r->data_length, "scratch file", err))
            return false;
        r->data_length += 1 + PAGE_SIZE;
    }
    return true;
}

bool legacy_rounds_compressed(struct legacy_rounds *r,
                              struct page_copier *copier,
                              struct stream_source *source, uint64_t length,
                              struct error *err)
{
    while (length > 0) {
        size_t piece = length < PAGE_COPY_PAGES * PAGE_SIZE
                           ? (size_t)length
                           : PAGE_COPY_PAGES * PAGE_SIZE;

        if (!source_read(source, copier->buffer, piece, "compressed pages",
                         err) ||
            !file_write_at(r->data_fd, copier->buffer, piece, r->data_length,
                           "scratch file", err))
            return false;
        r->data_length += piece;
        length -= piece;
    }
    return true;
}

/* What the guest has at 'pfn' so far; zeroes where it has nothing. */
static bool read_page(const struct legacy_rounds *r, uint64_t pfn,
                      uint8_t page[PAGE_SIZE], struct error *err)
{
    uint8_t type;

    if (!file_read_at(r->pages_fd, &type, 1, type_offset(r, pfn),
                      "scratch file", err))
        return false;
    if (!(type & TYPE_KNOWN) || !frame_type_has_page(type & 0xf)) {
        memset(page, 0, PAGE_SIZE);
        return true;
    }
    return file_read_at(r->pages_fd, page, PAGE_SIZE, pfn * PAGE_SIZE,
                        "scratch file", err);
}

static bool commit_frame(struct legacy_rounds *r, uint64_t word,
                         struct stream_source *data, struct error *err)
{
    uint8_t page[PAGE_SIZE];
    uint64_t pfn = frame_pfn(word);
    uint8_t type = (uint8_t)(TYPE_KNOWN | frame_type(word));

    if (frame_type_has_page(frame_type(word)) &&
        (!read_page(r, pfn, page, err) ||
         !legacy_decompress_page(data, page, err) ||
         !file_write_at(r->pages_fd, page, PAGE_SIZE, pfn * PAGE_SIZE,
                        "scratch file", err)))
        return false;
    return file_write_at(r->pages_fd, &type, 1, type_offset(r, pfn),
                         "scratch file", err);
}

bool legacy_rounds_commit(struct legacy_rounds *r, struct error *err)
{
    cleanup_free struct file_window *windows = malloc(2 * sizeof(*windows));
    struct stream_source words, data;

    if (!windows)
        return error_set(err, ERR_NO_MEMORY, "scratch files: no memory");
    /* Give the file its length: what was never written then reads as zero. */
    if (ftruncate(r->pages_fd, (off_t)type_offset(r, r->p2m_size)) != 0)
        return error_set(err, ERR_IO,
                         "scratch file: no room for a sparse file of the "
                         "guest's size");
    words = source_from_window(&windows[0], r->words_fd, 0, r->words_length);
    data = source_from_window(&windows[1], r->data_fd, 0, r->data_length);
    while (words.offset < r->words_length) {
        uint64_t word;

        if (!source_read(&words, &word, sizeof(word), "scratch file", err) ||
            !commit_frame(r, word, &data, err))
            return false;
    }
    if (data.offset != r->data_length)
        return error_set(err, ERR_FORMAT,
                         "compressed pages: more octets than the round's "
                         "frames take, expected none");
    r->words_length = 0;
    r->data_length = 0;
    return true;
}

static bool write_batch(struct legacy_rounds *r, struct page_copier *copier,
                        struct stream_sink *sink, const uint64_t *words,
                        uint32_t nr, struct error *err)
{
    uint8_t head[PAGE_DATA_HEAD_SIZE(PAGE_COPY_PAGES)];
    uint32_t nr_pages = page_data_encode_head(head, words, nr);
    uint32_t done = 0;
    struct iovec iov[2] = {
        {.iov_base = head,           .iov_len = PAGE_DATA_HEAD_SIZE(nr)     },
        {.iov_base = copier->buffer, .iov_len = (size_t)nr_pages * PAGE_SIZE},
    };

    for (uint32_t i = 0; i < nr; i++) {
        if (!frame_type_has_page(frame_type(words[i])))
            continue;
        if (!file_read_at(r->pages_fd, copier->buffer + done * PAGE_SIZE,
                          PAGE_SIZE, frame_pfn(words[i]) * PAGE_SIZE,
                          "scratch file", err))
            return false;
        done++;
    }
    copier->nr_pages += nr_pages;
    return sink_writev(sink, iov, 2, err);
}

bool legacy_rounds_write(struct legacy_rounds *r, struct page_copier *copier,
                         struct stream_sink *sink, uint64_t *nr_written,
                         struct error *err)
{
    cleanup_free struct file_window *window = malloc(sizeof(*window));
    uint64_t words[PAGE_COPY_PAGES];
    uint32_t nr = 0;
    struct stream_source types;

    if (!window)
        return error_set(err, ERR_NO_MEMORY, "scratch files: no memory");
    types = source_from_window(window, r->pages_fd, type_offset(r, 0),
                               type_offset(r, r->p2m_size));
    for (uint64_t pfn = 0; pfn < r->p2m_size; pfn++) {
        uint8_t type;

        if (!source_read(&types, &type, 1, "scratch file", err))
            return false;
        if (type & TYPE_KNOWN)
            words[nr++] = frame_word(type & 0xf, pfn);
        if (nr == PAGE_COPY_PAGES || (nr > 0 && pfn + 1 == r->p2m_size)) {
            if (!write_batch(r, copier, sink, words, nr, err))
                return false;
            *nr_written += nr;
            nr = 0;
        }
    }
    return true;
}
