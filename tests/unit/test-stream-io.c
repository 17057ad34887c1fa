/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources, sinks and what copies between them, on every edge. */
#include "stream/stream_io.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"
#include "faults.h"
#include "stream/file_window.h"
#include "stream/page_copy.h"
#include "stream/put_back.h"
#include "unit.h"

#define LENGTH 96

static uint8_t octet(size_t at)
{
    return (uint8_t)(at * 7 + 1);
}

static void counting(struct buffer *b, size_t length)
{
    *b = (struct buffer){0};
    for (size_t i = 0; i < length; i++)
        buffer_u8(b, octet(i));
    assert_false(b->bad);
}

static void assert_octets(const uint8_t *bytes, size_t from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        assert_int_equal(bytes[i], octet(from + i));
}

static int file_of_octets(const struct buffer *b)
{
    int fd = memfd_create("source", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->bytes, b->length), b->length);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* What every source must do ------------------------------------------------ */

/* From octet 'at' of LENGTH: by vector, by piece, past some, to the end. */
static void assert_source(struct stream_source *s, size_t at)
{
    uint8_t a[16], b[24], end[LENGTH];
    struct iovec iov[] = {
        {.iov_base = a,    .iov_len = 5        },
        {.iov_base = NULL, .iov_len = 0        },
        {.iov_base = b,    .iov_len = sizeof(b)}
    };
    struct iovec more = {.iov_base = end, .iov_len = LENGTH};
    struct error err = {0};
    size_t got;

    assert_int_equal(s->offset, at);
    assert_ok(source_readv(s, iov, 3, "vector", &err), err);
    assert_octets(a, at, 5);
    assert_octets(b, at + 5, sizeof(b));
    at += 5 + sizeof(b);
    assert_ok(source_read(s, a, 16, "piece", &err), err);
    assert_octets(a, at, 16);
    at += 16;
    assert_ok(source_skip(s, 7, "skipped", &err), err);
    at += 7;
    assert_int_equal(s->offset, at);
    assert_int_equal(source_hole_ahead(s), 0);
    assert_ok(source_skip_hole(s, 0, &err), err);
    assert_refused(source_skip(s, LENGTH, "beyond", &err), err, ERR_TRUNCATED,
                   "beyond");
    assert_refused(source_readv(s, &more, 1, "vector", &err), err,
                   ERR_TRUNCATED, "vector");
    assert_refused(source_read(s, end, 1, "one", &err), err, ERR_TRUNCATED,
                   "one");
    assert_ok(source_read_some(s, end, LENGTH, &got, &err), err);
    assert_int_equal(got, 0);
    assert_ok(source_read_some(s, end, 0, &got, &err), err);
    assert_int_equal(got, 0);
}

static void memory_in_any_chunks(void **state)
{
    struct buffer b;

    counting(&b, LENGTH);
    for (size_t chunk = 0; chunk < 40; chunk++) {
        struct memory_source memory = {b.bytes, b.length, 0, chunk};
        struct stream_source s = source_from_memory(&memory);

        assert_source(&s, 0);
    }
    buffer_release(&b);
}

static void a_window_onto_a_file(void **state)
{
    static struct file_window w;
    struct stream_source s;
    struct error err = {0};
    struct buffer b;
    uint8_t bytes[8];
    int fd;

    counting(&b, LENGTH + 20);
    fd = file_of_octets(&b);
    s = source_from_window(&w, fd, 0, LENGTH);
    assert_source(&s, 0);
    /* It begins and ends where it was told, whatever the file has. */
    s = source_from_window(&w, fd, 10, LENGTH);
    assert_source(&s, 10);
    s = source_from_window(&w, fd, 0, LENGTH);
    assert_refused(source_skip_hole(&s, 1, &err), err, ERR_STATE, "no hole");
    /* The file is shorter than was said. */
    s = source_from_window(&w, fd, LENGTH + 20, LENGTH + 30);
    assert_refused(source_read(&s, bytes, 8, "cut", &err), err, ERR_TRUNCATED,
                   "cut");
    close(fd);
    s = source_from_window(&w, -1, 0, 1);
    assert_refused(source_read(&s, bytes, 1, "bad", &err), err, ERR_IO, "bad");
    buffer_release(&b);
}

static void a_window_moves_on_when_it_was_read(void **state)
{
    static struct file_window w;
    struct buffer b;
    struct stream_source s;
    struct error err = {0};
    uint8_t *all;
    int fd;

    counting(&b, FILE_WINDOW_SIZE * 2 + 100);
    all = malloc(b.length);
    assert_non_null(all);
    fd = file_of_octets(&b);
    s = source_from_window(&w, fd, 0, b.length);
    assert_ok(source_read(&s, all, 1000, "start", &err), err);
    /* Past the window's end, and to the file's. */
    assert_ok(source_skip(&s, FILE_WINDOW_SIZE, "middle", &err), err);
    assert_ok(
        source_read(&s, all, b.length - 1000 - FILE_WINDOW_SIZE, "rest", &err),
        err);
    assert_octets(all, FILE_WINDOW_SIZE + 1000,
                  b.length - 1000 - FILE_WINDOW_SIZE);
    close(fd);
    free(all);
    buffer_release(&b);
}

static void files_at_a_place(void **state)
{
    struct error err = {0};
    struct buffer b;
    uint8_t bytes[16];
    int fd, reader;

    counting(&b, LENGTH);
    fd = file_of_octets(&b);
    assert_ok(file_read_at(fd, bytes, 16, 80, "tail", &err), err);
    assert_octets(bytes, 80, 16);
    assert_refused(file_read_at(fd, bytes, 16, 81, "tail", &err), err,
                   ERR_TRUNCATED, "tail: the file ends at 96");
    assert_int_equal(err.offset, 96);
    assert_ok(file_write_at(fd, "abc", 3, 94, "more", &err), err);
    assert_ok(file_read_at(fd, bytes, 3, 94, "more", &err), err);
    assert_memory_equal(bytes, "abc", 3);
    close(fd);
    reader = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_refused(file_write_at(reader, "abc", 3, 7, "closed", &err), err,
                   ERR_IO, "closed at 7");
    close(reader);
    assert_refused(file_read_at(-1, bytes, 3, 9, "none", &err), err, ERR_IO,
                   "none at 9");
    buffer_release(&b);
}

/* Files are read in halves and interrupted while faults are armed. */
static void interrupted_files_lose_nothing(void **state)
{
    struct error err = {0};
    struct buffer b;
    uint8_t bytes[LENGTH];
    int fd;

    counting(&b, LENGTH);
    fd = memfd_create("file", MFD_CLOEXEC);
    fault_arm(FAULT_FILE, 1000);
    for (size_t i = 0; i < 4; i++) {
        assert_ok(file_write_at(fd, b.bytes, LENGTH, i, "w", &err), err);
        assert_ok(file_read_at(fd, bytes, LENGTH, i, "r", &err), err);
        assert_octets(bytes, 0, LENGTH);
    }
    assert_false(fault_disarm());
    close(fd);
    buffer_release(&b);
}

/* Put back ----------------------------------------------------------------- */

static void what_was_looked_at_comes_again(void **state)
{
    struct buffer b;

    counting(&b, LENGTH);
    for (size_t peek = 0; peek <= PUT_BACK_MAX && peek < LENGTH; peek++) {
        struct memory_source memory = {b.bytes, b.length, 0, peek % 5};
        struct stream_source inner = source_from_memory(&memory);
        struct put_back p;
        struct stream_source s;
        struct error err = {0};
        size_t got;

        assert_ok(source_peek(&p, &inner, peek, &s, &got, &err), err);
        assert_int_equal(got, peek);
        assert_octets(p.bytes, 0, peek);
        assert_source(&s, 0);
    }
    buffer_release(&b);
}

static void what_was_looked_at_can_be_passed_over(void **state)
{
    struct buffer b;

    counting(&b, LENGTH);
    for (size_t skip = 1; skip < LENGTH; skip++) {
        struct memory_source memory = {b.bytes, b.length, 0, 0};
        struct stream_source inner = source_from_memory(&memory);
        struct put_back p;
        struct stream_source s;
        struct error err = {0};
        uint8_t next;
        size_t got;

        assert_ok(source_peek(&p, &inner, 20, &s, &got, &err), err);
        assert_ok(source_skip(&s, skip, "skip", &err), err);
        assert_int_equal(s.offset, skip);
        assert_ok(source_read(&s, &next, 1, "next", &err), err);
        assert_int_equal(next, octet(skip));
    }
    buffer_release(&b);
}

static void a_hole_begins_behind_what_was_put_back(void **state)
{

    struct faulty_source f;
    struct buffer b = {0};
    struct stream_source inner, s;
    struct put_back p;
    struct error err = {0};
    uint8_t last;
    size_t got;

    buffer_text(&b, "head");
    buffer_zeroes(&b, 32);
    buffer_u8(&b, 9);
    inner = source_with_faults(&f, &b, 0, true);
    assert_ok(source_peek(&p, &inner, 4, &s, &got, &err), err);
    assert_int_equal(source_hole_ahead(&s), 0);
    assert_ok(source_skip(&s, 4, "head", &err), err);
    assert_int_equal(source_hole_ahead(&s), 32);
    assert_refused(source_skip_hole(&s, 33, &err), err, ERR_STATE, "hole");
    assert_int_equal(s.offset, 4);
    assert_ok(source_skip_hole(&s, 32, &err), err);
    assert_ok(source_read(&s, &last, 1, "last", &err), err);
    assert_int_equal(last, 9);
    buffer_release(&b);
}

static void a_failure_below_comes_through(void **state)
{
    struct buffer b;

    counting(&b, LENGTH);
    for (unsigned long n = 0; n < 3; n++) {
        struct faulty_source f;
        struct stream_source inner = source_with_faults(&f, &b, 0, false);
        struct stream_source s;
        struct put_back p;
        struct error err = {0};
        uint8_t bytes[LENGTH];
        struct iovec iov = {.iov_base = bytes, .iov_len = 40};
        size_t got;

        fault_arm(FAULT_READ, n);
        if (n == 0) {
            assert_refused(source_peek(&p, &inner, 8, &s, &got, &err), err,
                           ERR_IO, "failure");
        } else {
            assert_ok(source_peek(&p, &inner, 8, &s, &got, &err), err);
            if (n == 1)
                assert_refused(source_readv(&s, &iov, 1, "v", &err), err,
                               ERR_IO, "failure");
            else
                assert_refused(source_skip(&s, 60, "s", &err) &&
                                   source_skip(&s, 20, "s", &err),
                               err, ERR_IO, "failure");
        }
        assert_true(fault_disarm());
    }
    buffer_release(&b);
}

static void a_missing_error_is_not_written(void **state)
{
    struct memory_source memory = {(const uint8_t *)"abc", 3, 0, 0};
    struct stream_source s = source_from_memory(&memory);
    struct iovec iov = {.iov_base = &(uint8_t[8]){0}, .iov_len = 8};

    assert_false(source_readv(&s, &iov, 1, "vector", NULL));
    assert_false(source_skip_hole(&s, 1, NULL));
    assert_int_equal(s.offset, 0);
}

/* A descriptor ------------------------------------------------------------- */

static void descriptors_that_seek_and_that_do_not(void **state)
{
    const size_t length = (size_t)200 << 10;

    for (int kind = 0; kind < 3; kind++) {
        struct stream_source s;
        struct error err = {0};
        struct buffer b;
        struct io io;
        uint8_t byte;
        int fd;

        counting(&b, length);
        fd = file_of_octets(&b);
        assert_ok(io_attach(&io, fd, false, 1000, -1, &err), err);
        assert_int_equal(io.kind, IO_FILE);
        /* A terminal can be waited for, and does not seek. */
        if (kind == 1)
            io.kind = IO_OTHER;
        s = source_from_io(&io);
        assert_ok(source_skip(&s, length - 1 - 100, "most", &err), err);
        assert_ok(source_read(&s, &byte, 1, "octet", &err), err);
        assert_int_equal(byte, octet(length - 101));
        /* The end hides behind no seek. */
        assert_refused(source_skip(&s, length, "beyond", &err), err,
                       ERR_TRUNCATED, "beyond");
        if (kind == 2) {
            assert_int_equal(lseek(fd, (off_t)length * 2, SEEK_SET),
                             length * 2);
            assert_refused(source_skip(&s, length, "behind", &err), err,
                           ERR_TRUNCATED, "behind");
        }
        io_release(&io);
        close(fd);
        buffer_release(&b);
    }
}

/* What was taken can be read again where there is a way back. */
static void some_sources_read_again(void **state)
{
    struct memory_source memory = {0};
    struct stream_source s;
    struct error err = {0};
    struct buffer b;
    uint8_t got[8];
    int fds[2];
    struct io io;
    bool able;

    counting(&b, LENGTH);
    memory = (struct memory_source){b.bytes, b.length, 0, 0};
    fds[0] = file_of_octets(&b);
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 1)
            assert_ok(io_attach(&io, fds[0], false, 1000, -1, &err), err);
        s = kind == 0 ? source_from_memory(&memory) : source_from_io(&io);
        assert_ok(source_skip(&s, 40, "some", &err), err);
        assert_ok(source_read_again(&s, 3, got, 8, &able, &err), err);
        assert_true(able);
        assert_octets(got, 3, 8);
        assert_ok(source_read_again(&s, 32, got, 8, &able, &err), err);
        assert_true(able);
        assert_octets(got, 32, 8);
        /* Not what has not been taken, and the place stays. */
        assert_ok(source_read_again(&s, 33, got, 8, &able, &err), err);
        assert_false(able);
        assert_ok(source_read_again(&s, 41, got, 0, &able, &err), err);
        assert_false(able);
        assert_ok(source_read(&s, got, 8, "next", &err), err);
        assert_octets(got, 40, 8);
    }
    /* The file has become shorter. */
    assert_int_equal(ftruncate(fds[0], 10), 0);
    assert_refused(source_read_again(&s, 8, got, 8, &able, &err), err,
                   ERR_TRUNCATED, "image");
    io_release(&io);
    close(fds[0]);

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], b.bytes, b.length), b.length);
    assert_ok(io_attach(&io, fds[0], false, 1000, -1, &err), err);
    s = source_from_io(&io);
    assert_ok(source_skip(&s, 40, "some", &err), err);
    assert_ok(source_read_again(&s, 3, got, 8, &able, &err), err);
    assert_false(able);
    io_release(&io);
    close(fds[0]);
    close(fds[1]);
    buffer_release(&b);
}

/* Pages -------------------------------------------------------------------- */

static void mark_page(struct buffer *b, char what)
{
    uint8_t *at = buffer_extend(b, PAGE_SIZE);

    assert_non_null(at);
    memset(at, 0, PAGE_SIZE);
    switch (what) {
    case 'a':
        memset(at, 'a', PAGE_SIZE);
        break;
    case '<': /* all but zero */
        at[0] = 1;
        break;
    case '>':
        at[PAGE_SIZE - 1] = 1;
        break;
    }
}

static void pages_are_copied_as_they_are(void **state)
{
    static const char *const patterns[] = {
        "",
        "a",
        ".",
        "........",
        ".......",
        "a........",
        "........a",
        "<.......>",
        "a..a........a.........",
        "..................a<>........<",
    };
    struct error err = {0};

    for (size_t i = 0; i < ARRAY_SIZE(patterns) * 8; i++) {
        const char *pattern = patterns[i / 8];
        const bool find = i & 1, holes = i & 2, headless = i & 4;
        const char *head = headless ? "" : "head";
        struct buffer in = {0}, out = {0};
        struct faulty_source f;
        struct page_copier p;
        struct stream_source source;
        struct stream_sink sink = sink_with_faults(&out);
        size_t nr = strlen(pattern);

        for (size_t k = 0; k < nr; k++)
            mark_page(&in, pattern[k]);
        source = source_with_faults(&f, &in, 0, holes);
        assert_ok(page_copier_init(&p, find, &err), err);
        assert_ok(page_copy(&p, &source, &sink, head, strlen(head), nr, &err),
                  err);
        assert_int_equal(out.length, strlen(head) + nr * PAGE_SIZE);
        assert_int_equal(sink.offset, out.length);
        if (!headless)
            assert_memory_equal(out.bytes, head, 4);
        if (nr > 0)
            assert_memory_equal(out.bytes + strlen(head), in.bytes,
                                nr * PAGE_SIZE);
        assert_int_equal(p.nr_pages, nr);
        assert_true(p.nr_holes <= nr);
        if (!find && !holes)
            assert_int_equal(p.nr_holes, 0);
        page_copier_release(&p);
        buffer_release(&in);
        buffer_release(&out);
    }
}

static void each_step_of_a_copy_may_fail(void **state)
{
    static const enum fault_kind kinds[] = {FAULT_READ, FAULT_WRITE};
    struct buffer in = {0};

    for (const char *at = "........a.........aa........"; *at; at++)
        mark_page(&in, *at);
    for (size_t i = 0; i < 16; i++) {
        bool failed = true;

        for (unsigned long n = 0; failed; n++) {
            struct buffer out = {0};
            struct faulty_source f;
            struct page_copier p;
            struct error err = {0};
            struct stream_source source = source_with_faults(&f, &in, 0, i & 2);
            struct stream_sink sink = sink_with_faults(&out);
            const char *head = i & 8 ? "" : "head";
            bool ok;

            assert_ok(page_copier_init(&p, i & 1, &err), err);
            fault_arm(kinds[i / 4 % 2], n);
            ok = page_copy(&p, &source, &sink, head, strlen(head), 28, &err);
            failed = fault_disarm();
            assert_int_equal(ok, !failed);
            if (failed)
                assert_int_equal(err.code, ERR_IO);
            page_copier_release(&p);
            buffer_release(&out);
        }
    }
    buffer_release(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_in_any_chunks),
        cmocka_unit_test(a_window_onto_a_file),
        cmocka_unit_test(a_window_moves_on_when_it_was_read),
        cmocka_unit_test(files_at_a_place),
        cmocka_unit_test(interrupted_files_lose_nothing),
        cmocka_unit_test(what_was_looked_at_comes_again),
        cmocka_unit_test(what_was_looked_at_can_be_passed_over),
        cmocka_unit_test(a_hole_begins_behind_what_was_put_back),
        cmocka_unit_test(a_failure_below_comes_through),
        cmocka_unit_test(a_missing_error_is_not_written),
        cmocka_unit_test(descriptors_that_seek_and_that_do_not),
        cmocka_unit_test(some_sources_read_again),
        cmocka_unit_test(pages_are_copied_as_they_are),
        cmocka_unit_test(each_step_of_a_copy_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
