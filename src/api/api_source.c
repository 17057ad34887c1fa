/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "stream/sniff.h"

_Static_assert(sizeof(((struct xenferry_error *)0)->text) == ERROR_TEXT_MAX,
               "a message fits");
_Static_assert(XENFERRY_PAGE_SIZE == PAGE_SIZE, "one size of a page");

const char *xenferry_version(void)
{
    return XENFERRY_VERSION;
}

const char *xenferry_error_name(int32_t code)
{
    return error_code_name((enum error_code)code);
}

const char *xenferry_kind(const void *bytes, size_t length)
{
    return stream_kind_name(length >= SNIFF_SIZE ? sniff(bytes)
                                                 : STREAM_UNKNOWN);
}

int api_failed(struct xenferry_error *to, const struct error *from)
{
    if (to) {
        to->code = (int32_t)from->code;
        to->os_errno = from->os_errno;
        to->offset = from->offset;
        memcpy(to->text, from->text, sizeof(to->text));
    }
    return XENFERRY_FAILED;
}

struct xenferry_source *xenferry_source_fd(int fd)
{
    struct xenferry_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    if (!io_attach(&s->io, fd, false, -1, -1, NULL)) {
        free(s);
        return NULL;
    }
    s->attached = true;
    s->source = source_from_io(&s->io);
    return s;
}

struct xenferry_source *xenferry_source_memory(const void *bytes, size_t length)
{
    struct xenferry_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->memory = (struct memory_source){.bytes = bytes, .length = length};
    s->source = source_from_memory(&s->memory);
    return s;
}

/* A callback's octets ------------------------------------------------------ */

static bool call_read_some(void *context, void *buffer, size_t length,
                           size_t *ret_got, struct error *err)
{
    struct xenferry_source *s = context;
    int64_t got = s->read(s->context, buffer, length);

    if (got < 0 || (uint64_t)got > length)
        return error_set_errno(
            err, ERR_IO, got < 0 && got > -INT_MAX ? (int)-got : 0, "callback");
    *ret_got = (size_t)got;
    return true;
}

static bool call_readv(void *context, struct iovec *iov, int nr_iov,
                       struct error *err)
{
    return source_readv_by_pieces(call_read_some, context, iov, nr_iov, err);
}

static uint64_t call_hole_ahead(void *context)
{
    return 0;
}

static bool call_skip_hole(void *context, uint64_t length, struct error *err)
{
    return length == 0 || error_set(err, ERR_STATE, "callback: no hole");
}

static bool call_skip(void *context, uint64_t length, uint64_t *ret_done,
                      struct error *err)
{
    *ret_done = 0;
    return true;
}

static const struct source_ops call_ops = {
    .read_some = call_read_some,
    .readv = call_readv,
    .hole_ahead = call_hole_ahead,
    .skip_hole = call_skip_hole,
    .skip = call_skip,
};

struct xenferry_source *xenferry_source_callback(
    int64_t (*read)(void *context, void *buffer, size_t length), void *context)
{
    struct xenferry_source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->read = read;
    s->context = context;
    s->source = (struct stream_source){.ops = &call_ops, .context = s};
    return s;
}

void xenferry_source_free(struct xenferry_source *s)
{
    if (!s)
        return;
    if (s->attached)
        io_release(&s->io);
    if (s->in_container)
        container_stream_release(&s->container);
    free(s);
}
