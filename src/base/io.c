/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
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

/* A cancelled or IO_OTHER transfer must be noticed before it blocks. */
static bool io_before_transfer(struct io *io, bool write_out, struct error *err)
{
    struct pollfd cancel = {.fd = io->cancel_fd, .events = POLLIN};

    if (io->kind == IO_OTHER)
        return io_wait(io, write_out ? POLLOUT : POLLIN, err);
    if (io->cancel_fd >= 0 && poll(&cancel, 1, 0) > 0)
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

bool io_read_some(struct io *io, void *buffer, size_t length, size_t *ret_got,
                  struct error *err)
{
    struct iovec iov = {.iov_base = buffer, .iov_len = length};

    return io_before_transfer(io, false, err) &&
           io_transfer(io, false, &iov, 1, ret_got, err);
}

bool io_readv_exact(struct io *io, struct iovec *iov, int nr_iov,
                    struct error *err)
{
    uint64_t start = io->offset;
    uint64_t wanted = 0;

    for (int i = 0; i < nr_iov; i++)
        wanted += iov[i].iov_len;
    iov_advance(&iov, &nr_iov, 0);
    while (nr_iov > 0) {
        size_t done;

        if (!io_before_transfer(io, false, err) ||
            !io_transfer(io, false, iov, nr_iov < IOV_MAX ? nr_iov : IOV_MAX,
                         &done, err))
            return false;
        if (done == 0)
            return error_set_at(err, ERR_TRUNCATED, io->offset,
                                "the stream ends after %" PRIu64
                                " octets, expected %" PRIu64,
                                io->offset - start, wanted);
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

bool io_writev_all(struct io *io, struct iovec *iov, int nr_iov,
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

bool io_write_all(struct io *io, const void *buffer, size_t length,
                  struct error *err)
{
    struct iovec iov = {.iov_base = (void *)buffer, .iov_len = length};

    return io_writev_all(io, &iov, 1, err);
}

bool io_write_zeroes(struct io *io, size_t length, struct error *err)
{
    static const uint8_t zeroes[16 * 4096];

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
    off_t at, data;

    if (io->kind != IO_FILE)
        return 0;
    at = lseek(io->fd, 0, SEEK_CUR);
    if (at < 0)
        return 0;
    data = lseek(io->fd, at, SEEK_DATA);
    if (data < 0)
        /* ENXIO: nothing but a hole up to the end. */
        data = errno == ENXIO ? lseek(io->fd, 0, SEEK_END) : at;
    /* SEEK_DATA and SEEK_END move the position: put it back. */
    if (lseek(io->fd, at, SEEK_SET) < 0 || data < at)
        return 0;
    return (uint64_t)(data - at);
}

bool io_skip(struct io *io, uint64_t length, struct error *err)
{
    if (io->kind != IO_FILE || length > INT64_MAX ||
        lseek(io->fd, (off_t)length, SEEK_CUR) < 0)
        return error_set_errno(err, ERR_IO,
                               io->kind == IO_FILE ? errno : ESPIPE,
                               "seek %" PRIu64 " octets ahead", length);
    io->offset += length;
    return true;
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
