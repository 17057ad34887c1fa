/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The save helper, with a parent that speaks as libxl does. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MESSAGE      1
#define PROGRESS         2
#define SUSPEND          3
#define LOGDIRTY         7
#define STATIC_DATA_DONE 8
#define RESULTS          9
#define COMPLETE         10

struct parent {
    pid_t child;
    int to_child, from_child;
    int image_fd;
    int event_fd; /* read end; -1: none asked for */
    /* The last message. */
    uint16_t number;
    uint8_t body[65536];
    size_t length;
    char log[65536]; /* all log texts */
    unsigned int seen[16];
};

/* The stream gets a fixed number in the child, as libxl's would have. */
#define STREAM_FD 20
#define EVENT_FD  21

static int open_parent(void **state)
{
    struct parent *p = calloc(1, sizeof(*p));

    p->image_fd = memfd_create("image", 0);
    p->event_fd = -1;
    *state = p;
    return 0;
}

static int close_parent(void **state)
{
    struct parent *p = *state;

    close(p->image_fd);
    if (p->event_fd >= 0)
        close(p->event_fd);
    free(p);
    return 0;
}

static void child_main(const char *const *argv, int in, int out, int image,
                       int events)
{
    const char *helper = getenv("XENFERRY_TEST_HELPER");

    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(image, STREAM_FD);
    if (events >= 0) {
        dup2(events, EVENT_FD);
        setenv("XENFERRY_EVENT_FD", "21", 1);
    }
    for (int fd = 3; fd < 64; fd++)
        if (fd != STREAM_FD && (fd != EVENT_FD || events < 0))
            close(fd);
    execv(helper, (char *const *)argv);
    _exit(99);
}

static void start(struct parent *p, bool with_events, const char *const *argv)
{
    int in[2], out[2], events[2] = {-1, -1};

    assert_non_null(getenv("XENFERRY_TEST_HELPER"));
    memset(p->log, 0, sizeof(p->log));
    memset(p->seen, 0, sizeof(p->seen));
    assert_int_equal(lseek(p->image_fd, 0, SEEK_SET), 0);
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    if (with_events)
        assert_int_equal(pipe(events), 0);
    p->child = fork();
    if (p->child == 0)
        child_main(argv, in[0], out[1], p->image_fd, events[1]);
    close(in[0]);
    close(out[1]);
    if (with_events)
        close(events[1]);
    p->to_child = in[1];
    p->from_child = out[0];
    p->event_fd = events[0];
}

static void start_save(struct parent *p, const char *flags,
                       const char *callbacks)
{
    const char *argv[] = {"libxl-save-helper",
                          "--save-domain",
                          "20",
                          "-1",
                          "1",
                          flags,
                          callbacks,
                          "0",
                          NULL};

    start(p, true, argv);
}

static void start_restore(struct parent *p, const char *callbacks)
{
    const char *argv[] = {"libxl-save-helper",
                          "--restore-domain",
                          "20",
                          "-1",
                          "2",
                          "3",
                          "0",
                          "4",
                          "0",
                          callbacks,
                          "0",
                          NULL};

    start(p, false, argv);
}

static bool read_all(int fd, void *to, size_t length)
{
    uint8_t *at = to;

    while (length > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        ssize_t got;

        /* Only a helper that hangs takes so long. */
        assert_int_equal(poll(&ready, 1, 100000), 1);
        got = read(fd, at, length);
        if (got <= 0)
            return false;
        at += got;
        length -= (size_t)got;
    }
    return true;
}

static uint32_t u32_at(const struct parent *p, size_t offset)
{
    uint32_t value;

    assert_true(offset + sizeof(value) <= p->length);
    memcpy(&value, p->body + offset, sizeof(value));
    return value;
}

static uint64_t u64_at(const struct parent *p, size_t offset)
{
    uint64_t value;

    assert_true(offset + sizeof(value) <= p->length);
    memcpy(&value, p->body + offset, sizeof(value));
    return value;
}

/* A string at 'offset'; checks its form and returns what follows it. */
static size_t string_at(const struct parent *p, size_t offset, const char **ret)
{
    uint32_t length = u32_at(p, offset);

    assert_true(length >= 1);
    assert_true(offset + 4 + length <= p->length);
    assert_int_equal(p->body[offset + 4 + length - 1], 0);
    *ret = (const char *)p->body + offset + 4;
    return offset + 4 + length;
}

/* The arguments must fill the message exactly, or libxl ignores it. */
static void check_form(struct parent *p)
{
    const char *context, *text;
    size_t end;

    switch (p->number) {
    case LOG_MESSAGE:
        end = string_at(p, string_at(p, 8, &context), &text);
        assert_string_equal(context, "xenferry-save-helper");
        assert_int_equal(end, p->length);
        strncat(p->log, text, sizeof(p->log) - strlen(p->log) - 2);
        strcat(p->log, "\n");
        break;
    case PROGRESS:
        end = string_at(p, string_at(p, 0, &context), &text);
        assert_int_equal(end + 16, p->length);
        assert_true(u64_at(p, end) <= u64_at(p, end + 8));
        break;
    case SUSPEND:
        assert_int_equal(p->length, 0);
        break;
    case LOGDIRTY:
        assert_int_equal(p->length, 8);
        assert_int_equal(u32_at(p, 0), 1);
        break;
    case STATIC_DATA_DONE:
        assert_int_equal(p->length, 4);
        break;
    case RESULTS:
        assert_int_equal(p->length, 16);
        break;
    case COMPLETE:
        assert_int_equal(p->length, 8);
        break;
    default:
        fail_msg("message %u", p->number);
    }
}

/* The next message that is not for people; 0 at the end. */
static uint16_t next_message(struct parent *p)
{
    uint16_t length;

    do {
        if (!read_all(p->from_child, &length, sizeof(length)))
            return 0;
        assert_true(length >= 2);
        assert_true(read_all(p->from_child, &p->number, sizeof(p->number)));
        p->length = length - 2u;
        assert_true(read_all(p->from_child, p->body, p->length));
        check_form(p);
        p->seen[p->number]++;
    } while (p->number == LOG_MESSAGE || p->number == PROGRESS);
    return p->number;
}

static void reply(struct parent *p, int answer)
{
    assert_int_equal(write(p->to_child, &answer, sizeof(answer)),
                     sizeof(answer));
}

static int exit_status(struct parent *p)
{
    int status;

    close(p->to_child);
    close(p->from_child);
    assert_int_equal(waitpid(p->child, &status, 0), p->child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect_complete(struct parent *p, bool success)
{
    assert_int_equal(next_message(p), COMPLETE);
    assert_int_equal((int)u32_at(p, 0), success ? 0 : -1);
    assert_int_equal(u32_at(p, 4) != 0, !success);
    reply(p, 0);
    assert_int_equal(exit_status(p), 0);
}

static void do_save(struct parent *p)
{
    start_save(p, "0", "136");
    assert_int_equal(next_message(p), SUSPEND);
    reply(p, 1);
    expect_complete(p, true);
}

static void a_save_is_a_conversation(void **state)
{
    struct parent *p = *state;

    do_save(p);
    assert_non_null(strstr(p->log, "starting save"));
    assert_non_null(strstr(p->log, "domain 1 saved: 1501 pages"));
    assert_int_equal(p->seen[LOGDIRTY], 0);
    assert_true(lseek(p->image_fd, 0, SEEK_END) > 1501 * 4096);
}

static void the_first_octets_are_as_libxl_reads_them(void **state)
{
    /* log, level debug, no errno, two strings */
    static const uint8_t expected[] = "\x35\x00"
                                      "\x01\x00"
                                      "\x01\x00\x00\x00"
                                      "\xff\xff\xff\xff"
                                      "\x15\x00\x00\x00"
                                      "xenferry-save-helper\0"
                                      "\x0e\x00\x00\x00"
                                      "starting save";
    struct parent *p = *state;
    uint8_t found[sizeof(expected)];

    start_save(p, "0", "136");
    assert_true(read_all(p->from_child, found, sizeof(found)));
    assert_memory_equal(found, expected, sizeof(expected));
    kill(p->child, SIGKILL);
    assert_int_equal(exit_status(p), -SIGKILL);
}

static void a_live_save_switches_the_device_model(void **state)
{
    struct parent *p = *state;

    start_save(p, "1", "136");
    assert_int_equal(next_message(p), LOGDIRTY);
    assert_int_equal(u32_at(p, 4), 1);
    reply(p, 0);
    assert_int_equal(next_message(p), SUSPEND);
    reply(p, 1);
    assert_int_equal(next_message(p), LOGDIRTY);
    assert_int_equal(u32_at(p, 4), 0);
    reply(p, 0);
    expect_complete(p, true);
}

static void callbacks_that_are_not_wired_are_not_sent(void **state)
{
    struct parent *p = *state;

    start_save(p, "1", "8");
    assert_int_equal(next_message(p), SUSPEND);
    reply(p, 1);
    expect_complete(p, true);
    start_save(p, "0", "0");
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "libxl does not offer it"));
}

static void a_restore_is_a_conversation(void **state)
{
    struct parent *p = *state;

    do_save(p);
    start_restore(p, "768");
    assert_int_equal(next_message(p), STATIC_DATA_DONE);
    assert_int_equal(u32_at(p, 0), 0);
    reply(p, 0);
    assert_int_equal(next_message(p), RESULTS);
    assert_int_equal(u64_at(p, 0), 2000);
    assert_int_equal(u64_at(p, 8), 0);
    expect_complete(p, true);
    assert_non_null(strstr(p->log, "domain 2 restored: 1501 pages"));
    assert_int_equal(lseek(p->image_fd, 0, SEEK_CUR),
                     lseek(p->image_fd, 0, SEEK_END));
}

static void a_failed_restore_has_results_and_a_reason(void **state)
{
    struct parent *p = *state;

    do_save(p);
    assert_int_equal(ftruncate(p->image_fd, 100000), 0);
    start_restore(p, "768");
    assert_int_equal(next_message(p), STATIC_DATA_DONE);
    reply(p, 0);
    assert_int_equal(next_message(p), RESULTS);
    assert_int_equal(u64_at(p, 0), 0);
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "the stream ends"));
}

static void a_guest_that_does_not_suspend_fails_the_save(void **state)
{
    struct parent *p = *state;

    start_save(p, "0", "136");
    assert_int_equal(next_message(p), SUSPEND);
    reply(p, 0);
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "suspending the guest"));
}

static void sigterm_cancels_a_save_and_cleans_up(void **state)
{
    struct parent *p = *state;

    start_save(p, "1", "136");
    assert_int_equal(next_message(p), LOGDIRTY);
    reply(p, 0);
    assert_int_equal(next_message(p), SUSPEND);
    kill(p->child, SIGTERM);
    reply(p, 1);
    assert_int_equal(next_message(p), LOGDIRTY);
    assert_int_equal(u32_at(p, 4), 0);
    reply(p, 0);
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "cancelled"));
}

static void a_parent_that_goes_away_ends_the_helper(void **state)
{
    struct parent *p = *state;

    start_save(p, "0", "136");
    assert_int_equal(next_message(p), SUSPEND);
    assert_int_equal(exit_status(p), 254);
}

static void events_are_lines_of_json(void **state)
{
    struct parent *p = *state;
    char events[65536] = "";
    ssize_t got;

    do_save(p);
    got = read(p->event_fd, events, sizeof(events) - 1);
    assert_true(got > 0);
    for (char *line = events, *end; (end = strchr(line, '\n'));
         line = end + 1) {
        assert_int_equal(*line, '{');
        assert_int_equal(end[-1], '}');
    }
    assert_int_equal(events[got - 1], '\n');
    assert_non_null(strstr(events, "\"phase\":\"final\""));
    assert_non_null(
        strstr(events, "{\"event\":\"done\",\"operation\":\"save\""));
}

static void a_kind_of_stream_that_is_not_offered_is_refused(void **state)
{
    const char *argv[] = {"libxl-save-helper",
                          "--save-domain",
                          "20",
                          "-1",
                          "1",
                          "1",
                          "184",
                          "1",
                          NULL};
    struct parent *p = *state;

    start(p, false, argv);
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "checkpointed"));
}

static void wrong_arguments_are_refused(void **state)
{
    const char *argv[] = {"libxl-save-helper", "--save-domain", "20", NULL};
    const char *text[] = {"libxl-save-helper",
                          "--save-domain",
                          "20",
                          "-1",
                          "one",
                          "1",
                          "184",
                          "1",
                          NULL};
    struct parent *p = *state;

    start(p, false, argv);
    assert_int_equal(next_message(p), 0);
    assert_int_equal(exit_status(p), 255);
    start(p, false, text);
    assert_int_equal(next_message(p), 0);
    assert_int_equal(exit_status(p), 255);
}

static void a_host_that_does_not_open_is_reported(void **state)
{
    struct parent *p = *state;

    char *uri = strdup(getenv("XENFERRY_HOST"));

    setenv("XENFERRY_HOST", "absent:", 1);
    start_save(p, "0", "136");
    setenv("XENFERRY_HOST", uri, 1);
    free(uri);
    expect_complete(p, false);
    assert_non_null(strstr(p->log, "xenferry-host-absent.so"));
}

static void two_saves_of_one_domain_are_one_too_many(void **state)
{
    struct parent *p = *state;
    struct parent *second;

    assert_int_equal(open_parent((void **)&second), 0);
    start_save(p, "0", "136");
    assert_int_equal(next_message(p), SUSPEND);
    start_save(second, "0", "136");
    expect_complete(second, false);
    assert_non_null(strstr(second->log, "being saved by another process"));
    reply(p, 1);
    expect_complete(p, true);
    close_parent((void **)&second);
}

#define helper_test(name) \
    cmocka_unit_test_setup_teardown(name, open_parent, close_parent)

int main(void)
{
    const struct CMUnitTest tests[] = {
        helper_test(a_save_is_a_conversation),
        helper_test(the_first_octets_are_as_libxl_reads_them),
        helper_test(a_live_save_switches_the_device_model),
        helper_test(callbacks_that_are_not_wired_are_not_sent),
        helper_test(a_restore_is_a_conversation),
        helper_test(a_failed_restore_has_results_and_a_reason),
        helper_test(a_guest_that_does_not_suspend_fails_the_save),
        helper_test(sigterm_cancels_a_save_and_cleans_up),
        helper_test(a_parent_that_goes_away_ends_the_helper),
        helper_test(events_are_lines_of_json),
        helper_test(a_kind_of_stream_that_is_not_offered_is_refused),
        helper_test(two_saves_of_one_domain_are_one_too_many),
        helper_test(wrong_arguments_are_refused),
        helper_test(a_host_that_does_not_open_is_reported),
    };

    char host_uri[32];

    signal(SIGPIPE, SIG_IGN);
    /* A host of our own: other runs of this test are none of our business. */
    snprintf(host_uri, sizeof(host_uri), "memory:%d", (int)getpid());
    setenv("XENFERRY_HOST", host_uri, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
