/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An embedded host's guest in a file: xl's header with a configuration, a libxl
 * stream with nothing but the libxc image in it, so that inspect, verify and
 * convert know it.  It comes back from a container as well.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file_replace.h"
#include "cli/embedded_moves.h"
#include "engine/handover/handover_common.h"
#include "engine/move/guest_lock.h"
#include "engine/move/image_feed.h"
#include "engine/move/image_header.h"
#include "stream/xl/xl_records.h"

#define IMAGE_MODE 0600

struct file_move {
    struct embedded_moves *e;
    const char *command;
    struct keeper_guest guest;
    bool suspended;
};

/* ---- what both directions need ------------------------------------------ */

static void on_event(void *context, const struct engine_event *event)
{
    struct file_move *f = context;
    char point[64];

    snprintf(point, sizeof(point), "%s.%s", f->command,
             engine_phase_name(event->phase));
    fault_point(point, -1);
    handover_event(&f->e->options, event);
}

static struct engine_options engine_options_of(struct file_move *f)
{
    return (struct engine_options){
        .log = f->e->options.log,
        .event = on_event,
        .event_context = f,
        .cancel_fd = f->e->options.cancel_fd,
        .idle_timeout_ms = f->e->options.timeout_ms,
    };
}

static void tell(struct file_move *f, enum move_step step)
{
    handover_tell(&f->e->options, step, f->guest.name, f->guest.domid);
}

/* ---- the configuration --------------------------------------------------- */

static void write_config(const struct keeper_guest *g, struct buffer *ret)
{
    struct json_object *all = json_object_new_object();
    struct json_object *created = json_object_new_object();
    struct json_object *built = json_object_new_object();
    struct json_object *disks = json_object_new_array();

    json_object_object_add(created, "type", json_object_new_string("pvh"));
    json_object_object_add(created, "name", json_object_new_string(g->name));
    json_object_object_add(created, "domid", json_object_new_int64(g->domid));
    json_object_object_add(built, "max_vcpus", json_object_new_int64(g->vcpus));
    json_object_object_add(built, "max_memkb",
                           json_object_new_uint64(g->memory_mib << 10));
    if (g->disk[0]) {
        struct json_object *disk = json_object_new_object();

        json_object_object_add(disk, "pdev_path",
                               json_object_new_string(g->disk));
        json_object_object_add(disk, "vdev", json_object_new_string("xvda"));
        json_object_object_add(disk, "readwrite",
                               json_object_new_int(!g->disk_read_only));
        json_object_array_add(disks, disk);
    }
    json_object_object_add(all, "c_info", created);
    json_object_object_add(all, "b_info", built);
    json_object_object_add(all, "disks", disks);
    buffer_text(ret,
                json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
    buffer_u8(ret, 0);
    json_object_put(all);
}

static struct json_object *part(struct json_object *o, const char *name)
{
    struct json_object *value;

    return json_object_object_get_ex(o, name, &value) ? value : NULL;
}

/* The host checks the numbers when it makes the guest. */
static bool read_config(const char *text, struct keeper_guest *ret,
                        struct error *err)
{
    struct json_object *all = json_tokener_parse(text);
    struct json_object *created = part(all, "c_info");
    struct json_object *built = part(all, "b_info");
    struct json_object *disks = part(all, "disks");
    struct json_object *disk = NULL;
    struct keeper_guest g = {0};
    const char *name, *path = "";
    bool good;

    if (json_object_is_type(disks, json_type_array))
        disk = json_object_array_get_idx(disks, 0);
    name = created ? message_text(created, "name") : "";
    if (disk)
        path = message_text(disk, "pdev_path");
    good = created && built && *name && strlen(name) < sizeof(g.name) &&
           strlen(path) < sizeof(g.disk);
    if (good) {
        strcpy(g.name, name);
        strcpy(g.disk, path);
        g.domid = (uint32_t)message_number(created, "domid");
        g.vcpus = (uint32_t)message_number(built, "max_vcpus");
        g.memory_mib = message_number(built, "max_memkb") >> 10;
        g.disk_read_only = disk && !message_number(disk, "readwrite");
        *ret = g;
    }
    json_object_put(all);
    return good || error_set(err, ERR_FORMAT,
                             "configuration: no name, memory or processors in "
                             "it, expected one of an embedded host's guest");
}

/* ---- saving -------------------------------------------------------------- */

static bool on_suspend(void *context, struct error *err)
{
    struct file_move *f = context;
    struct keeper *k = f->e->keeper;

    f->suspended = k->ops->suspend(k, f->guest.domid, err);
    fault_point("save.suspended", -1);
    return f->suspended;
}

static const struct save_callbacks save_callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = plain_device_model,
    .postcopy = plain_checkpoint,
    .checkpoint = plain_checkpoint,
};

static bool write_head(struct file_move *f, int fd, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup(buffer_release) struct buffer config = {0};
    cleanup(buffer_release) struct buffer head = {.order = ORDER_LITTLE};

    write_config(&f->guest, &config);
    xlstream_header_append(&head, false);
    record_append(&head, XLREC_LIBXC_CONTEXT, NULL, 0);
    return buffer_check(&config, "configuration", err) &&
           buffer_check(&head, "libxl header", err) &&
           io_attach(&io, fd, true, f->e->options.timeout_ms,
                     f->e->options.cancel_fd, err) &&
           image_header_write(&io, (const char *)config.bytes, err) &&
           io_write_all(&io, head.bytes, head.length, err);
}

static bool write_end(struct file_move *f, int fd, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup(buffer_release) struct buffer end = {.order = ORDER_LITTLE};

    record_append(&end, XLREC_END, NULL, 0);
    return buffer_check(&end, "libxl record", err) &&
           io_attach(&io, fd, true, f->e->options.timeout_ms,
                     f->e->options.cancel_fd, err) &&
           io_write_all(&io, end.bytes, end.length, err);
}

static bool write_image(struct file_move *f, int fd, bool live,
                        struct error *err)
{
    struct save_request request = {
        .host = f->e->host,
        .domid = f->guest.domid,
        .fd = fd,
        .live = live,
        .noncoop = true,
        .precopy = precopy_limits_default(),
        .callbacks = &save_callbacks,
        .callback_context = f,
        .options = engine_options_of(f),
    };
    struct save_report saved;

    tell(f, MOVE_STEP_SAVE);
    return write_head(f, fd, err) && engine_save(&request, &saved, err) &&
           write_end(f, fd, err);
}

/* The image is safe: now the guest may go. */
static bool finish_guest(struct file_move *f, enum after_save after,
                         struct error *err)
{
    struct keeper *k = f->e->keeper;
    uint32_t domid = f->guest.domid;

    if (after == AFTER_SAVE_DESTROY) {
        tell(f, MOVE_STEP_DISCARD);
        return k->ops->destroy(k, domid, err);
    }
    tell(f, MOVE_STEP_START);
    if (after == AFTER_SAVE_PAUSE &&
        !f->e->host->ops->pause(f->e->host, domid, err))
        return false;
    return k->ops->resume(k, domid, err);
}

static enum move_outcome back_out(struct file_move *f)
{
    struct keeper *k = f->e->keeper;

    if (!f->suspended)
        return MOVE_KEPT;
    tell(f, MOVE_STEP_TAKEBACK);
    return k->ops->resume(k, f->guest.domid, NULL) ? MOVE_KEPT : MOVE_STUCK;
}

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

bool embedded_save(struct embedded_moves *e,
                   const struct save_file_request *request,
                   enum move_outcome *ret, struct error *err)
{
    cleanup(file_replace_release) struct file_replace file = FILE_REPLACE_NONE;
    cleanup(guest_lock_release) struct guest_lock lock = {.fd = -1};
    struct file_move f = {.e = e, .command = "save"};
    char moves[HOST_FOLDER_MAX + 8];
    bool found;

    *ret = MOVE_KEPT;
    snprintf(moves, sizeof(moves), "%s/moves", e->folder);
    if (!e->keeper->ops->find(e->keeper, request->guest, &found, &f.guest, err))
        return false;
    if (!found || f.guest.state != KEPT_RUNNING)
        return error_set(err, ERR_STATE, "guest \"%s\": %s", request->guest,
                         found ? "it does not run" : "not on this host");
    if (!guest_lock_take(&lock, moves, f.guest.domid, err) ||
        !open_output(&file, request->path, err))
        return false;
    tell(&f, MOVE_STEP_CHECK);
    if (!write_image(&f, file.fd, request->live, err)) {
        *ret = back_out(&f);
        return false;
    }
    fault_point("save.written", -1);
    tell(&f, MOVE_STEP_SYNC);
    /* Once the image has its name there is no way back. */
    if (!handover_goes_on(&e->options, err) ||
        !file_replace_commit(&file, request->sync, err)) {
        *ret = back_out(&f);
        return false;
    }
    fault_point("save.committed", -1);
    if (!finish_guest(&f, request->after, err)) {
        *ret = MOVE_STUCK;
        return error_wrap(err, "the image is complete, but");
    }
    fault_point("save.finished", -1);
    tell(&f, MOVE_STEP_END);
    *ret = MOVE_DONE;
    return true;
}

/* ---- restoring ----------------------------------------------------------- */

static bool read_head(struct file_move *f, int fd, struct error *err)
{
    cleanup(image_header_release) struct image_header header = {0};
    cleanup(io_release) struct io io = {.own_fd = -1};
    uint8_t preamble[IMAGE_PREAMBLE];

    return io_attach(&io, fd, false, f->e->options.timeout_ms,
                     f->e->options.cancel_fd, err) &&
           image_header_read(&io, &header, err) &&
           image_preamble_read(&io, preamble, err) &&
           read_config(header.config, &f->guest, err);
}

static bool read_image(struct file_move *f, int fd, struct error *err)
{
    struct restore_request request = {
        .host = f->e->host,
        .domid = f->guest.domid,
        .fd = fd,
        .noncoop = true,
        .callbacks = &plain_restore,
        .callback_context = f,
        .options = engine_options_of(f),
    };
    struct restore_report restored;

    tell(f, MOVE_STEP_RESTORE);
    return engine_restore(&request, &restored, err);
}

/* After the libxc image; what feeds a container has then found no fault. */
static bool read_end(struct file_move *f, int fd, struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    uint8_t bytes[RECORD_HEAD_SIZE];
    struct record_head head;

    if (!io_attach(&io, fd, false, f->e->options.timeout_ms,
                   f->e->options.cancel_fd, err) ||
        !io_read_exact(&io, bytes, sizeof(bytes), err))
        return false;
    head = record_head_decode(bytes, ORDER_LITTLE, 0);
    return (head.type == XLREC_END && head.length == 0) ||
           error_set(err, ERR_FORMAT,
                     "libxl record: type %#" PRIx32 " of %" PRIu32
                     " octets, expected END",
                     head.type, head.length);
}

/* A named pipe that nobody writes to yet is waited for here, not in open(). */
static bool open_named(struct embedded_moves *e, const char *path, int *ret_fd,
                       struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup_fd int fd = -1;

    if (!file_open(path, O_RDONLY | O_NONBLOCK, 0, &fd, err))
        return false;
    if (!io_attach(&io, fd, false, e->options.timeout_ms, e->options.cancel_fd,
                   err) ||
        !io_wait(&io, POLLIN, err))
        return error_wrap(err, "%.128s", path);
    if (fcntl(fd, F_SETFL, O_RDONLY))
        return error_set_errno(err, ERR_IO, errno, "%.128s", path);
    *ret_fd = take_fd(&fd);
    return true;
}

static bool open_input(struct embedded_moves *e, const char *path, int *ret_fd,
                       struct error *err)
{
    if (strcmp(path, "-") != 0)
        return open_named(e, path, ret_fd, err);
    if (isatty(STDIN_FILENO))
        return error_set(err, ERR_USAGE,
                         "standard input is a terminal, expected an image");
    *ret_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    return *ret_fd >= 0 || error_set(err, ERR_IO, "standard input");
}

/* A guest that is whole, in 'fd'; 'f' has what it is. */
static bool take_image(struct file_move *f,
                       const struct restore_file_request *request, int fd,
                       enum move_outcome *ret, struct error *err)
{
    struct keeper *k = f->e->keeper;

    if (!read_head(f, fd, err))
        return error_wrap(err, "%.128s", request->path);
    if (request->name)
        snprintf(f->guest.name, sizeof(f->guest.name), "%s", request->name);
    if (!k->ops->create(k, &f->guest, err))
        return false;
    fault_point("restore.created", -1);
    if (read_image(f, fd, err) && read_end(f, fd, err))
        return true;
    if (!k->ops->destroy(k, f->guest.domid, NULL))
        *ret = MOVE_STUCK;
    return false;
}

/* Once it has been started there is no way back. */
static bool start_guest(struct file_move *f, bool paused, struct error *err)
{
    struct keeper *k = f->e->keeper;

    fault_point("restore.whole", -1);
    if (!handover_goes_on(&f->e->options, err))
        return false;
    fault_point("restore.starting", -1);
    tell(f, MOVE_STEP_START);
    if (!paused && k->ops->start(k, f->guest.domid, err) != KEEPER_DONE)
        return false;
    fault_point("restore.started", -1);
    return true;
}

bool embedded_restore(struct embedded_moves *e,
                      const struct restore_file_request *request,
                      struct toolstack_guest *ret_guest, enum move_outcome *ret,
                      struct error *err)
{
    struct keeper *k = e->keeper;
    struct file_move f = {.e = e, .command = "restore"};
    struct image_feed *feed;
    cleanup_fd int fd = -1;
    bool ok;

    *ret = MOVE_NOTHING;
    handover_tell(&e->options, MOVE_STEP_CHECK, "", 0);
    if (!open_input(e, request->path, &fd, err) ||
        !image_feed_begin(&feed, &fd, err))
        return false;
    ok = take_image(&f, request, fd, ret, err);
    image_feed_end(feed, &fd, ok ? NULL : err);
    if (!ok)
        return false;
    if (!start_guest(&f, request->paused, err)) {
        *ret =
            k->ops->destroy(k, f.guest.domid, NULL) ? MOVE_NOTHING : MOVE_STUCK;
        return false;
    }
    snprintf(ret_guest->name, sizeof(ret_guest->name), "%s", f.guest.name);
    ret_guest->domid = f.guest.domid;
    tell(&f, MOVE_STEP_END);
    *ret = MOVE_DONE;
    return true;
}
