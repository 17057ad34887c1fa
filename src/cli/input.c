/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/input.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/image_file.h"
#include "cli/new_file.h"

#define COPY_SIZE ((size_t)1 << 20)

struct input_container {
    struct container container;
    struct container_stream stream;
    struct container_fd file;
    int scratch_fd; /* owned; -1: the input itself is a file */
};

bool input_open_plain(struct input *ret, const char *path, int idle_timeout_ms,
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

/* A pipe's container as a file. */
static bool copy_to_scratch(struct input *input, int *ret_fd, struct error *err)
{
    cleanup_free uint8_t *buffer = malloc(COPY_SIZE);
    struct stream_sink sink;
    struct io io;
    size_t got = 0;
    bool ok;

    if (!buffer)
        return error_set(err, ERR_NO_MEMORY, "input: no memory");
    if (!scratch_open(default_scratch_folder(), ret_fd, err) ||
        !io_attach(&io, *ret_fd, true, -1, -1, err))
        return false;
    sink = sink_to_io(&io);
    do
        ok = source_read_some(&input->source, buffer, COPY_SIZE, &got, err) &&
             sink_write(&sink, buffer, got, err);
    while (ok && got > 0);
    io_release(&io);
    return ok;
}

static bool open_container(struct input *input, struct error *err)
{
    struct input_container *in = calloc(1, sizeof(*in));
    struct container_file file;

    if (!in)
        return error_set(err, ERR_NO_MEMORY, "input: no memory");
    in->scratch_fd = -1;
    input->container = in;
    if (input->io.kind != IO_FILE &&
        !copy_to_scratch(input, &in->scratch_fd, err))
        return false;
    in->file.fd = in->scratch_fd >= 0 ? in->scratch_fd : input->fd;
    if (!container_file_from_fd(&in->file, &file, err) ||
        !container_open(&in->container, &file, err) ||
        !container_stream_init(&in->stream, &in->container, true, err))
        return false;
    input->source = source_from_container(&in->stream);
    return true;
}

/* A file is looked at where it is; a pipe gets its octets put back. */
static bool look_for_container(struct input *input, bool *ret,
                               struct error *err)
{
    uint8_t *bytes = input->looked_at.bytes;
    size_t got;

    *ret = false;
    if (input->io.kind == IO_FILE) {
        *ret = lseek(input->fd, 0, SEEK_CUR) == 0 &&
               pread(input->fd, bytes, 8, 0) == 8 && container_sniff(bytes);
        return true;
    }
    input->outside = input->source;
    if (!source_peek(&input->looked_at, &input->outside, 8, &input->source,
                     &got, err))
        return false;
    *ret = got == 8 && container_sniff(bytes);
    return true;
}

bool input_open(struct input *ret, const char *path, int idle_timeout_ms,
                struct error *err)
{
    bool container;

    if (!input_open_plain(ret, path, idle_timeout_ms, err))
        return false;
    if (look_for_container(ret, &container, err) &&
        (!container || open_container(ret, err)))
        return true;
    input_close(ret);
    return false;
}

struct container *input_container(const struct input *input)
{
    return input->container ? &input->container->container : NULL;
}

void input_close(struct input *input)
{
    if (!input->open)
        return;
    if (input->container) {
        container_stream_release(&input->container->stream);
        container_close(&input->container->container);
        close_fd(&input->container->scratch_fd);
    }
    free_pointer(&input->container);
    io_release(&input->io);
    if (input->fd != STDIN_FILENO)
        close(input->fd);
    input->open = false;
}
