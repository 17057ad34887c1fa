/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/move/image_header.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/xl/xl_file.h"
#include "stream/xl/xl_records.h"

_Static_assert(IMAGE_PREAMBLE == XLSTREAM_HEADER_SIZE + 8,
               "a header and an empty record");

void image_header_release(struct image_header *h)
{
    buffer_release(&h->optional);
    free(h->config);
    h->config = NULL;
}

bool image_header_read(struct io *io, struct image_header *ret,
                       struct error *err)
{
    cleanup(image_header_release) struct image_header h = {0};
    struct stream_source source = source_from_io(io);
    uint8_t bytes[XLFILE_HEADER_SIZE];
    struct xlfile_header header;
    struct xlfile_config config;

    if (!source_read(&source, bytes, sizeof(bytes), "xl header", err) ||
        !xlfile_header_decode(bytes, 0, &header, err) ||
        !xlfile_header_check(&header, err))
        return false;
    if (header.order != ORDER_LITTLE)
        return error_set_at(err, ERR_UNSUPPORTED, XLFILE_MAGIC_SIZE,
                            "xl header: big-endian, expected little-endian");
    h.optional.cap = XLFILE_OPTIONAL_MAX;
    if (!xlfile_config_read(&source, &header, &h.optional, &config, err))
        return false;
    if (!config.present || !(header.mandatory_flags & XLFILE_MANDATORY_JSON))
        return error_set_at(err, ERR_UNSUPPORTED, 36,
                            "xl header: %s, expected a JSON configuration",
                            config.present ? "a text configuration"
                                           : "no configuration");
    if (config.length == 0 || memchr(config.text, '\0', config.length) !=
                                  config.text + config.length - 1)
        return error_set_at(err, ERR_FORMAT, XLFILE_HEADER_SIZE + 4,
                            "xl header: a configuration of %u octets whose "
                            "first NUL is not its last octet",
                            config.length);
    h.config = strdup(config.text);
    if (!h.config)
        return error_set(err, ERR_NO_MEMORY, "configuration");
    *ret = MOVE(h);
    return true;
}

bool image_preamble_read(struct io *io, uint8_t ret[IMAGE_PREAMBLE],
                         struct error *err)
{
    uint64_t offset = io->offset;
    struct stream_source source = source_from_io(io);
    struct xlstream_header header;
    uint8_t bytes[IMAGE_PREAMBLE];
    struct cursor c;
    uint32_t type, length;

    source.offset = offset;
    if (!source_read(&source, bytes, sizeof(bytes), "libxl header", err))
        return false;
    header = xlstream_header_decode(bytes, offset);
    if (!xlstream_header_check(&header, err))
        return false;
    if (header.order != ORDER_LITTLE)
        return error_set_at(err, ERR_UNSUPPORTED, offset,
                            "libxl header: big-endian, expected "
                            "little-endian");
    c = cursor_over(bytes + XLSTREAM_HEADER_SIZE,
                    sizeof(bytes) - XLSTREAM_HEADER_SIZE, ORDER_LITTLE);
    type = cursor_u32(&c);
    length = cursor_u32(&c);
    if (type != XLREC_LIBXC_CONTEXT || length != 0)
        return error_set_at(err, ERR_FORMAT, offset + XLSTREAM_HEADER_SIZE,
                            "libxl record: type %#x of %u octets, expected an "
                            "empty LIBXC_CONTEXT",
                            type, length);
    memcpy(ret, bytes, sizeof(bytes));
    return true;
}

bool image_header_write(struct io *io, const char *config, struct error *err)
{
    cleanup(buffer_release) struct buffer buffer = {.order = ORDER_LITTLE};

    xlfile_append(&buffer, config, (uint32_t)strlen(config));
    return buffer_check(&buffer, "xl header", err) &&
           io_write_all(io, buffer.bytes, buffer.length, err);
}
