/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libxenferry: saved Xen guests, read, judged and explained.
 *
 * Nothing here keeps state outside the objects that it gives out, prints, or
 * ends the process; memory does not grow with what an image claims.  Objects
 * may be used by one thread at a time.  Functions return a status; on
 * XENFERRY_FAILED '*err' (which may be NULL) says why.  See libxenferry(3).
 */
#ifndef XENFERRY_XENFERRY_H
#define XENFERRY_XENFERRY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XENFERRY_API_VERSION 1
#define XENFERRY_PAGE_SIZE   4096

enum {
    XENFERRY_FAILED = -1,
    XENFERRY_OK = 0,
    XENFERRY_END = 1,    /* nothing follows */
    XENFERRY_ABSENT = 2, /* there is no such thing */
};

struct xenferry_error {
    int32_t code; /* see xenferry_error_name() */
    int32_t os_errno;
    uint64_t offset; /* octets into the image, or UINT64_MAX */
    char text[512];
};

/* "0.1.0" */
const char *xenferry_version(void);
/* "format", "truncated", ...; stable. */
const char *xenferry_error_name(int32_t code);
/* What begins with these octets, at least 8: "libxc image", ... */
const char *xenferry_kind(const void *bytes, size_t length);

/* Where octets come from --------------------------------------------------- */

struct xenferry_source;

/* All return NULL without memory, or where the descriptor is unfit. */
struct xenferry_source *xenferry_source_fd(int fd);
struct xenferry_source *xenferry_source_memory(const void *bytes,
                                               size_t length);
/* 'read' returns octets read, 0 at the end, or a negative errno. */
struct xenferry_source *xenferry_source_callback(
    int64_t (*read)(void *context, void *buffer, size_t length), void *context);
void xenferry_source_free(struct xenferry_source *source);

/* Records ------------------------------------------------------------------ */

enum {
    XENFERRY_ITEM_XL_HEADER,
    XENFERRY_ITEM_LIBXL_HEADER,
    XENFERRY_ITEM_LIBXL_RECORD,
    XENFERRY_ITEM_LIBXC_HEADERS,
    XENFERRY_ITEM_LIBXC_RECORD,
};

struct xenferry_item {
    uint32_t kind;   /* XENFERRY_ITEM_... */
    uint32_t type;   /* of a record */
    uint64_t offset; /* in the image */
    uint32_t length; /* of a record's body */
    uint32_t big_endian;
    const char *name; /* "PAGE_DATA", ...; not to be freed */
};

/* Pull: ask for one item after the other. */
struct xenferry_reader;
struct xenferry_reader *xenferry_reader_new(struct xenferry_source *source);
void xenferry_reader_free(struct xenferry_reader *reader);
/* XENFERRY_END after the last; what was not read of a body is passed over. */
int xenferry_reader_next(struct xenferry_reader *reader,
                         struct xenferry_item *ret, struct xenferry_error *err);
/* Octets of the last record's body; XENFERRY_END where none are left. */
int xenferry_reader_body(struct xenferry_reader *reader, void *buffer,
                         size_t length, size_t *ret_got,
                         struct xenferry_error *err);

/* Push: give octets as they come; the callbacks are called with the items. */
struct xenferry_pusher;
struct xenferry_push_calls {
    size_t size; /* sizeof(struct xenferry_push_calls) */
    void *context;
    void (*item)(void *context, const struct xenferry_item *item);
    /* A piece of the body of the last item. */
    void (*body)(void *context, const void *bytes, size_t length);
};
struct xenferry_pusher *
xenferry_pusher_new(const struct xenferry_push_calls *calls);
void xenferry_pusher_free(struct xenferry_pusher *pusher);
/* XENFERRY_END once the image's END was seen; what follows is not looked at. */
int xenferry_push(struct xenferry_pusher *pusher, const void *bytes,
                  size_t length, struct xenferry_error *err);
/* No more octets: XENFERRY_FAILED if the image needs some. */
int xenferry_push_end(struct xenferry_pusher *pusher,
                      struct xenferry_error *err);

/* Judging ------------------------------------------------------------------ */

enum {
    XENFERRY_SEVERITY_NOTE,
    XENFERRY_SEVERITY_WARNING,
    XENFERRY_SEVERITY_ERROR,
};

struct xenferry_finding {
    const char *id; /* stable: "xc-page-data-count" */
    const char *where;
    const char *expected;
    const char *found;
    uint64_t offset;
    uint32_t severity;
    uint32_t refused; /* a restore refuses the image on this */
};

struct xenferry_verdict {
    uint64_t notes, warnings, errors;
    uint64_t refused; /* findings that make a restore refuse */
    uint64_t records, pages, octets;
};

/*
 * 'release' is the minor of a Xen 4.x from 6 to 23 to judge for, or 0.  What is
 * wrong with the image is findings; XENFERRY_FAILED only if it cannot be read.
 */
int xenferry_verify(struct xenferry_source *source, unsigned int release,
                    void (*report)(void *context,
                                   const struct xenferry_finding *finding),
                    void *context, struct xenferry_verdict *ret,
                    struct xenferry_error *err);

/* Explaining --------------------------------------------------------------- */

#define XENFERRY_INSPECT_SUMMARY  1u /* without the records */
#define XENFERRY_INSPECT_NO_PAGES 2u /* without a look at page contents */

/* One JSON object, in pieces; it is whole even where the image is not. */
int xenferry_inspect_json(struct xenferry_source *source, uint32_t flags,
                          void (*write)(void *context, const char *text,
                                        size_t length),
                          void *context, struct xenferry_error *err);

/* The container ------------------------------------------------------------ */

struct xenferry_container;

struct xenferry_container_info {
    uint64_t file_octets, image_octets;
    uint64_t pages, zero_pages, distinct_pages;
    uint64_t frames; /* in the index */
    uint32_t whole;  /* the image was understood up to its END */
    uint32_t frames_missing;
};

struct xenferry_frame {
    uint64_t pfn;
    uint32_t type;     /* as in PAGE_DATA, 0 to 15 */
    uint32_t contents; /* it has a page */
};

/* 'fd' is a file, borrowed until the container is closed. */
int xenferry_container_open(int fd, struct xenferry_container **ret,
                            struct xenferry_error *err);
void xenferry_container_close(struct xenferry_container *container);
int xenferry_container_info(const struct xenferry_container *container,
                            struct xenferry_container_info *ret);
/* The first frame from 'pfn' on; XENFERRY_END where there is none. */
int xenferry_container_frame(struct xenferry_container *container, uint64_t pfn,
                             struct xenferry_frame *ret,
                             struct xenferry_error *err);
/* XENFERRY_PAGE_SIZE octets; XENFERRY_ABSENT where the frame has none. */
int xenferry_container_page(struct xenferry_container *container, uint64_t pfn,
                            void *page, struct xenferry_error *err);
/* The image in it; the container must outlive the source. */
struct xenferry_source *
xenferry_container_source(struct xenferry_container *container);
/* All checksums. */
int xenferry_container_verify(struct xenferry_container *container,
                              struct xenferry_error *err);

#ifdef __cplusplus
}
#endif

#endif
