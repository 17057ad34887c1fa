/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A buffer as a container's file, as far as it was written. */
#ifndef TESTS_STREAM_BUFFER_FILE_H
#define TESTS_STREAM_BUFFER_FILE_H

#include <string.h>

#include "base/buffer.h"
#include "stream/container/container_read.h"

static inline bool buffer_file_read_at(void *context, void *buffer,
                                       size_t length, uint64_t offset,
                                       struct error *err)
{
    const struct buffer *b = context;

    if (offset > b->length || length > b->length - offset)
        return error_set_at(err, ERR_TRUNCATED, offset, "the file ends");
    memcpy(buffer, b->bytes + offset, length);
    return true;
}

static inline struct container_file file_of(struct buffer *b)
{
    return (struct container_file){
        .read_at = buffer_file_read_at, .context = b, .size = b->length};
}

#endif
