/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets: between two processes of one machine, owner only. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "transport/transport.h"

static bool unix_address(const char *path, struct sockaddr_un *ret,
                         struct error *err)
{
    size_t length = strlen(path);

    if (length == 0 || length >= sizeof(ret->sun_path))
        return error_set(err, ERR_USAGE,
                         "unix:%s: a path of %zu octets, expected 1 to %zu",
                         path, length, sizeof(ret->sun_path) - 1);
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(ret->sun_path, path, length);
    return true;
}

bool unix_connect(struct transport *ret, const char *path,
                  const struct transport_limits *limits, struct error *err)
{
    struct transport t = {.ops = &socket_ops};
    struct sockaddr_un address;
    cleanup_fd int fd = -1;

    if (!unix_address(path, &address, err))
        return false;
    snprintf(t.name, sizeof(t.name), "unix:%s", path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "%s: socket", t.name);
    if (!socket_connect(fd, &address, sizeof(address), t.name, limits, err))
        return false;
    t.send_fd = t.recv_fd = take_fd(&fd);
    *ret = t;
    return true;
}

/* A socket file that nobody listens on is left over from a killed process. */
static bool is_stale(const struct sockaddr_un *address)
{
    cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct stat st;

    return fd >= 0 && lstat(address->sun_path, &st) == 0 &&
           S_ISSOCK(st.st_mode) &&
           connect(fd, (const struct sockaddr *)address, sizeof(*address)) !=
               0 &&
           errno == ECONNREFUSED;
}

bool unix_listen(struct listener *ret, const char *path, struct error *err)
{
    struct sockaddr_un address;
    cleanup_fd int fd = -1;
    mode_t mask;
    int bound;

    if (!unix_address(path, &address, err))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "unix:%s: socket", path);
    if (is_stale(&address))
        unlink(path);
    mask = umask(0177);
    bound = bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (bound != 0 || listen(fd, 1) != 0)
        return error_set_errno(err, ERR_IO, errno, "unix:%s", path);

    *ret = (struct listener){.fd = -1};
    snprintf(ret->name, sizeof(ret->name), "unix:%s", path);
    memcpy(ret->path, address.sun_path, sizeof(ret->path));
    ret->fd = take_fd(&fd);
    return true;
}
