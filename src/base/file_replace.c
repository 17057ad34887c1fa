/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

/* Other writers choose other numbers; this many collisions are no accident. */
#define NAME_ATTEMPTS 64

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    if (slash == path)
        return strdup("/");
    return strndup(path, (size_t)(slash - path));
}

/* ".<name>.<pid>-<attempt>.part" in the folder of 'path'. */
static char *hidden_name(const char *path, int attempt)
{
    const char *slash = strrchr(path, '/');
    int folder_length = slash ? (int)(slash + 1 - path) : 0;
    char *name;

    if (asprintf(&name, "%.*s.%s.%ld-%d.part", folder_length, path,
                 path + folder_length, (long)getpid(), attempt) < 0)
        return NULL;
    return name;
}

static bool open_hidden(struct file_replace *f, mode_t mode, struct error *err)
{
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        f->hidden = hidden_name(f->path, attempt);
        if (!f->hidden)
            return error_set(err, ERR_NO_MEMORY, "%.128s", f->path);
        f->fd = open(f->hidden, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (f->fd >= 0)
            return true;
        free(f->hidden);
        f->hidden = NULL;
        if (errno != EEXIST)
            break;
    }
    return error_set_errno(err, ERR_IO, errno, "%.256s", f->path);
}

bool file_replace_open(struct file_replace *ret, const char *path,
                       unsigned int mode, struct error *err)
{
    cleanup(file_replace_release) struct file_replace f = FILE_REPLACE_NONE;
    cleanup_free char *folder = NULL;
    struct stat st;
    bool exists = stat(path, &st) == 0;

    /* Only what is replaced needs its real name; a pipe may have none. */
    f.path =
        exists && S_ISREG(st.st_mode) ? realpath(path, NULL) : strdup(path);
    if (!f.path)
        return error_set_errno(err, ERR_IO, errno, "%.256s", path);
    if (exists && S_ISDIR(st.st_mode))
        return error_set_errno(err, ERR_IO, EISDIR, "%.256s", path);
    if (exists && !S_ISREG(st.st_mode)) {
        f.in_place = true;
        if (!file_open(f.path, O_WRONLY, 0, &f.fd, err))
            return false;
        *ret = MOVE(f);
        f.fd = -1;
        return true;
    }
    folder = folder_of(f.path);
    if (!folder)
        return error_set(err, ERR_NO_MEMORY, "%.128s", path);
    f.fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (f.fd < 0 && errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)
        return error_set_errno(err, ERR_IO, errno, "%.256s", f.path);
    if (f.fd < 0 && !open_hidden(&f, mode, err))
        return false;
    *ret = MOVE(f);
    f.fd = -1;
    return true;
}

bool file_replace_use(struct file_replace *ret, int fd, const char *name,
                      struct error *err)
{
    cleanup(file_replace_release) struct file_replace f = FILE_REPLACE_NONE;

    f.in_place = true;
    f.path = strdup(name);
    if (!f.path)
        return error_set(err, ERR_NO_MEMORY, "%.128s", name);
    f.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (f.fd < 0)
        return error_set_errno(err, ERR_IO, errno, "%.128s", name);
    *ret = MOVE(f);
    f.fd = -1;
    return true;
}

/* Give the nameless file its hidden name: a link cannot replace the target. */
static bool link_hidden(struct file_replace *f, struct error *err)
{
    char source[64];

    snprintf(source, sizeof(source), "/proc/self/fd/%d", f->fd);
    for (int attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
        f->hidden = hidden_name(f->path, attempt);
        if (!f->hidden)
            return error_set(err, ERR_NO_MEMORY, "%.128s", f->path);
        if (linkat(AT_FDCWD, source, AT_FDCWD, f->hidden, AT_SYMLINK_FOLLOW) ==
            0)
            return true;
        free(f->hidden);
        f->hidden = NULL;
        if (errno != EEXIST)
            break;
    }
    return error_set_errno(err, ERR_IO, errno, "%.256s", f->path);
}

static bool sync_folder(const char *path, struct error *err)
{
    cleanup_free char *folder = folder_of(path);
    cleanup_fd int fd = -1;

    if (!folder)
        return error_set(err, ERR_NO_MEMORY, "%.128s", path);
    if (!file_open(folder, O_RDONLY | O_DIRECTORY, 0, &fd, err))
        return false;
    return fsync(fd) == 0 ||
           error_set_errno(err, ERR_IO, errno, "%.256s", folder);
}

bool file_replace_commit(struct file_replace *f, bool sync, struct error *err)
{
    /* Pipes and most devices have nothing to sync. */
    if (sync && fsync(f->fd) != 0 && errno != EINVAL && errno != EROFS)
        return error_set_errno(err, ERR_IO, errno, "%.256s", f->path);
    if (!f->in_place) {
        if (!f->hidden && !link_hidden(f, err))
            return false;
        if (rename(f->hidden, f->path) != 0)
            return error_set_errno(err, ERR_IO, errno, "%.256s", f->path);
        free(f->hidden);
        f->hidden = NULL;
        if (sync && !sync_folder(f->path, err))
            return false;
    }
    if (close(take_fd(&f->fd)) != 0)
        return error_set_errno(err, ERR_IO, errno, "%.256s", f->path);
    return true;
}

void file_replace_release(struct file_replace *f)
{
    if (f->fd > 0)
        close(f->fd);
    f->fd = -1;
    if (f->hidden)
        unlink(f->hidden);
    free(f->hidden);
    free(f->path);
    f->hidden = f->path = NULL;
}
