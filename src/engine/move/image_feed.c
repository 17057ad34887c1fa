/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/move/image_feed.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "stream/container/container_read.h"

struct image_feed {
    struct container container;
    struct container_stream stream;
    struct container_fd file; /* owned */
    int pipe;                 /* owned; the end that is written to */
    pthread_t thread;
    bool started;
    bool failed; /* by what 'error' says; a reader that left is no failure */
    struct error error;
};

static bool feed_pipe(struct image_feed *f, struct io *io, uint8_t *buffer)
{
    struct stream_source source = source_from_container(&f->stream);
    size_t got = 1;

    while (got > 0) {
        struct error gone;

        if (!source_read_some(&source, buffer, CONTAINER_CHUNK_MAX, &got,
                              &f->error))
            return false;
        if (got > 0 && !io_write_all(io, buffer, got, &gone))
            return true;
    }
    return true;
}

static void *feed_run(void *context)
{
    struct image_feed *f = context;
    cleanup_free uint8_t *buffer = malloc(CONTAINER_CHUNK_MAX);
    struct io io;

    /* Whoever restores watches the time and the wish to stop. */
    if (!buffer)
        f->failed = !error_set(&f->error, ERR_NO_MEMORY, "image: no memory");
    else if (!io_attach(&io, f->pipe, true, -1, -1, &f->error))
        f->failed = true;
    else {
        f->failed = !feed_pipe(f, &io, buffer);
        io_release(&io);
    }
    close_fd(&f->pipe);
    return NULL;
}

static void feed_free(struct image_feed *f)
{
    container_stream_release(&f->stream);
    container_close(&f->container);
    close_fd(&f->file.fd);
    close_fd(&f->pipe);
    free(f);
}

static bool is_container(int fd)
{
    uint8_t bytes[8];
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
           lseek(fd, 0, SEEK_CUR) == 0 && pread(fd, bytes, 8, 0) == 8 &&
           container_sniff(bytes);
}

static bool feed_start(struct image_feed *f, int *ret_end, struct error *err)
{
    struct container_file file;
    int ends[2];
    int failure;

    if (!container_file_from_fd(&f->file, &file, err) ||
        !container_open(&f->container, &file, err) ||
        !container_stream_init(&f->stream, &f->container, true, err))
        return false;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set_errno(err, ERR_IO, errno, "pipe");
    f->pipe = ends[1];
    failure = pthread_create(&f->thread, NULL, feed_run, f);
    if (failure != 0) {
        close(ends[0]);
        return error_set_errno(err, ERR_IO, failure, "thread");
    }
    f->started = true;
    *ret_end = ends[0];
    return true;
}

bool image_feed_begin(struct image_feed **ret, int *fd, struct error *err)
{
    struct image_feed *f;

    *ret = NULL;
    if (!is_container(*fd))
        return true;
    f = calloc(1, sizeof(*f));
    if (!f)
        return error_set(err, ERR_NO_MEMORY, "image: no memory");
    f->pipe = -1;
    f->file.fd = take_fd(fd);
    if (!feed_start(f, fd, err)) {
        feed_free(f);
        return false;
    }
    *ret = f;
    return true;
}

void image_feed_end(struct image_feed *feed, int *fd, struct error *err)
{
    if (!feed)
        return;
    close_fd(fd);
    if (feed->started)
        pthread_join(feed->thread, NULL);
    if (feed->failed && err)
        *err = feed->error;
    feed_free(feed);
}
