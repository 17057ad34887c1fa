/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image that a command reads: a file, or "-" for standard input.
 *
 * A container is opened on the way: the source gives the image in it.  From a
 * pipe it is copied to a scratch file first, as its index stands at its end.
 */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "base/io.h"
#include "stream/container/container_read.h"
#include "stream/put_back.h"

struct input {
    int fd; /* owned, unless it is standard input */
    struct io io;
    struct stream_source source;
    bool open;
    struct stream_source outside; /* of the descriptor */
    struct put_back looked_at;
    struct input_container *container; /* owned; NULL: it is none */
};

/*
 * A pipe that gives nothing for 'idle_timeout_ms' is an error; -1: never.
 * '*ret' must not move.
 */
must_check bool input_open(struct input *ret, const char *path,
                           int idle_timeout_ms, struct error *err);
/* The same without a look at what it is. */
must_check bool input_open_plain(struct input *ret, const char *path,
                                 int idle_timeout_ms, struct error *err);

/* The container that the image is in, or NULL. */
struct container *input_container(const struct input *input);

void input_close(struct input *input);

#endif
