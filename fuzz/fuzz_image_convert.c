/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image in any wrapping, opened and converted to another form.  The first
 * octet: bits 0 to 1 the layer, bits 2 to 3 the version, bits 4 to 7 the
 * checkpoint.
 *
 * Properties: octets that come in other pieces give the same result; what comes
 * out is read without an error; converted once more to the same form it stays
 * as it is.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_convert.h"
#include "stream/image/image_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX ((size_t)32 << 20)

static void check_index(const uint8_t *data, size_t size)
{
    struct memory_source memory = {.bytes = data, .length = size};
    struct stream_source source = source_from_memory(&memory);
    struct page_index index;
    struct error err = {0};
    uint64_t nr = 0;

    page_index_init(&index, size);
    if (image_index(&source, 0, &index, &err))
        for (uint64_t pfn = page_index_next(&index, 0); pfn != UINT64_MAX;
             pfn = page_index_next(&index, pfn + 1))
            nr++;
    else
        nr = index.nr_frames;
    assert(nr == index.nr_frames);
    page_index_release(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_convert_options options = {0};
    struct buffer whole = {.cap = OUTPUT_MAX};
    struct buffer pieces = {.cap = OUTPUT_MAX};
    struct buffer again = {.cap = OUTPUT_MAX};
    bool ok;

    if (size < 1)
        return 0;
    options.layer = (data[0] & 3) % 3;
    options.version = (data[0] >> 2 & 3) >= 2 ? data[0] >> 2 & 3 : 0;
    options.checkpoint = data[0] >> 4;
    data++;
    size--;
    check_index(data, size);
    ok = convert(data, size, 0, &options, &whole);
    assert(convert(data, size, size < 512 ? 5 : 61, &options, &pieces) == ok);
    if (ok) {
        assert(whole.length == pieces.length);
        assert(memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
        options.checkpoint = 0;
        assert(convert(whole.bytes, whole.length, 0, &options, &again));
        assert(again.length == whole.length);
        assert(memcmp(whole.bytes, again.bytes, whole.length) == 0);
    }
    buffer_release(&whole);
    buffer_release(&pieces);
    buffer_release(&again);
    return 0;
}
