/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    bool armed;
    bool failed;
    enum fault_kind kind;
    unsigned long left;
    unsigned long nr_file_calls;
} fault;

void fault_arm(enum fault_kind kind, unsigned long n)
{
    fault.failed = false;
    fault.kind = kind;
    fault.left = n;
    fault.nr_file_calls = 0;
    fault.armed = true;
}

bool fault_disarm(void)
{
    fault.armed = false;
    return fault.failed;
}

enum error_code fault_code(enum fault_kind kind)
{
    return kind == FAULT_MEMORY ? ERR_NO_MEMORY : ERR_IO;
}

static bool fails(enum fault_kind kind)
{
    if (!fault.armed || fault.kind != kind)
        return false;
    if (fault.left > 0) {
        fault.left--;
        return false;
    }
    fault.failed = true;
    return true;
}

/* Sources and sinks -------------------------------------------------------- */

static bool test_fails(enum fault_kind kind, struct error *err)
{
    if (fails(kind))
        return !error_set(err, ERR_IO, "the test's failure");
    return false;
}

static bool faulty_read_some(void *context, void *buffer, size_t length,
                             size_t *ret_got, struct error *err)
{
    struct faulty_source *f = context;

    return !test_fails(FAULT_READ, err) &&
           source_read_some(&f->inner, buffer, length, ret_got, err);
}

static bool faulty_readv(void *context, struct iovec *iov, int nr_iov,
                         struct error *err)
{
    struct faulty_source *f = context;

    return !test_fails(FAULT_READ, err) &&
           source_readv(&f->inner, iov, nr_iov, "test", err);
}

static uint64_t faulty_hole_ahead(void *context)
{
    const struct faulty_source *f = context;
    const struct memory_source *m = &f->memory;
    size_t at = m->at;

    while (f->holes && at < m->length && m->bytes[at] == 0)
        at++;
    return at - m->at;
}

static bool faulty_skip_hole(void *context, uint64_t length, struct error *err)
{
    struct faulty_source *f = context;

    if (length > faulty_hole_ahead(context))
        return error_set(err, ERR_STATE, "the hole ends");
    return !test_fails(FAULT_READ, err) &&
           source_skip(&f->inner, length, "test", err);
}

/* Half of what is asked for, so that both ways are taken. */
static bool faulty_skip(void *context, uint64_t length, uint64_t *ret_done,
                        struct error *err)
{
    struct faulty_source *f = context;
    uint64_t there = f->memory.length - f->memory.at;

    if (test_fails(FAULT_READ, err))
        return false;
    *ret_done = length / 2 < there ? length / 2 : there;
    return source_skip(&f->inner, *ret_done, "test", err);
}

static const struct source_ops faulty_source_ops = {
    .read_some = faulty_read_some,
    .readv = faulty_readv,
    .hole_ahead = faulty_hole_ahead,
    .skip_hole = faulty_skip_hole,
    .skip = faulty_skip,
};

struct stream_source source_with_faults(struct faulty_source *f,
                                        const struct buffer *image,
                                        size_t chunk, bool holes)
{
    f->memory = (struct memory_source){
        .bytes = image->bytes, .length = image->length, .chunk = chunk};
    f->inner = source_from_memory(&f->memory);
    f->holes = holes;
    return (struct stream_source){.ops = &faulty_source_ops, .context = f};
}

/* The buffer is the test's own, and no part of what may run out of memory. */
static bool faulty_writev(void *context, struct iovec *iov, int nr_iov,
                          struct error *err)
{
    struct buffer *out = context;
    bool armed = fault.armed;

    if (test_fails(FAULT_WRITE, err))
        return false;
    fault.armed = false;
    for (int i = 0; i < nr_iov; i++)
        buffer_bytes(out, iov[i].iov_base, iov[i].iov_len);
    fault.armed = armed;
    return true;
}

static bool faulty_write_zeroes(void *context, uint64_t length,
                                struct error *err)
{
    struct buffer *out = context;
    bool armed = fault.armed;

    if (test_fails(FAULT_WRITE, err))
        return false;
    fault.armed = false;
    buffer_zeroes(out, length);
    fault.armed = armed;
    return true;
}

static const struct sink_ops faulty_sink_ops = {
    .writev = faulty_writev,
    .write_zeroes = faulty_write_zeroes,
};

struct stream_sink sink_with_faults(struct buffer *out)
{
    return (struct stream_sink){.ops = &faulty_sink_ops, .context = out};
}

/* Wrapped calls ------------------------------------------------------------ */

void *__real_malloc(size_t length);
void *__real_calloc(size_t nr, size_t length);
void *__real_realloc(void *memory, size_t length);
ssize_t __real_pread64(int fd, void *buffer, size_t length, off_t offset);
ssize_t __real_pwrite64(int fd, const void *buffer, size_t length,
                        off_t offset);
int __real_ftruncate64(int fd, off_t length);

void *__wrap_malloc(size_t length);
void *__wrap_calloc(size_t nr, size_t length);
void *__wrap_realloc(void *memory, size_t length);
ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t length,
                        off_t offset);
int __wrap_ftruncate64(int fd, off_t length);

void *__wrap_malloc(size_t length)
{
    return fails(FAULT_MEMORY) ? NULL : __real_malloc(length);
}

void *__wrap_calloc(size_t nr, size_t length)
{
    return fails(FAULT_MEMORY) ? NULL : __real_calloc(nr, length);
}

void *__wrap_realloc(void *memory, size_t length)
{
    return fails(FAULT_MEMORY) ? NULL : __real_realloc(memory, length);
}

/* Whether the call fails, with errno set; '*length' may become less. */
static bool file_call_fails(size_t *length)
{
    if (!fault.armed)
        return false;
    switch (fault.nr_file_calls++ % 4) {
    case 1:
        errno = EINTR;
        return true;
    case 2:
        *length = *length / 2 + *length % 2;
        break;
    }
    errno = EIO;
    return fails(FAULT_FILE);
}

ssize_t __wrap_pread64(int fd, void *buffer, size_t length, off_t offset)
{
    return file_call_fails(&length)
               ? -1
               : __real_pread64(fd, buffer, length, offset);
}

ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t length, off_t offset)
{
    return file_call_fails(&length)
               ? -1
               : __real_pwrite64(fd, buffer, length, offset);
}

int __wrap_ftruncate64(int fd, off_t length)
{
    errno = EIO;
    return fails(FAULT_FILE) ? -1 : __real_ftruncate64(fd, length);
}
