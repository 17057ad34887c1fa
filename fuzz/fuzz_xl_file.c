/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xl header and its optional data, then what kind of image stands behind.
 * The magic is put in front, so that no mutation is lost on it.
 *
 * Properties: octets that come in other pieces give the same; a header that is
 * written again is read as it was.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stream/image/image_open.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool open_image(const struct buffer *b, size_t chunk,
                       struct image_input *in)
{
    struct memory_source memory = {b->bytes, b->length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    struct error err = {0};
    bool ok = image_open(in, &source, NULL, &err);

    assert(ok || err.code != ERR_NONE);
    return ok;
}

static bool read_config(const struct buffer *b, struct xlfile_header *h,
                        struct buffer *optional, struct xlfile_config *ret)
{
    struct memory_source memory = {b->bytes, b->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    uint8_t bytes[XLFILE_HEADER_SIZE];
    struct error err;

    return source_read(&source, bytes, sizeof(bytes), "xl header", &err) &&
           xlfile_header_decode(bytes, 0, h, &err) &&
           xlfile_config_read(&source, h, optional, ret, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer b = {0};
    struct buffer optional = {.cap = XLFILE_OPTIONAL_MAX};
    struct buffer again = {0};
    struct buffer optional_again = {.cap = XLFILE_OPTIONAL_MAX};
    struct image_input *whole = calloc(1, sizeof(*whole));
    struct image_input *pieces = calloc(1, sizeof(*pieces));
    struct xlfile_header h, h2;
    struct xlfile_config config, config2;
    bool ok;

    assert(whole && pieces);
    buffer_bytes(&b, XLFILE_MAGIC, XLFILE_MAGIC_SIZE);
    buffer_bytes(&b, data, size);
    ok = open_image(&b, 0, whole);
    assert(open_image(&b, 3, pieces) == ok);
    assert(whole->form == pieces->form && whole->kind == pieces->kind);
    if (read_config(&b, &h, &optional, &config)) {
        xlfile_append_again(&again, &h, &config, &optional, false);
        assert(read_config(&again, &h2, &optional_again, &config2));
        assert(h2.mandatory_flags == h.mandatory_flags);
        assert(config2.present == config.present);
        if (config.present) {
            assert(config2.length == config.length);
            assert(memcmp(config2.text, config.text, config.length) == 0);
        }
    }
    image_close(whole);
    image_close(pieces);
    free(whole);
    free(pieces);
    buffer_release(&b);
    buffer_release(&optional);
    buffer_release(&again);
    buffer_release(&optional_again);
    return 0;
}
