/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest out of a file.  The file stays; until the guest is unpaused, a
 * failure or a cancellation leaves no domain.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/move/image_feed.h"
#include "engine/move/image_header.h"
#include "engine/move/move_common.h"

static bool open_input(const char *path, int *ret_fd, struct error *err)
{
    if (strcmp(path, "-") != 0)
        return file_open(path, O_RDONLY, 0, ret_fd, err);
    if (isatty(STDIN_FILENO))
        return error_set(err, ERR_USAGE,
                         "standard input is a terminal, expected an image");
    *ret_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return *ret_fd >= 0 ||
           error_set_errno(err, ERR_IO, errno, "standard input");
}

static bool read_header(const struct move_options *options, int fd,
                        struct image_header *ret,
                        uint8_t ret_preamble[IMAGE_PREAMBLE], struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};

    return io_attach(&io, fd, false, options->answer_timeout_ms,
                     options->cancel_fd, err) &&
           image_header_read(&io, ret, err) &&
           image_preamble_read(&io, ret_preamble, err);
}

static bool restore_from(const struct move_options *options,
                         const struct restore_file_request *request, int fd,
                         struct toolstack_guest *ret_guest, struct error *err)
{
    cleanup(image_header_release) struct image_header header = {0};
    struct toolstack *ts = options->toolstack;
    struct toolstack_work work = move_work(options);
    uint8_t preamble[IMAGE_PREAMBLE];
    struct toolstack_guest guest;
    struct error ignored;
    uint32_t domid;

    move_tell(options, MOVE_STEP_CHECK, NULL);
    if (!read_header(options, fd, &header, preamble, err))
        return error_wrap(err, "%.128s", request->path);
    if (!ts->ops->config_describe(ts, header.config, &guest, err) ||
        !ts->ops->config_check(ts, header.config, request->name, err))
        return false;

    move_tell(options, MOVE_STEP_RESTORE, &guest);
    if (!ts->ops->restore(ts, header.config, request->name, preamble, fd, &work,
                          &domid, err))
        return false;
    if (!ts->ops->look(ts, domid, &guest, err))
        return false;
    move_tell(options, MOVE_STEP_START, &guest);
    if (!request->paused && !ts->ops->unpause(ts, domid, err)) {
        if (!ts->ops->destroy(ts, domid, &ignored))
            log_warning(options->log, "%s", ignored.text);
        return false;
    }
    move_tell(options, MOVE_STEP_END, &guest);
    *ret_guest = guest;
    return true;
}

bool move_from_file(const struct move_options *options,
                    const struct restore_file_request *request,
                    struct toolstack_guest *ret_guest, enum move_outcome *ret,
                    struct error *err)
{
    struct image_feed *feed;
    cleanup_fd int fd = -1;
    bool ok;

    *ret = MOVE_NOTHING;
    if (!open_input(request->path, &fd, err) ||
        !image_feed_begin(&feed, &fd, err))
        return false;
    ok = restore_from(options, request, fd, ret_guest, err);
    image_feed_end(feed, &fd, ok ? NULL : err);
    if (ok)
        *ret = MOVE_DONE;
    return ok;
}
