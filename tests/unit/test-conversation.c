/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/socket.h>

#include "engine/move/conversation.h"
#include "unit.h"

struct pair {
    int fds[2]; /* ours, the other side's */
    struct io io;
};

static void pair_open(struct pair *p)
{
    struct error err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->fds), 0);
    assert_ok(io_attach(&p->io, p->fds[0], false, 5000, -1, &err), err);
}

static void pair_close(struct pair *p)
{
    io_release(&p->io);
    close(p->fds[0]);
    if (p->fds[1] >= 0)
        close(p->fds[1]);
}

static void pair_feed(struct pair *p, const void *bytes, size_t length)
{
    if (length)
        assert_int_equal(write(p->fds[1], bytes, length), length);
}

/* The wire format, octet for octet: it is xl's. */
static void lengths_are_those_of_xl(void **state)
{
    assert_int_equal(conversation_length(MOVE_MESSAGE_BANNER), 54);
    assert_int_equal(conversation_length(MOVE_MESSAGE_READY), 34);
    assert_int_equal(conversation_length(MOVE_MESSAGE_GO), 44);
    assert_int_equal(conversation_length(MOVE_MESSAGE_REPORT), 39);
}

static void sent_messages_are_understood_and_leave_the_rest(void **state)
{
    for (enum move_message m = MOVE_MESSAGE_BANNER; m <= MOVE_MESSAGE_REPORT;
         m++) {
        struct io other;
        struct error err;
        struct pair p;
        uint8_t status;
        bool whole;

        pair_open(&p);
        assert_ok(io_attach(&other, p.fds[1], true, 5000, -1, &err), err);
        assert_ok(conversation_send(&other, m, &whole, &err), err);
        assert_true(whole);
        assert_ok(conversation_send_status(&other, 253, &err), err);
        assert_ok(conversation_expect(&p.io, m, &err), err);
        assert_ok(conversation_read_status(&p.io, &status, &err), err);
        assert_int_equal(status, 253);
        io_release(&other);
        pair_close(&p);
    }
}

static void every_cut_is_an_end_of_the_connection(void **state)
{
    for (enum move_message m = MOVE_MESSAGE_BANNER; m <= MOVE_MESSAGE_REPORT;
         m++)
        for (size_t cut = 0; cut < conversation_length(m); cut++) {
            struct error err;
            struct pair p;

            pair_open(&p);
            pair_feed(&p, conversation_text(m), cut);
            close(p.fds[1]);
            p.fds[1] = -1;
            assert_refused(conversation_expect(&p.io, m, &err), err, ERR_PEER,
                           "connection ended");
            pair_close(&p);
        }
}

static void every_wrong_octet_is_refused_without_waiting(void **state)
{
    for (enum move_message m = MOVE_MESSAGE_BANNER; m <= MOVE_MESSAGE_REPORT;
         m++)
        for (size_t at = 0; at < conversation_length(m); at++) {
            char bytes[64];
            struct error err;
            struct pair p;

            pair_open(&p);
            memcpy(bytes, conversation_text(m), conversation_length(m));
            bytes[at] ^= 0x20;
            /* Nothing follows it and the connection stays open. */
            pair_feed(&p, bytes, at + 1);
            assert_refused(conversation_expect(&p.io, m, &err), err, ERR_PEER,
                           "got \"");
            pair_close(&p);
        }
}

static void what_came_instead_is_quoted_on_one_line(void **state)
{
    struct error err;
    struct pair p;

    pair_open(&p);
    pair_feed(&p, "sh: xl:\nno\x1b[1m", 13);
    assert_false(conversation_expect(&p.io, MOVE_MESSAGE_BANNER, &err));
    assert_non_null(strstr(err.text, "got \"sh: xl:\\x0ano\\x1b[1\""));
    pair_close(&p);
}

static void a_message_that_cannot_leave_is_not_whole(void **state)
{
    struct error err;
    struct pair p;
    bool whole = true;

    pair_open(&p);
    close(p.fds[1]);
    p.fds[1] = -1;
    assert_refused(conversation_send(&p.io, MOVE_MESSAGE_GO, &whole, &err), err,
                   ERR_PEER, "release");
    assert_false(whole);
    pair_close(&p);
}

static void silence_ends_at_the_deadline(void **state)
{
    struct error err;
    struct pair p;

    pair_open(&p);
    p.io.idle_timeout_ms = 20;
    assert_refused(conversation_expect(&p.io, MOVE_MESSAGE_READY, &err), err,
                   ERR_TIMEOUT, "readiness");
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_those_of_xl),
        cmocka_unit_test(sent_messages_are_understood_and_leave_the_rest),
        cmocka_unit_test(every_cut_is_an_end_of_the_connection),
        cmocka_unit_test(every_wrong_octet_is_refused_without_waiting),
        cmocka_unit_test(what_came_instead_is_quoted_on_one_line),
        cmocka_unit_test(a_message_that_cannot_leave_is_not_whole),
        cmocka_unit_test(silence_ends_at_the_deadline),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
