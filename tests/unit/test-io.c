/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit.h"

#include "base/clock.h"
#include "base/io.h"

struct pair {
    int reader;
    int writer;
};

static struct pair pipe_pair(void)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    return (struct pair){fds[0], fds[1]};
}

static struct pair socket_pair(void)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    return (struct pair){fds[0], fds[1]};
}

static void pair_close(struct pair *p)
{
    close_fd(&p->reader);
    close_fd(&p->writer);
}

static int temporary_file(void)
{
    char path[] = "/tmp/test-io-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void nothing_is_read_ahead(struct pair (*make)(void))
{
    struct pair p = make();
    struct io io;
    struct error err;
    char got[8] = "";

    assert_ok(io_attach(&io, p.reader, false, 1000, -1, &err), err);
    assert_int_equal(write(p.writer, "abcdefgh", 8), 8);
    assert_ok(io_read_exact(&io, got, 3, &err), err);
    assert_memory_equal(got, "abc", 3);
    assert_int_equal(io.offset, 3);
    io_release(&io);

    /* Its next reader finds the rest. */
    assert_int_equal(read(p.reader, got, sizeof(got)), 5);
    assert_memory_equal(got, "defgh", 5);
    pair_close(&p);
}

static void a_pipe_is_not_read_ahead(void **state)
{
    nothing_is_read_ahead(pipe_pair);
}

static void a_socket_is_not_read_ahead(void **state)
{
    nothing_is_read_ahead(socket_pair);
}

static void an_early_end_says_how_far_it_came(void **state)
{
    struct pair p = pipe_pair();
    struct io io;
    struct error err;
    char got[8];

    assert_ok(io_attach(&io, p.reader, false, 1000, -1, &err), err);
    assert_int_equal(write(p.writer, "abc", 3), 3);
    close_fd(&p.writer);
    assert_refused(io_read_exact(&io, got, 8, &err), err, ERR_TRUNCATED,
                   "ends after 3 octets, expected 8");
    assert_int_equal(err.offset, 3);
    io_release(&io);
    pair_close(&p);
}

static void silence_is_a_timeout(void **state)
{
    struct pair p = socket_pair();
    struct io io;
    struct error err;
    char got;

    assert_ok(io_attach(&io, p.reader, false, 20, -1, &err), err);
    assert_refused(io_read_exact(&io, &got, 1, &err), err, ERR_TIMEOUT,
                   "no progress for 20 ms");
    io_release(&io);
    pair_close(&p);
}

static void a_full_pipe_can_be_cancelled(void **state)
{
    struct pair p = pipe_pair(), cancel = pipe_pair();
    cleanup_free char *much = calloc(1, 1 << 20);
    struct io io;
    struct error err;

    assert_ok(io_attach(&io, p.writer, true, -1, cancel.reader, &err), err);
    assert_int_equal(write(cancel.writer, "x", 1), 1);
    assert_refused(io_write_all(&io, much, 1 << 20, &err), err, ERR_CANCELLED,
                   "cancelled");
    io_release(&io);
    pair_close(&p);
    pair_close(&cancel);
}

static void a_full_pipe_nobody_reads_times_out(void **state)
{
    struct pair p = pipe_pair();
    cleanup_free char *much = calloc(1, 1 << 20);
    struct io io;
    struct error err;

    assert_ok(io_attach(&io, p.writer, true, 20, -1, &err), err);
    assert_refused(io_write_all(&io, much, 1 << 20, &err), err, ERR_TIMEOUT,
                   "no progress");
    /* The flag stays off the description that others share. */
    assert_false(fcntl(p.writer, F_GETFL) & O_NONBLOCK);
    io_release(&io);
    pair_close(&p);
}

static void a_reader_that_left_is_a_peer_error(void **state)
{
    struct pair p = socket_pair();
    struct io io;
    struct error err;

    close_fd(&p.reader);
    assert_ok(io_attach(&io, p.writer, true, 1000, -1, &err), err);
    assert_refused(io_write_all(&io, "x", 1, &err), err, ERR_PEER, "write");
    io_release(&io);
    pair_close(&p);
}

struct gather {
    struct pair pair;
    uint8_t *expected;
    size_t length;
};

static void *write_in_small_parts(void *argument)
{
    struct gather *g = argument;
    struct iovec iov[4];
    struct io io;
    struct error err;
    size_t part = g->length / 4;

    for (int i = 0; i < 4; i++)
        iov[i] = (struct iovec){g->expected + (size_t)i * part, part};
    if (io_attach(&io, g->pair.writer, true, 10000, -1, &err)) {
        if (!io_writev_all(&io, iov, 4, &err))
            fprintf(stderr, "%s\n", err.text);
        io_release(&io);
    }
    return NULL;
}

static void gathered_and_scattered_octets_agree(void **state)
{
    struct gather g = {.pair = socket_pair(), .length = 4 << 20};
    cleanup_free uint8_t *expected = malloc(g.length);
    cleanup_free uint8_t *got = malloc(g.length);
    struct iovec iov[2] = {
        {got,         12345           },
        {got + 12345, g.length - 12345}
    };
    pthread_t writer;
    struct io io;
    struct error err;

    for (size_t i = 0; i < g.length; i++)
        expected[i] = (uint8_t)(i * 7 + (i >> 9));
    g.expected = expected;
    assert_ok(io_attach(&io, g.pair.reader, false, 10000, -1, &err), err);
    assert_int_equal(pthread_create(&writer, NULL, write_in_small_parts, &g),
                     0);
    assert_ok(io_readv_exact(&io, iov, 2, &err), err);
    pthread_join(writer, NULL);
    assert_memory_equal(got, expected, g.length);
    io_release(&io);
    pair_close(&g.pair);
}

#define HOLE ((size_t)1 << 20)

static void zeroes_in_a_fresh_file_cost_no_blocks(void **state)
{
    cleanup_fd int fd = temporary_file();
    struct io io;
    struct error err;
    struct stat st;
    char got[8] = "";

    assert_ok(io_attach(&io, fd, true, -1, -1, &err), err);
    assert_ok(io_write_all(&io, "head", 4, &err), err);
    assert_ok(io_write_zeroes(&io, HOLE, &err), err);
    assert_ok(io_write_all(&io, "tail", 4, &err), err);
    assert_ok(io_write_zeroes(&io, HOLE, &err), err);
    assert_ok(io_finish(&io, &err), err);
    assert_int_equal(io.offset, 8 + 2 * HOLE);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 8 + 2 * HOLE);
    assert_true(st.st_blocks * 512 < (off_t)HOLE);
    assert_int_equal(pread(fd, got, 8, (off_t)HOLE), 8);
    assert_memory_equal(got, "\0\0\0\0tail", 8);
    io_release(&io);
}

static void old_contents_are_never_taken_for_zero(void **state)
{
    cleanup_fd int fd = temporary_file();
    struct io io;
    struct error err;
    char got[4];

    assert_int_equal(pwrite(fd, "old!", 4, 0), 4);
    assert_ok(io_attach(&io, fd, true, -1, -1, &err), err);
    assert_false(io.holes);
    assert_ok(io_write_zeroes(&io, 4, &err), err);
    assert_int_equal(pread(fd, got, 4, 0), 4);
    assert_memory_equal(got, "\0\0\0\0", 4);
    io_release(&io);
}

static void holes_are_seen_when_reading(void **state)
{
    cleanup_fd int fd = temporary_file();
    struct io io;
    struct error err;
    char got[4];

    assert_int_equal(pwrite(fd, "data", 4, 2 * (off_t)HOLE), 4);
    assert_int_equal(ftruncate(fd, 4 * (off_t)HOLE), 0);
    assert_ok(io_attach(&io, fd, false, -1, -1, &err), err);
    if (io_hole_ahead(&io) == 0) {
        print_message("no SEEK_DATA on this file system\n");
        io_release(&io);
        skip();
    }
    assert_int_equal(io_hole_ahead(&io), 2 * HOLE);
    assert_ok(io_skip(&io, 2 * HOLE, &err), err);
    assert_int_equal(io_hole_ahead(&io), 0);
    assert_ok(io_read_exact(&io, got, 4, &err), err);
    assert_memory_equal(got, "data", 4);
    assert_ok(io_skip(&io, HOLE, &err), err);
    assert_int_equal(io_hole_ahead(&io), HOLE - 4);
    io_release(&io);
}

static void a_pipe_has_no_holes(void **state)
{
    struct pair p = pipe_pair();
    struct io io;
    struct error err;

    assert_ok(io_attach(&io, p.reader, false, -1, -1, &err), err);
    assert_int_equal(io_hole_ahead(&io), 0);
    assert_refused(io_skip(&io, 1, &err), err, ERR_IO, "seek");
    io_release(&io);
    pair_close(&p);
}

/* Slower than the limit is fine, faster is not. */
static void a_limit_is_kept(void **state)
{
    static const uint8_t bytes[65536];
    struct error err;
    struct io io;
    int64_t began;
    int fd = memfd_create("limited", MFD_CLOEXEC);

    assert_true(io_attach(&io, fd, true, 1000, -1, &err));
    io.rate_limit = 4 << 20;
    began = clock_now_ns();
    for (int i = 0; i < 16; i++)
        assert_true(io_write_all(&io, bytes, sizeof(bytes), &err));
    /* 250 ms for 1 MiB, but for what a new writer has saved up. */
    assert_true(clock_now_ns() - began >= 140 * NS_PER_MS);
    io_release(&io);
    close(fd);
}

static void a_limited_writer_can_be_cancelled(void **state)
{
    static const uint8_t bytes[65536];
    struct error err;
    struct io io;
    int fd = memfd_create("limited", MFD_CLOEXEC), fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_true(io_attach(&io, fd, true, 1000, fds[0], &err));
    io.rate_limit = 1;
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_false(io_write_all(&io, bytes, sizeof(bytes), &err));
    assert_int_equal(err.code, ERR_CANCELLED);
    io_release(&io);
    close(fd);
    close(fds[0]);
    close(fds[1]);
}

static int file_of_octets(size_t length)
{
    int fd = memfd_create("source", MFD_CLOEXEC);

    assert_true(fd >= 0);
    for (size_t i = 0; i < length; i++) {
        uint8_t octet = (uint8_t)(i * 7 >> 3);

        assert_int_equal(write(fd, &octet, 1), 1);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void octets_move_from_a_file_to_a_pipe(void **state)
{
    enum { LENGTH = 20000 };
    static uint8_t wanted[LENGTH], got[LENGTH];
    struct pair p = pipe_pair();
    int fd = file_of_octets(LENGTH);
    struct io in, out, back;
    struct error err;
    uint64_t done;

    assert_int_equal(pread(fd, wanted, LENGTH, 0), LENGTH);
    assert_true(io_attach(&in, fd, false, 1000, -1, &err));
    assert_true(io_attach(&out, p.writer, true, 1000, -1, &err));
    assert_true(io_move(&in, &out, LENGTH - 1, &done, &err));
    assert_int_equal(done, LENGTH - 1);
    /* Nothing more than asked for, and no more than there is. */
    assert_int_equal(lseek(fd, 0, SEEK_CUR), LENGTH - 1);
    assert_true(io_move(&in, &out, 100, &done, &err));
    assert_int_equal(done, 1);
    assert_int_equal(in.offset, LENGTH);
    assert_int_equal(out.offset, LENGTH);
    assert_true(io_attach(&back, p.reader, false, 1000, -1, &err));
    assert_true(io_read_exact(&back, got, LENGTH, &err));
    assert_memory_equal(got, wanted, LENGTH);
    io_release(&in);
    io_release(&out);
    io_release(&back);
    close(fd);
    pair_close(&p);
}

/* /dev/full says no to whatever it is given, /dev/null to nothing. */
static void octets_move_from_a_file_to_a_device(void **state)
{
    int fd = file_of_octets(10000);
    int null = open("/dev/null", O_WRONLY), full = open("/dev/full", O_WRONLY);
    struct io in, out;
    struct error err;
    uint64_t done;

    assert_true(io_attach(&in, fd, false, 1000, -1, &err));
    assert_true(io_attach(&out, full, true, 1000, -1, &err));
    assert_true(io_move(&in, &out, 10, &done, &err));
    assert_int_equal(done, 0);
    io_release(&out);
    assert_true(io_attach(&out, null, true, 1000, -1, &err));
    assert_true(io_move(&in, &out, 5000, &done, &err));
    assert_int_equal(done, 5000);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 5000);
    /* What the file does not have is not moved, though nobody would look. */
    assert_true(io_move(&in, &out, 6000, &done, &err));
    assert_int_equal(done, 5000);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 10000);
    io_release(&in);
    io_release(&out);
    close(fd);
    close(null);
    close(full);
}

static void octets_move_between_pipes(void **state)
{
    struct pair from = pipe_pair(), to = pipe_pair();
    struct io in, out;
    struct error err;
    uint64_t done;
    char got[8] = "";

    assert_int_equal(write(from.writer, "pipe", 4), 4);
    assert_true(io_attach(&in, from.reader, false, 20, -1, &err));
    assert_true(io_attach(&out, to.writer, true, 20, -1, &err));
    assert_true(io_move(&in, &out, 4, &done, &err));
    assert_int_equal(done, 4);
    assert_int_equal(read(to.reader, got, sizeof(got)), 4);
    assert_string_equal(got, "pipe");
    /* One that gives nothing is waited for, but not for ever. */
    assert_false(io_move(&in, &out, 4, &done, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    io_release(&in);
    io_release(&out);
    pair_close(&from);
    pair_close(&to);
}

static void what_cannot_be_moved_is_left(void **state)
{
    int fd = file_of_octets(10), to = memfd_create("sink", MFD_CLOEXEC);
    struct pair p = pipe_pair();
    struct io in, out;
    struct error err;
    uint64_t done;

    /* To a file: nothing is gained, and holes would be lost. */
    assert_true(io_attach(&in, fd, false, 1000, -1, &err));
    assert_true(io_attach(&out, to, true, 1000, -1, &err));
    assert_true(io_move(&in, &out, 10, &done, &err));
    assert_int_equal(done, 0);
    io_release(&out);
    /* With a limit on the rate. */
    assert_true(io_attach(&out, p.writer, true, 1000, -1, &err));
    out.rate_limit = 1;
    assert_true(io_move(&in, &out, 10, &done, &err));
    assert_int_equal(done, 0);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
    io_release(&in);
    io_release(&out);
    close(fd);
    close(to);
    pair_close(&p);
}

static void a_full_pipe_stops_a_move(void **state)
{
    int fd = memfd_create("source", MFD_CLOEXEC);
    struct pair p = pipe_pair();
    struct io in, out;
    struct error err;
    uint64_t done;

    assert_int_equal(ftruncate(fd, 8 << 20), 0);
    assert_true(io_attach(&in, fd, false, 1000, -1, &err));
    assert_true(io_attach(&out, p.writer, true, 20, -1, &err));
    assert_false(io_move(&in, &out, 8 << 20, &done, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    io_release(&in);
    io_release(&out);
    close(fd);
    pair_close(&p);
}

/* ---- runs ------------------------------------------------------------- */

#define ZEROES (UINT64_C(1) << 30)

static void zeroes_in_runs_cost_their_head(void **state)
{
    static char got[64];
    struct pair p = socket_pair();
    struct io in, out;
    struct error err;

    assert_ok(io_attach(&in, p.reader, false, 1000, -1, &err), err);
    assert_ok(io_attach(&out, p.writer, true, 1000, -1, &err), err);
    in.runs = out.runs = true;
    assert_ok(io_write_all(&out, "abcdef", 6, &err), err);
    assert_ok(io_write_zeroes(&out, ZEROES, &err), err);
    assert_ok(io_write_all(&out, "g", 1, &err), err);
    assert_int_equal(out.offset, 8 + 6 + 8 + 8 + 1);

    assert_ok(io_read_exact(&in, got, 2, &err), err);
    assert_memory_equal(got, "ab", 2);
    assert_int_equal(io_hole_ahead(&in), 0);
    memset(got, 'x', sizeof(got));
    /* Across the end of a run. */
    assert_ok(io_read_exact(&in, got, 6, &err), err);
    assert_memory_equal(got, "cdef\0\0x", 7);
    assert_int_equal(io_hole_ahead(&in), ZEROES - 2);
    assert_false(io_runs_end(&in, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    assert_ok(io_skip(&in, ZEROES - 3, &err), err);
    assert_ok(io_read_exact(&in, got, 2, &err), err);
    assert_memory_equal(got, "\0g", 2);
    assert_ok(io_runs_end(&in, &err), err);
    /* What follows is not a run, and for somebody else. */
    assert_int_equal(write(p.writer, "next", 4), 4);
    assert_int_equal(read(p.reader, got, 8), 4);
    io_release(&in);
    io_release(&out);
    pair_close(&p);
}

static void a_run_is_scattered(void **state)
{
    char a[3] = "", b[4] = "", c[2] = "";
    struct iovec iov[] = {
        {a, 2},
        {b, 3},
        {c, 1}
    };
    struct pair p = pipe_pair();
    struct io in, out;
    struct error err;

    assert_ok(io_attach(&in, p.reader, false, 1000, -1, &err), err);
    assert_ok(io_attach(&out, p.writer, true, 1000, -1, &err), err);
    in.runs = out.runs = true;
    assert_ok(io_write_all(&out, "abc", 3, &err), err);
    assert_ok(io_write_all(&out, "def", 3, &err), err);
    assert_ok(io_readv_exact(&in, iov, 3, &err), err);
    assert_string_equal(a, "ab");
    assert_string_equal(b, "cde");
    assert_string_equal(c, "f");
    io_release(&in);
    io_release(&out);
    pair_close(&p);
}

static void hostile_runs_are_refused(void **state)
{
    static const struct {
        const char *octets;
        size_t length;
        enum error_code code;
    } bad[] = {
        {"\0\0\0\0\0\0\0\0",          8,  ERR_FORMAT   },
        {"\x80\0\0\0\0\0\0\0",        8,  ERR_FORMAT   },
        {"\0\0\0\0",                  4,  ERR_TRUNCATED},
        {"\0\0\0\0\0\0\0\4ab",        10, ERR_TRUNCATED},
        {"\x80\0\0\0\0\0\0\1",        8,  ERR_TRUNCATED},
        {"\x7f\xff\xff\xff\0\0\0\0a", 9,  ERR_TRUNCATED},
        {"",                          0,  ERR_TRUNCATED},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct pair p = pipe_pair();
        struct io in;
        struct error err;
        char got[4];

        assert_int_equal(write(p.writer, bad[i].octets, bad[i].length),
                         (ssize_t)bad[i].length);
        close_fd(&p.writer);
        assert_ok(io_attach(&in, p.reader, false, 1000, -1, &err), err);
        in.runs = true;
        assert_false(io_read_exact(&in, got, sizeof(got), &err));
        assert_int_equal(err.code, bad[i].code);
        io_release(&in);
        pair_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(octets_move_from_a_file_to_a_pipe),
        cmocka_unit_test(octets_move_from_a_file_to_a_device),
        cmocka_unit_test(octets_move_between_pipes),
        cmocka_unit_test(what_cannot_be_moved_is_left),
        cmocka_unit_test(a_full_pipe_stops_a_move),
        cmocka_unit_test(a_pipe_is_not_read_ahead),
        cmocka_unit_test(zeroes_in_runs_cost_their_head),
        cmocka_unit_test(a_run_is_scattered),
        cmocka_unit_test(hostile_runs_are_refused),
        cmocka_unit_test(a_socket_is_not_read_ahead),
        cmocka_unit_test(an_early_end_says_how_far_it_came),
        cmocka_unit_test(silence_is_a_timeout),
        cmocka_unit_test(a_full_pipe_can_be_cancelled),
        cmocka_unit_test(a_full_pipe_nobody_reads_times_out),
        cmocka_unit_test(a_reader_that_left_is_a_peer_error),
        cmocka_unit_test(gathered_and_scattered_octets_agree),
        cmocka_unit_test(zeroes_in_a_fresh_file_cost_no_blocks),
        cmocka_unit_test(old_contents_are_never_taken_for_zero),
        cmocka_unit_test(holes_are_seen_when_reading),
        cmocka_unit_test(a_pipe_has_no_holes),
        cmocka_unit_test(a_limit_is_kept),
        cmocka_unit_test(a_limited_writer_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
