/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The image of a guest is its owner's business alone. */
#define NEW_FILE_MODE 0600

static bool attach(struct new_file *f, int idle_timeout_ms, struct error *err)
{
    if (!io_attach(&f->io, f->fd, true, idle_timeout_ms, -1, err))
        return false;
    f->attached = true;
    f->io.holes = f->dir_fd >= 0;
    f->sink = sink_to_io(&f->io);
    f->open = true;
    return true;
}

/* Hidden, and unlike any other that is being made. */
static void temporary_name(struct new_file *f, unsigned int attempt)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(f->temporary, sizeof(f->temporary), ".%.200s.%ld-%ld-%u", f->name,
             (long)getpid(), now.tv_nsec, attempt);
}

static bool open_in_folder(struct new_file *f, struct error *err)
{
    f->fd =
        openat(f->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, NEW_FILE_MODE);
    f->nameless = f->fd >= 0;
    for (unsigned int i = 0; f->fd < 0 && i < 16; i++) {
        temporary_name(f, i);
        f->fd = openat(f->dir_fd, f->temporary,
                       O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, NEW_FILE_MODE);
        if (f->fd < 0 && errno != EEXIST)
            break;
    }
    if (f->fd >= 0)
        return true;
    f->temporary[0] = '\0';
    return error_set_errno(err, ERR_IO, errno, "%s: no file can be made there",
                           f->name);
}

static bool open_folder(struct new_file *f, const char *path, struct error *err)
{
    cleanup_free char *for_dir = strdup(path);
    cleanup_free char *for_base = strdup(path);
    const char *base;

    if (!for_dir || !for_base)
        return error_set(err, ERR_NO_MEMORY, "%s: no memory", path);
    base = basename(for_base);
    if (strlen(base) > NAME_MAX)
        return error_set(err, ERR_USAGE, "%s: too long a name", path);
    strcpy(f->name, base);
    return file_open(dirname(for_dir), O_RDONLY | O_DIRECTORY, 0, &f->dir_fd,
                     err);
}

/*
 * Whether a name leads through /proc to a descriptor of ours (/dev/stdout,
 * /dev/fd/3): whoever opened that wants the octets there, and the folder of such
 * a name is no place for files.
 */
static bool names_a_descriptor(const char *path)
{
    char at[PATH_MAX], folder[PATH_MAX], target[PATH_MAX];

    if (snprintf(at, sizeof(at), "%s", path) >= (int)sizeof(at))
        return false;
    for (unsigned int links = 0; links < 40; links++) {
        cleanup_free char *for_dir = strdup(at);
        ssize_t length = readlink(at, target, sizeof(target) - 1);

        if (!for_dir || !realpath(dirname(for_dir), folder) || length < 0)
            return false;
        if (strncmp(folder, "/proc/", 6) == 0)
            return true;
        target[length] = '\0';
        if (snprintf(at, sizeof(at), "%s%s%s", target[0] == '/' ? "" : folder,
                     target[0] == '/' ? "" : "/", target) >= (int)sizeof(at))
            return false;
    }
    return false;
}

bool new_file_open(struct new_file *ret, const char *path, int idle_timeout_ms,
                   struct error *err)
{
    struct stat st;
    bool ok;

    *ret = (struct new_file){.fd = -1, .dir_fd = -1};
    if (strcmp(path, "-") == 0)
        ret->fd = STDOUT_FILENO;
    else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return error_set(err, ERR_USAGE, "%s: a folder, expected a file", path);
    else if (stat(path, &st) == 0 &&
             (!S_ISREG(st.st_mode) || names_a_descriptor(path))) {
        if (!file_open(path, O_WRONLY | (S_ISREG(st.st_mode) ? O_TRUNC : 0), 0,
                       &ret->fd, err))
            return false;
    } else if (!open_folder(ret, path, err) || !open_in_folder(ret, err)) {
        close_fd(&ret->dir_fd);
        return false;
    }
    ok = attach(ret, idle_timeout_ms, err);
    if (!ok)
        new_file_close(ret);
    return ok;
}

bool new_file_sparse(const struct new_file *file)
{
    return file->dir_fd >= 0;
}

bool new_file_rewind(struct new_file *file, struct error *err)
{
    if (!new_file_sparse(file) || ftruncate(file->fd, 0) != 0 ||
        lseek(file->fd, 0, SEEK_SET) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s: begin again",
                               file->name);
    file->sink.offset = 0;
    file->io.hole_at_end = false;
    return true;
}

/* linkat() does not replace, rename() does: so by a temporary name. */
static bool give_name(struct new_file *f, struct error *err)
{
    char path[64];

    if (f->nameless) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", f->fd);
        for (unsigned int i = 0;; i++) {
            temporary_name(f, i);
            if (linkat(AT_FDCWD, path, f->dir_fd, f->temporary,
                       AT_SYMLINK_FOLLOW) == 0)
                break;
            if (errno != EEXIST || i == 16) {
                f->temporary[0] = '\0';
                return error_set_errno(err, ERR_IO, errno, "%s: name", f->name);
            }
        }
    }
    if (renameat(f->dir_fd, f->temporary, f->dir_fd, f->name) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s: rename", f->name);
    f->temporary[0] = '\0';
    if (!f->unsynced && fsync(f->dir_fd) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s: fsync of its folder",
                               f->name);
    return true;
}

bool new_file_commit(struct new_file *file, struct error *err)
{
    if (!io_finish(&file->io, err))
        return false;
    if (!new_file_sparse(file))
        return true;
    if (!file->unsynced && fsync(file->fd) != 0)
        return error_set_errno(err, ERR_IO, errno, "%s: fsync", file->name);
    return give_name(file, err);
}

void new_file_close(struct new_file *file)
{
    if (file->attached)
        io_release(&file->io);
    file->attached = false;
    file->open = false;
    if (file->temporary[0] != '\0')
        unlinkat(file->dir_fd, file->temporary, 0);
    file->temporary[0] = '\0';
    if (file->fd != STDOUT_FILENO)
        close_fd(&file->fd);
    close_fd(&file->dir_fd);
}

bool scratch_open(const char *folder, int *ret_fd, struct error *err)
{
    char path[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0) {
        if (snprintf(path, sizeof(path), "%s/xenferry.XXXXXX", folder) >=
            (int)sizeof(path))
            return error_set(err, ERR_USAGE, "%s: too long a name", folder);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            unlink(path);
    }
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno,
                               "%s: no scratch file can be made there", folder);
    *ret_fd = fd;
    return true;
}
