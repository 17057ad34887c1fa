/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_page_data.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *frame_type_name(unsigned int type)
{
    static const char *const names[16] = {
        "NOTAB",     "L1TAB",     "L2TAB",     "L3TAB",
        "L4TAB",     "invalid-5", "invalid-6", "invalid-7",
        "invalid-8", "L1TAB|PIN", "L2TAB|PIN", "L3TAB|PIN",
        "L4TAB|PIN", "BROKEN",    "XALLOC",    "XTAB",
    };

    return type < ARRAY_SIZE(names) ? names[type] : "invalid";
}

void page_data_release(struct page_data *pd)
{
    free(pd->frames);
    *pd = (struct page_data){0};
}

static bool page_data_error(struct page_data *pd,
                            const struct record_head *head, struct error *err,
                            enum page_data_fault fault, const char *found,
                            uint64_t value, const char *expected)
{
    enum error_code code = fault == PAGE_DATA_UNREAD ? ERR_NO_MEMORY
                           : fault == PAGE_DATA_MANY ? ERR_LIMIT
                                                     : ERR_FORMAT;

    pd->fault = fault;
    return error_set_at(err, code, head->offset,
                        "PAGE_DATA at offset %" PRIu64 ": %s %" PRIu64
                        ", expected %s",
                        head->offset, found, value, expected);
}

/* Judge 'count' by the octets that the body has, and make room for it. */
static bool page_data_make_room(struct page_data *pd,
                                const struct record_head *head, uint32_t count,
                                struct error *err)
{
    uint64_t *frames;

    if (count == 0)
        return page_data_error(pd, head, err, PAGE_DATA_BAD_COUNT,
                               "frame count", 0, "at least 1");
    if (count > (head->length - 8) / sizeof(*pd->frames)) {
        pd->fault = PAGE_DATA_BAD_COUNT;
        return error_set_at(err, ERR_FORMAT, head->offset,
                            "PAGE_DATA at offset %" PRIu64 ": %" PRIu32
                            " frames in a body of %" PRIu32
                            " octets, expected at most %" PRIu32,
                            head->offset, count, head->length,
                            (head->length - 8) / 8);
    }
    if (count > PAGE_DATA_FRAMES_MAX)
        return page_data_error(pd, head, err, PAGE_DATA_MANY, "frame count",
                               count, "at most 1048576");
    if (count > pd->capacity) {
        frames = realloc(pd->frames, count * sizeof(*frames));
        if (!frames)
            return page_data_error(pd, head, err, PAGE_DATA_UNREAD,
                                   "frame count", count, "memory for them");
        pd->frames = frames;
        pd->capacity = count;
    }
    pd->nr_frames = count;
    return true;
}

/* 'frames' holds the words as read: put them into host order, and judge. */
static bool page_data_take_frames(struct page_data *pd,
                                  const struct record_head *head,
                                  struct error *err)
{
    uint64_t left = head->length - 8 - (uint64_t)pd->nr_frames * 8;

    pd->nr_pages = 0;
    for (uint32_t i = 0; i < pd->nr_frames; i++) {
        uint64_t word = pd->frames[i];
        unsigned int type;

        word = head->order == ORDER_BIG ? be64toh(word) : le64toh(word);
        pd->frames[i] = word;
        type = frame_type(word);
        if (!frame_type_known(type)) {
            pd->fault = PAGE_DATA_BAD_TYPE;
            return error_set_at(err, ERR_FORMAT, head->offset,
                                "PAGE_DATA at offset %" PRIu64
                                ": frame %" PRIu32 " (pfn %#" PRIx64
                                ") has type %#x, expected 0-4 or 9-15",
                                head->offset, i, frame_pfn(word), type);
        }
        pd->nr_pages += frame_type_has_page(type);
    }

    /* Every octet is accounted for: a longer body is as wrong as a short. */
    if (left != (uint64_t)pd->nr_pages * PAGE_SIZE) {
        pd->fault = PAGE_DATA_BAD_SIZE;
        return error_set_at(err, ERR_FORMAT, head->offset,
                            "PAGE_DATA at offset %" PRIu64 ": %" PRIu64
                            " octets of pages, expected %" PRIu64
                            " for %" PRIu32 " frames with contents",
                            head->offset, left,
                            (uint64_t)pd->nr_pages * PAGE_SIZE, pd->nr_pages);
    }
    pd->fault = PAGE_DATA_GOOD;
    return true;
}

static bool page_data_check_length(struct page_data *pd,
                                   const struct record_head *head,
                                   struct error *err)
{
    if (head->length >= 8)
        return true;
    return page_data_error(pd, head, err, PAGE_DATA_BAD_LENGTH, "body length",
                           head->length, "at least 16");
}

bool page_data_read_frames(struct stream_source *source,
                           const struct record_head *head, struct page_data *pd,
                           struct error *err)
{
    uint8_t fixed[8];
    struct cursor c;
    uint32_t count;

    pd->fault = PAGE_DATA_UNREAD;
    pd->pages = NULL;
    pd->nr_frames = 0;
    pd->nr_pages = 0;
    if (!page_data_check_length(pd, head, err) ||
        !source_read(source, fixed, sizeof(fixed), "PAGE_DATA", err))
        return false;
    c = cursor_over(fixed, sizeof(fixed), head->order);
    count = cursor_u32(&c);
    pd->reserved = cursor_u32(&c);
    if (!page_data_make_room(pd, head, count, err) ||
        !source_read(source, pd->frames, pd->nr_frames * sizeof(*pd->frames),
                     "PAGE_DATA", err))
        return false;
    return page_data_take_frames(pd, head, err);
}

bool page_data_decode(const struct record *rec, struct page_data *pd,
                      struct error *err)
{
    const struct record_head head = {.type = rec->type,
                                     .length = rec->length,
                                     .offset = rec->offset,
                                     .order = rec->order};
    struct cursor c = record_cursor(rec);
    const uint8_t *words;
    uint32_t count;

    pd->fault = PAGE_DATA_UNREAD;
    pd->pages = NULL;
    pd->nr_frames = 0;
    pd->nr_pages = 0;
    if (!page_data_check_length(pd, &head, err))
        return false;
    count = cursor_u32(&c);
    pd->reserved = cursor_u32(&c);
    if (!page_data_make_room(pd, &head, count, err))
        return false;
    words = cursor_bytes(&c, pd->nr_frames * sizeof(*pd->frames));
    assert(words); /* page_data_make_room() has counted */
    memcpy(pd->frames, words, pd->nr_frames * sizeof(*pd->frames));
    if (!page_data_take_frames(pd, &head, err))
        return false;
    pd->pages = c.at;
    return true;
}

uint32_t page_data_encode_head(uint8_t *out, const uint64_t *frames,
                               uint32_t nr_frames)
{
    uint8_t *at = out + RECORD_HEAD_SIZE;
    uint32_t nr_pages = 0;
    uint32_t count = htole32(nr_frames);

    assert(nr_frames > 0 && nr_frames <= PAGE_DATA_FRAMES_MAX);
    memcpy(at, &count, sizeof(count));
    memset(at + 4, 0, 4);
    at += 8;
    for (uint32_t i = 0; i < nr_frames; i++) {
        uint64_t word = htole64(frames[i]);

        assert(frame_type_known(frame_type(frames[i])));
        memcpy(at, &word, sizeof(word));
        at += sizeof(word);
        nr_pages += frame_type_has_page(frame_type(frames[i]));
    }
    /* PAGE_DATA_FRAMES_MAX pages would not fit a length; callers batch. */
    assert((uint64_t)nr_pages * PAGE_SIZE + (size_t)(at - out) <=
           RECORD_LENGTH_MAX);
    record_head_encode(out, ORDER_LITTLE, XCREC_PAGE_DATA,
                       (uint32_t)((size_t)(at - out) - RECORD_HEAD_SIZE +
                                  (size_t)nr_pages * PAGE_SIZE));
    return nr_pages;
}
