/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cursor.h"

#include <string.h>

const uint8_t *cursor_bytes(struct cursor *c, size_t length)
{
    const uint8_t *bytes = c->at;

    if (c->bad || length > cursor_left(c)) {
        c->bad = true;
        return NULL;
    }
    c->at += length;
    return bytes;
}

static uint64_t cursor_integer(struct cursor *c, size_t size)
{
    const uint8_t *bytes = cursor_bytes(c, size);
    uint64_t value = 0;

    if (!bytes)
        return 0;
    for (size_t i = 0; i < size; i++) {
        size_t shift = 8 * (c->order == ORDER_BIG ? size - 1 - i : i);

        value |= (uint64_t)bytes[i] << shift;
    }
    return value;
}

uint8_t cursor_u8(struct cursor *c)
{
    return (uint8_t)cursor_integer(c, 1);
}

uint16_t cursor_u16(struct cursor *c)
{
    return (uint16_t)cursor_integer(c, 2);
}

uint32_t cursor_u32(struct cursor *c)
{
    return (uint32_t)cursor_integer(c, 4);
}

uint64_t cursor_u64(struct cursor *c)
{
    return cursor_integer(c, 8);
}

const char *cursor_string(struct cursor *c)
{
    const void *nul = NULL;

    if (!c->bad && cursor_left(c) > 0)
        nul = memchr(c->at, 0, cursor_left(c));
    if (!nul) {
        c->bad = true;
        return NULL;
    }
    return (const char *)cursor_bytes(
        c, (size_t)((const uint8_t *)nul - c->at) + 1);
}

bool cursor_zeroes(struct cursor *c, size_t length)
{
    const uint8_t *bytes = cursor_bytes(c, length);

    if (!bytes)
        return false;
    for (size_t i = 0; i < length; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}
