/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a codec's octets come from and go to.
 *
 * The codecs do no I/O: whoever calls them gives a source or a sink, which is
 * a table of operations and an offset.  A source is never read ahead: what was
 * not asked for is left for the next reader, because the layers of an image
 * share one descriptor across processes.
 *
 * Every operation is mandatory but where it says so.  The functions below are
 * the way to call them: they keep 'offset' right and loop where an operation may
 * do less.
 */
#ifndef STREAM_STREAM_IO_H
#define STREAM_STREAM_IO_H

#include <sys/uio.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"

struct source_ops {
    /* At least one octet and at most 'length'; *ret_got is 0 at the end. */
    bool (*read_some)(void *context, void *buffer, size_t length,
                      size_t *ret_got, struct error *err);
    /* Exactly the sum of the lengths; 'iov' is used up. */
    bool (*readv)(void *context, struct iovec *iov, int nr_iov,
                  struct error *err);
    /* How many of the next octets are known to be zero without reading them. */
    uint64_t (*hole_ahead)(void *context);
    /* Move past octets of a hole: at most what hole_ahead() just said. */
    bool (*skip_hole)(void *context, uint64_t length, struct error *err);
    /*
     * Move past octets without looking at them, if that is cheaper than to
     * read them: *ret_done says how many, 0 where it is not.
     */
    bool (*skip)(void *context, uint64_t length, uint64_t *ret_done,
                 struct error *err);
    /*
     * As io_move(), to another descriptor.  May be NULL: then octets go through
     * memory.
     */
    bool (*move)(void *context, struct io *to, uint64_t length,
                 uint64_t *ret_done, struct error *err);
    /*
     * Octets that were taken before, from the one 'ago' octets before the next
     * on; at most 'ago'.  What comes next stays the same.  NULL, or
     * *ret_able is false: there is no way back.
     */
    bool (*read_again)(void *context, uint64_t ago, void *buffer, size_t length,
                       bool *ret_able, struct error *err);
};

struct stream_source {
    const struct source_ops *ops;
    void *context;   /* borrowed */
    uint64_t offset; /* octets taken so far */
};

/* One read; *ret_got is 0 at the end of the stream. */
must_check bool source_read_some(struct stream_source *s, void *buffer,
                                 size_t length, size_t *ret_got,
                                 struct error *err);

/* Exactly 'length' octets.  'what' names them in the message. */
must_check bool source_read(struct stream_source *s, void *buffer,
                            size_t length, const char *what, struct error *err);

/* Scatter exactly the sum of the lengths; 'iov' is used up. */
must_check bool source_readv(struct stream_source *s, struct iovec *iov,
                             int nr_iov, const char *what, struct error *err);

/* A readv() for sources that have nothing better than their read_some(). */
must_check bool source_readv_by_pieces(
    bool (*read_some)(void *context, void *buffer, size_t length,
                      size_t *ret_got, struct error *err),
    void *context, struct iovec *iov, int nr_iov, struct error *err);

/* Move past exactly 'length' octets, reading them only if necessary. */
must_check bool source_skip(struct stream_source *s, uint64_t length,
                            const char *what, struct error *err);

/*
 * Append exactly 'length' octets to 'buffer'.  Room is made as the octets
 * arrive: a length that the stream does not have costs no memory.
 */
must_check bool source_read_buffer(struct stream_source *s,
                                   struct buffer *buffer, size_t length,
                                   const char *what, struct error *err);

/*
 * Octets from 'offset' on that were taken before.  '*ret_able' is false where
 * the source has no way back, as a pipe has not.
 */
must_check bool source_read_again(struct stream_source *s, uint64_t offset,
                                  void *buffer, size_t length, bool *ret_able,
                                  struct error *err);

uint64_t source_hole_ahead(struct stream_source *s);
must_check bool source_skip_hole(struct stream_source *s, uint64_t length,
                                 struct error *err);

struct sink_ops {
    /* All of it; 'iov' is used up. */
    bool (*writev)(void *context, struct iovec *iov, int nr_iov,
                   struct error *err);
    /* As writing zeroes; a file may keep a hole. */
    bool (*write_zeroes)(void *context, uint64_t length, struct error *err);
    /* The descriptor behind it.  May be NULL: there is none. */
    struct io *(*io)(void *context);
};

struct stream_sink {
    const struct sink_ops *ops;
    void *context;
    uint64_t offset; /* octets given so far */
};

must_check bool sink_write(struct stream_sink *s, const void *bytes,
                           size_t length, struct error *err);
must_check bool sink_writev(struct stream_sink *s, struct iovec *iov,
                            int nr_iov, struct error *err);
must_check bool sink_write_zeroes(struct stream_sink *s, uint64_t length,
                                  struct error *err);

/*
 * Move octets from a source to a sink inside the kernel, where both stand on
 * descriptors: at most 'length'; '*ret_done' says how many, and the rest is to
 * be read and written.
 */
must_check bool stream_move(struct stream_source *source,
                            struct stream_sink *sink, uint64_t length,
                            uint64_t *ret_done, struct error *err);

/* Octets in memory. */
struct memory_source {
    const uint8_t *bytes; /* borrowed */
    size_t length;
    size_t at;
    size_t chunk; /* read_some() gives at most this; 0: no limit */
};

struct stream_source source_from_memory(struct memory_source *memory);

/* Appends to 'buffer'. */
struct stream_sink sink_to_buffer(struct buffer *buffer);

/* A file descriptor; 'io' is the caller's. */
struct stream_source source_from_io(struct io *io);
struct stream_sink sink_to_io(struct io *io);

#endif
