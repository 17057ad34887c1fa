/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Guests into files and out of them, with a toolstack made of memory. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "engine/move/move.h"
#include "fake_toolstack.h"
#include "stream/container/container_write.h"
#include "unit.h"

struct rig {
    struct fake_toolstack fake;
    struct move_options options;
    char folder[32];
    char locks[32];
    char path[48];
};

static void rig_open(struct rig *r, bool with_guest)
{
    *r = (struct rig){.folder = "/tmp/xenferry-test-XXXXXX",
                      .locks = "/tmp/xenferry-test-XXXXXX"};
    assert_non_null(mkdtemp(r->folder));
    assert_non_null(mkdtemp(r->locks));
    snprintf(r->path, sizeof(r->path), "%s/g1.img", r->folder);
    fake_toolstack_init(&r->fake, with_guest);
    r->options = (struct move_options){.toolstack = &r->fake.base,
                                       .lock_folder = r->locks,
                                       .cancel_fd = -1,
                                       .answer_timeout_ms = 5000};
}

/* Whether the image is there is told by 'image'; nothing else may be. */
static void rig_close(struct rig *r, bool image)
{
    assert_int_equal(unlink(r->path) == 0, image);
    assert_int_equal(rmdir(r->locks), 0);
    assert_int_equal(rmdir(r->folder), 0);
}

static enum move_outcome save(struct rig *r, enum after_save after,
                              bool expected, struct error *err)
{
    struct save_file_request request = {
        .guest = "g1", .path = r->path, .after = after, .sync = true};
    enum move_outcome outcome;

    assert_int_equal(move_to_file(&r->options, &request, &outcome, err),
                     expected);
    return outcome;
}

static enum move_outcome restore(struct rig *r, bool paused, bool expected,
                                 struct error *err)
{
    struct restore_file_request request = {.path = r->path, .paused = paused};
    struct toolstack_guest guest;
    enum move_outcome outcome;

    assert_int_equal(
        move_from_file(&r->options, &request, &guest, &outcome, err), expected);
    return outcome;
}

static void look_for_image(void *context)
{
    struct rig *r = context;

    assert_int_equal(access(r->path, F_OK), 0);
}

static void the_guest_goes_only_when_its_image_is_there(void **state)
{
    struct error err;
    struct rig r;
    struct stat st;

    rig_open(&r, true);
    r.fake.hook_at = "destroy";
    r.fake.hook = look_for_image;
    r.fake.hook_context = &r;
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "save;saved;destroy;");
    assert_int_equal(stat(r.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    rig_close(&r, true);
}

static void it_stays_where_asked(void **state)
{
    struct error err;
    struct rig r;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_RUN, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "save;saved;resume;");
    assert_false(r.fake.guest.paused);
    rig_close(&r, true);

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_PAUSE, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "save;saved;pause;resume;");
    assert_true(r.fake.guest.paused);
    rig_close(&r, true);
}

static void a_failed_save_leaves_the_guest_and_no_file(void **state)
{
    static const char *const where[] = {"save", "saved"};

    for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
        struct error err;
        struct rig r;

        rig_open(&r, true);
        r.fake.fail = where[i];
        r.fake.save_failure = SAVE_SUSPENDED;
        if (i == 1)
            r.fake.save_failure = SAVE_UNCHANGED;
        assert_int_equal(save(&r, AFTER_SAVE_DESTROY, false, &err), MOVE_KEPT);
        assert_true(r.fake.exists);
        assert_false(r.fake.guest.suspended);
        rig_close(&r, false);
    }
}

static void take_the_folder_away(void *context)
{
    struct rig *r = context;
    char away[64];

    snprintf(away, sizeof(away), "%s.away", r->folder);
    assert_int_equal(rename(r->folder, away), 0);
}

static void an_image_that_gets_no_name_brings_the_guest_back(void **state)
{
    struct error err;
    struct rig r;
    char away[64];

    rig_open(&r, true);
    r.fake.hook_at = "saved";
    r.fake.hook = take_the_folder_away;
    r.fake.hook_context = &r;
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, false, &err), MOVE_KEPT);
    assert_int_equal(err.code, ERR_IO);
    assert_string_equal(r.fake.calls, "save;saved;resume;");
    assert_false(r.fake.guest.suspended);
    snprintf(away, sizeof(away), "%s.away", r.folder);
    assert_int_equal(rename(away, r.folder), 0);
    rig_close(&r, false);
}

static void a_guest_that_ended_is_told(void **state)
{
    struct error err;
    struct rig r;

    rig_open(&r, true);
    r.fake.fail = "save";
    r.fake.save_failure = SAVE_GUEST_GONE;
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, false, &err),
                     MOVE_GUEST_GONE);
    rig_close(&r, false);
}

static void what_was_saved_is_restored(void **state)
{
    struct error err;
    struct rig r;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    r.fake.calls[0] = '\0';
    assert_int_equal(restore(&r, false, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "check;restore;unpause;");
    assert_false(r.fake.guest.paused);
    rig_close(&r, true);

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    assert_int_equal(restore(&r, true, true, &err), MOVE_DONE);
    assert_true(r.fake.guest.paused);
    rig_close(&r, true);
}

static void into_container(struct rig *r)
{
    const struct container_write_options options = {.level = 1};
    struct container_summary summary;
    struct buffer out = {0};
    struct stream_sink sink = sink_to_buffer(&out);
    struct stream_source source;
    struct error err;
    struct io io;
    int fd = open(r->path, O_RDWR);

    assert_true(fd >= 0);
    assert_ok(io_attach(&io, fd, false, -1, -1, &err), err);
    source = source_from_io(&io);
    assert_ok(container_write(&source, &sink, &options, &summary, NULL, &err),
              err);
    io_release(&io);
    assert_int_equal(pwrite(fd, out.bytes, out.length, 0), out.length);
    assert_int_equal(ftruncate(fd, (off_t)out.length), 0);
    close(fd);
    buffer_release(&out);
}

static void a_container_is_restored_directly(void **state)
{
    struct error err;
    struct rig r;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    into_container(&r);
    r.fake.calls[0] = '\0';
    assert_int_equal(restore(&r, false, true, &err), MOVE_DONE);
    assert_string_equal(r.fake.calls, "check;restore;unpause;");
    rig_close(&r, true);
}

static void no_damaged_container_leaves_a_guest(void **state)
{
    struct error err;
    struct stat st;
    struct rig r;
    int fd;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    into_container(&r);
    fd = open(r.path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 8; at < st.st_size; at++) {
        uint8_t octet, changed;

        assert_int_equal(pread(fd, &octet, 1, at), 1);
        changed = octet ^ 0x10;
        assert_int_equal(pwrite(fd, &changed, 1, at), 1);
        if (restore(&r, false, false, &err) != MOVE_NOTHING || r.fake.exists)
            fail_msg("octet %lld changed: a guest is there", (long long)at);
        assert_int_equal(err.code, ERR_FORMAT);
        assert_int_equal(pwrite(fd, &octet, 1, at), 1);
    }
    close(fd);
    rig_close(&r, true);
}

static void no_truncation_leaves_a_guest(void **state)
{
    struct error err;
    struct stat st;
    struct rig r;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    assert_int_equal(stat(r.path, &st), 0);
    for (off_t length = st.st_size - 1; length >= 0; length--) {
        assert_int_equal(truncate(r.path, length), 0);
        assert_int_equal(restore(&r, false, false, &err), MOVE_NOTHING);
        assert_int_equal(err.code, ERR_TRUNCATED);
        assert_false(r.fake.exists);
    }
    rig_close(&r, true);
}

static void a_guest_that_does_not_start_is_removed(void **state)
{
    struct error err;
    struct rig r;

    rig_open(&r, true);
    assert_int_equal(save(&r, AFTER_SAVE_DESTROY, true, &err), MOVE_DONE);
    r.fake.fail = "unpause";
    assert_int_equal(restore(&r, false, false, &err), MOVE_NOTHING);
    assert_false(r.fake.exists);
    r.fake.fail = "check";
    assert_int_equal(restore(&r, false, false, &err), MOVE_NOTHING);
    rig_close(&r, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_goes_only_when_its_image_is_there),
        cmocka_unit_test(it_stays_where_asked),
        cmocka_unit_test(a_failed_save_leaves_the_guest_and_no_file),
        cmocka_unit_test(an_image_that_gets_no_name_brings_the_guest_back),
        cmocka_unit_test(a_guest_that_ended_is_told),
        cmocka_unit_test(what_was_saved_is_restored),
        cmocka_unit_test(a_container_is_restored_directly),
        cmocka_unit_test(no_damaged_container_leaves_a_guest),
        cmocka_unit_test(no_truncation_leaves_a_guest),
        cmocka_unit_test(a_guest_that_does_not_start_is_removed),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
