/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xl/xl_file.h"

#include <inttypes.h>
#include <string.h>

bool xlfile_header_decode(const uint8_t bytes[XLFILE_HEADER_SIZE],
                          uint64_t offset, struct xlfile_header *ret,
                          struct error *err)
{
    struct cursor c = cursor_over(bytes, XLFILE_HEADER_SIZE, ORDER_LITTLE);
    struct xlfile_header h = {.offset = offset};
    uint32_t byteorder;

    if (memcmp(cursor_bytes(&c, XLFILE_MAGIC_SIZE), XLFILE_MAGIC,
               XLFILE_MAGIC_SIZE) != 0)
        return error_set_at(err, ERR_FORMAT, offset,
                            "xl header: other octets, expected the magic \"Xen "
                            "saved domain, xl format\"");
    byteorder = cursor_u32(&c);
    if (byteorder == __builtin_bswap32(XLFILE_BYTEORDER))
        c.order = ORDER_BIG;
    else if (byteorder != XLFILE_BYTEORDER)
        return error_set_at(err, ERR_FORMAT, offset + XLFILE_MAGIC_SIZE,
                            "xl header: byte order mark %#010" PRIx32
                            ", expected 0x01020304 in either order",
                            byteorder);
    h.order = c.order;
    h.mandatory_flags = cursor_u32(&c);
    h.optional_flags = cursor_u32(&c);
    h.optional_length = cursor_u32(&c);
    if (h.optional_length > XLFILE_OPTIONAL_MAX)
        return error_set_at(
            err, ERR_LIMIT, offset + 44,
            "xl header: %" PRIu32
            " octets of optional data, expected at most %" PRIu32,
            h.optional_length, XLFILE_OPTIONAL_MAX);
    *ret = h;
    return true;
}

bool xlfile_header_check(const struct xlfile_header *h, struct error *err)
{
    uint32_t unknown = h->mandatory_flags & ~XLFILE_MANDATORY_KNOWN;

    if (unknown)
        return error_set_at(err, ERR_UNSUPPORTED, h->offset + 36,
                            "xl header: mandatory flags %#" PRIx32
                            ", expected none beyond 0x3",
                            h->mandatory_flags);
    if (!(h->mandatory_flags & XLFILE_MANDATORY_STREAM2))
        return error_set_at(err, ERR_UNSUPPORTED, h->offset + 36,
                            "xl header: mandatory flags %#" PRIx32
                            " announce a legacy image, expected a libxl "
                            "stream",
                            h->mandatory_flags);
    return true;
}

bool xlfile_config_read(struct stream_source *source,
                        const struct xlfile_header *h, struct buffer *buffer,
                        struct xlfile_config *ret, struct error *err)
{
    struct xlfile_config config = {0};
    struct cursor c;

    buffer_reset(buffer);
    if (!source_read_buffer(source, buffer, h->optional_length,
                            "xl header: optional data", err))
        return false;
    if (h->optional_length == 0) {
        *ret = config;
        return true;
    }
    c = cursor_over(buffer->bytes, buffer->length, h->order);
    config.present = true;
    config.length = cursor_u32(&c);
    config.text = (const char *)cursor_bytes(&c, config.length);
    if (c.bad)
        return error_set_at(err, ERR_FORMAT, h->offset + XLFILE_HEADER_SIZE,
                            "xl header: configuration of %" PRIu32
                            " octets, expected it within %" PRIu32
                            " octets of optional data",
                            config.length, h->optional_length);
    config.ignored = (uint32_t)cursor_left(&c);
    *ret = config;
    return true;
}

void xlfile_append(struct buffer *buffer, const char *config, uint32_t length)
{
    buffer_bytes(buffer, XLFILE_MAGIC, XLFILE_MAGIC_SIZE);
    buffer_u32(buffer, XLFILE_BYTEORDER);
    buffer_u32(buffer,
               XLFILE_MANDATORY_STREAM2 | (config ? XLFILE_MANDATORY_JSON : 0));
    buffer_u32(buffer, 0);
    if (!config) {
        buffer_u32(buffer, 0);
        return;
    }
    buffer_u32(buffer, 4 + length + 1);
    buffer_u32(buffer, length + 1);
    buffer_bytes(buffer, config, length);
    buffer_u8(buffer, 0);
}
