/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_toolstack.h"

#include <inttypes.h>
#include <string.h>

#define LEAKED_OCTETS 4

static bool toolstack_error(uint64_t offset, uint32_t entry,
                            const char *problem, struct error *err)
{
    return error_set_at(err, ERR_FORMAT, offset,
                        "TOOLSTACK at offset %" PRIu64 ": entry %" PRIu32
                        ": %s",
                        offset, entry, problem);
}

static void append_pair(struct buffer *strings, uint64_t phys, const char *key,
                        const char *value, size_t length)
{
    buffer_format(strings, "physmap/%" PRIx64 "/%s", phys, key);
    buffer_u8(strings, 0);
    buffer_bytes(strings, value, length);
    buffer_u8(strings, 0);
}

static void append_number(struct buffer *strings, uint64_t phys,
                          const char *key, uint64_t value)
{
    buffer_format(strings, "physmap/%" PRIx64 "/%s", phys, key);
    buffer_u8(strings, 0);
    buffer_format(strings, "%" PRIx64, value);
    buffer_u8(strings, 0);
}

/* 'strings' may be NULL: only look whether the layout fits, and how well. */
static bool walk(const uint8_t *blob, size_t length, unsigned int width,
                 uint64_t offset, struct buffer *strings, size_t *ret_left,
                 struct error *err)
{
    struct cursor c = cursor_over(blob, length, ORDER_LITTLE);
    uint32_t version = cursor_u32(&c);
    uint32_t count = cursor_u32(&c);

    if (c.bad || version != 1)
        return error_set_at(err, ERR_FORMAT, offset,
                            "TOOLSTACK at offset %" PRIu64 ": version %" PRIu32
                            " in %zu octets, expected version 1",
                            offset, version, length);
    /* Each entry takes octets of the blob: its length bounds them. */
    for (uint32_t i = 0; i < count; i++) {
        uint64_t phys = cursor_u64(&c);
        uint64_t start = cursor_u64(&c);
        uint64_t size = cursor_u64(&c);
        uint32_t name_length = cursor_u32(&c);
        const uint8_t *name = cursor_bytes(&c, name_length);

        if (width == 8)
            cursor_bytes(&c, LEAKED_OCTETS);
        if (c.bad)
            return toolstack_error(offset, i,
                                   "it ends early, expected "
                                   "another name",
                                   err);
        if (name_length > 0 && name[name_length - 1] != 0)
            return toolstack_error(offset, i,
                                   "its name has no NUL, expected "
                                   "one at its end",
                                   err);
        if (name_length > 0 && strlen((const char *)name) != name_length - 1)
            return toolstack_error(offset, i,
                                   "its name has a NUL inside, "
                                   "expected one at its end",
                                   err);
        if (!strings)
            continue;
        append_number(strings, phys, "start_addr", start);
        append_number(strings, phys, "size", size);
        if (name_length > 0)
            append_pair(strings, phys, "name", (const char *)name,
                        name_length - 1);
    }
    *ret_left = cursor_left(&c);
    return true;
}

bool legacy_toolstack_convert(const uint8_t *blob, size_t length,
                              unsigned int width, uint64_t offset,
                              struct buffer *strings,
                              enum legacy_toolstack_layout *ret,
                              struct error *err)
{
    unsigned int other = width == 8 ? 4 : 8;
    size_t left, other_left;
    bool fits = walk(blob, length, width, offset, NULL, &left, err);

    *ret = TOOLSTACK_AS_EXPECTED;
    if ((!fits || left > 0) &&
        walk(blob, length, other, offset, NULL, &other_left, NULL) &&
        (!fits || other_left == 0)) {
        *ret = TOOLSTACK_OTHER_WIDTH;
        width = other;
    } else if (!fits) {
        return false;
    }
    return walk(blob, length, width, offset, strings, &left, err) &&
           buffer_check(strings, "TOOLSTACK strings", err);
}
