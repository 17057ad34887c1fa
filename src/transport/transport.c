/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transport/transport.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

bool transport_connect(struct transport *ret, const char *destination,
                       const struct transport_limits *limits, struct error *err)
{
    if (!strncmp(destination, "tcp:", 4))
        return tcp_connect(ret, destination + 4, limits, err);
    if (!strncmp(destination, "unix:", 5))
        return unix_connect(ret, destination + 5, limits, err);
    if (!strncmp(destination, "cmd:", 4))
        return command_start(ret, destination + 4, err);
    return error_set(err, ERR_USAGE,
                     "destination %s: expected tcp:HOST:PORT, unix:PATH or "
                     "cmd:COMMAND",
                     destination);
}

void transport_half_close(struct transport *t)
{
    if (t->ops)
        t->ops->half_close(t);
}

bool transport_finish(struct transport *t, int timeout_ms, struct error *err)
{
    return t->ops->finish(t, timeout_ms, err);
}

void transport_release(struct transport *t)
{
    if (t->ops)
        t->ops->release(t);
    t->ops = NULL;
}

bool listener_open(struct listener *ret, const char *address, struct error *err)
{
    if (!strncmp(address, "tcp:", 4))
        return tcp_listen(ret, address + 4, err);
    if (!strncmp(address, "unix:", 5))
        return unix_listen(ret, address + 5, err);
    return error_set(err, ERR_USAGE,
                     "address %s: expected tcp:ADDRESS:PORT or unix:PATH",
                     address);
}

bool listener_accept(struct listener *l, struct transport *ret,
                     const struct transport_limits *limits, struct error *err)
{
    int64_t deadline = deadline_after_ms(limits->connect_timeout_ms);
    struct pollfd fds[] = {
        {.fd = l->fd,             .events = POLLIN},
        {.fd = limits->cancel_fd, .events = POLLIN},
    };

    for (;;) {
        int ready = poll(fds, ARRAY_SIZE(fds), deadline_left_ms(deadline));
        int fd;

        if (ready < 0 && errno != EINTR)
            return error_set_errno(err, ERR_IO, errno, "%s: poll", l->name);
        if (ready == 0)
            return error_set(err, ERR_TIMEOUT, "%s: nobody connected in %d ms",
                             l->name, limits->connect_timeout_ms);
        if (ready > 0 && fds[1].revents)
            return error_set(err, ERR_CANCELLED, "cancelled");
        if (ready < 0 || !fds[0].revents)
            continue;
        fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
        /* The one that connected may be gone again. */
        if (fd < 0 && errno != EINTR && errno != ECONNABORTED)
            return error_set_errno(err, ERR_IO, errno, "%s: accept", l->name);
        if (fd < 0)
            continue;
        if (!l->path[0])
            tcp_tune(fd, limits);
        *ret = (struct transport){
            .ops = &socket_ops, .send_fd = fd, .recv_fd = fd};
        snprintf(ret->name, sizeof(ret->name), "%s", l->name);
        return true;
    }
}

void listener_release(struct listener *l)
{
    close_fd(&l->fd);
    if (l->path[0])
        unlink(l->path);
    l->path[0] = '\0';
}
