/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file as a source of small reads: a window of it in memory, moved along.
 *
 * Unlike the other sources it reads ahead, so the file must be this reader's
 * alone; it reads by position and leaves the descriptor's own where it is.
 */
#ifndef STREAM_FILE_WINDOW_H
#define STREAM_FILE_WINDOW_H

#include "stream/stream_io.h"

#define FILE_WINDOW_SIZE ((size_t)64 << 10)

struct file_window {
    int fd;         /* borrowed */
    uint64_t at;    /* of the next octet, in the file */
    uint64_t end;   /* nothing is read from here on */
    uint64_t start; /* of the window */
    size_t length;
    uint8_t bytes[FILE_WINDOW_SIZE];
};

/* Octets 'start' to 'end' of 'fd'.  The source borrows 'w'. */
struct stream_source source_from_window(struct file_window *w, int fd,
                                        uint64_t start, uint64_t end);

/* Exactly 'length' octets at 'offset' of a file. */
must_check bool file_read_at(int fd, void *buffer, size_t length,
                             uint64_t offset, const char *what,
                             struct error *err);
must_check bool file_write_at(int fd, const void *buffer, size_t length,
                              uint64_t offset, const char *what,
                              struct error *err);

#endif
