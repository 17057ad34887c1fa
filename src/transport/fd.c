/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A transport over descriptors that somebody else opened, such as the stdin
 * and stdout of a receiver behind ssh.
 */
#include <stdio.h>

#include "base/cleanup.h"
#include "transport/transport.h"

static void fd_half_close(struct transport *t)
{
    if (t->send_fd != t->recv_fd)
        close_fd(&t->send_fd);
}

/* There is nobody to wait for. */
static bool fd_finish(struct transport *t, int timeout_ms, struct error *err)
{
    return true;
}

static void fd_release(struct transport *t)
{
    if (t->send_fd == t->recv_fd)
        t->send_fd = -1;
    close_fd(&t->send_fd);
    close_fd(&t->recv_fd);
}

static const struct transport_ops fd_ops = {
    .kind = "fd",
    .half_close = fd_half_close,
    .finish = fd_finish,
    .release = fd_release,
};

void transport_from_fds(struct transport *ret, int recv_fd, int send_fd,
                        const char *name)
{
    *ret = (struct transport){
        .ops = &fd_ops, .send_fd = send_fd, .recv_fd = recv_fd};
    snprintf(ret->name, sizeof(ret->name), "%s", name);
}
