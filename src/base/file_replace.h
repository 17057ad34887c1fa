/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that is there whole or not at all.
 *
 *   file_replace_open()      write to .fd, from its present position
 *   file_replace_commit()    under its name now, replacing what was there
 *   file_replace_release()   without a commit nothing has happened
 *
 * The bytes have no name until they are complete, where the file system can do
 * that; then even a killed process leaves nothing behind.  Elsewhere they have
 * a hidden one beside the target.  What cannot be replaced, a device or a
 * pipe, is written in place.
 */
#ifndef BASE_FILE_REPLACE_H
#define BASE_FILE_REPLACE_H

#include "base/error.h"

struct file_replace {
    int fd;       /* owned; -1: none */
    char *path;   /* owned; a file's with symbolic links resolved */
    char *hidden; /* owned; name of the unfinished file, or NULL */
    bool in_place;
};

#define FILE_REPLACE_NONE ((struct file_replace){.fd = -1})

/* The new file has 'mode', as open() takes it. */
must_check bool file_replace_open(struct file_replace *ret, const char *path,
                                  unsigned int mode, struct error *err);

/* Write to a descriptor that is open already, which stays the caller's. */
must_check bool file_replace_use(struct file_replace *ret, int fd,
                                 const char *name, struct error *err);

/*
 * 'sync': only after the disk has everything, and wait until it has the name
 * too.  On failure the target is as it was, or complete but not durable.
 */
must_check bool file_replace_commit(struct file_replace *f, bool sync,
                                    struct error *err);
void file_replace_release(struct file_replace *f);

#endif
