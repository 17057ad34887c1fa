/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A preload library: receives, sends and waits that are interrupted, and sends
 * and waits that take less than was offered, as a kernel may do at any time.
 * SHORTIO_SEED chooses which.
 *
 * A receive is never shorter than what is there: epoll(7) promises that of
 * edge-triggered streams.  Clients cut what they send instead.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

static uint32_t state;

static uint32_t chance(void)
{
    if (!state) {
        const char *seed = getenv("SHORTIO_SEED");

        state = (seed ? (uint32_t)atoi(seed) : 1) * 2654435761u | 1;
    }
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int interrupted(void)
{
    if (chance() % 4)
        return 0;
    errno = EINTR;
    return 1;
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    static ssize_t (*real)(int, void *, size_t, int);

    if (!real)
        real = (ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
    if (interrupted())
        return -1;
    return real(fd, buffer, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    static ssize_t (*real)(int, const struct msghdr *, int);
    struct msghdr part = *message;
    struct iovec first;

    if (!real)
        real = (ssize_t(*)(int, const struct msghdr *, int))dlsym(RTLD_NEXT,
                                                                  "sendmsg");
    /* Descriptors travel whole. */
    if (message->msg_controllen || !message->msg_iovlen)
        return real(fd, message, flags);
    if (interrupted())
        return -1;
    if (chance() % 2) {
        first = message->msg_iov[0];
        if (first.iov_len > 1)
            first.iov_len = 1 + chance() % first.iov_len;
        part.msg_iov = &first;
        part.msg_iovlen = 1;
    }
    return real(fd, &part, flags);
}

int epoll_wait(int fd, struct epoll_event *events, int nr, int timeout)
{
    static int (*real)(int, struct epoll_event *, int, int);

    if (!real)
        real = (int (*)(int, struct epoll_event *, int, int))dlsym(
            RTLD_NEXT, "epoll_wait");
    return interrupted() ? -1
                         : real(fd, events, 1 + (int)(chance() % nr), timeout);
}
