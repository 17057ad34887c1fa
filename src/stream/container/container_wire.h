/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Constants of the image container, nothing else.
 *
 * Spec: docs/formats/container.md.
 */
#ifndef STREAM_CONTAINER_CONTAINER_WIRE_H
#define STREAM_CONTAINER_CONTAINER_WIRE_H

#include "base/macros.h"

/* Damaged by whatever strips high bits, converts line ends or stops at ^Z. */
#define CONTAINER_MAGIC     "\x89XFI\r\n\x1a\n"
#define CONTAINER_END_MAGIC "XFI-end\n"
#define CONTAINER_VERSION   1u

#define CONTAINER_HEADER_SIZE     64u
#define CONTAINER_CHUNK_HEAD_SIZE 32u
#define CONTAINER_TRAILER_SIZE    160u

/* Of every kind of chunk: octets of its contents at most. */
#define CONTAINER_CHUNK_MAX ((uint32_t)64 << 10)

#define CONTAINER_CHUNK_PAGES (CONTAINER_CHUNK_MAX >> PAGE_SHIFT)

enum container_kind {
    CONTAINER_TEXT = 0,   /* octets of the image that are no pages */
    CONTAINER_PAGES = 1,  /* pages, each once */
    CONTAINER_RECIPE = 2, /* in which order text and pages come */
    CONTAINER_PFNS = 3,   /* which page a frame has at the end */
    CONTAINER_DIRECTORY = 4,
};
/* Kinds that the directory lists, in this order. */
#define CONTAINER_KINDS 4

enum container_codec { CONTAINER_STORED = 0, CONTAINER_ZSTD = 1 };

/* {u64 offset, u32 stored, u32 length, u64 key}; so many in a chunk. */
#define CONTAINER_ENTRY_SIZE        24u
#define CONTAINER_DIRECTORY_ENTRIES 2048u

/* {u32 what << 30 | count, u32 page} */
#define CONTAINER_STEP_SIZE      8u
#define CONTAINER_STEP_COUNT_MAX ((UINT32_C(1) << 30) - 1)

enum container_step {
    CONTAINER_STEP_TEXT = 0,  /* count octets */
    CONTAINER_STEP_PAGES = 1, /* count pages from number 'page' on */
    CONTAINER_STEP_ZERO = 2,  /* count pages of zeroes */
};

/* {u64 type << 60 | pfn, u32 page, u32 what} */
#define CONTAINER_FRAME_SIZE       16u
#define CONTAINER_FRAMES_PER_CHUNK (CONTAINER_CHUNK_MAX / CONTAINER_FRAME_SIZE)

enum container_frame_what {
    CONTAINER_FRAME_NONE = 0, /* known, but without contents */
    CONTAINER_FRAME_ZERO = 1,
    CONTAINER_FRAME_PAGE = 2,
};

/* In the trailer. */
#define CONTAINER_FLAG_WHOLE          1u /* the image was understood up to its END */
#define CONTAINER_FLAG_FRAMES_MISSING 2u /* pfns too high for the index */
#define CONTAINER_FLAGS_KNOWN         3u

/* A page of the image is announced by a word of this many octets of text. */
#define CONTAINER_TEXT_PER_PAGE 8u

#endif
