/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Octets, converted as the options say, in pieces of 'chunk' (0: as asked). */
#ifndef FUZZ_CONVERT_H
#define FUZZ_CONVERT_H

#include <assert.h>
#include <stdlib.h>

#include "stream/image/image_convert.h"

static inline bool convert(const uint8_t *data, size_t size, size_t chunk,
                           const struct image_convert_options *options,
                           struct buffer *out)
{
    struct memory_source memory = {
        .bytes = data, .length = size, .chunk = chunk};
    struct stream_source source = source_from_memory(&memory);
    struct stream_sink sink = sink_to_buffer(out);
    struct image_input *in = calloc(1, sizeof(*in));
    struct image_convert_result result;
    struct error err = {0};
    bool ok;

    assert(in);
    ok = image_open(in, &source, NULL, &err) && in->form == IMAGE_STREAM &&
         image_convert(in, &sink, options, &result, &err);
    image_close(in);
    free(in);
    return ok;
}

#endif
