/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/console_tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Between attempts to have a terminal again that somebody hung up. */
#define REOPEN_MS 100

static int open_slave(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    struct termios mode;

    if (fd < 0)
        return -1;
    if (!tcgetattr(fd, &mode)) {
        cfmakeraw(&mode);
        if (!tcsetattr(fd, TCSANOW, &mode))
            return fd;
    }
    close(fd);
    return -1;
}

bool console_tty_open(struct console_tty *t, struct error *err)
{
    cleanup_fd int master =
        posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    char path[sizeof(t->path)];
    int slave;

    if (master < 0 || grantpt(master) || unlockpt(master) ||
        ptsname_r(master, path, sizeof(path)))
        return error_set_errno(err, ERR_IO, errno, "pseudo-terminal");
    slave = open_slave(path);
    if (slave < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    *t = (struct console_tty){.master = take_fd(&master), .slave = slave};
    memcpy(t->path, path, sizeof(path));
    return true;
}

void console_tty_close(struct console_tty *t)
{
    close_fd(&t->slave);
    close_fd(&t->master);
    t->path[0] = '\0';
}

void console_tty_print(struct console_tty *t, const char *text, size_t length)
{
    for (int attempt = 0; t->master >= 0 && attempt < 2; attempt++) {
        ssize_t n = write(t->master, text, length);

        if (n == (ssize_t)length)
            return;
        if (n > 0) {
            text += n;
            length -= (size_t)n;
        }
        /* What is on its way to the slave, then what has arrived there. */
        tcflush(t->master, TCOFLUSH);
        tcflush(t->slave, TCIFLUSH);
    }
}

size_t console_tty_read(struct console_tty *t, char *to, size_t size)
{
    ssize_t n = read(t->master, to, size);

    return n > 0 ? (size_t)n : 0;
}

size_t console_tty_unread(const struct console_tty *t)
{
    int nr = 0;

    return t->master < 0 || ioctl(t->master, FIONREAD, &nr) || nr < 0
               ? 0
               : (size_t)nr;
}

/* Somebody hung the terminal up: our descriptor of the slave is dead. */
static void reopen(struct console_tty *t)
{
    int fd = open_slave(t->path);

    if (fd < 0)
        return;
    /* In its place at once: the other thread may be about to use it. */
    (void)dup3(fd, t->slave, O_CLOEXEC);
    close(fd);
}

bool console_tty_wait(struct console_tty *t, int end_fd)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = end_fd,    .events = POLLIN},
            {.fd = t->master, .events = POLLIN},
        };

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            return false;
        if (fds[1].revents & POLLIN)
            return true;
        if (poll(fds, 1, REOPEN_MS) > 0)
            return false;
        reopen(t);
    }
}
