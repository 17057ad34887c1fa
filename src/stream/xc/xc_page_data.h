/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PAGE_DATA: a batch of guest frames, and the contents of those with any.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | count                 | (reserved)              |
 *    +-----------------------+-------------------------+
 *    | pfn[count]: type in 63..60, frame in 51..0      |
 *    +-------------------------------------------------+
 *    | page[], one per pfn whose type carries contents |
 *    +-------------------------------------------------+
 *
 * Reading: page_data_read_frames() takes the record up to the pages, which the
 * caller then reads, scatters or skips itself; that bounds memory by one batch
 * of frame words.  page_data_decode() is for a body already in memory.
 *
 * Writing: the caller gathers page_data_encode_head()'s octets and the pages
 * where they lie; nothing is copied.
 *
 * Spec: libxc-migration-stream.pandoc, "PAGE_DATA".
 */
#ifndef STREAM_XC_XC_PAGE_DATA_H
#define STREAM_XC_XC_PAGE_DATA_H

#include "stream/record.h"
#include "stream/xc/xc_wire.h"

/*
 * More frames than this in one record are refused.  Every saver stops at
 * 1024; without a limit a record of frames that carry no contents could make
 * its reader hold 128 MiB.
 */
#define PAGE_DATA_FRAMES_MAX (UINT32_C(1) << 20)

/* Octets of a PAGE_DATA record before the pages. */
#define PAGE_DATA_HEAD_SIZE(nr_frames) \
    (RECORD_HEAD_SIZE + 8 + (size_t)(nr_frames)*8)

static inline unsigned int frame_type(uint64_t word)
{
    return (unsigned int)(word >> XCSTREAM_PFN_TYPE_SHIFT);
}

static inline uint64_t frame_pfn(uint64_t word)
{
    return word & XCSTREAM_PFN_MASK;
}

static inline uint64_t frame_word(unsigned int type, uint64_t pfn)
{
    return (uint64_t)type << XCSTREAM_PFN_TYPE_SHIFT | pfn;
}

/* 5 to 8 have no meaning. */
static inline bool frame_type_known(unsigned int type)
{
    return type <= FRAME_L4TAB || (type >= 0x9 && type <= 0xf);
}

/* Whether frames of a known type have a page in the record. */
static inline bool frame_type_has_page(unsigned int type)
{
    return type < FRAME_BROKEN;
}

/* Whether the frame must exist in the restored guest. */
static inline bool frame_type_needs_memory(unsigned int type)
{
    return frame_type_has_page(type) || type == FRAME_XALLOC;
}

/* L1 to L4, pinned or not: 1 to 4; 0 for what is no page table. */
static inline unsigned int frame_type_table_level(unsigned int type)
{
    unsigned int level = type & 7;

    return type < FRAME_BROKEN && level <= 4 ? level : 0;
}

/* "NOTAB", "L1TAB", "L1TAB|PIN", ... */
const char *frame_type_name(unsigned int type);

/* Why a record was refused, for who must tell the reasons apart. */
enum page_data_fault {
    PAGE_DATA_GOOD,
    PAGE_DATA_BAD_LENGTH, /* no room for the count */
    PAGE_DATA_BAD_COUNT,  /* zero, or more frames than the body has */
    PAGE_DATA_MANY,       /* more than PAGE_DATA_FRAMES_MAX */
    PAGE_DATA_BAD_TYPE,
    PAGE_DATA_BAD_SIZE, /* pages missing, or octets left over */
    PAGE_DATA_UNREAD,   /* the source failed, or memory */
};

struct page_data {
    enum page_data_fault fault; /* of the last read or decode */
    uint64_t *frames;           /* owned; host byte order: type | pfn */
    uint32_t capacity;          /* entries that 'frames' has room for */
    uint32_t nr_frames;
    uint32_t nr_pages;    /* frames that carry contents */
    uint32_t reserved;    /* the reserved word: zero on save */
    const uint8_t *pages; /* borrowed; only after page_data_decode() */
};

/* Free the frames.  Safe to call twice, or on {0}. */
void page_data_release(struct page_data *pd);

/*
 * Read the record from its body's start up to the first page.  '*pd' is {0} or
 * was used before; its memory is used again.  Afterwards exactly nr_pages *
 * PAGE_SIZE octets of the record are left, and no padding.  On failure '*pd'
 * is only fit for release or reuse.
 */
must_check bool page_data_read_frames(struct stream_source *source,
                                      const struct record_head *head,
                                      struct page_data *pd, struct error *err);

/* The same for a body in memory, which lends 'pages'. */
must_check bool page_data_decode(const struct record *rec, struct page_data *pd,
                                 struct error *err);

/*
 * Fill 'out', PAGE_DATA_HEAD_SIZE(nr_frames) octets, with everything of a
 * record but the pages, little-endian.  'frames' are words as frame_word()
 * makes them, of known types; the pages of those that carry contents follow in
 * the same order.  Returns how many those are.
 */
uint32_t page_data_encode_head(uint8_t *out, const uint64_t *frames,
                               uint32_t nr_frames);

#endif
