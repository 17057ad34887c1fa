/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "api/api.h"

struct xenferry_container {
    struct container container;
    struct container_fd fd;
};

int xenferry_container_open(int fd, struct xenferry_container **ret,
                            struct xenferry_error *err)
{
    struct xenferry_container *c = calloc(1, sizeof(*c));
    struct container_file file;
    struct error problem = {0};

    if (!c) {
        error_set(&problem, ERR_NO_MEMORY, "container: no memory");
        return api_failed(err, &problem);
    }
    c->fd.fd = fd;
    if (!container_file_from_fd(&c->fd, &file, &problem) ||
        !container_open(&c->container, &file, &problem)) {
        xenferry_container_close(c);
        return api_failed(err, &problem);
    }
    *ret = c;
    return XENFERRY_OK;
}

void xenferry_container_close(struct xenferry_container *c)
{
    if (!c)
        return;
    container_close(&c->container);
    free(c);
}

int xenferry_container_info(const struct xenferry_container *c,
                            struct xenferry_container_info *ret)
{
    const struct container_summary *s = &c->container.summary;

    *ret = (struct xenferry_container_info){
        .file_octets = s->file_octets,
        .image_octets = s->image_octets,
        .pages = s->nr_pages,
        .zero_pages = s->nr_zero,
        .distinct_pages = s->nr_distinct,
        .frames = s->nr_frames,
        .whole = s->whole,
        .frames_missing = s->frames_missing,
    };
    return XENFERRY_OK;
}

int xenferry_container_frame(struct xenferry_container *c, uint64_t pfn,
                             struct xenferry_frame *ret,
                             struct xenferry_error *err)
{
    struct container_frame frame;
    struct error problem = {0};

    switch (container_next_frame(&c->container, pfn, &frame, &problem)) {
    case CONTAINER_FOUND:
        break;
    case CONTAINER_ABSENT:
        return XENFERRY_END;
    case CONTAINER_FAILED:
        return api_failed(err, &problem);
    }
    *ret =
        (struct xenferry_frame){.pfn = frame.pfn,
                                .type = frame.type,
                                .contents = frame.what != CONTAINER_FRAME_NONE};
    return XENFERRY_OK;
}

int xenferry_container_page(struct xenferry_container *c, uint64_t pfn,
                            void *page, struct xenferry_error *err)
{
    struct error problem = {0};

    switch (container_page(&c->container, pfn, page, &problem)) {
    case CONTAINER_FOUND:
        return XENFERRY_OK;
    case CONTAINER_ABSENT:
        return XENFERRY_ABSENT;
    case CONTAINER_FAILED:
        break;
    }
    return api_failed(err, &problem);
}

struct xenferry_source *xenferry_container_source(struct xenferry_container *c)
{
    struct xenferry_source *s = calloc(1, sizeof(*s));
    struct error ignored;

    if (!s)
        return NULL;
    if (!container_stream_init(&s->container, &c->container, true, &ignored)) {
        free(s);
        return NULL;
    }
    s->in_container = true;
    s->source = source_from_container(&s->container);
    return s;
}

int xenferry_container_verify(struct xenferry_container *c,
                              struct xenferry_error *err)
{
    struct error problem = {0};

    return container_verify(&c->container, NULL, NULL, &problem)
               ? XENFERRY_OK
               : api_failed(err, &problem);
}
