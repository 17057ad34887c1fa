/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands before the libxl stream: xl's header with the guest's
 * configuration, read from and written to a descriptor, octet-exact.
 */
#ifndef ENGINE_MOVE_IMAGE_HEADER_H
#define ENGINE_MOVE_IMAGE_HEADER_H

#include "base/buffer.h"
#include "base/io.h"

struct image_header {
    struct buffer optional; /* owned */
    char *config;           /* owned; JSON, NUL-terminated */
};

void image_header_release(struct image_header *h);

/*
 * Read it, and nothing behind it.  A header without a JSON configuration, or
 * with a legacy image behind it, is ERR_UNSUPPORTED.
 */
must_check bool image_header_read(struct io *io, struct image_header *ret,
                                  struct error *err);

#define IMAGE_PREAMBLE 24

/*
 * Read what comes next: the libxl stream's header and the record that
 * announces the libxc image.  Both are checked.
 */
must_check bool image_preamble_read(struct io *io, uint8_t ret[IMAGE_PREAMBLE],
                                    struct error *err);

/* 'config' is JSON, NUL-terminated. */
must_check bool image_header_write(struct io *io, const char *config,
                                   struct error *err);

#endif
