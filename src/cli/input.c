/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/input.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

bool input_open(struct input *ret, const char *path, int idle_timeout_ms,
                struct error *err)
{
    struct input input = {.fd = STDIN_FILENO};

    if (strcmp(path, "-") != 0 && !file_open(path, O_RDONLY, 0, &input.fd, err))
        return false;
    if (!io_attach(&input.io, input.fd, false, idle_timeout_ms, -1, err)) {
        if (input.fd != STDIN_FILENO)
            close(input.fd);
        return false;
    }
    input.open = true;
    *ret = input;
    ret->source = source_from_io(&ret->io);
    return true;
}

void input_close(struct input *input)
{
    if (!input->open)
        return;
    io_release(&input->io);
    if (input->fd != STDIN_FILENO)
        close(input->fd);
    input->open = false;
}
