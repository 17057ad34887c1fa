/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image that a command reads: a file, or "-" for standard input. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/io.h"
#include "stream/stream_io.h"

struct input {
    int fd; /* owned, unless it is standard input */
    struct io io;
    struct stream_source source;
    bool open;
};

/* A pipe that gives nothing for 'idle_timeout_ms' is an error; -1: never. */
must_check bool input_open(struct input *ret, const char *path,
                           int idle_timeout_ms, struct error *err);
void input_close(struct input *input);

#endif
