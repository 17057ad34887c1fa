/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>

#include "transport/transport.h"
#include "unit.h"

static const struct transport_limits limits = {
    .connect_timeout_ms = 5000, .dead_after_ms = 5000, .cancel_fd = -1};

static char folder[32], path[64], address[80];

static int setup(void **state)
{
    strcpy(folder, "/tmp/xenferry-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(address, sizeof(address), "unix:%s", path);
    return 0;
}

/* Fails when a socket was left. */
static int teardown(void **state)
{
    return rmdir(folder);
}

/* Bytes both ways, a half-close, and the end. */
static void talk(struct transport *a, struct transport *b)
{
    struct error err;
    char bytes[8];

    assert_int_equal(write(a->send_fd, "ping", 4), 4);
    assert_int_equal(read(b->recv_fd, bytes, 4), 4);
    transport_half_close(a);
    assert_int_equal(read(b->recv_fd, bytes, 4), 0);
    assert_int_equal(write(b->send_fd, "pong", 4), 4);
    assert_int_equal(read(a->recv_fd, bytes, 4), 4);
    assert_memory_equal(bytes, "pong", 4);
    transport_release(b);
    assert_ok(transport_finish(a, 5000, &err), err);
    transport_release(a);
    transport_release(a);
}

static void meet(const char *listen_on, const char *connect_to)
{
    struct transport a, b;
    struct listener l;
    struct error err;

    assert_ok(listener_open(&l, listen_on, &err), err);
    assert_ok(
        transport_connect(&a, connect_to ? connect_to : l.name, &limits, &err),
        err);
    assert_ok(listener_accept(&l, &b, &limits, &err), err);
    listener_release(&l);
    listener_release(&l);
    talk(&a, &b);
}

static void tcp_carries_both_ways(void **state)
{
    meet("tcp:127.0.0.1:0", NULL);
}

static void unix_sockets_carry_both_ways(void **state)
{
    meet(address, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_unix_socket_is_its_owners(void **state)
{
    struct listener l;
    struct error err;
    struct stat st;

    assert_ok(listener_open(&l, address, &err), err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    listener_release(&l);
}

static void a_socket_left_by_a_dead_listener_is_replaced(void **state)
{
    struct listener dead;
    struct error err;

    assert_ok(listener_open(&dead, address, &err), err);
    close(dead.fd);
    meet(address, NULL);
}

static void a_living_listener_is_not_replaced(void **state)
{
    struct listener living, second;
    struct error err;

    assert_ok(listener_open(&living, address, &err), err);
    assert_refused(listener_open(&second, address, &err), err, ERR_IO,
                   "in use");
    listener_release(&living);
}

static void nobody_there_is_told(void **state)
{
    struct transport t;
    struct listener l;
    struct error err;

    assert_refused(transport_connect(&t, address, &limits, &err), err, ERR_PEER,
                   "No such file");
    /* A port that was just free. */
    assert_ok(listener_open(&l, "tcp:127.0.0.1:0", &err), err);
    close(l.fd);
    l.fd = -1;
    assert_refused(transport_connect(&t, l.name, &limits, &err), err, ERR_PEER,
                   "refused");
}

static void waiting_ends(void **state)
{
    struct transport_limits short_wait = {.connect_timeout_ms = 10,
                                          .cancel_fd = -1};
    struct transport_limits cancelled = {.connect_timeout_ms = -1};
    struct transport t;
    struct listener l;
    struct error err;
    int fds[2];

    assert_ok(listener_open(&l, address, &err), err);
    assert_refused(listener_accept(&l, &t, &short_wait, &err), err, ERR_TIMEOUT,
                   "nobody connected");
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "", 1), 1);
    cancelled.cancel_fd = fds[0];
    assert_refused(listener_accept(&l, &t, &cancelled, &err), err,
                   ERR_CANCELLED, "cancelled");
    close(fds[0]);
    close(fds[1]);
    listener_release(&l);
}

static void a_command_talks_on_its_stdio(void **state)
{
    struct transport t;
    struct error err;
    char bytes[8];

    assert_ok(transport_connect(&t, "cmd:tr a-z A-Z", &limits, &err), err);
    assert_int_equal(write(t.send_fd, "ping", 4), 4);
    transport_half_close(&t);
    assert_int_equal(read(t.recv_fd, bytes, 4), 4);
    assert_memory_equal(bytes, "PING", 4);
    assert_ok(transport_finish(&t, 5000, &err), err);
    transport_release(&t);
}

static void how_a_command_ends_is_told(void **state)
{
    struct transport t;
    struct error err;

    assert_ok(transport_connect(&t, "cmd:exit 7", &limits, &err), err);
    assert_refused(transport_finish(&t, 5000, &err), err, ERR_PEER,
                   "exit status 7");
    transport_release(&t);
    assert_ok(transport_connect(&t, "cmd:kill -9 $$", &limits, &err), err);
    assert_refused(transport_finish(&t, 5000, &err), err, ERR_PEER, "signal 9");
    transport_release(&t);
    assert_ok(transport_connect(&t, "cmd:exec sleep 100", &limits, &err), err);
    assert_refused(transport_finish(&t, 10, &err), err, ERR_TIMEOUT,
                   "still running");
    transport_release(&t);
}

static void a_stubborn_command_is_ended(void **state)
{
    struct transport t;
    struct error err;
    pid_t child;

    assert_ok(transport_connect(&t, "cmd:exec sleep 100", &limits, &err), err);
    child = t.child;
    transport_release(&t);
    assert_int_equal(kill(child, 0), -1);
    assert_int_equal(errno, ESRCH);
}

/* A Ctrl-C is ours: the child must not die of the terminal's SIGINT. */
static void a_command_ignores_our_ctrl_c(void **state)
{
    struct transport t;
    struct error err;
    char byte;

    assert_ok(transport_connect(&t, "cmd:kill -INT $$; echo", &limits, &err),
              err);
    assert_int_equal(read(t.recv_fd, &byte, 1), 1);
    assert_ok(transport_finish(&t, 5000, &err), err);
    transport_release(&t);
}

static void malformed_addresses_are_refused(void **state)
{
    static const char *const wrong[] = {
        "host",       "tcp:",
        "tcp:host",   "tcp:host:",
        "tcp:::1:80", "tcp:[::1:80",
        "tcp::80",    "unix:",
        "cmd:",       "tcp:1.2.3.4:no-such-service",
    };
    char longest[512] = "unix:";

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct transport t;
        struct error err;

        assert_refused(transport_connect(&t, wrong[i], &limits, &err), err,
                       ERR_USAGE, "");
    }
    for (int with_host = 0; with_host < 2; with_host++) {
        struct transport t;
        struct error err;

        if (with_host)
            strcpy(longest, "tcp:");
        memset(longest + strlen(longest), 'a', 300);
        if (with_host)
            strcpy(longest + 304, ":1");
        assert_refused(transport_connect(&t, longest, &limits, &err), err,
                       ERR_USAGE, "");
        memset(longest, 0, sizeof(longest));
    }
}

static void descriptors_are_closed_once(void **state)
{
    struct transport t;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    transport_from_fds(&t, fds[0], fds[1], "pipe");
    transport_half_close(&t);
    assert_int_equal(t.send_fd, -1);
    transport_release(&t);
    assert_int_equal(close(fds[0]), -1);
    assert_int_equal(close(fds[1]), -1);
}

int main(void)
{
#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(tcp_carries_both_ways),
        EACH(unix_sockets_carry_both_ways),
        EACH(a_unix_socket_is_its_owners),
        EACH(a_socket_left_by_a_dead_listener_is_replaced),
        EACH(a_living_listener_is_not_replaced),
        EACH(nobody_there_is_told),
        EACH(waiting_ends),
        EACH(a_command_talks_on_its_stdio),
        EACH(how_a_command_ends_is_told),
        EACH(a_stubborn_command_is_ended),
        EACH(a_command_ignores_our_ctrl_c),
        EACH(malformed_addresses_are_refused),
        EACH(descriptors_are_closed_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
