/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A source with a few octets put back in front of it: what somebody had to
 * look at to find out what the stream is.
 *
 * Offsets count from where the octets put back begin, so that a message names
 * the same place whether or not anybody looked ahead.
 */
#ifndef STREAM_PUT_BACK_H
#define STREAM_PUT_BACK_H

#include "stream/stream_io.h"

#define PUT_BACK_MAX 64

struct put_back {
    struct stream_source *inner; /* borrowed */
    uint8_t bytes[PUT_BACK_MAX];
    size_t length;
    size_t at;
};

/* 'p' must outlive the source that is returned. */
struct stream_source source_put_back(struct put_back *p,
                                     struct stream_source *inner,
                                     const void *bytes, size_t length);

/*
 * Take up to 'length' octets, at most PUT_BACK_MAX, from 'inner' and put them
 * back.  '*ret_got' is less than 'length' only where the stream ends.  The
 * octets are in p->bytes.
 */
must_check bool source_peek(struct put_back *p, struct stream_source *inner,
                            size_t length, struct stream_source *ret,
                            size_t *ret_got, struct error *err);

#endif
