/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/stream_io.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stream/file_window.h"

/* Bounce buffer for octets that are read only to get past them. */
#define SKIP_CHUNK ((size_t)64 << 10)

/* source_read_buffer() asks for no more room than this at a time. */
#define READ_CHUNK ((size_t)1 << 20)

static bool source_ended(const struct stream_source *s, const char *what,
                         uint64_t got, uint64_t wanted, struct error *err)
{
    return error_set_at(err, ERR_TRUNCATED, s->offset,
                        "%s: stream ends at offset %" PRIu64 " after %" PRIu64
                        " octets, expected %" PRIu64,
                        what, s->offset, got, wanted);
}

bool source_read_some(struct stream_source *s, void *buffer, size_t length,
                      size_t *ret_got, struct error *err)
{
    size_t got = 0;

    if (!s->ops->read_some(s->context, buffer, length, &got, err))
        return false;
    assert(got <= length);
    s->offset += got;
    *ret_got = got;
    return true;
}

bool source_read(struct stream_source *s, void *buffer, size_t length,
                 const char *what, struct error *err)
{
    uint8_t *at = buffer;
    size_t done = 0;

    while (done < length) {
        size_t got;

        if (!source_read_some(s, at + done, length - done, &got, err))
            return error_wrap(err, "%s", what);
        if (got == 0)
            return source_ended(s, what, done, length, err);
        done += got;
    }
    return true;
}

bool source_readv(struct stream_source *s, struct iovec *iov, int nr_iov,
                  const char *what, struct error *err)
{
    uint64_t length = 0;

    for (int i = 0; i < nr_iov; i++)
        length += iov[i].iov_len;
    if (!s->ops->readv(s->context, iov, nr_iov, err)) {
        if (err)
            err->offset = s->offset;
        return error_wrap(err, "%s", what);
    }
    s->offset += length;
    return true;
}

bool source_readv_by_pieces(bool (*read_some)(void *context, void *buffer,
                                              size_t length, size_t *ret_got,
                                              struct error *err),
                            void *context, struct iovec *iov, int nr_iov,
                            struct error *err)
{
    for (int i = 0; i < nr_iov; i++) {
        uint8_t *at = iov[i].iov_base;
        size_t left = iov[i].iov_len;

        while (left > 0) {
            size_t got;

            if (!read_some(context, at, left, &got, err))
                return false;
            if (got == 0)
                return error_set(err, ERR_TRUNCATED,
                                 "the image ends, expected %zu octets more",
                                 left);
            at += got;
            left -= got;
        }
    }
    return true;
}

/* Get past octets by reading them, as far as one read goes. */
static bool read_past(struct stream_source *s, uint64_t length, size_t *ret_got,
                      struct error *err)
{
    uint8_t dropped[SKIP_CHUNK];

    return source_read_some(
        s, dropped,
        (size_t)(length < sizeof(dropped) ? length : sizeof(dropped)), ret_got,
        err);
}

bool source_skip(struct stream_source *s, uint64_t length, const char *what,
                 struct error *err)
{
    uint64_t done = 0;

    while (done < length) {
        uint64_t skipped = 0;
        size_t got = 0;

        if (!s->ops->skip(s->context, length - done, &skipped, err))
            return error_wrap(err, "%s", what);
        assert(skipped <= length - done);
        s->offset += skipped;
        done += skipped;
        if (done == length)
            break;
        if (!read_past(s, length - done, &got, err))
            return error_wrap(err, "%s", what);
        if (got == 0)
            return source_ended(s, what, done, length, err);
        done += got;
    }
    return true;
}

bool source_read_buffer(struct stream_source *s, struct buffer *buffer,
                        size_t length, const char *what, struct error *err)
{
    size_t done = 0;

    while (done < length) {
        size_t piece = size_min(length - done, READ_CHUNK);
        uint8_t *at = buffer_extend(buffer, piece);
        size_t got = 0;

        if (!at)
            return buffer_check(buffer, what, err);
        if (!source_read_some(s, at, piece, &got, err))
            return error_wrap(err, "%s", what);
        buffer->length -= piece - got;
        if (got == 0)
            return source_ended(s, what, done, length, err);
        done += got;
    }
    return true;
}

bool source_read_again(struct stream_source *s, uint64_t offset, void *buffer,
                       size_t length, bool *ret_able, struct error *err)
{
    *ret_able = false;
    if (!s->ops->read_again || offset > s->offset ||
        length > s->offset - offset)
        return true;
    return s->ops->read_again(s->context, s->offset - offset, buffer, length,
                              ret_able, err);
}

uint64_t source_hole_ahead(struct stream_source *s)
{
    return s->ops->hole_ahead(s->context);
}

bool source_skip_hole(struct stream_source *s, uint64_t length,
                      struct error *err)
{
    if (!s->ops->skip_hole(s->context, length, err))
        return false;
    s->offset += length;
    return true;
}

bool sink_writev(struct stream_sink *s, struct iovec *iov, int nr_iov,
                 struct error *err)
{
    uint64_t length = 0;

    for (int i = 0; i < nr_iov; i++)
        length += iov[i].iov_len;
    if (!s->ops->writev(s->context, iov, nr_iov, err))
        return false;
    s->offset += length;
    return true;
}

bool sink_write(struct stream_sink *s, const void *bytes, size_t length,
                struct error *err)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes,
                        .iov_len = length};

    return length == 0 || sink_writev(s, &iov, 1, err);
}

bool sink_write_zeroes(struct stream_sink *s, uint64_t length,
                       struct error *err)
{
    if (!s->ops->write_zeroes(s->context, length, err))
        return false;
    s->offset += length;
    return true;
}

bool stream_move(struct stream_source *source, struct stream_sink *sink,
                 uint64_t length, uint64_t *ret_done, struct error *err)
{
    *ret_done = 0;
    if (!source->ops->move || !sink->ops->io)
        return true;
    if (!source->ops->move(source->context, sink->ops->io(sink->context),
                           length, ret_done, err))
        return false;
    source->offset += *ret_done;
    sink->offset += *ret_done;
    return true;
}

/* Memory ---------------------------------------------------------------- */

static bool memory_read_some(void *context, void *buffer, size_t length,
                             size_t *ret_got, struct error *err)
{
    struct memory_source *m = context;
    size_t got = size_min(length, m->length - m->at);

    if (m->chunk)
        got = size_min(got, m->chunk);
    if (got > 0)
        memcpy(buffer, m->bytes + m->at, got);
    m->at += got;
    *ret_got = got;
    return true;
}

static bool memory_readv(void *context, struct iovec *iov, int nr_iov,
                         struct error *err)
{
    struct memory_source *m = context;

    for (int i = 0; i < nr_iov; i++) {
        if (iov[i].iov_len > m->length - m->at)
            return error_set(err, ERR_TRUNCATED,
                             "stream ends after %zu octets, expected %zu",
                             m->length - m->at, iov[i].iov_len);
        if (iov[i].iov_len > 0)
            memcpy(iov[i].iov_base, m->bytes + m->at, iov[i].iov_len);
        m->at += iov[i].iov_len;
    }
    return true;
}

static uint64_t memory_hole_ahead(void *context)
{
    return 0;
}

static bool memory_skip_hole(void *context, uint64_t length, struct error *err)
{
    return length == 0 ||
           error_set(err, ERR_STATE, "memory: no hole to skip over");
}

static bool memory_skip(void *context, uint64_t length, uint64_t *ret_done,
                        struct error *err)
{
    struct memory_source *m = context;
    uint64_t left = m->length - m->at;

    *ret_done = length < left ? length : left;
    m->at += (size_t)*ret_done;
    return true;
}

static bool memory_read_again(void *context, uint64_t ago, void *buffer,
                              size_t length, bool *ret_able, struct error *err)
{
    struct memory_source *m = context;

    *ret_able = ago <= m->at;
    if (*ret_able && length > 0)
        memcpy(buffer, m->bytes + m->at - ago, length);
    return true;
}

static const struct source_ops memory_source_ops = {
    .read_some = memory_read_some,
    .readv = memory_readv,
    .hole_ahead = memory_hole_ahead,
    .skip_hole = memory_skip_hole,
    .skip = memory_skip,
    .read_again = memory_read_again,
};

struct stream_source source_from_memory(struct memory_source *memory)
{
    return (struct stream_source){.ops = &memory_source_ops, .context = memory};
}

static bool buffer_sink_writev(void *context, struct iovec *iov, int nr_iov,
                               struct error *err)
{
    struct buffer *b = context;

    for (int i = 0; i < nr_iov; i++)
        buffer_bytes(b, iov[i].iov_base, iov[i].iov_len);
    return buffer_check(b, "buffer", err);
}

static bool buffer_sink_write_zeroes(void *context, uint64_t length,
                                     struct error *err)
{
    struct buffer *b = context;

    buffer_zeroes(b, (size_t)length);
    return buffer_check(b, "buffer", err);
}

static const struct sink_ops buffer_sink_ops = {
    .writev = buffer_sink_writev,
    .write_zeroes = buffer_sink_write_zeroes,
};

struct stream_sink sink_to_buffer(struct buffer *buffer)
{
    return (struct stream_sink){.ops = &buffer_sink_ops, .context = buffer};
}

/* File descriptors ------------------------------------------------------ */

static bool io_source_read_some(void *context, void *buffer, size_t length,
                                size_t *ret_got, struct error *err)
{
    return io_read_some(context, buffer, length, ret_got, err);
}

static bool io_source_readv(void *context, struct iovec *iov, int nr_iov,
                            struct error *err)
{
    return io_readv_exact(context, iov, nr_iov, err);
}

static uint64_t io_source_hole_ahead(void *context)
{
    return io_hole_ahead(context);
}

static bool io_source_skip_hole(void *context, uint64_t length,
                                struct error *err)
{
    return io_skip(context, length, err);
}

static bool io_source_skip(void *context, uint64_t length, uint64_t *ret_done,
                           struct error *err)
{
    struct io *io = context;
    struct stat st;
    off_t at;
    uint64_t left;

    *ret_done = 0;
    if (io->kind != IO_FILE || length <= SKIP_CHUNK)
        return true;
    /* A seek beyond the end would succeed, and hide that octets miss. */
    at = lseek(io->fd, 0, SEEK_CUR);
    if (at < 0 || fstat(io->fd, &st) != 0 || st.st_size <= at)
        return true;
    left = (uint64_t)(st.st_size - at);
    if (left > length)
        left = length;
    if (!io_skip(io, left, err))
        return false;
    *ret_done = left;
    return true;
}

static bool io_source_move(void *context, struct io *to, uint64_t length,
                           uint64_t *ret_done, struct error *err)
{
    return io_move(context, to, length, ret_done, err);
}

static bool io_source_read_again(void *context, uint64_t ago, void *buffer,
                                 size_t length, bool *ret_able,
                                 struct error *err)
{
    struct io *io = context;
    off_t at = io->kind == IO_FILE ? lseek(io->fd, 0, SEEK_CUR) : -1;

    *ret_able = at >= 0 && (uint64_t)at >= ago;
    return !*ret_able || file_read_at(io->fd, buffer, length,
                                      (uint64_t)at - ago, "image", err);
}

static const struct source_ops io_source_ops = {
    .read_some = io_source_read_some,
    .readv = io_source_readv,
    .hole_ahead = io_source_hole_ahead,
    .skip_hole = io_source_skip_hole,
    .skip = io_source_skip,
    .move = io_source_move,
    .read_again = io_source_read_again,
};

struct stream_source source_from_io(struct io *io)
{
    return (struct stream_source){.ops = &io_source_ops, .context = io};
}

static bool io_sink_writev(void *context, struct iovec *iov, int nr_iov,
                           struct error *err)
{
    return io_writev_all(context, iov, nr_iov, err);
}

static bool io_sink_write_zeroes(void *context, uint64_t length,
                                 struct error *err)
{
    while (length > 0) {
        size_t piece = length > SIZE_MAX ? SIZE_MAX : (size_t)length;

        if (!io_write_zeroes(context, piece, err))
            return false;
        length -= piece;
    }
    return true;
}

static struct io *io_sink_io(void *context)
{
    return context;
}

static const struct sink_ops io_sink_ops = {
    .writev = io_sink_writev,
    .write_zeroes = io_sink_write_zeroes,
    .io = io_sink_io,
};

struct stream_sink sink_to_io(struct io *io)
{
    return (struct stream_sink){.ops = &io_sink_ops, .context = io};
}
