/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The header that xl puts before a libxl stream in a file.
 *
 *    +-------------------------------------------------+
 *    | magic, 32 octets                                |
 *    +-----------------------+-------------------------+
 *    | byteorder 0x01020304  | mandatory flags         |  all in the
 *    +-----------------------+-------------------------+  writer's
 *    | optional flags        | octets of optional data |  byte order
 *    +-----------------------+-------------------------+
 *    | optional data: u32 config length, config, ...   |
 *    +-------------------------------------------------+
 *
 * A JSON configuration counts its NUL; a text configuration (xl up to 4.4) has
 * none.  What optional data there is beyond the configuration is ignored.
 */
#ifndef STREAM_XL_XL_FILE_H
#define STREAM_XL_XL_FILE_H

#include "stream/stream_io.h"
#include "stream/xl/xl_wire.h"

/* xl has no limit; this is far above any configuration. */
#define XLFILE_OPTIONAL_MAX ((uint32_t)16 << 20)

struct xlfile_header {
    uint32_t mandatory_flags;
    uint32_t optional_flags;
    uint32_t optional_length;
    enum byte_order order;
    uint64_t offset;
};

struct xlfile_config {
    const char *text; /* borrowed from the buffer; no NUL is promised */
    uint32_t length;  /* as in the file */
    uint32_t ignored; /* octets of optional data behind the configuration */
    bool present;
};

/* Magic, byte order and the length's limit; flags are not judged. */
must_check bool xlfile_header_decode(const uint8_t bytes[XLFILE_HEADER_SIZE],
                                     uint64_t offset, struct xlfile_header *ret,
                                     struct error *err);

/* Flags that no xl knows, or no libxl stream: what a reader must refuse. */
must_check bool xlfile_header_check(const struct xlfile_header *h,
                                    struct error *err);

/* Read the optional data into 'buffer', which lends the configuration. */
must_check bool xlfile_config_read(struct stream_source *source,
                                   const struct xlfile_header *h,
                                   struct buffer *buffer,
                                   struct xlfile_config *ret,
                                   struct error *err);

/*
 * A header for a libxl stream, in the buffer's byte order.  'config' is JSON,
 * 'length' octets and its NUL, or NULL for none.
 */
void xlfile_append(struct buffer *buffer, const char *config, uint32_t length);

#endif
