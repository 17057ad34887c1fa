/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/container/container_chunk.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>
#include <zstd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define CHECKED_SIZE 24

const char *container_kind_name(enum container_kind kind)
{
    static const char *const names[] = {"text", "pages", "recipe", "pfns",
                                        "directory"};

    return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

void chunk_codec_release(struct chunk_codec *c)
{
    ZSTD_freeCCtx(c->compress);
    ZSTD_freeDCtx(c->decompress);
    c->compress = NULL;
    c->decompress = NULL;
    free_pointer(&c->stored);
}

static bool no_memory(struct error *err)
{
    return error_set(err, ERR_NO_MEMORY, "container chunk: no memory");
}

bool chunk_codec_prepare(struct chunk_codec *c, struct error *err)
{
    if (!c->compress)
        c->compress = ZSTD_createCCtx();
    return c->compress || no_memory(err);
}

static bool prepare_room(struct chunk_codec *c, struct error *err)
{
    if (!c->stored)
        c->stored = malloc(CONTAINER_CHUNK_ROOM);
    return c->stored || no_memory(err);
}

static bool prepare_reading(struct chunk_codec *c, struct error *err)
{
    if (!c->decompress)
        c->decompress = ZSTD_createDCtx();
    return c->decompress ? prepare_room(c, err) : no_memory(err);
}

/* 0 where the contents do not get shorter. */
static uint32_t compress(struct chunk_codec *c, const uint8_t *contents,
                         uint32_t length, uint8_t *ret)
{
    size_t got;

    if (c->level == 0 || length == 0)
        return 0;
    got = ZSTD_compressCCtx(c->compress, ret, length - 1, contents, length,
                            c->level);
    return ZSTD_isError(got) ? 0 : (uint32_t)got;
}

static uint64_t checksum(const uint8_t *chunk, uint32_t stored)
{
    /* In two parts: the checksum itself stands between them. */
    uint64_t seed = XXH3_64bits(chunk, CHECKED_SIZE);

    return XXH3_64bits_withSeed(chunk + CONTAINER_CHUNK_HEAD_SIZE, stored,
                                seed);
}

static void put_u32(uint8_t *at, uint32_t value)
{
    for (unsigned int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)value);
    put_u32(at + 4, (uint32_t)(value >> 32));
}

uint32_t chunk_pack(struct chunk_codec *c, enum container_kind kind,
                    uint64_t number, const uint8_t *contents, uint32_t length,
                    uint8_t *chunk)
{
    uint8_t *at = chunk + CONTAINER_CHUNK_HEAD_SIZE;
    uint32_t stored = compress(c, contents, length, at);
    uint32_t codec = CONTAINER_ZSTD;

    if (stored == 0) {
        codec = CONTAINER_STORED;
        stored = length;
        memcpy(at, contents, length);
    }
    put_u32(chunk, kind);
    put_u32(chunk + 4, codec);
    put_u32(chunk + 8, stored);
    put_u32(chunk + 12, length);
    put_u64(chunk + 16, number);
    put_u64(chunk + CHECKED_SIZE, checksum(chunk, stored));
    memset(at + stored, 0, padded_to_8(stored) - stored);
    return stored;
}

bool chunk_write(struct chunk_codec *c, struct stream_sink *sink,
                 enum container_kind kind, uint64_t number,
                 const uint8_t *contents, uint32_t length,
                 struct chunk_place *ret, struct error *err)
{
    struct chunk_place place = {.offset = sink->offset, .length = length};

    assert(length <= CONTAINER_CHUNK_MAX);
    if (!chunk_codec_prepare(c, err) || !prepare_room(c, err))
        return false;
    place.stored = chunk_pack(c, kind, number, contents, length, c->stored);
    if (!sink_write(sink, c->stored, chunk_size(place.stored), err))
        return false;
    *ret = place;
    return true;
}

/* What the head says against what is known of the chunk. */
static bool check_head(const uint8_t *head, enum container_kind kind,
                       uint64_t number, const struct chunk_place *place,
                       uint32_t *ret_codec, struct error *err)
{
    struct cursor c =
        cursor_over(head, CONTAINER_CHUNK_HEAD_SIZE, ORDER_LITTLE);
    const char *name = container_kind_name(kind);
    uint32_t found_kind = cursor_u32(&c);
    uint32_t codec = cursor_u32(&c);
    uint32_t stored = cursor_u32(&c);
    uint32_t length = cursor_u32(&c);
    uint64_t found_number = cursor_u64(&c);

    if (found_kind != kind || found_number != number)
        return error_set_at(
            err, ERR_FORMAT, place->offset,
            "container chunk at offset %" PRIu64 ": number %" PRIu64
            " of kind %" PRIu32 ", expected number %" PRIu64 " of %s",
            place->offset, found_number, found_kind, number, name);
    if (stored != place->stored || length != place->length)
        return error_set_at(err, ERR_FORMAT, place->offset,
                            "container chunk at offset %" PRIu64 ": %" PRIu32
                            " octets stored, %" PRIu32 " of contents, "
                            "expected %" PRIu32 " and %" PRIu32,
                            place->offset, stored, length, place->stored,
                            place->length);
    if (codec > CONTAINER_ZSTD ||
        (codec == CONTAINER_STORED) != (stored == length))
        return error_set_at(err, ERR_FORMAT, place->offset,
                            "container chunk at offset %" PRIu64
                            ": codec %" PRIu32 " for %" PRIu32
                            " octets in %" PRIu32 ", expected 0 where nothing "
                            "is saved, else 1",
                            place->offset, codec, length, stored);
    *ret_codec = codec;
    return true;
}

static bool expand(struct chunk_codec *c, const struct chunk_place *place,
                   uint32_t codec, uint8_t *contents, struct error *err)
{
    const uint8_t *stored = c->stored + CONTAINER_CHUNK_HEAD_SIZE;
    size_t got;

    if (codec == CONTAINER_STORED) {
        memcpy(contents, stored, place->stored);
        return true;
    }
    got = ZSTD_decompressDCtx(c->decompress, contents, place->length, stored,
                              place->stored);
    if (ZSTD_isError(got) || got != place->length)
        return error_set_at(err, ERR_FORMAT, place->offset,
                            "container chunk at offset %" PRIu64
                            ": compressed data of another length (%s), "
                            "expected %" PRIu32 " octets",
                            place->offset,
                            ZSTD_isError(got) ? ZSTD_getErrorName(got)
                                              : "no error",
                            place->length);
    return true;
}

bool chunk_read(struct chunk_codec *c, const struct container_file *file,
                enum container_kind kind, uint64_t number,
                const struct chunk_place *place, uint8_t *contents,
                struct error *err)
{
    struct cursor found;
    uint32_t codec;
    uint64_t size = chunk_size(place->stored);

    if (place->length > CONTAINER_CHUNK_MAX || place->stored > place->length ||
        place->offset > file->size || size > file->size - place->offset)
        return error_set_at(err, ERR_FORMAT, place->offset,
                            "container %s chunk %" PRIu64 ": %" PRIu32
                            " octets at %" PRIu64 " for %" PRIu32
                            ", expected at most 65536 within %" PRIu64,
                            container_kind_name(kind), number, place->stored,
                            place->offset, place->length, file->size);
    if (!prepare_reading(c, err) ||
        !file->read_at(file->context, c->stored, (size_t)size, place->offset,
                       err) ||
        !check_head(c->stored, kind, number, place, &codec, err))
        return false;
    found = cursor_over(c->stored + CHECKED_SIZE, 8, ORDER_LITTLE);
    if (cursor_u64(&found) != checksum(c->stored, place->stored))
        return error_set_at(err, ERR_FORMAT, place->offset,
                            "container chunk at offset %" PRIu64
                            ": contents of another checksum, expected the one "
                            "in its head",
                            place->offset);
    for (uint64_t i = CONTAINER_CHUNK_HEAD_SIZE + place->stored; i < size; i++)
        if (c->stored[i] != 0)
            return error_set_at(err, ERR_FORMAT, place->offset,
                                "container chunk at offset %" PRIu64
                                ": octets behind its contents, expected "
                                "zeroes",
                                place->offset);
    return expand(c, place, codec, contents, err);
}
