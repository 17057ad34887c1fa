/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An image that a command goes over more than once: a file, or a pipe that was
 * first copied to a scratch file.
 */
#ifndef CLI_IMAGE_FILE_H
#define CLI_IMAGE_FILE_H

#include "cli/input.h"
#include "stream/image/image_open.h"

struct image_file {
    const char *path;
    const char *scratch; /* folder */
    struct input input;
    int spool_fd;  /* owned; -1: none */
    bool seekable; /* a file, or spooled */
    bool opened;   /* 'image' is */
    uint64_t base; /* octet of the file where the image begins */
    struct image_input image;
    struct legacy_options legacy;
};

/* Arguments of --width and --guest: what is known of a legacy image. */
must_check bool parse_legacy_width(const char *text, struct legacy_options *ret,
                                   struct error *err);
must_check bool parse_legacy_guest(const char *text, struct legacy_options *ret,
                                   struct error *err);

/* $TMPDIR or /tmp. */
const char *default_scratch_folder(void);

/* Open, look at the first octets.  'ret' must not move. */
must_check bool image_file_open(struct image_file *ret, const char *path,
                                const char *scratch,
                                const struct legacy_options *legacy,
                                int idle_timeout_ms, struct error *err);

/*
 * Make sure that image_file_again() will work: a pipe is copied.  Call it
 * before anything was read of the image.
 */
must_check bool image_file_seekable(struct image_file *file, struct error *err);

/* Back to the beginning; 'image' is opened anew. */
must_check bool image_file_again(struct image_file *file, struct error *err);

/* For image_read_page(), once it is seekable. */
int image_file_fd(const struct image_file *file);
/* Octets, as far as that is known; else 0. */
uint64_t image_file_size(const struct image_file *file);

void image_file_close(struct image_file *file);

#endif
