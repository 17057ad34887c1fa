/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Both ends of a migration against scripted peers.  What a peer says is written
 * ahead into a socket pair: because nobody reads ahead, it arrives step by
 * step.  A cut of the script is a peer that is lost at that octet.
 */
#include <pthread.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/io.h"
#include "engine/move/conversation.h"
#include "engine/move/image_header.h"
#include "engine/move/move.h"
#include "fake_toolstack.h"
#include "unit.h"

struct rig {
    struct fake_toolstack fake;
    struct transport transport;
    struct move_options options;
    int peer; /* the other side's end; -1 when closed */
    int cancel[2];
    char folder[32];
};

static void rig_open(struct rig *r, bool with_guest)
{
    int fds[2];

    *r = (struct rig){.folder = "/tmp/xenferry-test-XXXXXX"};
    assert_non_null(mkdtemp(r->folder));
    fake_toolstack_init(&r->fake, with_guest);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    transport_from_fds(&r->transport, fds[0], fds[0], "test");
    r->peer = fds[1];
    assert_int_equal(pipe(r->cancel), 0);
    r->options = (struct move_options){.toolstack = &r->fake.base,
                                       .lock_folder = r->folder,
                                       .cancel_fd = r->cancel[0],
                                       .answer_timeout_ms = 5000};
}

static void rig_close(struct rig *r)
{
    /* The lock is gone with the move: its folder is empty. */
    assert_int_equal(rmdir(r->folder), 0);
    transport_release(&r->transport);
    if (r->peer >= 0)
        close(r->peer);
    close(r->cancel[0]);
    close(r->cancel[1]);
}

static void hang_up(void *context)
{
    struct rig *r = context;

    close(r->peer);
    r->peer = -1;
}

static void cancel(void *context)
{
    struct rig *r = context;

    assert_int_equal(write(r->cancel[1], "", 1), 1);
}

static void peer_says(struct rig *r, const void *bytes, size_t length)
{
    if (length)
        assert_int_equal(write(r->peer, bytes, length), length);
}

static void add_message(struct buffer *b, enum move_message m)
{
    buffer_bytes(b, conversation_text(m), conversation_length(m));
}

/* What a target says to a source that does everything right. */
static void target_script(struct buffer *b, uint8_t status)
{
    add_message(b, MOVE_MESSAGE_BANNER);
    add_message(b, MOVE_MESSAGE_READY);
    add_message(b, MOVE_MESSAGE_REPORT);
    buffer_u8(b, status);
    if (status)
        add_message(b, MOVE_MESSAGE_GO);
}

static enum move_outcome run_source(struct rig *r, bool expect_success,
                                    struct error *err)
{
    struct migrate_source_request request = {
        .guest = "g1", .transport = &r->transport, .live = true};
    enum move_outcome outcome;

    assert_int_equal(migrate_source(&r->options, &request, &outcome, err),
                     expect_success);
    return outcome;
}

/* The guest is here and runs under its own name. */
static void assert_guest_runs_on(const struct rig *r)
{
    assert_true(r->fake.exists);
    assert_false(r->fake.guest.suspended);
    assert_string_equal(r->fake.guest.name, "g1");
}

static void source_moves_a_guest(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    cleanup(image_header_release) struct image_header header = {0};
    struct error err;
    struct rig r;
    struct io io;
    uint8_t preamble[IMAGE_PREAMBLE];
    char image[8];

    rig_open(&r, true);
    target_script(&script, 0);
    peer_says(&r, script.bytes, script.length);
    assert_int_equal(run_source(&r, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls,
                        "save live;saved;rename g1 g1--migratedaway;destroy;");

    assert_ok(io_attach(&io, r.peer, false, 1000, -1, &err), err);
    assert_ok(image_header_read(&io, &header, &err), err);
    assert_string_equal(header.config, FAKE_CONFIG);
    assert_ok(image_preamble_read(&io, preamble, &err), err);
    assert_ok(io_read_exact(&io, image, 8, &err), err);
    assert_memory_equal(image, FAKE_IMAGE, 8);
    assert_ok(conversation_expect(&io, MOVE_MESSAGE_GO, &err), err);
    io_release(&io);
    rig_close(&r);
}

static void source_survives_the_loss_of_its_peer_at_every_octet(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t banner = conversation_length(MOVE_MESSAGE_BANNER);
    size_t ready = banner + conversation_length(MOVE_MESSAGE_READY);

    target_script(&script, 0);
    for (size_t cut = 0; cut < script.length; cut++) {
        enum move_outcome outcome;
        struct error err;
        struct rig r;

        rig_open(&r, true);
        peer_says(&r, script.bytes, cut);
        shutdown(r.peer, SHUT_WR);
        outcome = run_source(&r, false, &err);
        assert_int_equal(err.code, ERR_PEER);
        if (cut < ready) {
            assert_int_equal(outcome, MOVE_KEPT);
            assert_guest_runs_on(&r);
            assert_int_equal(strstr(r.fake.calls, "save") != NULL,
                             cut >= banner);
        } else {
            assert_int_equal(outcome, MOVE_UNDECIDED);
            assert_true(r.fake.exists);
            assert_true(r.fake.guest.suspended);
            assert_string_equal(r.fake.guest.name, "g1--migratedaway");
            assert_null(strstr(r.fake.calls, "resume"));
        }
        rig_close(&r);
    }
}

static void source_refuses_every_wrong_octet(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t ready = conversation_length(MOVE_MESSAGE_BANNER) +
                   conversation_length(MOVE_MESSAGE_READY);

    target_script(&script, 0);
    for (size_t at = 0; at + 1 < script.length; at++) {
        struct error err;
        struct rig r;

        rig_open(&r, true);
        script.bytes[at] ^= 0x40;
        peer_says(&r, script.bytes, script.length);
        script.bytes[at] ^= 0x40;
        assert_int_equal(run_source(&r, false, &err),
                         at < ready ? MOVE_KEPT : MOVE_UNDECIDED);
        if (at < ready)
            assert_guest_runs_on(&r);
        rig_close(&r);
    }
}

/* A hand-over that certainly did not arrive is none. */
static void source_keeps_the_guest_when_the_release_cannot_leave(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    struct error err;
    struct rig r;

    rig_open(&r, true);
    target_script(&script, 0);
    peer_says(&r, script.bytes, script.length);
    r.fake.hook_at = "rename";
    r.fake.hook = hang_up;
    r.fake.hook_context = &r;
    assert_int_equal(run_source(&r, false, &err), MOVE_KEPT);
    assert_guest_runs_on(&r);
    assert_string_equal(r.fake.calls,
                        "save live;saved;rename g1 g1--migratedaway;"
                        "rename g1--migratedaway g1;resume;");
    rig_close(&r);
}

static void source_takes_back_what_the_target_could_not_start(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t whole;

    target_script(&script, 3);
    whole = script.length;
    for (size_t cut = whole - conversation_length(MOVE_MESSAGE_GO);
         cut <= whole; cut++) {
        struct error err;
        struct rig r;

        rig_open(&r, true);
        peer_says(&r, script.bytes, cut);
        shutdown(r.peer, SHUT_WR);
        assert_int_equal(run_source(&r, false, &err),
                         cut == whole ? MOVE_KEPT : MOVE_UNDECIDED);
        assert_non_null(strstr(err.text, "could not start"));
        if (cut == whole)
            assert_guest_runs_on(&r);
        rig_close(&r);
    }
}

static void source_cancels_in_every_phase_before_the_release(void **state)
{
    static const char *const where[] = {NULL, "save", "saved", "rename"};

    for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
        cleanup(buffer_release) struct buffer script = {0};
        struct error err;
        struct rig r;

        rig_open(&r, true);
        target_script(&script, 0);
        peer_says(&r, script.bytes, script.length);
        r.fake.hook_at = where[i];
        r.fake.hook = cancel;
        r.fake.hook_context = &r;
        if (!where[i])
            cancel(&r);
        assert_int_equal(run_source(&r, false, &err), MOVE_KEPT);
        assert_int_equal(err.code, ERR_CANCELLED);
        assert_guest_runs_on(&r);
        rig_close(&r);
    }
}

static void source_says_where_the_guest_is_after_a_failed_save(void **state)
{
    static const struct {
        enum toolstack_save_outcome save;
        enum move_outcome move;
    } cases[] = {
        {SAVE_UNCHANGED,  MOVE_KEPT      },
        {SAVE_SUSPENDED,  MOVE_KEPT      },
        {SAVE_GUEST_GONE, MOVE_GUEST_GONE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cleanup(buffer_release) struct buffer script = {0};
        struct error err;
        struct rig r;

        rig_open(&r, true);
        target_script(&script, 0);
        peer_says(&r, script.bytes, script.length);
        r.fake.fail = "save";
        r.fake.save_failure = cases[i].save;
        assert_int_equal(run_source(&r, false, &err), cases[i].move);
        if (cases[i].move == MOVE_KEPT)
            assert_guest_runs_on(&r);
        rig_close(&r);
    }
}

static void source_says_when_a_guest_cannot_be_resumed(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    struct error err;
    struct rig r;

    rig_open(&r, true);
    add_message(&script, MOVE_MESSAGE_BANNER);
    peer_says(&r, script.bytes, script.length);
    shutdown(r.peer, SHUT_WR);
    r.fake.fail = "resume";
    assert_int_equal(run_source(&r, false, &err), MOVE_STUCK);
    assert_non_null(strstr(err.text, "; then resume"));
    rig_close(&r);
}

static void source_refuses_guests_that_cannot_answer(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct error err;
        struct rig r;

        rig_open(&r, true);
        r.fake.guest.paused = i == 0;
        r.fake.guest.suspended = i == 1;
        r.fake.guest.dead = i == 2;
        assert_int_equal(run_source(&r, false, &err), MOVE_KEPT);
        assert_int_equal(err.code, ERR_STATE);
        assert_string_equal(r.fake.calls, "");
        rig_close(&r);
    }
}

static enum move_outcome run_target(struct rig *r, bool expect_success,
                                    struct error *err)
{
    struct migrate_target_request request = {.transport = &r->transport};
    struct toolstack_guest guest;
    enum move_outcome outcome;

    assert_int_equal(
        migrate_target(&r->options, &request, &guest, &outcome, err),
        expect_success);
    return outcome;
}

/* What a source says; '*ret_image_end' is where the image ends. */
static void source_script(struct buffer *b, size_t *ret_image_end)
{
    int fds[2];
    struct error err;
    struct io io;
    uint8_t bytes[256];
    ssize_t length;

    assert_int_equal(pipe(fds), 0);
    assert_ok(io_attach(&io, fds[1], true, 1000, -1, &err), err);
    assert_ok(image_header_write(&io, FAKE_CONFIG, &err), err);
    io_release(&io);
    length = read(fds[0], bytes, sizeof(bytes));
    assert_true(length > 48);
    buffer_bytes(b, bytes, (size_t)length);
    close(fds[0]);
    close(fds[1]);
    buffer_bytes(b, FAKE_PREAMBLE, TOOLSTACK_PREAMBLE);
    buffer_text(b, FAKE_IMAGE);
    *ret_image_end = b->length;
    add_message(b, MOVE_MESSAGE_GO);
}

/* Exactly these octets came from the target. */
static void assert_heard(struct rig *r, const struct buffer *expected)
{
    uint8_t bytes[512];
    ssize_t got = recv(r->peer, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_int_equal(got, expected->length);
    assert_memory_equal(bytes, expected->bytes, expected->length);
}

static void target_receives_a_guest(void **state)
{
    cleanup(buffer_release) struct buffer script = {0}, answer = {0};
    size_t image_end;
    struct error err;
    struct rig r;

    rig_open(&r, false);
    source_script(&script, &image_end);
    peer_says(&r, script.bytes, script.length);
    assert_int_equal(run_target(&r, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "check g1--incoming;restore g1--incoming;"
                                      "rename g1--incoming g1;unpause;");
    assert_false(r.fake.guest.paused);
    target_script(&answer, 0);
    assert_heard(&r, &answer);
    rig_close(&r);
}

static void target_leaves_nothing_when_its_peer_is_lost(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t image_end;

    source_script(&script, &image_end);
    for (size_t cut = 0; cut < script.length; cut++) {
        struct error err;
        struct rig r;

        rig_open(&r, false);
        peer_says(&r, script.bytes, cut);
        shutdown(r.peer, SHUT_WR);
        assert_int_equal(run_target(&r, false, &err), MOVE_NOTHING);
        assert_false(r.fake.exists);
        assert_null(strstr(r.fake.calls, "unpause"));
        assert_int_equal(strstr(r.fake.calls, "destroy") != NULL,
                         cut >= image_end);
        rig_close(&r);
    }
}

static void target_gives_back_what_it_cannot_start(void **state)
{
    static const char *const where[] = {"rename", "unpause"};

    for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
        cleanup(buffer_release) struct buffer script = {0}, answer = {0};
        size_t image_end;
        struct error err;
        struct rig r;

        rig_open(&r, false);
        source_script(&script, &image_end);
        peer_says(&r, script.bytes, script.length);
        r.fake.fail = where[i];
        assert_int_equal(run_target(&r, false, &err), MOVE_NOTHING);
        assert_false(r.fake.exists);
        target_script(&answer, 3);
        assert_heard(&r, &answer);
        rig_close(&r);
    }
}

/* If it cannot destroy its copy, the source must not get the guest back. */
static void target_does_not_give_back_a_copy_that_is_still_there(void **state)
{
    cleanup(buffer_release) struct buffer script = {0}, answer = {0};
    size_t image_end;
    struct error err;
    struct rig r;

    rig_open(&r, false);
    source_script(&script, &image_end);
    peer_says(&r, script.bytes, script.length);
    r.fake.fail = "unpause";
    r.fake.fail_also = "destroy";
    assert_int_equal(run_target(&r, false, &err), MOVE_NOTHING);
    target_script(&answer, 3);
    answer.length -= conversation_length(MOVE_MESSAGE_GO);
    assert_heard(&r, &answer);
    rig_close(&r);
}

static void target_keeps_a_started_guest_whatever_the_report(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t image_end;
    struct error err;
    struct rig r;

    rig_open(&r, false);
    source_script(&script, &image_end);
    peer_says(&r, script.bytes, script.length);
    r.fake.hook_at = "unpause";
    r.fake.hook = hang_up;
    r.fake.hook_context = &r;
    assert_int_equal(run_target(&r, true, &err), MOVE_DONE);
    assert_true(r.fake.exists);
    assert_false(r.fake.guest.paused);
    rig_close(&r);
}

static void target_cancels_until_the_guest_is_its_own(void **state)
{
    static const char *const where[] = {"check", "rename"};

    for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
        cleanup(buffer_release) struct buffer script = {0};
        bool too_late = !strcmp(where[i], "rename");
        size_t image_end;
        struct error err;
        struct rig r;

        rig_open(&r, false);
        source_script(&script, &image_end);
        peer_says(&r, script.bytes, script.length);
        r.fake.hook_at = where[i];
        r.fake.hook = cancel;
        r.fake.hook_context = &r;
        assert_int_equal(run_target(&r, too_late, &err),
                         too_late ? MOVE_DONE : MOVE_NOTHING);
        assert_int_equal(r.fake.exists, too_late);
        rig_close(&r);
    }
}

static void target_refuses_a_name_that_another_guest_has(void **state)
{
    cleanup(buffer_release) struct buffer script = {0};
    size_t image_end;
    struct error err;
    struct rig r;

    rig_open(&r, true);
    strcpy(r.fake.guest.uuid, "another");
    source_script(&script, &image_end);
    peer_says(&r, script.bytes, script.length);
    assert_int_equal(run_target(&r, false, &err), MOVE_NOTHING);
    assert_int_equal(err.code, ERR_STATE);
    assert_string_equal(r.fake.calls, "");
    rig_close(&r);
}

static void *target_thread(void *context)
{
    struct rig *r = context;
    struct migrate_target_request request = {.transport = &r->transport};
    struct toolstack_guest guest;
    static enum move_outcome outcome;
    struct error err;
    bool good;

    good = migrate_target(&r->options, &request, &guest, &outcome, &err);
    return good ? &outcome : NULL;
}

static void our_two_ends_understand_each_other(void **state)
{
    struct rig source, target;
    pthread_t thread;
    struct error err;
    void *result;

    rig_open(&source, true);
    rig_open(&target, false);
    /* The target talks to the source's peer end instead of its own. */
    transport_release(&target.transport);
    transport_from_fds(&target.transport, source.peer, source.peer, "test");
    source.peer = -1;
    assert_int_equal(pthread_create(&thread, NULL, target_thread, &target), 0);
    assert_int_equal(run_source(&source, true, &err), MOVE_DONE);
    pthread_join(thread, &result);
    assert_non_null(result);
    assert_false(source.fake.exists);
    assert_true(target.fake.exists);
    assert_string_equal(target.fake.guest.name, "g1");
    rig_close(&source);
    rig_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(source_moves_a_guest),
        cmocka_unit_test(source_survives_the_loss_of_its_peer_at_every_octet),
        cmocka_unit_test(source_refuses_every_wrong_octet),
        cmocka_unit_test(source_keeps_the_guest_when_the_release_cannot_leave),
        cmocka_unit_test(source_takes_back_what_the_target_could_not_start),
        cmocka_unit_test(source_cancels_in_every_phase_before_the_release),
        cmocka_unit_test(source_says_where_the_guest_is_after_a_failed_save),
        cmocka_unit_test(source_says_when_a_guest_cannot_be_resumed),
        cmocka_unit_test(source_refuses_guests_that_cannot_answer),
        cmocka_unit_test(target_receives_a_guest),
        cmocka_unit_test(target_leaves_nothing_when_its_peer_is_lost),
        cmocka_unit_test(target_gives_back_what_it_cannot_start),
        cmocka_unit_test(target_does_not_give_back_a_copy_that_is_still_there),
        cmocka_unit_test(target_keeps_a_started_guest_whatever_the_report),
        cmocka_unit_test(target_cancels_until_the_guest_is_its_own),
        cmocka_unit_test(target_refuses_a_name_that_another_guest_has),
        cmocka_unit_test(our_two_ends_understand_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
