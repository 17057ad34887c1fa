/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_compress.h"

#include <inttypes.h>

#define RUN_SKIP  0x80
#define RUN_WORDS 0x7f

#define PAGE_UNCHANGED 0x00
#define PAGE_WHOLE     0x80

bool legacy_decompress_page(struct stream_source *source,
                            uint8_t page[PAGE_SIZE], struct error *err)
{
    static const char what[] = "compressed page";
    size_t at = 0;
    uint8_t head;

    if (!source_read(source, &head, 1, what, err))
        return false;
    if (head == PAGE_UNCHANGED)
        return true;
    if (head == PAGE_WHOLE)
        return source_read(source, page, PAGE_SIZE, what, err);
    for (;;) {
        size_t length = (size_t)(head & RUN_WORDS) * 4;

        if (length == 0 || length > PAGE_SIZE - at)
            return error_set_at(err, ERR_FORMAT, source->offset - 1,
                                "compressed page: run of %zu octets at %zu, "
                                "expected 4 to %zu",
                                length, at, PAGE_SIZE - at);
        if (!(head & RUN_SKIP) &&
            !source_read(source, page + at, length, what, err))
            return false;
        at += length;
        if (at == PAGE_SIZE)
            return true;
        if (!source_read(source, &head, 1, what, err))
            return false;
    }
}
