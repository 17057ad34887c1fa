/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An image that a command puts into a container. */
#ifndef CLI_CONTAINER_OUTPUT_H
#define CLI_CONTAINER_OUTPUT_H

#include "cli/input.h"
#include "cli/new_file.h"
#include "stream/field_sink.h"

struct container_job {
    int level;   /* of zstd */
    int threads; /* that compress; -1: one for each processor */
    bool quiet;
    struct container_summary summary;
    struct error why; /* the image was not understood to its end */
};

#define CONTAINER_JOB_DEFAULT                           \
    {                                                   \
        .level = CONTAINER_LEVEL_DEFAULT, .threads = -1 \
    }

/* Everything that 'source' still has, as a container; 'out' is not committed. */
must_check bool container_output(struct container_job *job,
                                 struct stream_source *source, int source_fd,
                                 struct new_file *out, struct error *err);

void container_show(const struct container_summary *s, struct field_sink *sink);

#endif
