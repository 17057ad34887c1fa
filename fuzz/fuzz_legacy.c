/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A legacy image, converted.  The first octet is options: bit 0 the width, bit
 * 1 the guest, bit 2 detects both instead, bit 3 makes a libxl stream, bit 4
 * stops after the first round, bit 5 lends scratch files.
 *
 * Properties: octets that come in other pieces give the same result; what comes
 * out is an image that the reader takes from its first header to its END.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream/legacy/legacy_convert.h"
#include "stream/stream_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX ((size_t)32 << 20)

static void check_output(const struct buffer *out)
{
    struct memory_source memory = {.bytes = out->bytes, .length = out->length};
    struct stream_source source = source_from_memory(&memory);
    struct stream_reader reader;
    struct stream_item item = {0};
    struct error err;

    stream_reader_init(&reader, &source);
    do {
        bool ok = stream_reader_next(&reader, &item, &err);

        assert(ok);
    } while (item.kind != ITEM_END);
    stream_reader_release(&reader);
}

/* Scratch files live as long as the process: they are emptied instead. */
static void empty_scratch(int scratch[SCRATCH_MAX])
{
    static int files[SCRATCH_MAX];

    for (size_t i = 0; i < SCRATCH_MAX; i++) {
        if (files[i] == 0)
            files[i] = memfd_create("scratch", MFD_CLOEXEC);
        assert(files[i] > 0);
        assert(ftruncate(files[i], 0) == 0);
        assert(lseek(files[i], 0, SEEK_SET) == 0);
        scratch[i] = files[i];
    }
}

static bool convert(const uint8_t *data, size_t size, uint8_t flags,
                    struct legacy_options image, size_t chunk,
                    struct buffer *out)
{
    struct memory_source memory = {
        .bytes = data, .length = size, .chunk = chunk};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink = sink_to_buffer(out);
    int scratch[SCRATCH_MAX];
    struct legacy_convert_options options = {
        .image = image,
        .libxl = flags & 8,
        .find_zeroes = chunk == 0,
        .scratch = flags & 32 ? scratch : NULL,
    };
    struct legacy_convert_result result;
    struct error err = {0};
    bool ok;

    if (flags & 32)
        empty_scratch(scratch);
    ok = legacy_convert(&source, &sink, &options, &result, &err);
    assert(ok || err.code != ERR_NONE);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct legacy_options image = {0};
    struct buffer whole = {.cap = OUTPUT_MAX};
    struct buffer pieces = {.cap = OUTPUT_MAX};
    uint8_t flags;
    bool ok;

    if (size < 1)
        return 0;
    flags = data[0];
    data++;
    size--;
    if (!(flags & 4)) {
        image.width = flags & 1 ? 8 : 4;
        image.guest = flags & 2 ? LEGACY_GUEST_PV : LEGACY_GUEST_HVM;
    } else if (!legacy_detect(data, size, &image)) {
        return 0;
    }
    image.first_round_only = flags & 16;
    /* A sparse file of a guest's size costs nothing, walking it does. */
    if (size >= 4 && (data[3] || data[2]))
        flags &= ~32;
    ok = convert(data, size, flags, image, 0, &whole);
    assert(convert(data, size, flags, image, size < 512 ? 7 : 61, &pieces) ==
           ok);
    if (ok) {
        assert(whole.length == pieces.length);
        assert(memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
        /* A bare image may have the device model behind it. */
        if (flags & 8)
            check_output(&whole);
    }
    buffer_release(&whole);
    buffer_release(&pieces);
    return 0;
}
