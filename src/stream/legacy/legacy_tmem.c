/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_tmem.h"

#include <inttypes.h>
#include <string.h>

#include "stream/legacy/legacy_wire.h"

#define OBJECT_SIZE 24

static bool read_u32(struct stream_source *source, uint32_t *ret,
                     struct error *err)
{
    uint8_t bytes[4];
    struct cursor c = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);

    if (!source_read(source, bytes, sizeof(bytes), "TMEM", err))
        return false;
    *ret = cursor_u32(&c);
    return true;
}

static bool expect_separator(struct stream_source *source, struct error *err)
{
    uint64_t offset = source->offset;
    uint32_t value;

    if (!read_u32(source, &value, err))
        return false;
    return value == UINT32_MAX ||
           error_set_at(err, ERR_FORMAT, offset,
                        "TMEM at offset %" PRIu64 ": separator %#" PRIx32
                        ", expected 0xffffffff",
                        offset, value);
}

static bool skip_pool_pages(struct stream_source *source, uint32_t flags,
                            uint32_t nr_pages, struct error *err)
{
    static const uint8_t no_object[OBJECT_SIZE] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    uint64_t page_size =
        (uint64_t)PAGE_SIZE
        << ((flags >> LEGACY_TMEM_PAGESIZE_SHIFT) & LEGACY_TMEM_PAGESIZE_MASK);

    /* Each turn takes octets from the stream: its length bounds them. */
    for (uint32_t i = 0; i < nr_pages; i++) {
        uint8_t object[OBJECT_SIZE];

        if (!source_read(source, object, sizeof(object), "TMEM object", err))
            return false;
        if (memcmp(object, no_object, sizeof(object)) == 0)
            return true;
        if (!source_skip(source, 4 + page_size, "TMEM page", err))
            return false;
    }
    return true;
}

bool legacy_tmem_skip(struct stream_source *source, uint64_t *ret_length,
                      struct error *err)
{
    uint64_t start = source->offset;

    if (!source_skip(source, 8, "TMEM version and pools", err) ||
        !expect_separator(source, err) ||
        !source_skip(source, 12, "TMEM client", err) ||
        !expect_separator(source, err))
        return false;
    for (;;) {
        uint32_t pool, flags, nr_pages;

        if (!read_u32(source, &pool, err))
            return false;
        if (pool == UINT32_MAX)
            break;
        if (!read_u32(source, &flags, err) ||
            !read_u32(source, &nr_pages, err) ||
            !source_skip(source, 16, "TMEM pool", err) ||
            !skip_pool_pages(source, flags, nr_pages, err))
            return false;
    }
    *ret_length = source->offset - start;
    return true;
}

bool legacy_tmem_extra_skip(struct stream_source *source, uint64_t *ret_length,
                            struct error *err)
{
    uint64_t start = source->offset;
    uint32_t pool;

    do {
        if (!read_u32(source, &pool, err))
            return false;
        if (pool != UINT32_MAX &&
            !source_skip(source, OBJECT_SIZE + 4, "TMEM_EXTRA", err))
            return false;
    } while (pool != UINT32_MAX);
    *ret_length = source->offset - start;
    return true;
}
