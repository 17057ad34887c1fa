/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Legacy images made by hand, as small as they can be, part by part. */
#ifndef TESTS_STREAM_LEGACY_MAKER_H
#define TESTS_STREAM_LEGACY_MAKER_H

#include "base/buffer.h"
#include "stream/legacy/legacy_image.h"

struct legacy_shape {
    unsigned int width;
    enum legacy_guest guest;
    unsigned int guest_width;
};

#define LEGACY_SHAPES       6
#define LEGACY_XSAVE_LENGTH 32 /* of a PV guest's vCPU */

extern const struct legacy_shape legacy_shapes[LEGACY_SHAPES];

/* A word as wide as the toolstack's. */
void legacy_put_ul(struct buffer *b, const struct legacy_shape *s,
                   uint64_t value);

/* Octets of a vCPU's basic context. */
uint32_t legacy_context_size(const struct legacy_shape *s);

void legacy_put_head(struct buffer *b, const struct legacy_shape *s,
                     uint64_t frames);

/* Frame 0 with its page, a filler, and frame 1, which has no contents. */
void legacy_put_batch(struct buffer *b, const struct legacy_shape *s);
void legacy_put_chunks(struct buffer *b, const struct legacy_shape *s);
void legacy_put_tail(struct buffer *b, const struct legacy_shape *s);

/* All of it: head, chunks, tail. */
void legacy_put_image(struct buffer *b, const struct legacy_shape *s);

#endif
