/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The container from both sides.
 *
 *  - As a container, with its checksums put right where that is possible, so
 *    that mutations get past them: nothing crashes, and what comes out stays
 *    within what the trailer says.
 *  - As an image to keep: it comes back octet for octet.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "../tests/stream/buffer_file.h"
#include "stream/container/container_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A hostile image is cut off here: what matters was seen by then. */
#define OUTPUT_MAX ((uint64_t)8 << 20)

static void put_hash(uint8_t *at, uint64_t hash)
{
    for (unsigned int i = 0; i < 8; i++)
        at[i] = (uint8_t)(hash >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
           (uint32_t)at[3] << 24;
}

/* Header, trailer, and the chunks in between as far as they follow. */
static void put_checksums_right(uint8_t *bytes, size_t size)
{
    size_t at = CONTAINER_HEADER_SIZE;
    size_t end;

    if (size < CONTAINER_HEADER_SIZE + CONTAINER_TRAILER_SIZE)
        return;
    end = size - CONTAINER_TRAILER_SIZE;
    put_hash(bytes + CONTAINER_HEADER_SIZE - 8,
             XXH3_64bits(bytes, CONTAINER_HEADER_SIZE - 8));
    put_hash(bytes + size - 8,
             XXH3_64bits(bytes + end, CONTAINER_TRAILER_SIZE - 8));
    while (end - at >= CONTAINER_CHUNK_HEAD_SIZE) {
        uint32_t stored = get_u32(bytes + at + 8);
        uint64_t seed = XXH3_64bits(bytes + at, 24);

        if (chunk_size(stored) > end - at)
            break;
        put_hash(bytes + at + 24,
                 XXH3_64bits_withSeed(bytes + at + CONTAINER_CHUNK_HEAD_SIZE,
                                      stored, seed));
        at += chunk_size(stored);
    }
}

static void read_container(struct buffer *file)
{
    struct container *c = calloc(1, sizeof(*c));
    struct container_file f = file_of(file);
    struct container_stream stream;
    struct error err;

    assert(c);
    if (container_open(c, &f, &err)) {
        struct container_frame frame = {0};
        uint8_t page[PAGE_SIZE];
        uint64_t pfn = 0;

        for (unsigned int i = 0; i < 1000; i++) {
            if (container_next_frame(c, pfn, &frame, &err) != CONTAINER_FOUND)
                break;
            assert(frame.pfn >= pfn);
            if (container_page(c, frame.pfn, page, &err) == CONTAINER_FAILED)
                break;
            pfn = frame.pfn + 1;
        }
        if (container_stream_init(&stream, c, false, &err)) {
            struct stream_source source = source_from_container(&stream);
            uint8_t buffer[5000];
            size_t got = 1;

            while (
                got > 0 && source.offset < OUTPUT_MAX &&
                source_read_some(&source, buffer, sizeof(buffer), &got, &err))
                assert(source.offset <= c->summary.image_octets);
            container_stream_release(&stream);
        }
        if (c->summary.image_octets < OUTPUT_MAX &&
            container_verify(c, NULL, NULL, &err))
            assert(c->summary.file_octets == file->length);
    }
    container_close(c);
    free(c);
}

static void keep_and_compare(const uint8_t *data, size_t size)
{
    struct buffer file = {0};
    struct container_file f;
    struct memory_source memory = {data, size, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink = sink_to_buffer(&file);
    const struct container_file written = {.read_at = buffer_file_read_at,
                                           .context = &file};
    const struct container_write_options options = {.level = 1,
                                                    .written = &written};
    struct container_summary summary;
    struct container *c = calloc(1, sizeof(*c));
    struct container_stream stream;
    uint8_t *back = malloc(size + 1);
    struct error err;

    assert(c && back);
    assert(container_write(&source, &sink, &options, &summary, NULL, &err));
    f = file_of(&file);
    assert(container_open(c, &f, &err));
    assert(container_stream_init(&stream, c, true, &err));
    source = source_from_container(&stream);
    assert(source_read(&source, back, size, "image", &err));
    assert(memcmp(back, data, size) == 0);
    container_stream_release(&stream);
    assert(container_verify(c, NULL, NULL, &err));
    container_close(c);
    free(c);
    free(back);
    buffer_release(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer file = {0};

    if (size >= 8 && container_sniff(data)) {
        buffer_bytes(&file, data, size);
        read_container(&file);
        put_checksums_right(file.bytes, file.length);
        read_container(&file);
        buffer_release(&file);
    }
    if (size > 0)
        keep_and_compare(data, size);
    return 0;
}
