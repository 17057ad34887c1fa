/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Keeps the stream's failures from libxl until it has a helper.
 *
 * When reading or writing fails before that, libxl 4.17 "aborts" the helper
 * that it has not started, whose callback is NULL, and crashes; xl does so too.
 * Until the helper starts only the stream's preamble passes.  So libxl gets a
 * file in memory under its descriptor:
 *
 *   save      it writes the preamble there; when it forks the helper, we pass
 *             that on, and the descriptor becomes the caller's stream
 *   restore   it reads there the preamble that the caller has checked; when it
 *             forks the helper, the descriptor becomes the caller's stream
 *
 * A failure to pass the preamble on is the helper's to meet, as its own.
 *
 * To be removed when no release without a fix is supported.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "host/xen/libxl_toolstack.h"

/* A peer that does not take two dozen octets in this time is none. */
#define PREAMBLE_TIMEOUT_MS 30000

bool light_stream_begin(struct light *ts, int real, const uint8_t *preamble,
                        struct error *err)
{
    cleanup_fd int low = memfd_create("preamble", MFD_CLOEXEC);
    cleanup_fd int fd = -1;

    if (low < 0)
        return error_set_errno(err, ERR_IO, errno, "preamble");
    fd = fcntl(low, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "preamble");
    if (preamble &&
        pwrite(fd, preamble, TOOLSTACK_PREAMBLE, 0) != TOOLSTACK_PREAMBLE)
        return error_set_errno(err, ERR_IO, errno, "preamble");
    ts->stream = (struct light_stream){
        .fd = take_fd(&fd), .real = real, .write_out = !preamble};
    return true;
}

static bool pass_on(struct light_stream *s, const struct toolstack_work *work,
                    struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    uint8_t octets[4 * TOOLSTACK_PREAMBLE];
    ssize_t length = pread(s->fd, octets, sizeof(octets), 0);

    if (length < 0)
        return error_set_errno(err, ERR_IO, errno, "preamble");
    return io_attach(&io, s->real, true, PREAMBLE_TIMEOUT_MS, work->cancel_fd,
                     err) &&
           io_write_all(&io, octets, (size_t)length, err);
}

void light_stream_connect(struct light *ts)
{
    struct light_stream *s = &ts->stream;
    struct error err;

    if (s->fd <= 0 || s->connected)
        return;
    s->connected = true;
    if (s->write_out && !pass_on(s, ts->work, &err))
        log_debug(ts->base.log, "preamble: %s", err.text);
    if (dup3(s->real, s->fd, O_CLOEXEC) < 0)
        log_warning(ts->base.log, "stream descriptor %d: not duplicated",
                    s->real);
}

void light_stream_end(struct light *ts)
{
    if (ts->stream.fd > 0)
        close(ts->stream.fd);
    ts->stream = (struct light_stream){.fd = -1};
}
