/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of libxenferry share; not installed. */
#ifndef API_API_H
#define API_API_H

#include <xenferry/xenferry.h>

#include "base/io.h"
#include "stream/container/container_read.h"
#include "stream/stream_io.h"

struct xenferry_source {
    struct stream_source source;
    struct io io; /* of a descriptor */
    bool attached;
    struct memory_source memory;
    int64_t (*read)(void *context, void *buffer, size_t length);
    void *context;
    struct container_stream container;
    bool in_container;
};

/* XENFERRY_FAILED, with '*from' copied to '*to' if that is wanted. */
int api_failed(struct xenferry_error *to, const struct error *from);

#endif
