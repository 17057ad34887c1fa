/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What TCP and Unix sockets have in common: a connection that is one
 * descriptor, and connecting with a deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "transport/transport.h"

static void socket_half_close(struct transport *t)
{
    if (t->send_fd >= 0)
        shutdown(t->send_fd, SHUT_WR);
}

/* The peer is done when it has closed its side; what it still says is noise. */
static bool socket_finish(struct transport *t, int timeout_ms,
                          struct error *err)
{
    int64_t deadline = deadline_after_ms(timeout_ms);
    struct pollfd pfd = {.fd = t->recv_fd, .events = POLLIN};
    char noise[256];

    shutdown(t->send_fd, SHUT_WR);
    for (;;) {
        int ready = poll(&pfd, 1, deadline_left_ms(deadline));
        ssize_t got;

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return error_set(err, ERR_TIMEOUT, "%s: still open after %d ms",
                             t->name, timeout_ms);
        got = recv(t->recv_fd, noise, sizeof(noise), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno == ECONNRESET))
            return true;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return error_set_errno(err, ERR_PEER, errno, "%s", t->name);
    }
}

static void socket_release(struct transport *t)
{
    t->send_fd = -1;
    close_fd(&t->recv_fd);
}

const struct transport_ops socket_ops = {
    .kind = "socket",
    .half_close = socket_half_close,
    .finish = socket_finish,
    .release = socket_release,
};

bool socket_connect(int fd, const void *address, unsigned int length,
                    const char *what, const struct transport_limits *limits,
                    struct error *err)
{
    int64_t deadline = deadline_after_ms(limits->connect_timeout_ms);
    struct pollfd fds[] = {
        {.fd = fd,                .events = POLLOUT},
        {.fd = limits->cancel_fd, .events = POLLIN },
    };
    socklen_t size = sizeof(int);
    int ready, flags, result = 0;

    if (connect(fd, address, length) != 0) {
        if (errno != EINPROGRESS && errno != EINTR && errno != EAGAIN)
            return error_set_errno(err, ERR_PEER, errno, "%s", what);
        do {
            ready = poll(fds, ARRAY_SIZE(fds), deadline_left_ms(deadline));
        } while (ready < 0 && errno == EINTR);
        if (ready < 0)
            return error_set_errno(err, ERR_IO, errno, "%s: poll", what);
        if (ready == 0)
            return error_set(err, ERR_TIMEOUT, "%s: no connection in %d ms",
                             what, limits->connect_timeout_ms);
        if (fds[1].revents)
            return error_set(err, ERR_CANCELLED, "cancelled");
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size) != 0)
            result = errno;
        if (result)
            return error_set_errno(err, ERR_PEER, result, "%s", what);
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s", what);
    return true;
}
