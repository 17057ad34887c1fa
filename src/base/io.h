/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream of octets over a file descriptor: exact reads and writes, an idle
 * limit, cancellation, and holes where the descriptor is a regular file.
 *
 *  kind         waits   how it never blocks inside a system call
 *  IO_FILE      no      -
 *  IO_SOCKET    poll    MSG_DONTWAIT
 *  IO_PIPE      poll    its own O_NONBLOCK open of the same pipe, since the
 *                       flag on a shared description would reach other
 *                       processes (libxl and its helper share one)
 *  IO_OTHER     poll    may block (a terminal, a character device)
 *
 * A process that writes to pipes ignores SIGPIPE; a reader that left is then
 * ERR_PEER.
 *
 * Nothing is buffered and nothing is read ahead: what was not asked for stays
 * in the descriptor for its next reader.
 */
#ifndef BASE_IO_H
#define BASE_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

enum io_kind { IO_FILE, IO_SOCKET, IO_PIPE, IO_OTHER };

struct io {
    int fd;     /* borrowed: the caller's, as given to io_attach() */
    int own_fd; /* owned: the private open of a pipe, else -1 */
    enum io_kind kind;
    int idle_timeout_ms; /* longest wait without progress; -1: for ever */
    int cancel_fd;       /* readable when the work is to stop; -1: none */
    uint64_t offset;     /* octets read or written since io_attach() */
    bool moved;          /* writing: io_move() has been here */
    bool holes;          /* writing: zeroes may be skipped over */
    bool hole_at_end;    /* writing: the file is shorter than it should be */
    uint64_t data_end;   /* private: reading: no hole before this offset */
    uint64_t rate_limit; /* writing: octets a second at most; 0: no limit */
    int64_t paced_ns;    /* private: what was written may be gone by then */
    bool runs;           /* both sides: octets come in runs, see below */
    bool run_zero;       /* private: of the run that is being read */
    uint64_t run_left;   /* private */
};

/*
 * With 'runs' set, which both sides have agreed on, zeroes cost nothing on the
 * way.  The octets come in runs, each behind a head of 8:
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-+---------------------------------------------+
 *    |Z| length, 1 to 2^63 - 1, big-endian           |
 *    +-+---------------------------------------------+
 *    | Z clear: length octets.  Z set: nothing, they |
 *    | are all zero                                  |
 *    +-----------------------------------------------+
 *
 * What is read and written is the octets; 'offset' counts the wire's.  A run
 * ends with the last octet that is meant for the reader, so another protocol
 * may follow; io_runs_end() finds one that does not.
 */
must_check bool io_runs_end(const struct io *io, struct error *err);

/*
 * Start on 'fd', which stays the caller's and must outlive '*ret'.  'for_write'
 * says which direction is used.
 */
must_check bool io_attach(struct io *ret, int fd, bool for_write,
                          int idle_timeout_ms, int cancel_fd,
                          struct error *err);
void io_release(struct io *io);

/* Read at least one octet; *ret_got is 0 at the end of the stream. */
must_check bool io_read_some(struct io *io, void *buffer, size_t length,
                             size_t *ret_got, struct error *err);

/* Read exactly 'length' octets; an early end is ERR_TRUNCATED. */
must_check bool io_read_exact(struct io *io, void *buffer, size_t length,
                              struct error *err);

/*
 * Scatter a read of exactly the sum of the lengths.  'iov' is used up: its
 * entries change on the way.
 */
must_check bool io_readv_exact(struct io *io, struct iovec *iov, int nr_iov,
                               struct error *err);

must_check bool io_write_all(struct io *io, const void *buffer, size_t length,
                             struct error *err);

/* As io_write_all(), gathered.  'iov' is used up. */
must_check bool io_writev_all(struct io *io, struct iovec *iov, int nr_iov,
                              struct error *err);

/*
 * Write zeroes; in a fresh part of a regular file leave a hole instead.  End
 * with io_finish(), which gives the file its length.
 */
must_check bool io_write_zeroes(struct io *io, size_t length,
                                struct error *err);
must_check bool io_finish(struct io *io, struct error *err);

/*
 * How many of the next octets of a regular file, or of runs, are a hole, thus
 * zero without being read; 0 where that is not known.  io_skip() moves past
 * octets of a regular file, or of such a hole, without reading them.
 */
uint64_t io_hole_ahead(struct io *io);
must_check bool io_skip(struct io *io, uint64_t length, struct error *err);

/*
 * Move at most 'length' octets from 'in' to 'out' without a copy in memory of
 * ours: the kernel passes on its own pages.  '*ret_done' is how many that were;
 * less than 'length' where the kernel does not do it between these two, or where
 * 'in' is at its end.
 */
must_check bool io_move(struct io *in, struct io *out, uint64_t length,
                        uint64_t *ret_done, struct error *err);

/*
 * Wait for 'events' (POLLIN, POLLOUT) on the descriptor, within the idle limit
 * and until cancelled.
 */
must_check bool io_wait(struct io *io, short events, struct error *err);

/* Whether somebody has asked to stop: 'cancel_fd' is readable; -1: nobody can. */
bool io_is_cancelled(int cancel_fd);

/*
 * Where a regular file is a hole from 'at' on, and where data begins again, both
 * within 'end'.  A file system without holes is all data.  The position moves.
 */
int64_t file_next_hole(int fd, int64_t at, int64_t end);
int64_t file_next_data(int fd, int64_t at, int64_t end);

/* Open a file, O_CLOEXEC; the error names the path. */
must_check bool file_open(const char *path, int flags, mode_t mode, int *ret_fd,
                          struct error *err);

#endif
