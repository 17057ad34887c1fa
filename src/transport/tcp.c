/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * TCP.  Nothing is encrypted and nobody is identified: for networks that are
 * trusted, or as the far end of a tunnel.
 *
 * A host that vanishes sends no farewell.  Keep-alives find that out while we
 * wait for it, TCP_USER_TIMEOUT while it does not acknowledge, so that every
 * reader and writer of the socket, the save helper included, gets an error
 * within 'dead_after_ms'.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "transport/transport.h"

struct host_port {
    char host[192]; /* "" for any address */
    char port[32];
};

/* HOST:PORT or [ADDRESS]:PORT. */
static bool host_port_parse(const char *text, struct host_port *ret,
                            struct error *err)
{
    const char *host = text, *host_end, *colon = strrchr(text, ':');
    struct host_port hp = {0};

    if (!colon || colon[1] == '\0' || strlen(colon + 1) >= sizeof(hp.port))
        goto malformed;
    host_end = colon;
    if (*host == '[') {
        host++;
        host_end--;
        if (host_end < host || *host_end != ']')
            goto malformed;
    } else if (memchr(host, ':', (size_t)(host_end - host))) {
        goto malformed; /* an IPv6 address without brackets is ambiguous */
    }
    if ((size_t)(host_end - host) >= sizeof(hp.host))
        goto malformed;
    memcpy(hp.host, host, (size_t)(host_end - host));
    strcpy(hp.port, colon + 1);
    *ret = hp;
    return true;

malformed:
    return error_set(err, ERR_USAGE,
                     "tcp:%s: expected tcp:HOST:PORT, an IPv6 address in "
                     "brackets",
                     text);
}

static bool resolve(const char *text, int flags, struct addrinfo **ret,
                    struct error *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct host_port hp;
    int result;

    if (!host_port_parse(text, &hp, err))
        return false;
    if (!hp.host[0] && !(flags & AI_PASSIVE))
        return error_set(err, ERR_USAGE, "tcp:%s: expected a host", text);
    result = getaddrinfo(hp.host[0] ? hp.host : NULL, hp.port, &hints, ret);
    if (result != 0)
        return error_set(err, ERR_USAGE, "tcp:%s: %s", text,
                         gai_strerror(result));
    return true;
}

static void free_addresses(struct addrinfo **list)
{
    if (*list)
        freeaddrinfo(*list);
    *list = NULL;
}

void tcp_tune(int fd, const struct transport_limits *limits)
{
    /* Every option here is an improvement, none a condition. */
    int on = 1, idle = 10, interval = 5, count;
    unsigned int dead_ms = (unsigned int)limits->dead_after_ms;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (limits->dead_after_ms <= 0)
        return;
    count = limits->dead_after_ms / 1000 / interval;
    if (count < 1)
        count = 1;
    if (count > 100)
        count = 100;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
}

bool tcp_connect(struct transport *ret, const char *address,
                 const struct transport_limits *limits, struct error *err)
{
    cleanup(free_addresses) struct addrinfo *list = NULL;
    struct transport t = {.ops = &socket_ops};

    snprintf(t.name, sizeof(t.name), "tcp:%s", address);
    if (!resolve(address, 0, &list, err))
        return false;

    /* The last address' error is as good as any. */
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        cleanup_fd int fd =
            socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                   a->ai_protocol);

        if (fd < 0) {
            error_set_errno(err, ERR_IO, errno, "%s: socket", t.name);
            continue;
        }
        if (!socket_connect(fd, a->ai_addr, a->ai_addrlen, t.name, limits,
                            err)) {
            if (err && err->code == ERR_CANCELLED)
                return false;
            continue;
        }
        tcp_tune(fd, limits);
        t.send_fd = t.recv_fd = take_fd(&fd);
        *ret = t;
        return true;
    }
    return false;
}

/* Which port a socket was given; for messages. */
static unsigned int bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } a = {0};
    socklen_t length = sizeof(a);

    if (getsockname(fd, &a.any, &length) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
}

bool tcp_listen(struct listener *ret, const char *address, struct error *err)
{
    cleanup(free_addresses) struct addrinfo *list = NULL;

    if (!resolve(address, AI_PASSIVE, &list, err))
        return false;
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        cleanup_fd int fd =
            socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, a->ai_protocol);
        int on = 1;
        int host_length = (int)(strrchr(address, ':') - address);

        if (fd < 0) {
            error_set_errno(err, ERR_IO, errno, "tcp:%s: socket", address);
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 1) != 0) {
            error_set_errno(err, ERR_IO, errno, "tcp:%s", address);
            continue;
        }
        *ret = (struct listener){.fd = -1};
        snprintf(ret->name, sizeof(ret->name), "tcp:%.*s:%u", host_length,
                 address, bound_port(fd));
        ret->fd = take_fd(&fd);
        return true;
    }
    return false;
}
