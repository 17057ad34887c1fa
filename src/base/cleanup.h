/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locals that release themselves.
 *
 *     cleanup(buffer_release) struct buffer b = {0};
 *     ...
 *     *ret = MOVE(b);     ownership leaves; 'b' is {0} and releases nothing
 *
 * A release function takes a pointer to the variable, accepts a zeroed object,
 * and may be called twice.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

#define MOVE(x)                    \
    __extension__({                \
        __typeof__(x) move_ = (x); \
        (x) = (__typeof__(x)){0};  \
        move_;                     \
    })

static inline void free_pointer(void *pointer)
{
    free(*(void **)pointer);
    *(void **)pointer = NULL;
}

/* For 'cleanup_fd int fd = -1;': an fd is absent when negative. */
static inline void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#define cleanup_free cleanup(free_pointer)
#define cleanup_fd   cleanup(close_fd)

#endif
