/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/file_window.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static bool window_fill(struct file_window *w, struct error *err)
{
    uint64_t left = w->end - w->at;
    size_t wanted = left < sizeof(w->bytes) ? (size_t)left : sizeof(w->bytes);
    ssize_t got;

    do
        got = pread(w->fd, w->bytes, wanted, (off_t)w->at);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_set_errno(err, ERR_IO, errno, "read at %" PRIu64, w->at);
    w->start = w->at;
    w->length = (size_t)got;
    return true;
}

static bool window_read_some(void *context, void *buffer, size_t length,
                             size_t *ret_got, struct error *err)
{
    struct file_window *w = context;
    size_t in, got;

    *ret_got = 0;
    if (w->at >= w->end || length == 0)
        return true;
    if (w->at < w->start || w->at >= w->start + w->length) {
        if (!window_fill(w, err))
            return false;
        if (w->length == 0)
            return true;
    }
    in = (size_t)(w->at - w->start);
    got = size_min(length, w->length - in);
    memcpy(buffer, w->bytes + in, got);
    w->at += got;
    *ret_got = got;
    return true;
}

static bool window_readv(void *context, struct iovec *iov, int nr_iov,
                         struct error *err)
{
    return source_readv_by_pieces(window_read_some, context, iov, nr_iov, err);
}

static uint64_t window_hole_ahead(void *context)
{
    return 0;
}

static bool window_skip_hole(void *context, uint64_t length, struct error *err)
{
    return length == 0 ||
           error_set(err, ERR_STATE, "file window: no hole to skip over");
}

static bool window_skip(void *context, uint64_t length, uint64_t *ret_done,
                        struct error *err)
{
    struct file_window *w = context;
    uint64_t left = w->end - w->at;

    /* 'end' is the file's, so that nothing beyond it can be skipped. */
    *ret_done = length < left ? length : left;
    w->at += *ret_done;
    return true;
}

static const struct source_ops window_ops = {
    .read_some = window_read_some,
    .readv = window_readv,
    .hole_ahead = window_hole_ahead,
    .skip_hole = window_skip_hole,
    .skip = window_skip,
};

struct stream_source source_from_window(struct file_window *w, int fd,
                                        uint64_t start, uint64_t end)
{
    w->fd = fd;
    w->at = start;
    w->end = end;
    w->start = start;
    w->length = 0;
    return (struct stream_source){
        .ops = &window_ops, .context = w, .offset = start};
}

bool file_read_at(int fd, void *buffer, size_t length, uint64_t offset,
                  const char *what, struct error *err)
{
    uint8_t *at = buffer;

    while (length > 0) {
        ssize_t got = pread(fd, at, length, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(err, ERR_IO, errno, "%s at %" PRIu64, what,
                                   offset);
        if (got == 0)
            return error_set_at(err, ERR_TRUNCATED, offset,
                                "%s: the file ends at %" PRIu64
                                ", expected %zu octets more",
                                what, offset, length);
        at += got;
        offset += (uint64_t)got;
        length -= (size_t)got;
    }
    return true;
}

bool file_write_at(int fd, const void *buffer, size_t length, uint64_t offset,
                   const char *what, struct error *err)
{
    const uint8_t *at = buffer;

    while (length > 0) {
        ssize_t put = pwrite(fd, at, length, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return error_set_errno(err, ERR_IO, errno, "%s at %" PRIu64, what,
                                   offset);
        at += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    return true;
}
