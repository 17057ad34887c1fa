/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients on the Unix socket.
 *
 * Descriptors are registered edge-triggered: 'readable' is set by the loop and
 * cleared by a read that got less than it asked for, so that one read a turn
 * is the rule.  Interest in writing is only registered while a client leaves
 * its replies unread, since each of its reads would wake us.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "store/daemon.h"

#define READ_AT_ONCE 8192u
#define IOV_AT_ONCE  64

struct client {
    struct watcher watcher;
    struct daemon *daemon;
    struct connection *connection;
    bool readable;
    bool wants_out;
};

static enum transport_result client_receive(struct connection *c, size_t wanted)
{
    struct client *client = connection_context(c);
    size_t room = wanted > READ_AT_ONCE ? wanted : READ_AT_ONCE;
    uint8_t *to;
    ssize_t got;

    if (!client->readable)
        return TRANSPORT_WAIT;
    to = connection_input(c, room);
    if (!to)
        return TRANSPORT_CLOSED;
    do
        got = recv(client->watcher.fd, to, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        client->readable = false;
        return TRANSPORT_WAIT;
    }
    if (got <= 0)
        return TRANSPORT_CLOSED;
    client->readable = (size_t)got == room;
    connection_received(c, (size_t)got);
    return TRANSPORT_DONE;
}

static void client_want_out(struct client *client, bool wants)
{
    if (client->wants_out == wants)
        return;
    client->wants_out = wants;
    loop_modify(client->daemon, &client->watcher,
                EPOLLIN | EPOLLET | (wants ? EPOLLOUT : 0u));
}

static enum transport_result client_send(struct connection *c)
{
    struct client *client = connection_context(c);

    while (connection_output_length(c)) {
        struct iovec iov[IOV_AT_ONCE];
        struct msghdr message = {.msg_iov = iov};
        ssize_t sent;

        message.msg_iovlen = (size_t)connection_output(c, iov, IOV_AT_ONCE);
        sent =
            sendmsg(client->watcher.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            client_want_out(client, true);
            return TRANSPORT_WAIT;
        }
        if (sent < 0)
            return TRANSPORT_CLOSED;
        connection_sent(c, (size_t)sent);
    }
    client_want_out(client, false);
    return TRANSPORT_DONE;
}

static void client_close(struct connection *c)
{
    struct client *client = connection_context(c);

    if (!client)
        return;
    loop_remove(client->daemon, &client->watcher);
    close(client->watcher.fd);
    free(client);
}

static const struct transport socket_transport = {
    .receive = client_receive,
    .send = client_send,
    .close = client_close,
};

static void client_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct client *client = container_of(w, struct client, watcher);

    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client->readable = true;
    connection_wake(client->connection);
}

struct connection *sockets_client(struct daemon *d, int fd, struct error *err)
{
    cleanup_fd int owned = fd;
    cleanup_free struct client *client = calloc(1, sizeof(*client));
    struct connection *c;

    if (!client) {
        error_set(err, ERR_NO_MEMORY, "client");
        return NULL;
    }
    client->watcher.fd = fd;
    client->watcher.ready = client_ready;
    client->daemon = d;
    client->readable = true;
    if (!loop_add(d, &client->watcher, EPOLLIN | EPOLLET, err))
        return NULL;
    c = store_connect(d->store, &socket_transport, client);
    if (!c) {
        loop_remove(d, &client->watcher);
        error_set(err, ERR_NO_MEMORY, "client");
        return NULL;
    }
    client->connection = c;
    MOVE(client);
    take_fd(&owned);
    connection_wake(c);
    return c;
}

int sockets_fd(struct connection *c)
{
    struct client *client = connection_context(c);

    return client ? client->watcher.fd : -1;
}

static void listener_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct error err = {0};
    int fd;

    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        if (!sockets_client(d, fd, &err))
            log_error(&d->log, "new client: %s", err.text);
    if (errno == EMFILE || errno == ENFILE)
        log_error(&d->log, "new client: no descriptor left");
}

bool sockets_take_listener(struct daemon *d, int fd, struct error *err)
{
    d->listener.fd = fd;
    d->listener.ready = listener_ready;
    return loop_add(d, &d->listener, EPOLLIN, err);
}

bool sockets_listen(struct daemon *d, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    mode_t mask;
    int result;

    mkdir(d->options.run_dir, 0755);
    if (asprintf(&d->socket_path, "%s%s",
                 d->options.socket_path ? "" : d->options.run_dir,
                 d->options.socket_path ? d->options.socket_path : "/socket") <
        0) {
        d->socket_path = NULL;
        return error_set(err, ERR_NO_MEMORY, "socket path");
    }
    if (strlen(d->socket_path) >= sizeof(address.sun_path))
        return error_set(err, ERR_USAGE,
                         "socket %s: %zu octets, at most %zu are possible",
                         d->socket_path, strlen(d->socket_path),
                         sizeof(address.sun_path) - 1);
    strcpy(address.sun_path, d->socket_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "socket");
    unlink(d->socket_path);
    mask = umask(0177);
    result = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (result < 0 || listen(fd, 128) < 0)
        return error_set_errno(err, ERR_IO, errno, "socket %s", d->socket_path);
    if (!sockets_take_listener(d, fd, err))
        return false;
    take_fd(&fd);
    return true;
}
