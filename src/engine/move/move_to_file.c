/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest into a file.
 *
 *   state       guest       file             a failure here
 *   BEGUN       runs        nameless         nothing has happened
 *   SAVED       suspended   nameless, whole  the guest resumes
 *   COMMITTED   suspended   in its place     the guest resumes
 *   then        destroyed, resumed, or paused and resumed, as asked
 *
 * The guest is destroyed only after the image has its name and, unless told
 * otherwise, is on the disk.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file_replace.h"
#include "base/io.h"
#include "engine/move/image_header.h"
#include "engine/move/move_common.h"

/* Memory images are nobody else's to read. */
#define IMAGE_MODE 0600

static bool open_output(struct file_replace *f, const char *path,
                        struct error *err)
{
    if (strcmp(path, "-") != 0)
        return file_replace_open(f, path, IMAGE_MODE, err);
    if (isatty(STDOUT_FILENO))
        return error_set(err, ERR_USAGE,
                         "standard output is a terminal, expected a file");
    return file_replace_use(f, STDOUT_FILENO, "standard output", err);
}

static bool write_header(struct departure *d, int fd, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};

    return io_attach(&io, fd, true, d->options->answer_timeout_ms,
                     d->options->cancel_fd, err) &&
           image_header_write(&io, (const char *)d->config.bytes, err);
}

/* The image is safe: now the domain may go. */
static bool finish_guest(struct departure *d, enum after_save after,
                         struct error *err)
{
    struct toolstack *ts = d->options->toolstack;
    uint32_t domid = d->guest.domid;

    if (after == AFTER_SAVE_DESTROY) {
        move_tell(d->options, MOVE_STEP_DISCARD, &d->guest);
        return ts->ops->destroy(ts, domid, err);
    }
    move_tell(d->options, MOVE_STEP_START, &d->guest);
    if (after == AFTER_SAVE_PAUSE && !ts->ops->pause(ts, domid, err))
        return false;
    return ts->ops->resume(ts, domid, err);
}

bool move_to_file(const struct move_options *options,
                  const struct save_file_request *request,
                  enum move_outcome *ret, struct error *err)
{
    cleanup(file_replace_release) struct file_replace file = FILE_REPLACE_NONE;
    cleanup(departure_release) struct departure d = {.lock = {.fd = -1}};
    unsigned int flags = request->live ? TOOLSTACK_SAVE_LIVE : 0;

    *ret = MOVE_KEPT;
    if (!departure_begin(&d, options, request->guest, request->keep_domid,
                         err) ||
        !open_output(&file, request->path, err) ||
        !write_header(&d, file.fd, err))
        return false;

    if (!departure_save(&d, file.fd, flags, ret, err)) {
        if (*ret != MOVE_GUEST_GONE)
            *ret = departure_abandon(&d, err);
        return false;
    }
    move_tell(options, MOVE_STEP_SYNC, &d.guest);
    if (!file_replace_commit(&file, request->sync, err)) {
        *ret = departure_abandon(&d, err);
        return false;
    }
    if (!finish_guest(&d, request->after, err)) {
        *ret = MOVE_STUCK;
        return error_wrap(err, "the image is complete, but");
    }
    move_tell(options, MOVE_STEP_END, &d.guest);
    *ret = MOVE_DONE;
    return true;
}
