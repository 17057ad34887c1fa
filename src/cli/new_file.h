/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that appears whole or not at all.
 *
 *    written without a name (O_TMPFILE) -> fsync -> named -> renamed -> fsync
 *    of the folder
 *
 * So not even a killed process leaves anything behind.  Where the file system
 * cannot make nameless files the name is hidden and temporary, and an error
 * removes it.  "-" (standard output), what is there already and is no regular
 * file (a pipe, /dev/null), and a name of a descriptor (/dev/stdout), are written
 * as they are.
 */
#ifndef CLI_NEW_FILE_H
#define CLI_NEW_FILE_H

#include <limits.h>

#include "base/io.h"
#include "stream/stream_io.h"

struct new_file {
    int fd;     /* owned, unless it is standard output */
    int dir_fd; /* owned; -1 where there is nothing to publish */
    bool open;
    bool nameless;
    bool attached;
    bool unsynced; /* set by the caller: commit without waiting for the disk */
    char name[NAME_MAX + 1];      /* in the folder */
    char temporary[NAME_MAX + 1]; /* "" while there is none */
    struct io io;
    struct stream_sink sink;
};

/* The octets may get holes where they are zero if it is a regular file. */
must_check bool new_file_open(struct new_file *ret, const char *path,
                              int idle_timeout_ms, struct error *err);

/* Whether zeroes become holes. */
bool new_file_sparse(const struct new_file *file);

/* Forget what was written, and begin again; only where new_file_sparse(). */
must_check bool new_file_rewind(struct new_file *file, struct error *err);

/* Publish it.  After a failure only new_file_close() is left to do. */
must_check bool new_file_commit(struct new_file *file, struct error *err);

/* Without new_file_commit() before it: nothing is left of the file. */
void new_file_close(struct new_file *file);

/* A nameless file for what does not fit into memory. */
must_check bool scratch_open(const char *folder, int *ret_fd,
                             struct error *err);

#endif
