/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The container read: any frame's page by its pfn, or the image as it was.
 *
 *    trailer -> directory -> chunk          nothing else is held in memory
 *
 *  I1  whatever the file says, memory is that of the caches below
 *  I2  every octet that is given out was under a checksum that was right
 *  I3  a page of the image was announced by 8 octets of text before it: a small
 *      file of hostile steps does not become an endless image
 */
#ifndef STREAM_CONTAINER_CONTAINER_READ_H
#define STREAM_CONTAINER_CONTAINER_READ_H

#include "stream/container/chunk_cache.h"
#include "stream/container/container_write.h"

struct container {
    struct container_file file;
    struct container_summary summary;
    struct chunk_codec codec;
    struct chunk_cache directory;
    struct chunk_cache chunks[CONTAINER_KINDS];
};

/* Whether a file may be one, by its first 8 octets. */
bool container_sniff(const uint8_t bytes[8]);

/*
 * Header and trailer are read and checked.  '*ret' is released with
 * container_close() whatever comes out.
 */
must_check bool container_open(struct container *ret,
                               const struct container_file *file,
                               struct error *err);
void container_close(struct container *c);

/* A file by its descriptor, which is borrowed and read by position. */
struct container_fd {
    int fd;
};
must_check bool container_file_from_fd(struct container_fd *fd,
                                       struct container_file *ret,
                                       struct error *err);

struct container_frame {
    uint64_t pfn;
    unsigned int type;
    enum container_frame_what what;
    uint32_t page; /* CONTAINER_FRAME_PAGE */
};

enum container_outcome {
    CONTAINER_FOUND,
    CONTAINER_ABSENT, /* no such frame, or it has no contents */
    CONTAINER_FAILED,
};

/*
 * The first frame from 'pfn' on that the index has: never one below 'pfn', even
 * where the index is out of order, which container_verify() tells.
 */
enum container_outcome container_next_frame(struct container *c, uint64_t pfn,
                                            struct container_frame *ret,
                                            struct error *err);
enum container_outcome container_page(struct container *c, uint64_t pfn,
                                      uint8_t page[PAGE_SIZE],
                                      struct error *err);

/* The image, from its first octet. */
struct container_stream {
    struct container *container; /* borrowed */
    uint64_t next_step;          /* of all */
    uint64_t text_at;            /* octets of text taken */
    uint64_t pages_begun;        /* of all steps so far */
    uint64_t text_begun;
    uint64_t made; /* octets of the image in all steps so far */
    enum container_step step;
    uint64_t left; /* octets of the step */
    uint64_t page; /* its next one */
    void *hash;    /* owned; NULL: not asked for */
    bool ended;
};

/* 'check_hash': at the end the whole image's hash is compared as well. */
must_check bool container_stream_init(struct container_stream *s,
                                      struct container *c, bool check_hash,
                                      struct error *err);
void container_stream_release(struct container_stream *s);
struct stream_source source_from_container(struct container_stream *s);

/* Every chunk, the index, and the image's hash. */
must_check bool container_verify(struct container *c,
                                 void (*progress)(void *context, uint64_t done,
                                                  uint64_t total),
                                 void *context, struct error *err);

#endif
