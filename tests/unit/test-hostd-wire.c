/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <fcntl.h>
#include <sys/socket.h>

#include "unit.h"

#include "base/clock.h"
#include "host/embedded/hostd_wire.h"

#define SHORT_MS 50
#define LONG_MS  20000

static void pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
}

static void a_message_arrives_with_its_descriptor(void **state)
{
    struct hostd_message out = {.fd = open("/dev/null", O_RDONLY)};
    struct hostd_message in = {.fd = -1};
    struct error err;
    bool end;
    int fds[2];

    pair(fds);
    buffer_text(&out.text, "{\"op\":\"x\"}");
    buffer_zeroes(&out.data, 5000);
    assert_ok(hostd_send(fds[0], &out, deadline_after_ms(LONG_MS), &err), err);
    assert_ok(
        hostd_receive(fds[1], &in, deadline_after_ms(LONG_MS), &end, &err),
        err);
    assert_false(end);
    assert_string_equal((char *)in.text.bytes, "{\"op\":\"x\"}");
    assert_int_equal(in.data.length, 5000);
    assert_true(in.fd >= 0 && in.fd != out.fd);
    hostd_message_release(&in);
    hostd_message_release(&out);
    close(fds[0]);
    close(fds[1]);
}

static void an_end_between_messages_is_no_error(void **state)
{
    struct hostd_message in = {.fd = -1};
    struct error err;
    bool end = false;
    int fds[2];

    pair(fds);
    close(fds[0]);
    assert_ok(
        hostd_receive(fds[1], &in, deadline_after_ms(LONG_MS), &end, &err),
        err);
    assert_true(end);
    close(fds[1]);
}

static void every_truncation_is_refused(void **state)
{
    static const uint8_t whole[] = {2, 0, 0, 0, 3, 0, 0, 0, '{', '}', 1, 2, 3};

    for (size_t length = 1; length < sizeof(whole); length++) {
        struct hostd_message in = {.fd = -1};
        struct error err;
        bool end;
        int fds[2];

        pair(fds);
        assert_int_equal(write(fds[0], whole, length), length);
        close(fds[0]);
        assert_refused(
            hostd_receive(fds[1], &in, deadline_after_ms(LONG_MS), &end, &err),
            err, ERR_PEER, "within a message");
        close(fds[1]);
    }
}

static void lengths_beyond_the_limits_are_refused(void **state)
{
    static const uint8_t heads[][8] = {
        {1,    0,    16,   0,    0, 0, 0, 0},
        {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
        {0,    0,    0,    0,    1, 0, 0, 4},
    };

    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        struct hostd_message in = {.fd = -1};
        struct error err;
        bool end;
        int fds[2];

        pair(fds);
        assert_int_equal(write(fds[0], heads[i], 8), 8);
        assert_refused(
            hostd_receive(fds[1], &in, deadline_after_ms(LONG_MS), &end, &err),
            err, ERR_LIMIT, "at most");
        close(fds[0]);
        close(fds[1]);
    }
}

static void silence_within_a_message_ends_at_the_deadline(void **state)
{
    struct hostd_message in = {.fd = -1};
    struct error err;
    bool end;
    int fds[2];

    pair(fds);
    assert_int_equal(write(fds[0], "\2\0\0", 3), 3);
    assert_refused(
        hostd_receive(fds[1], &in, deadline_after_ms(SHORT_MS), &end, &err),
        err, ERR_TIMEOUT, "silent");
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_arrives_with_its_descriptor),
        cmocka_unit_test(an_end_between_messages_is_no_error),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(lengths_beyond_the_limits_are_refused),
        cmocka_unit_test(silence_within_a_message_ends_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
