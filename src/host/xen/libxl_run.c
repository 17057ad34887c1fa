/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One libxl operation at a time, on the caller's thread: libxl's descriptors,
 * the caller's cancel descriptor and the helper's event pipe in one poll.
 *
 * Cancelling asks libxl to abort, which sends the helper a SIGTERM and lets it
 * tidy up.  A helper that is still there KILL_AFTER_MS later is killed: nobody
 * waits for ever.
 *
 * libxl forks through fork_child().  Its children get their signals unblocked
 * (an abort is a SIGTERM) but not Ctrl-C, which the terminal sends to the whole
 * group and which is ours to act on.  Only the first child of an operation, the
 * save helper, inherits the event pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/xen/libxl_toolstack.h"

#define KILL_AFTER_MS 15000
#define NR_OWN_FDS    2 /* cancel, events */
#define NR_FDS_MAX    1024

static pid_t fork_child(void *user)
{
    struct light *ts = user;
    pid_t pid;

    if (ts->expect_helper)
        light_stream_connect(ts);
    pid = fork();
    if (pid < 0)
        return pid;
    if (pid == 0) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGQUIT);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        if (ts->expect_helper && ts->event_fds[1] >= 0)
            fcntl(ts->event_fds[1], F_SETFD, 0);
        return 0;
    }
    if (ts->expect_helper)
        ts->helper = pid;
    ts->expect_helper = false;
    return pid;
}

static const libxl_childproc_hooks child_hooks = {
    .chldowner = libxl_sigchld_owner_libxl_always_selective_reap,
    .fork_replacement = fork_child,
};

void light_children_init(struct light *ts)
{
    libxl_childproc_setmode(ts->ctx, &child_hooks, ts);
}

bool light_work_cancelled(const struct toolstack_work *work)
{
    struct pollfd pfd = {.fd = work ? work->cancel_fd : -1, .events = POLLIN};

    return pfd.fd >= 0 && poll(&pfd, 1, 0) > 0;
}

void light_event_line(struct light *ts, const char *line)
{
    if (ts->work && ts->work->event)
        ts->work->event(ts->work->context, line);
}

/* Above the standard descriptors, and gone in every child but the helper. */
static bool event_pipe_open(struct light *ts, struct error *err)
{
    int raw[2];

    if (pipe2(raw, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set_errno(err, ERR_IO, errno, "event pipe");
    for (int i = 0; i < 2; i++) {
        ts->event_fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 10);
        close(raw[i]);
    }
    if (ts->event_fds[0] < 0 || ts->event_fds[1] < 0)
        return error_set_errno(err, ERR_IO, errno, "event pipe");
    return true;
}

bool light_operation_prepare(struct light *ts,
                             const struct toolstack_work *work,
                             struct error *err)
{
    char number[16];

    ts->work = work;
    ts->reason[0] = '\0';
    ts->suspend_requested = ts->guest_silent = false;
    ts->helper = 0;
    ts->event_length = 0;
    ts->event_overlong = false;
    if (!work)
        return true;
    ts->expect_helper = true;
    if (work->helper)
        setenv("LIBXL_SAVE_HELPER", work->helper, 1);
    else
        unsetenv("LIBXL_SAVE_HELPER");
    if (!work->event)
        return true;
    if (!event_pipe_open(ts, err))
        return false;
    snprintf(number, sizeof(number), "%d", ts->event_fds[1]);
    setenv("XENFERRY_EVENT_FD", number, 1);
    return true;
}

void light_operation_end(struct light *ts)
{
    unsetenv("XENFERRY_EVENT_FD");
    unsetenv("LIBXL_SAVE_HELPER");
    close_fd(&ts->event_fds[0]);
    close_fd(&ts->event_fds[1]);
    light_stream_end(ts);
    ts->expect_helper = false;
    ts->work = NULL;
}

/* The helper is not trusted with memory: a line has a limit. */
static void take_event_bytes(struct light *ts, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n') {
            ts->event_line[ts->event_length] = '\0';
            if (!ts->event_overlong && ts->event_length)
                light_event_line(ts, ts->event_line);
            ts->event_length = 0;
            ts->event_overlong = false;
        } else if (ts->event_length < sizeof(ts->event_line) - 1) {
            ts->event_line[ts->event_length++] = bytes[i];
        } else {
            ts->event_overlong = true;
        }
    }
}

static void read_events(struct light *ts)
{
    char bytes[4096];
    ssize_t got;

    while (ts->event_fds[0] >= 0 &&
           (got = read(ts->event_fds[0], bytes, sizeof(bytes))) > 0)
        take_event_bytes(ts, bytes, (size_t)got);
}

static void on_complete(libxl_ctx *ctx, int rc, void *user)
{
    struct light_operation *op = user;

    op->rc = rc;
    op->done = true;
}

libxl_asyncop_how light_operation_how(struct light_operation *op)
{
    *op = (struct light_operation){0};
    return (libxl_asyncop_how){.callback = on_complete,
                               .u = {.for_callback = op}};
}

/* Only while it is our child: afterwards the number may be somebody else's. */
static void kill_helper(struct light *ts)
{
    siginfo_t info;

    if (ts->helper && waitid(P_PID, (id_t)ts->helper, &info,
                             WEXITED | WNOHANG | WNOWAIT) == 0)
        kill(ts->helper, SIGKILL);
}

/*
 * An abort before there is a helper makes the stream fail too early (see
 * libxl_stream.c): it waits until the helper starts, or libxl gives up.
 */
static bool may_abort(const struct light *ts)
{
    return ts->stream.fd <= 0 || !ts->expect_helper;
}

/* Let libxl fill in its descriptors after ours; returns how many, or -1. */
static int libxl_fds(struct light *ts, struct pollfd *fds, int *timeout)
{
    int nr = NR_FDS_MAX - NR_OWN_FDS;
    struct timeval now;

    gettimeofday(&now, NULL);
    if (libxl_osevent_beforepoll(ts->ctx, &nr, fds + NR_OWN_FDS, timeout, now))
        return -1;
    return nr;
}

int light_operation_wait(struct light *ts, struct light_operation *op,
                         int started)
{
    libxl_asyncop_how how = {.callback = on_complete,
                             .u = {.for_callback = op}};
    int64_t kill_at = DEADLINE_NONE;
    cleanup_free struct pollfd *fds = NULL;

    if (started)
        return started;
    fds = calloc(NR_FDS_MAX, sizeof(*fds));
    while (!op->done) {
        int timeout = deadline_left_ms(kill_at), nr;
        struct timeval now;

        /* Without memory to poll with, libxl's own loop still works. */
        nr = fds ? libxl_fds(ts, fds, &timeout) : -1;
        if (nr < 0) {
            libxl_event *event;

            if (libxl_event_wait(ts->ctx, &event, 0, NULL, NULL))
                return ERROR_FAIL;
            continue;
        }
        fds[0] = (struct pollfd){.fd = -1, .events = POLLIN};
        if (ts->work && kill_at == DEADLINE_NONE && may_abort(ts))
            fds[0].fd = ts->work->cancel_fd;
        fds[1] = (struct pollfd){.fd = ts->event_fds[0], .events = POLLIN};
        if (poll(fds, (nfds_t)(nr + NR_OWN_FDS), timeout) < 0 &&
            errno != EINTR && errno != EAGAIN)
            return ERROR_FAIL;
        gettimeofday(&now, NULL);
        libxl_osevent_afterpoll(ts->ctx, nr, fds + NR_OWN_FDS, now);
        read_events(ts);
        if (op->done)
            break;
        if (kill_at == DEADLINE_NONE && may_abort(ts) &&
            light_work_cancelled(ts->work)) {
            libxl_ao_abort(ts->ctx, &how);
            kill_at = deadline_after_ms(KILL_AFTER_MS);
        } else if (kill_at != DEADLINE_NONE && deadline_left_ms(kill_at) == 0) {
            kill_helper(ts);
            kill_at = deadline_after_ms(KILL_AFTER_MS);
        }
    }
    read_events(ts);
    return op->rc;
}
