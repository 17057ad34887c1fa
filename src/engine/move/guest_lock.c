/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/move/guest_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Whether the path still names what 'fd' has open. */
static bool still_there(int fd, const char *path)
{
    struct stat mine, there;

    return fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
           mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

static bool held_by_another(int fd, uint32_t domid, struct error *err)
{
    char pid[16] = "";
    ssize_t got = pread(fd, pid, sizeof(pid) - 1, 0);

    if (got < 0)
        got = 0;
    pid[got] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return error_set(err, ERR_STATE,
                     "domain %u: being saved or migrated already, by process "
                     "%s",
                     domid, pid[0] ? pid : "(unknown)");
}

bool guest_lock_take(struct guest_lock *ret, const char *folder, uint32_t domid,
                     struct error *err)
{
    struct guest_lock lock = {.fd = -1};
    char pid[16];

    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return error_set_errno(err, ERR_IO, errno, "%s", folder);
    snprintf(lock.path, sizeof(lock.path), "%s/domain-%u.lock", folder, domid);
    for (;;) {
        cleanup_fd int fd =
            open(lock.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0)
            return error_set_errno(err, ERR_IO, errno, "%s", lock.path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return held_by_another(fd, domid, err);
            return error_set_errno(err, ERR_IO, errno, "%s", lock.path);
        }
        /* Its last holder may have removed it between our two calls. */
        if (!still_there(fd, lock.path))
            continue;
        snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
        /* The number is a courtesy: without it the lock still holds. */
        if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
            errno = 0;
        lock.fd = take_fd(&fd);
        *ret = lock;
        return true;
    }
}

void guest_lock_release(struct guest_lock *lock)
{
    if (lock->fd <= 0)
        return;
    unlink(lock->path);
    close_fd(&lock->fd);
}
