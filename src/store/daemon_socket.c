/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients on the Unix socket.
 *
 * Descriptors are registered edge-triggered: 'readable' is set by the loop and
 * cleared by a read that got less than it asked for, so that one read a turn
 * is the rule.  Interest in writing is only registered while a client leaves
 * its replies unread, since each of its reads would wake us.
 *
 * With a journal octets are only looked at (SO_PEEK_OFF) until the requests
 * they make up are recorded; 'processed' counts those that then have to be
 * taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "store/daemon.h"
#include "store/holder.h"
#include "store/journal.h"

#define READ_AT_ONCE 8192u
#define IOV_AT_ONCE  64

struct client {
    struct watcher watcher;
    struct daemon *daemon;
    struct connection *connection;
    struct list all;   /* on daemon.clients */
    struct list taken; /* on daemon.taken while 'processed' is not 0 */
    uint32_t serial;
    int main_fd; /* in the main process */
    size_t processed;
    size_t taken_input; /* of the input: no longer in the socket */
    bool readable;
    bool wants_out;
};

static bool client_consume(struct client *client)
{
    size_t length = client->processed;

    client->processed = 0;
    list_remove(&client->taken);
    return !length || client->watcher.fd < 0 ||
           journal_consume(client->daemon->journal,
                           connection_id(client->connection),
                           client->watcher.fd, length);
}

static enum transport_result client_receive(struct connection *c, size_t wanted)
{
    struct client *client = connection_context(c);
    size_t room = wanted > READ_AT_ONCE ? wanted : READ_AT_ONCE;
    int flags = MSG_DONTWAIT | (client->daemon->journal ? MSG_PEEK : 0);
    uint8_t *to;
    ssize_t got;

    if (!client->readable)
        return TRANSPORT_WAIT;
    to = connection_input(c, room);
    if (!to)
        return TRANSPORT_CLOSED;
    do
        got = recv(client->watcher.fd, to, room, flags);
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
        if (client->daemon->journal)
            sent =
                journal_send(client->daemon->journal, connection_id(c),
                             client->watcher.fd, iov, (int)message.msg_iovlen);
        else
            sent = sendmsg(client->watcher.fd, &message,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
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

    if (client->watcher.fd >= 0) {
        loop_remove(client->daemon, &client->watcher);
        close(client->watcher.fd);
    }
    sockets_tell_gone(c);
    list_remove(&client->all);
    list_remove(&client->taken);
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

/* Start to serve the descriptor; with a journal, to look before taking. */
static bool client_attach(struct client *client, int fd, struct error *err)
{
    int zero = 0;

    client->watcher.fd = fd;
    if (!client->daemon->holder)
        client->main_fd = fd;
    client->readable = true;
    if (client->daemon->journal &&
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof(zero)) < 0)
        return error_set_errno(err, ERR_IO, errno, "SO_PEEK_OFF");
    return loop_add(client->daemon, &client->watcher, EPOLLIN | EPOLLET, err);
}

static struct client *client_new(struct daemon *d, uint32_t serial,
                                 struct error *err)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client) {
        error_set(err, ERR_NO_MEMORY, "client");
        return NULL;
    }
    client->watcher.fd = -1;
    client->watcher.ready = client_ready;
    client->daemon = d;
    client->serial = serial;
    client->connection = store_connect(d->store, &socket_transport, client);
    if (!client->connection) {
        free(client);
        error_set(err, ERR_NO_MEMORY, "client");
        return NULL;
    }
    list_append(&d->clients, &client->all);
    list_init(&client->taken);
    return client;
}

struct connection *sockets_client_unattached(struct daemon *d, uint32_t serial,
                                             struct error *err)
{
    struct client *client = client_new(d, serial, err);

    return client ? client->connection : NULL;
}

struct connection *sockets_client(struct daemon *d, int fd, uint32_t serial,
                                  struct error *err)
{
    struct client *client = client_new(d, serial, err);

    if (!client) {
        close(fd);
        return NULL;
    }
    if (!client_attach(client, fd, err)) {
        connection_close(client->connection);
        return NULL;
    }
    connection_wake(client->connection);
    return client->connection;
}

static bool is_socket(const struct connection *c)
{
    return connection_context(c);
}

uint32_t sockets_serial(struct connection *c)
{
    return is_socket(c) ? ((struct client *)connection_context(c))->serial : 0;
}

void sockets_tell_gone(struct connection *c)
{
    struct client *client = connection_context(c);

    if (client && client->serial && client->daemon->holder)
        holder_tell_gone(client->daemon->holder, client->serial);
}

size_t sockets_note_processed(struct connection *c, size_t length)
{
    struct client *client = connection_context(c);
    size_t taken;

    if (!client)
        return 0;
    taken = size_min(length, client->taken_input);
    client->taken_input -= taken;
    client->processed += length - taken;
    if (client->processed && list_is_empty(&client->taken))
        list_append(&client->daemon->taken, &client->taken);
    return taken;
}

void sockets_note_taken_input(struct daemon *d)
{
    list_for_each (it, &d->clients) {
        struct client *client = list_object(it, struct client, all);

        client->taken_input = connection_input_length(client->connection);
    }
}

size_t sockets_taken_input(struct connection *c)
{
    struct client *client = connection_context(c);

    return client ? client->taken_input : 0;
}

void sockets_note_consumed(struct connection *c, size_t length)
{
    struct client *client = connection_context(c);

    if (client)
        client->processed -= size_min(length, client->processed);
}

void sockets_consume_all(struct daemon *d)
{
    while (!list_is_empty(&d->taken)) {
        struct client *client =
            list_object(d->taken.next, struct client, taken);

        if (!client_consume(client))
            connection_close(client->connection);
    }
}

void sockets_note_closed(struct daemon *d, uint32_t serial)
{
    uint32_t *fresh;

    if (!serial)
        return;
    fresh = realloc(d->closed, (d->nr_closed + 1) * sizeof(*fresh));
    if (!fresh)
        return;
    d->closed = fresh;
    d->closed[d->nr_closed++] = serial;
}

static bool is_known(const struct daemon *d, uint32_t serial)
{
    for (uint32_t i = 0; i < d->nr_closed; i++)
        if (d->closed[i] == serial)
            return true;
    list_for_each (it, &d->clients)
        if (list_object(it, struct client, all)->serial == serial)
            return true;
    return false;
}

bool sockets_attach_all(struct daemon *d, const struct holder *h,
                        struct error *err)
{
    uint32_t nr = h->nr_clients;

    list_for_each (it, &d->clients) {
        struct client *client = list_object(it, struct client, all);
        int fd = holder_fd(h, client->serial);

        client->main_fd = fd;
        client->watcher.fd = fd;
        if (fd < 0 || !client_consume(client)) {
            connection_close(client->connection);
            continue;
        }
        if (!client_attach(client, fd, err))
            return false;
    }
    for (uint32_t i = 0; i < nr; i++) {
        if (!is_known(d, h->clients[i].serial)) {
            struct connection *c =
                sockets_client(d, h->clients[i].fd, h->clients[i].serial, err);

            if (!c)
                return false;
            sockets_set_main_fd(c, h->clients[i].fd);
        }
    }
    for (uint32_t i = 0; i < d->nr_closed; i++) {
        holder_tell_gone(d->holder, d->closed[i]);
        if (holder_fd(h, d->closed[i]) >= 0)
            close(holder_fd(h, d->closed[i]));
    }
    free(d->closed);
    d->closed = NULL;
    d->nr_closed = 0;
    return true;
}

int sockets_fd(struct connection *c)
{
    struct client *client = connection_context(c);

    return client ? client->watcher.fd : -1;
}

int sockets_main_fd(struct connection *c)
{
    struct client *client = connection_context(c);

    return client ? client->main_fd : -1;
}

void sockets_set_main_fd(struct connection *c, int fd)
{
    ((struct client *)connection_context(c))->main_fd = fd;
}

void sockets_pass_on(struct daemon *d, bool pass)
{
    list_for_each (it, &d->clients) {
        struct client *client = list_object(it, struct client, all);

        if (client->watcher.fd >= 0)
            fcntl(client->watcher.fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
    }
}

static void listener_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct error err = {0};
    int fd;

    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        if (!sockets_client(d, fd, 0, &err))
            log_error(&d->log, "new client: %s", err.text);
    if (errno == EMFILE || errno == ENFILE)
        log_error(&d->log, "new client: no descriptor left");
}

bool sockets_accept(struct daemon *d, int fd, struct error *err)
{
    d->listener.fd = fd;
    d->listener.ready = listener_ready;
    return loop_add(d, &d->listener, EPOLLIN, err);
}

static bool socket_path(struct daemon *d, struct error *err)
{
    if (asprintf(&d->socket_path, "%s%s",
                 d->options.socket_path ? "" : d->options.run_dir,
                 d->options.socket_path ? d->options.socket_path : "/socket") <
        0) {
        d->socket_path = NULL;
        return error_set(err, ERR_NO_MEMORY, "socket path");
    }
    return true;
}

bool sockets_adopt(struct daemon *d, int fd, struct error *err)
{
    /* Whoever made it may have had a shorter queue. */
    if (listen(fd, 128) < 0)
        return error_set_errno(err, ERR_STATE, errno, "fd %d to listen on", fd);
    return socket_path(d, err);
}

bool sockets_open(struct daemon *d, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    mode_t mask;
    int result;

    mkdir(d->options.run_dir, 0755);
    if (!socket_path(d, err))
        return false;
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
    *ret_fd = take_fd(&fd);
    return true;
}
