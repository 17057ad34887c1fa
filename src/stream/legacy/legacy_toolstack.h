/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxl's blob in a legacy image: where the device model had put guest memory.
 *
 *    u32 version = 1, u32 count, then per entry
 *    u64 phys_offset, u64 start_addr, u64 size, u32 name length, name
 *
 * A 64-bit libxl leaves four more octets after each name: the padding at the
 * end of its C structure.
 */
#ifndef STREAM_LEGACY_LEGACY_TOOLSTACK_H
#define STREAM_LEGACY_LEGACY_TOOLSTACK_H

#include "base/buffer.h"

/* A blob has at most 4 MiB; an entry of 28 octets becomes some hundred. */
#define LEGACY_TOOLSTACK_STRINGS_MAX ((size_t)32 << 20)

enum legacy_toolstack_layout {
    TOOLSTACK_AS_EXPECTED,
    TOOLSTACK_OTHER_WIDTH, /* only the other width's layout fits */
};

/*
 * Append the strings of an EMULATOR_XENSTORE_DATA record to 'strings': for
 * each entry physmap/<phys>/start_addr, /size and /name with their values.
 * 'width' is the toolstack's.  'offset' is the blob's in the stream.
 */
must_check bool legacy_toolstack_convert(const uint8_t *blob, size_t length,
                                         unsigned int width, uint64_t offset,
                                         struct buffer *strings,
                                         enum legacy_toolstack_layout *ret,
                                         struct error *err);

#endif
