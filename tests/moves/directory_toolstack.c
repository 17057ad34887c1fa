/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A toolstack whose guests are files, so that the commands of xenferry(1) can
 * be run from end to end where there is no Xen.
 *
 *   $DIRECTORY_TOOLSTACK/NAME    one line: domid, state, uuid
 *
 * States are "running", "paused" and "suspended".  An image is IMAGE_CHUNKS
 * times the same kilobyte, and takes $DIRECTORY_TOOLSTACK_MS a chunk.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "host/toolstack.h"

#define IMAGE_CHUNKS 64
#define CHUNK        1024
#define PREAMBLE     "LibxlFmt\0\0\0\2\0\0\0\0\1\0\0\0\0\0\0\0"

struct directory_toolstack {
    struct toolstack base;
    const char *folder;
    int delay_ms;
};

static struct directory_toolstack *directory_of(struct toolstack *ts)
{
    return container_of(ts, struct directory_toolstack, base);
}

static void path_of(struct directory_toolstack *d, const char *name, char *ret,
                    size_t size)
{
    snprintf(ret, size, "%s/%s", d->folder, name);
}

static bool guest_read(struct directory_toolstack *d, const char *name,
                       struct toolstack_guest *ret)
{
    struct toolstack_guest g = {.type = "pvh"};
    char path[512], state[16];
    FILE *file;
    int fields;

    path_of(d, name, path, sizeof(path));
    file = fopen(path, "r");
    if (!file)
        return false;
    fields = fscanf(file, "%u %15s %39s", &g.domid, state, g.uuid);
    fclose(file);
    if (fields != 3)
        return false;
    snprintf(g.name, sizeof(g.name), "%s", name);
    g.paused = !strcmp(state, "paused");
    g.suspended = !strcmp(state, "suspended");
    *ret = g;
    return true;
}

static bool guest_write(struct directory_toolstack *d,
                        const struct toolstack_guest *g, struct error *err)
{
    char path[512];
    FILE *file;

    path_of(d, g->name, path, sizeof(path));
    file = fopen(path, "w");
    if (!file)
        return error_set_errno(err, ERR_HOST, errno, "%.128s", path);
    fprintf(file, "%u %s %s\n", g->domid,
            g->suspended ? "suspended"
            : g->paused  ? "paused"
                         : "running",
            g->uuid);
    return fclose(file) == 0 || error_set(err, ERR_HOST, "%.128s", path);
}

static bool guest_by_domid(struct directory_toolstack *d, uint32_t domid,
                           struct toolstack_guest *ret, struct error *err)
{
    DIR *folder = opendir(d->folder);
    struct dirent *entry;
    bool found = false;

    while (folder && !found && (entry = readdir(folder)))
        found = entry->d_name[0] != '.' && guest_read(d, entry->d_name, ret) &&
                ret->domid == domid;
    if (folder)
        closedir(folder);
    return found ||
           error_set(err, ERR_STATE, "domain %u: there is none", domid);
}

static void directory_close(struct toolstack *ts)
{
    free(directory_of(ts));
}

static bool directory_look(struct toolstack *ts, uint32_t domid,
                           struct toolstack_guest *ret, struct error *err)
{
    return guest_by_domid(directory_of(ts), domid, ret, err);
}

static bool directory_find(struct toolstack *ts, const char *name,
                           struct toolstack_guest *ret, struct error *err)
{
    return guest_read(directory_of(ts), name, ret) ||
           error_set(err, ERR_STATE, "domain %.64s: there is none", name);
}

static bool directory_config_get(struct toolstack *ts, uint32_t domid,
                                 bool keep_domid, struct buffer *ret,
                                 struct error *err)
{
    struct toolstack_guest g;

    if (!guest_by_domid(directory_of(ts), domid, &g, err))
        return false;
    buffer_format(ret, "%s %s", g.name, g.uuid);
    buffer_u8(ret, 0);
    return buffer_check(ret, "configuration", err);
}

static bool directory_config_describe(struct toolstack *ts, const char *config,
                                      struct toolstack_guest *ret,
                                      struct error *err)
{
    struct toolstack_guest g = {.domid = TOOLSTACK_ANY_DOMID, .type = "pvh"};

    if (sscanf(config, "%255s %39s", g.name, g.uuid) != 2)
        return error_set(err, ERR_FORMAT, "configuration: \"%.64s\"", config);
    *ret = g;
    return true;
}

static bool directory_config_check(struct toolstack *ts, const char *config,
                                   const char *name, struct error *err)
{
    struct toolstack_guest g, other;

    if (!directory_config_describe(ts, config, &g, err))
        return false;
    name = name ? name : g.name;
    return !guest_read(directory_of(ts), name, &other) ||
           error_set(err, ERR_STATE, "domain %.64s: exists already", name);
}

static bool state_set(struct toolstack *ts, uint32_t domid, bool paused,
                      bool suspended, struct error *err)
{
    struct toolstack_guest g;

    if (!guest_by_domid(directory_of(ts), domid, &g, err))
        return false;
    g.paused = paused;
    g.suspended = suspended;
    return guest_write(directory_of(ts), &g, err);
}

/* A chunk's time, unless cancelled. */
static bool chunk_wait(struct directory_toolstack *d,
                       const struct toolstack_work *work, struct error *err)
{
    struct pollfd cancel = {.fd = work->cancel_fd, .events = POLLIN};

    return poll(&cancel, 1, d->delay_ms) <= 0 ||
           error_set(err, ERR_CANCELLED, "cancelled");
}

static void chunk_tell(const struct toolstack_work *work, unsigned int chunk)
{
    char line[256];

    snprintf(line, sizeof(line),
             "{\"event\":\"progress\",\"phase\":\"precopy\",\"round\":1,"
             "\"bytes\":%u,\"round_pages\":%u,\"round_total\":%u,"
             "\"rate\":1048576}",
             (chunk + 1) * CHUNK, chunk + 1, IMAGE_CHUNKS);
    if (work->event)
        work->event(work->context, line);
}

static bool directory_save(struct toolstack *ts, uint32_t domid, int fd,
                           unsigned int flags,
                           const struct toolstack_work *work,
                           enum toolstack_save_outcome *ret, struct error *err)
{
    struct directory_toolstack *d = directory_of(ts);
    cleanup(io_release) struct io io = {.own_fd = -1};
    char chunk[CHUNK];

    *ret = SAVE_UNCHANGED;
    memset(chunk, 'x', sizeof(chunk));
    if (!io_attach(&io, fd, true, 10000, work->cancel_fd, err) ||
        !io_write_all(&io, PREAMBLE, TOOLSTACK_PREAMBLE, err))
        return false;
    for (unsigned int i = 0; i < IMAGE_CHUNKS; i++) {
        /* The guest stands still for the second half. */
        if (i == IMAGE_CHUNKS / 2) {
            if (!state_set(ts, domid, false, true, err))
                return false;
            *ret = SAVE_SUSPENDED;
        }
        if (!chunk_wait(d, work, err) ||
            !io_write_all(&io, chunk, sizeof(chunk), err))
            return false;
        chunk_tell(work, i);
    }
    if (work->event)
        work->event(work->context,
                    "{\"event\":\"done\",\"phase\":\"done\",\"bytes\":65536}");
    *ret = SAVE_DONE;
    return true;
}

static bool directory_resume(struct toolstack *ts, uint32_t domid,
                             struct error *err)
{
    struct toolstack_guest g;

    return guest_by_domid(directory_of(ts), domid, &g, err) &&
           state_set(ts, domid, g.paused, false, err);
}

static bool directory_restore(struct toolstack *ts, const char *config,
                              const char *name, const uint8_t *preamble, int fd,
                              const struct toolstack_work *work,
                              uint32_t *ret_domid, struct error *err)
{
    struct directory_toolstack *d = directory_of(ts);
    cleanup(io_release) struct io io = {.own_fd = -1};
    struct toolstack_guest g, other;
    struct error none;
    char chunk[CHUNK];

    if (!directory_config_describe(ts, config, &g, err) ||
        !io_attach(&io, fd, false, 10000, work->cancel_fd, err))
        return false;
    for (unsigned int i = 0; i < IMAGE_CHUNKS; i++) {
        if (!chunk_wait(d, work, err) ||
            !io_read_exact(&io, chunk, sizeof(chunk), err))
            return false;
        chunk_tell(work, i);
    }
    g.domid = 1;
    while (guest_by_domid(d, g.domid, &other, &none))
        g.domid++;
    if (name)
        snprintf(g.name, sizeof(g.name), "%s", name);
    g.paused = true;
    *ret_domid = g.domid;
    return guest_write(d, &g, err);
}

static bool directory_rename(struct toolstack *ts, uint32_t domid,
                             const char *from, const char *to,
                             struct error *err)
{
    char old[512], new[512];

    path_of(directory_of(ts), from, old, sizeof(old));
    path_of(directory_of(ts), to, new, sizeof(new));
    return rename(old, new) == 0 ||
           error_set_errno(err, ERR_HOST, errno, "%.64s", from);
}

static bool directory_pause(struct toolstack *ts, uint32_t domid,
                            struct error *err)
{
    struct toolstack_guest g;

    return guest_by_domid(directory_of(ts), domid, &g, err) &&
           state_set(ts, domid, true, g.suspended, err);
}

static bool directory_unpause(struct toolstack *ts, uint32_t domid,
                              struct error *err)
{
    if (getenv("DIRECTORY_TOOLSTACK_NO_UNPAUSE"))
        return error_set(err, ERR_HOST, "unpause: as the test asked");
    return state_set(ts, domid, false, false, err);
}

static bool directory_destroy(struct toolstack *ts, uint32_t domid,
                              struct error *err)
{
    struct directory_toolstack *d = directory_of(ts);
    struct toolstack_guest g;
    char path[512];

    if (!guest_by_domid(d, domid, &g, err))
        return false;
    path_of(d, g.name, path, sizeof(path));
    return unlink(path) == 0 ||
           error_set_errno(err, ERR_HOST, errno, "%.64s", g.name);
}

static bool directory_keep_house(struct toolstack *ts, uint32_t domid,
                                 struct error *err)
{
    return true;
}

static const struct toolstack_ops directory_ops = {
    .name = "directory",
    .close = directory_close,
    .find = directory_find,
    .look = directory_look,
    .config_get = directory_config_get,
    .config_describe = directory_config_describe,
    .config_check = directory_config_check,
    .save = directory_save,
    .resume = directory_resume,
    .restore = directory_restore,
    .rename = directory_rename,
    .pause = directory_pause,
    .unpause = directory_unpause,
    .destroy = directory_destroy,
    .keep_house = directory_keep_house,
};

static bool directory_open(const struct log *log, struct toolstack **ret,
                           struct error *err)
{
    struct directory_toolstack *d = calloc(1, sizeof(*d));
    const char *delay = getenv("DIRECTORY_TOOLSTACK_MS");

    if (!d)
        return error_set(err, ERR_NO_MEMORY, "toolstack");
    d->base = (struct toolstack){.ops = &directory_ops, .log = log};
    d->folder = getenv("DIRECTORY_TOOLSTACK");
    d->delay_ms = delay ? atoi(delay) : 0;
    if (!d->folder) {
        free(d);
        return error_set(err, ERR_USAGE, "no DIRECTORY_TOOLSTACK");
    }
    *ret = &d->base;
    return true;
}

extern const struct toolstack_module xenferry_toolstack_module;
__attribute__((visibility("default")))
const struct toolstack_module xenferry_toolstack_module = {
    .version = TOOLSTACK_MODULE_VERSION,
    .name = "directory",
    .open = directory_open,
};
