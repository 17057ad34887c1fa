/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that a command looks into: any image that convert reads, loaded.
 *
 * A pipe and a legacy image go through a scratch file.
 */
#ifndef CLI_GUEST_FILE_H
#define CLI_GUEST_FILE_H

#include "cli/image_file.h"
#include "stream/image/guest_image.h"

#define CHECKPOINT_LAST UINT32_MAX

struct guest_file {
    struct image_file file;
    int converted_fd;    /* owned; -1: it was no legacy image */
    uint32_t checkpoint; /* the one that was loaded; 0: a plain image */
    bool loaded;
    struct guest_image guest;
};

struct guest_file_options {
    const char *scratch; /* folder */
    uint32_t checkpoint; /* from 1, or CHECKPOINT_LAST */
    int timeout_ms;
    struct legacy_options legacy;
};

/* "last" or a number from 1 on. */
must_check bool parse_checkpoint(const char *text, uint32_t *ret,
                                 struct error *err);

must_check bool guest_file_open(struct guest_file *ret, const char *path,
                                const struct guest_file_options *options,
                                struct error *err);
void guest_file_close(struct guest_file *g);

#endif
