/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/put_back.h"

#include <assert.h>
#include <string.h>

static size_t put_back_left(const struct put_back *p)
{
    return p->length - p->at;
}

static bool put_back_read_some(void *context, void *buffer, size_t length,
                               size_t *ret_got, struct error *err)
{
    struct put_back *p = context;
    size_t got = size_min(length, put_back_left(p));

    if (got == 0)
        return source_read_some(p->inner, buffer, length, ret_got, err);
    memcpy(buffer, p->bytes + p->at, got);
    p->at += got;
    *ret_got = got;
    return true;
}

static bool put_back_readv(void *context, struct iovec *iov, int nr_iov,
                           struct error *err)
{
    struct put_back *p = context;

    for (; nr_iov > 0 && put_back_left(p) > 0; iov++, nr_iov--) {
        size_t got = size_min(iov->iov_len, put_back_left(p));

        if (got > 0)
            memcpy(iov->iov_base, p->bytes + p->at, got);
        p->at += got;
        if (got < iov->iov_len) {
            iov->iov_base = (uint8_t *)iov->iov_base + got;
            iov->iov_len -= got;
            break;
        }
    }
    return nr_iov == 0 || source_readv(p->inner, iov, nr_iov, "stream", err);
}

static uint64_t put_back_hole_ahead(void *context)
{
    struct put_back *p = context;

    return put_back_left(p) > 0 ? 0 : source_hole_ahead(p->inner);
}

static bool put_back_skip_hole(void *context, uint64_t length,
                               struct error *err)
{
    struct put_back *p = context;

    return source_skip_hole(p->inner, length, err);
}

static bool put_back_skip(void *context, uint64_t length, uint64_t *ret_done,
                          struct error *err)
{
    struct put_back *p = context;
    uint64_t done = 0;

    if (put_back_left(p) > 0) {
        done = length < put_back_left(p) ? length : put_back_left(p);
        p->at += (size_t)done;
    } else if (!p->inner->ops->skip(p->inner->context, length, &done, err)) {
        return false;
    } else {
        p->inner->offset += done;
    }
    *ret_done = done;
    return true;
}

static bool put_back_move(void *context, struct io *to, uint64_t length,
                          uint64_t *ret_done, struct error *err)
{
    struct put_back *p = context;

    *ret_done = 0;
    if (put_back_left(p) > 0 || !p->inner->ops->move)
        return true;
    if (!p->inner->ops->move(p->inner->context, to, length, ret_done, err))
        return false;
    p->inner->offset += *ret_done;
    return true;
}

static const struct source_ops put_back_ops = {
    .read_some = put_back_read_some,
    .readv = put_back_readv,
    .hole_ahead = put_back_hole_ahead,
    .skip_hole = put_back_skip_hole,
    .skip = put_back_skip,
    .move = put_back_move,
};

struct stream_source source_put_back(struct put_back *p,
                                     struct stream_source *inner,
                                     const void *bytes, size_t length)
{
    assert(length <= PUT_BACK_MAX && length <= inner->offset);
    p->inner = inner;
    p->length = length;
    p->at = 0;
    /* 'bytes' may be p->bytes itself. */
    memmove(p->bytes, bytes, length);
    return (struct stream_source){
        .ops = &put_back_ops, .context = p, .offset = inner->offset - length};
}

bool source_peek(struct put_back *p, struct stream_source *inner, size_t length,
                 struct stream_source *ret, size_t *ret_got, struct error *err)
{
    size_t done = 0;

    assert(length <= PUT_BACK_MAX);
    while (done < length) {
        size_t got;

        if (!source_read_some(inner, p->bytes + done, length - done, &got, err))
            return false;
        if (got == 0)
            break;
        done += got;
    }
    *ret = source_put_back(p, inner, p->bytes, done);
    *ret_got = done;
    return true;
}
