/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/embedded/hostd_wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define HEAD_SIZE 8u

void hostd_message_release(struct hostd_message *m)
{
    buffer_release(&m->text);
    buffer_release(&m->data);
    close_fd(&m->fd);
}

static bool wait_for(int socket, short events, int64_t deadline_ns,
                     struct error *err)
{
    struct pollfd fd = {.fd = socket, .events = events};
    int rc;

    do
        rc = poll(&fd, 1, deadline_left_ms(deadline_ns));
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return error_set_errno(err, ERR_IO, errno, "host socket");
    return rc > 0 || error_set(err, ERR_TIMEOUT, "host socket: silent");
}

/* The descriptor goes with the first octet. */
static ssize_t send_some(int socket, struct iovec *iov, int fd)
{
    union {
        struct cmsghdr header;
        uint8_t space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 1};

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control.space);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static bool send_all(int socket, const void *bytes, size_t length, int fd,
                     int64_t deadline_ns, struct error *err)
{
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = length};

    while (iov.iov_len) {
        ssize_t n = send_some(socket, &iov, fd);

        if (n < 0 && errno == EAGAIN) {
            if (!wait_for(socket, POLLOUT, deadline_ns, err))
                return false;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, ERR_PEER, errno, "host socket: send");
        iov.iov_base = (uint8_t *)iov.iov_base + n;
        iov.iov_len -= (size_t)n;
        fd = -1;
    }
    return true;
}

bool hostd_send(int socket, const struct hostd_message *m, int64_t deadline_ns,
                struct error *err)
{
    cleanup(buffer_release) struct buffer head = {.order = ORDER_LITTLE};

    if (!buffer_check(&m->text, "message", err) ||
        !buffer_check(&m->data, "message", err))
        return false;
    if (m->text.length > HOSTD_TEXT_MAX || m->data.length > HOSTD_DATA_MAX)
        return error_set(err, ERR_LIMIT,
                         "message: %zu octets of text, %zu of data",
                         m->text.length, m->data.length);
    buffer_u32(&head, (uint32_t)m->text.length);
    buffer_u32(&head, (uint32_t)m->data.length);
    buffer_bytes(&head, m->text.bytes, m->text.length);
    return buffer_check(&head, "message", err) &&
           send_all(socket, head.bytes, head.length, m->fd, deadline_ns, err) &&
           send_all(socket, m->data.bytes, m->data.length, -1, deadline_ns,
                    err);
}

/* Keeps the first descriptor that comes, closes all others. */
static void take_fds(struct msghdr *message, int *fd)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c;
         c = CMSG_NXTHDR(message, c)) {
        size_t nr;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        nr = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < nr; i++) {
            int one;

            memcpy(&one, CMSG_DATA(c) + i * sizeof(one), sizeof(one));
            if (*fd < 0)
                *fd = one;
            else
                close(one);
        }
    }
}

/* Fewer octets than asked for: the peer closed. */
static bool receive_exact(int socket, void *to, size_t length, int *fd,
                          int64_t deadline_ns, size_t *ret_got,
                          struct error *err)
{
    size_t got = 0;

    while (got < length) {
        union {
            struct cmsghdr header;
            uint8_t space[CMSG_SPACE(4 * sizeof(int))];
        } control;
        struct iovec iov = {.iov_base = (uint8_t *)to + got,
                            .iov_len = length - got};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0 && errno == EAGAIN) {
            if (!wait_for(socket, POLLIN, deadline_ns, err))
                return false;
            continue;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set_errno(err, ERR_PEER, errno,
                                   "host socket: receive");
        take_fds(&message, fd);
        if (n == 0)
            break;
        got += (size_t)n;
    }
    *ret_got = got;
    return true;
}

static bool receive_part(int socket, struct buffer *to, size_t length, int *fd,
                         int64_t deadline_ns, struct error *err)
{
    uint8_t *room = buffer_extend(to, length + 1);
    size_t got;

    if (!room)
        return error_set(err, ERR_NO_MEMORY, "message: no memory");
    to->length--;
    if (!receive_exact(socket, room, length, fd, deadline_ns, &got, err))
        return false;
    room[length] = '\0';
    return got == length ||
           error_set(err, ERR_PEER, "host socket: closed within a message");
}

bool hostd_receive(int socket, struct hostd_message *ret, int64_t deadline_ns,
                   bool *ret_end, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message m = {.fd = -1};
    uint8_t head[HEAD_SIZE] = {0};
    struct cursor c = cursor_over(head, sizeof(head), ORDER_LITTLE);
    uint32_t text, data;
    size_t got;

    if (!receive_exact(socket, head, sizeof(head), &m.fd, deadline_ns, &got,
                       err))
        return false;
    *ret_end = got == 0;
    if (got == 0)
        return true;
    if (got != sizeof(head))
        return error_set(err, ERR_PEER, "host socket: closed within a message");
    text = cursor_u32(&c);
    data = cursor_u32(&c);
    if (text > HOSTD_TEXT_MAX || data > HOSTD_DATA_MAX)
        return error_set(err, ERR_LIMIT,
                         "message: %u octets of text, %u of data, at most %u "
                         "and %u",
                         text, data, HOSTD_TEXT_MAX, HOSTD_DATA_MAX);
    if (!receive_part(socket, &m.text, text, &m.fd, deadline_ns, err) ||
        !receive_part(socket, &m.data, data, &m.fd, deadline_ns, err))
        return false;
    *ret = m;
    m = (struct hostd_message){.fd = -1};
    return true;
}

bool hostd_connect(const char *path, int *ret_fd, struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(err, ERR_USAGE,
                         "%s: longer than a socket's name may be", path);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
        return error_set_errno(err, ERR_PEER, errno, "no host at %s", path);
    *ret_fd = take_fd(&fd);
    return true;
}
