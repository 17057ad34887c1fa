/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A chunk of the container: contents of at most 64 KiB, as they are or
 * compressed, with a checksum over the head and what is stored.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | kind                  | codec                   |
 *    +-----------------------+-------------------------+
 *    | length stored         | length of the contents  |
 *    +-----------------------+-------------------------+
 *    | number of the chunk among those of its kind     |
 *    +-------------------------------------------------+
 *    | XXH3-64 of the 24 octets above and of what is   |
 *    | stored                                          |
 *    +-------------------------------------------------+
 *    | stored octets, then zeroes to a multiple of 8   |
 *    +-------------------------------------------------+
 *
 * Neither side allocates by a length that was read: both have room for the
 * largest chunk, and a chunk that says more is refused.
 */
#ifndef STREAM_CONTAINER_CONTAINER_CHUNK_H
#define STREAM_CONTAINER_CONTAINER_CHUNK_H

#include "base/error.h"
#include "stream/container/container_wire.h"
#include "stream/stream_io.h"

/* A file, or what stands for one. */
struct container_file {
    /* Exactly 'length' octets at 'offset'. */
    bool (*read_at)(void *context, void *buffer, size_t length, uint64_t offset,
                    struct error *err);
    void *context; /* borrowed */
    uint64_t size;
};

struct chunk_place {
    uint64_t offset; /* of the head */
    uint32_t stored;
    uint32_t length; /* of the contents */
    uint64_t key;    /* by kind: the image's offset, the page, the pfn */
};

/* Head, contents, padding; zstd may need a little more than it saves. */
#define CONTAINER_CHUNK_ROOM \
    (CONTAINER_CHUNK_HEAD_SIZE + CONTAINER_CHUNK_MAX + 8)

/* Octets in the file. */
static inline uint64_t chunk_size(uint32_t stored)
{
    return CONTAINER_CHUNK_HEAD_SIZE + padded_to_8(stored);
}

struct chunk_codec {
    void *compress;   /* owned; made when first used */
    void *decompress; /* owned */
    int level;        /* of zstd; 0: the contents as they are */
    uint8_t *stored;  /* owned */
};

void chunk_codec_release(struct chunk_codec *c);

/* Make what chunk_pack() needs. */
must_check bool chunk_codec_prepare(struct chunk_codec *c, struct error *err);

/*
 * The chunk as it is in the file, at 'chunk', which has CONTAINER_CHUNK_ROOM
 * octets.  Returns the length stored; chunk_size() of it are the file's.
 */
uint32_t chunk_pack(struct chunk_codec *c, enum container_kind kind,
                    uint64_t number, const uint8_t *contents, uint32_t length,
                    uint8_t *chunk);

/* Write a chunk; '*ret' says where, but for its key. */
must_check bool chunk_write(struct chunk_codec *c, struct stream_sink *sink,
                            enum container_kind kind, uint64_t number,
                            const uint8_t *contents, uint32_t length,
                            struct chunk_place *ret, struct error *err);

/*
 * Read one into 'contents', which has room for CONTAINER_CHUNK_MAX octets;
 * everything that its head says must be as the arguments say.
 */
must_check bool chunk_read(struct chunk_codec *c,
                           const struct container_file *file,
                           enum container_kind kind, uint64_t number,
                           const struct chunk_place *place, uint8_t *contents,
                           struct error *err);

const char *container_kind_name(enum container_kind kind);

#endif
