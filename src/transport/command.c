/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A child process on whose stdin and stdout we talk, such as ssh.
 *
 * It shares our terminal, so that it can ask for a password, but not our
 * Ctrl-C: that is for us to act on, and must not cut the connection under a
 * hand-over.  The signal is blocked in the child, which survives its exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "transport/transport.h"

extern char **environ;

#define KILL_GRACE_MS 2000

/* Whether the child ended by 'deadline_ns'; then it is reaped. */
static bool child_wait(struct transport *t, int64_t deadline_ns,
                       int *ret_status)
{
    struct timespec pause = {.tv_nsec = 5 * NS_PER_MS};

    for (;;) {
        pid_t reaped = waitpid(t->child, ret_status, WNOHANG);

        if (reaped == t->child || (reaped < 0 && errno != EINTR)) {
            if (reaped < 0)
                *ret_status = 0;
            t->child = 0;
            return true;
        }
        if (deadline_left_ms(deadline_ns) == 0)
            return false;
        nanosleep(&pause, NULL);
    }
}

static void command_half_close(struct transport *t)
{
    close_fd(&t->send_fd);
}

static bool command_finish(struct transport *t, int timeout_ms,
                           struct error *err)
{
    int status;

    command_half_close(t);
    if (!t->child)
        return true;
    if (!child_wait(t, deadline_after_ms(timeout_ms), &status))
        return error_set(err, ERR_TIMEOUT, "%s: still running after %d ms",
                         t->name, timeout_ms);
    if (WIFSIGNALED(status))
        return error_set(err, ERR_PEER, "%s: ended by signal %d", t->name,
                         WTERMSIG(status));
    if (WEXITSTATUS(status) != 0)
        return error_set(err, ERR_PEER, "%s: exit status %d, expected 0",
                         t->name, WEXITSTATUS(status));
    return true;
}

static void command_release(struct transport *t)
{
    int status;

    close_fd(&t->send_fd);
    close_fd(&t->recv_fd);
    if (!t->child)
        return;
    /* Most commands end by themselves when their input does. */
    if (child_wait(t, deadline_after_ms(KILL_GRACE_MS / 4), &status))
        return;
    kill(t->child, SIGTERM);
    if (child_wait(t, deadline_after_ms(KILL_GRACE_MS), &status))
        return;
    kill(t->child, SIGKILL);
    child_wait(t, deadline_after_ms(KILL_GRACE_MS), &status);
}

static const struct transport_ops command_ops = {
    .kind = "command",
    .half_close = command_half_close,
    .finish = command_finish,
    .release = command_release,
};

/* Descriptors 0 to 2 are taken over by the child; ours must not be there. */
static bool pipe_above_stdio(int fds[2], struct error *err)
{
    int raw[2];

    if (pipe2(raw, O_CLOEXEC) != 0)
        return error_set_errno(err, ERR_IO, errno, "pipe");
    for (int i = 0; i < 2; i++) {
        fds[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0)
            error_set_errno(err, ERR_IO, errno, "pipe");
        close(raw[i]);
    }
    return fds[0] >= 0 && fds[1] >= 0;
}

bool command_start(struct transport *ret, const char *command,
                   struct error *err)
{
    struct transport t = {.ops = &command_ops};
    char *argv[] = {"sh", "-c", (char *)command, NULL};
    cleanup_fd int child_in = -1, child_out = -1, to_child = -1,
                   from_child = -1;
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t mask, defaults;
    bool pipes;
    int result;

    if (!command[0])
        return error_set(err, ERR_USAGE, "cmd: expected a command");
    pipes = pipe_above_stdio(in, err) && pipe_above_stdio(out, err);
    child_in = in[0];
    to_child = in[1];
    from_child = out[0];
    child_out = out[1];
    if (!pipes)
        return false;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGQUIT);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_out, STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    result =
        posix_spawn(&t.child, "/bin/sh", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (result != 0)
        return error_set_errno(err, ERR_IO, result, "cmd:%s", command);

    t.send_fd = take_fd(&to_child);
    t.recv_fd = take_fd(&from_child);
    snprintf(t.name, sizeof(t.name), "%s", command);
    *ret = t;
    return true;
}
