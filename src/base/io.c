/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/io.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

static int io_fd(const struct io *io)
{
    return io->own_fd >= 0 ? io->own_fd : io->fd;
}

/*
 * A hole reads as zeroes only where the file had nothing before: writing must
 * stand at the end of a regular file, and not append.
 */
static bool stands_at_fresh_end(int fd, const struct stat *st)
{
    int flags = fcntl(fd, F_GETFL);
    off_t at = lseek(fd, 0, SEEK_CUR);

    return flags >= 0 && !(flags & O_APPEND) && at >= 0 && st->st_size <= at;
}

bool io_attach(struct io *ret, int fd, bool for_write, int idle_timeout_ms,
               int cancel_fd, struct error *err)
{
    struct io io = {
        .fd = fd,
        .own_fd = -1,
        .idle_timeout_ms = idle_timeout_ms,
        .cancel_fd = cancel_fd,
    };
    struct stat st;

    if (fstat(fd, &st) != 0)
        return error_set_errno(err, ERR_IO, errno, "descriptor %d", fd);

    if (S_ISREG(st.st_mode)) {
        io.kind = IO_FILE;
        io.holes = for_write && stands_at_fresh_end(fd, &st);
    } else if (S_ISSOCK(st.st_mode)) {
        io.kind = IO_SOCKET;
    } else if (S_ISFIFO(st.st_mode)) {
        char path[64];

        io.kind = IO_PIPE;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        io.own_fd = open(path, (for_write ? O_WRONLY : O_RDONLY) | O_NONBLOCK |
                                   O_CLOEXEC);
        /* Without /proc the pipe still works, but a wait can outlast us. */
        if (io.own_fd < 0)
            io.kind = IO_OTHER;
    } else {
        io.kind = IO_OTHER;
    }
    *ret = io;
    return true;
}

void io_release(struct io *io)
{
    /* A zeroed object owns nothing; descriptor 0 is never a private open. */
    if (io->own_fd > 0)
        close(io->own_fd);
    *io = (struct io){.fd = -1, .own_fd = -1, .cancel_fd = -1};
}

bool io_wait(struct io *io, short events, struct error *err)
{
    int64_t deadline = deadline_after_ms(io->idle_timeout_ms);
    struct pollfd fds[] = {
        {.fd = io_fd(io),     .events = events},
        {.fd = io->cancel_fd, .events = POLLIN}, /* ignored when negative */
    };

    for (;;) {
        int ready = poll(fds, ARRAY_SIZE(fds), deadline_left_ms(deadline));

        if (ready < 0 && errno != EINTR)
            return error_set_errno(err, ERR_IO, errno, "poll");
        if (ready > 0 && fds[1].revents)
            return error_set_at(err, ERR_CANCELLED, io->offset, "cancelled");
        if (ready > 0 && fds[0].revents)
            return true;
        if (ready == 0)
            return error_set_at(err, ERR_TIMEOUT, io->offset,
                                "no progress for %d ms", io->idle_timeout_ms);
    }
}

/* One system call's worth; *ret_done is 0 at the end of a read. */
static bool io_transfer(struct io *io, bool write_out, struct iovec *iov,
                        int nr_iov, size_t *ret_done, struct error *err)
{
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)nr_iov};

    for (;;) {
        ssize_t done;

        if (io->kind == IO_SOCKET)
            done = write_out ? sendmsg(io_fd(io), &message,
                                       MSG_DONTWAIT | MSG_NOSIGNAL)
                             : recvmsg(io_fd(io), &message, MSG_DONTWAIT);
        else
            done = write_out ? writev(io_fd(io), iov, nr_iov)
                             : readv(io_fd(io), iov, nr_iov);
        if (done >= 0) {
            *ret_done = (size_t)done;
            io->offset += (size_t)done;
            return true;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!io_wait(io, write_out ? POLLOUT : POLLIN, err))
                return false;
        } else if (errno != EINTR) {
            bool peer_gone = errno == EPIPE || errno == ECONNRESET;

            error_set_errno(err, peer_gone ? ERR_PEER : ERR_IO, errno,
                            "%s at offset %" PRIu64,
                            write_out ? "write" : "read", io->offset);
            if (err)
                err->offset = io->offset;
            return false;
        }
    }
}

bool io_is_cancelled(int cancel_fd)
{
    struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};

    return cancel_fd >= 0 && poll(&cancel, 1, 0) > 0;
}

/* A cancelled or IO_OTHER transfer must be noticed before it blocks. */
static bool io_before_transfer(struct io *io, bool write_out, struct error *err)
{
    if (io->kind == IO_OTHER)
        return io_wait(io, write_out ? POLLOUT : POLLIN, err);
    if (io_is_cancelled(io->cancel_fd))
        return error_set_at(err, ERR_CANCELLED, io->offset, "cancelled");
    return true;
}

static void iov_advance(struct iovec **iov, int *nr_iov, size_t done)
{
    while (*nr_iov > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*nr_iov)--;
    }
    if (*nr_iov > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

/* ---- runs ------------------------------------------------------------- */

#define RUN_ZERO     (UINT64_C(1) << 63)
#define RUN_HEAD_LEN 8

static void run_head(uint64_t length, bool zero, uint8_t ret[RUN_HEAD_LEN])
{
    uint64_t word = htobe64(length | (zero ? RUN_ZERO : 0));

    memcpy(ret, &word, RUN_HEAD_LEN);
}

/* The head of the next run; at the end of the stream nothing is left. */
static bool run_begin(struct io *io, struct error *err)
{
    uint8_t head[RUN_HEAD_LEN];
    size_t got = 0;
    uint64_t word;

    while (got < sizeof(head)) {
        struct iovec iov = {.iov_base = head + got,
                            .iov_len = sizeof(head) - got};
        size_t done;

        if (!io_before_transfer(io, false, err) ||
            !io_transfer(io, false, &iov, 1, &done, err))
            return false;
        if (done == 0 && got == 0)
            return true;
        if (done == 0)
            return error_set_at(err, ERR_TRUNCATED, io->offset,
                                "the stream ends after %zu octets of the head "
                                "of a run, expected %zu",
                                got, sizeof(head));
        got += done;
    }
    memcpy(&word, head, sizeof(word));
    word = be64toh(word);
    io->run_zero = word & RUN_ZERO;
    io->run_left = word & ~RUN_ZERO;
    return io->run_left > 0 ||
           error_set_at(err, ERR_FORMAT, io->offset - RUN_HEAD_LEN,
                        "run: no octets, expected at least 1");
}

bool io_runs_end(const struct io *io, struct error *err)
{
    return io->run_left == 0 ||
           error_set_at(err, ERR_FORMAT, io->offset,
                        "run: %" PRIu64 " octets more than the stream has",
                        io->run_left);
}

/* Zeroes for as much of 'iov' as the run has. */
static size_t run_zeroes(struct io *io, const struct iovec *iov, int nr_iov)
{
    size_t done = 0;

    for (int i = 0; i < nr_iov && done < io->run_left; i++) {
        size_t part = iov[i].iov_len;

        if (part > io->run_left - done)
            part = (size_t)(io->run_left - done);
        memset(iov[i].iov_base, 0, part);
        done += part;
    }
    return done;
}

/* Read no further than the run goes. */
static bool run_octets(struct io *io, struct iovec *iov, int nr_iov,
                       size_t *ret_done, struct error *err)
{
    uint64_t room = 0;
    size_t kept = 0;
    int nr = 0;
    bool ok;

    while (nr < nr_iov && room < io->run_left)
        room += iov[nr++].iov_len;
    if (room > io->run_left) {
        kept = (size_t)(room - io->run_left);
        iov[nr - 1].iov_len -= kept;
    }
    ok = io_before_transfer(io, false, err) &&
         io_transfer(io, false, iov, nr, ret_done, err);
    iov[nr - 1].iov_len += kept;
    return ok && (*ret_done > 0 ||
                  error_set_at(err, ERR_TRUNCATED, io->offset,
                               "the stream ends within a run, %" PRIu64
                               " octets before its end",
                               io->run_left));
}

/* ---- reading ---------------------------------------------------------- */

/* '*ret_done' is 0 at the end of the stream. */
static bool read_some(struct io *io, struct iovec *iov, int nr_iov,
                      size_t *ret_done, struct error *err)
{
    if (!io->runs)
        return io_before_transfer(io, false, err) &&
               io_transfer(io, false, iov, nr_iov, ret_done, err);
    *ret_done = 0;
    if (io->run_left == 0 && !run_begin(io, err))
        return false;
    if (io->run_left == 0)
        return true;
    if (io->run_zero)
        *ret_done = run_zeroes(io, iov, nr_iov);
    else if (!run_octets(io, iov, nr_iov, ret_done, err))
        return false;
    io->run_left -= *ret_done;
    return true;
}

bool io_read_some(struct io *io, void *buffer, size_t length, size_t *ret_got,
                  struct error *err)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = length};

    return read_some(io, &iov, 1, ret_got, err);
}

bool io_readv_exact(struct io *io, struct iovec *iov, int nr_iov,
                    struct error *err)
{
    uint64_t wanted = 0, got = 0;

    for (int i = 0; i < nr_iov; i++)
        wanted += iov[i].iov_len;
    iov_advance(&iov, &nr_iov, 0);
    while (nr_iov > 0) {
        size_t done;

        if (!read_some(io, iov, nr_iov < IOV_MAX ? nr_iov : IOV_MAX, &done,
                       err))
            return false;
        if (done == 0)
            return error_set_at(err, ERR_TRUNCATED, io->offset,
                                "the stream ends after %" PRIu64
                                " octets, expected %" PRIu64,
                                got, wanted);
        got += done;
        iov_advance(&iov, &nr_iov, done);
    }
    return true;
}

bool io_read_exact(struct io *io, void *buffer, size_t length,
                   struct error *err)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = length};

    return io_readv_exact(io, &iov, 1, err);
}

/*
 * Wait until what was written is within the limit.  A pause of the writer is
 * made up for, but not a long one.
 */
static bool io_pace(struct io *io, size_t done, struct error *err)
{
    struct pollfd cancel = {.fd = io->cancel_fd, .events = POLLIN};
    int64_t now = clock_now_ns();
    int ready;

    if (io->paced_ns < now - 100 * NS_PER_MS)
        io->paced_ns = now - 100 * NS_PER_MS;
    io->paced_ns += (int64_t)((double)done * 1e9 / (double)io->rate_limit);
    while (io->paced_ns > now) {
        ready = poll(&cancel, 1, deadline_left_ms(io->paced_ns));
        if (ready > 0)
            return error_set_at(err, ERR_CANCELLED, io->offset, "cancelled");
        now = clock_now_ns();
    }
    return true;
}

static bool write_all(struct io *io, struct iovec *iov, int nr_iov,
                      struct error *err)
{
    iov_advance(&iov, &nr_iov, 0);
    while (nr_iov > 0) {
        size_t done;

        if (!io_before_transfer(io, true, err) ||
            !io_transfer(io, true, iov, nr_iov < IOV_MAX ? nr_iov : IOV_MAX,
                         &done, err))
            return false;
        if (done > 0)
            io->hole_at_end = false;
        if (io->rate_limit && !io_pace(io, done, err))
            return false;
        iov_advance(&iov, &nr_iov, done);
    }
    return true;
}

/* More pieces than these are a copy of their list, but never of the octets. */
#define RUN_PIECES 1100

static bool write_run(struct io *io, struct iovec *iov, int nr_iov,
                      struct error *err)
{
    struct iovec pieces[RUN_PIECES + 1];
    uint8_t head[RUN_HEAD_LEN];

    while (nr_iov > 0) {
        int nr = nr_iov < RUN_PIECES ? nr_iov : RUN_PIECES;
        uint64_t length = 0;

        for (int i = 0; i < nr; i++)
            length += iov[i].iov_len;
        memcpy(pieces + 1, iov, (size_t)nr * sizeof(*iov));
        pieces[0] = (struct iovec){.iov_base = head, .iov_len = sizeof(head)};
        run_head(length, false, head);
        if (length > 0 && !write_all(io, pieces, nr + 1, err))
            return false;
        iov += nr;
        nr_iov -= nr;
    }
    return true;
}

bool io_writev_all(struct io *io, struct iovec *iov, int nr_iov,
                   struct error *err)
{
    return io->runs ? write_run(io, iov, nr_iov, err)
                    : write_all(io, iov, nr_iov, err);
}

bool io_write_all(struct io *io, const void *buffer, size_t length,
                  struct error *err)
{
    struct iovec iov = {.iov_base = (void *)buffer, .iov_len = length};

    return io_writev_all(io, &iov, 1, err);
}

bool io_write_zeroes(struct io *io, size_t length, struct error *err)
{
    static const uint8_t zeroes[16 * 4096];

    if (io->runs && length > 0) {
        uint8_t head[RUN_HEAD_LEN];
        struct iovec iov = {.iov_base = head, .iov_len = sizeof(head)};

        run_head(length, true, head);
        return write_all(io, &iov, 1, err);
    }
    if (io->holes && length > 0) {
        if (!io_skip(io, length, err))
            return false;
        io->hole_at_end = true;
        return true;
    }
    while (length > 0) {
        size_t part = size_min(length, sizeof(zeroes));

        if (!io_write_all(io, zeroes, part, err))
            return false;
        length -= part;
    }
    return true;
}

bool io_finish(struct io *io, struct error *err)
{
    off_t end;

    if (!io->hole_at_end)
        return true;
    end = lseek(io->fd, 0, SEEK_CUR);
    if (end < 0 || ftruncate(io->fd, end) != 0)
        return error_set_errno(err, ERR_IO, errno, "end of file");
    io->hole_at_end = false;
    return true;
}

uint64_t io_hole_ahead(struct io *io)
{
    off_t at, data, hole;

    if (io->runs) {
        /* What is wrong with it is told to whoever reads on. */
        if (io->run_left == 0 && !run_begin(io, NULL))
            return 0;
        return io->run_zero ? io->run_left : 0;
    }
    if (io->kind != IO_FILE || io->offset < io->data_end)
        return 0;
    at = lseek(io->fd, 0, SEEK_CUR);
    if (at < 0)
        return 0;
    hole = lseek(io->fd, at, SEEK_HOLE);
    if (hole > at)
        io->data_end = io->offset + (uint64_t)(hole - at);
    data = hole > at ? at : lseek(io->fd, at, SEEK_DATA);
    if (data < 0)
        /* ENXIO: nothing but a hole up to the end. */
        data = errno == ENXIO ? lseek(io->fd, 0, SEEK_END) : at;
    /* All of these move the position: put it back. */
    if (lseek(io->fd, at, SEEK_SET) < 0 || data < at)
        return 0;
    return (uint64_t)(data - at);
}

bool io_skip(struct io *io, uint64_t length, struct error *err)
{
    if (io->runs && io->run_zero && length <= io->run_left) {
        io->run_left -= length;
        return true;
    }
    if (io->kind != IO_FILE || length > INT64_MAX ||
        lseek(io->fd, (off_t)length, SEEK_CUR) < 0)
        return error_set_errno(err, ERR_IO,
                               io->kind == IO_FILE ? errno : ESPIPE,
                               "seek %" PRIu64 " octets ahead", length);
    io->offset += length;
    return true;
}

/* As much as the system allows anybody. */
#define PIPE_SIZE (1 << 20)

/* What is mapped at a time. */
#define MOVE_WINDOW ((size_t)64 << 20)

/*
 * Only between what cannot block in the call: a pipe of our own, without
 * waiting, or a device, of which nobody knows better.
 */
static bool can_move(const struct io *in, const struct io *out)
{
    if (in->kind == IO_OTHER || in->runs || out->runs || out->rate_limit)
        return false;
    return out->kind == IO_PIPE ||
           (in->kind == IO_FILE && out->kind == IO_OTHER);
}

/*
 * A write from the file's own pages, which only the kernel looks at, and maybe
 * not even that: so what the file does not have is not offered.
 */
static ssize_t write_mapped(const struct io *in, const struct io *out,
                            size_t length)
{
    off_t at = lseek(io_fd(in), 0, SEEK_CUR);
    uint8_t *window;
    struct stat st;
    size_t before;
    ssize_t n;

    if (at < 0 || fstat(io_fd(in), &st) != 0)
        return -1;
    if (at >= st.st_size)
        return 0;
    before = (size_t)at % PAGE_SIZE;
    length = size_min(length, size_min((size_t)(st.st_size - at), MOVE_WINDOW));
    window = mmap(NULL, before + length, PROT_READ, MAP_SHARED, io_fd(in),
                  at - (off_t)before);
    if (window == MAP_FAILED)
        return -1;
    n = write(io_fd(out), window + before, length);
    munmap(window, before + length);
    if (n > 0 && lseek(io_fd(in), at + n, SEEK_SET) < 0)
        return -1;
    return n;
}

static ssize_t move_once(const struct io *in, const struct io *out,
                         size_t length)
{
    if (out->kind == IO_PIPE)
        return splice(io_fd(in), NULL, io_fd(out), NULL, length,
                      SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    return write_mapped(in, out, length);
}

bool io_move(struct io *in, struct io *out, uint64_t length, uint64_t *ret_done,
             struct error *err)
{
    uint64_t done = 0;

    *ret_done = 0;
    if (!can_move(in, out))
        return true;
    if (!out->moved && out->kind == IO_PIPE &&
        fcntl(io_fd(out), F_GETPIPE_SZ) < PIPE_SIZE)
        /* Fewer waits for the reader; its refusal does no harm. */
        (void)fcntl(io_fd(out), F_SETPIPE_SZ, PIPE_SIZE);
    out->moved = true;
    while (done < length) {
        uint64_t left = length - done;
        ssize_t n;

        if (!io_before_transfer(in, false, err) ||
            !io_before_transfer(out, true, err))
            return false;
        n = move_once(in, out, left < INT32_MAX ? (size_t)left : INT32_MAX);
        if (n > 0) {
            in->offset += (uint64_t)n;
            out->offset += (uint64_t)n;
            out->hole_at_end = false;
            done += (uint64_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if ((in->kind != IO_FILE && !io_wait(in, POLLIN, err)) ||
                !io_wait(out, POLLOUT, err))
                return false;
        } else if (n == 0 || errno != EINTR) {
            /* What is wrong, reading or writing it will tell. */
            break;
        }
    }
    *ret_done = done;
    return true;
}

int64_t file_next_hole(int fd, int64_t at, int64_t end)
{
    off_t hole = lseek(fd, at, SEEK_HOLE);

    return hole < 0 || hole > end ? end : hole;
}

int64_t file_next_data(int fd, int64_t at, int64_t end)
{
    off_t data = lseek(fd, at, SEEK_DATA);

    if (data < 0)
        return errno == ENXIO ? end : at;
    return data < end ? data : end;
}

bool file_open(const char *path, int flags, mode_t mode, int *ret_fd,
               struct error *err)
{
    int fd = open(path, flags | O_CLOEXEC, mode);

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    *ret_fd = fd;
    return true;
}
