/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/moves.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"

#define HELPER_NAME     "xenferry-save-helper"
#define LOCK_FOLDER     "/run/xenferry"
#define TENDER_LOGS     "/var/log/xen"
#define TIMEOUT_DEFAULT 120
#define TIMEOUT_MAX     86400

/* One request to stop may be several signals: timeout(1) sends two. */
#define SAME_REQUEST_NS (500 * NS_PER_MS)

/* Relative to the program's folder: beside it, and in the build folder. */
static const char *const helper_places[] = {".", "../helper",
                                            "../libexec/xenferry"};

void moves_init(struct moves *m, const struct command_line *line)
{
    *m = (struct moves){.command = line->command,
                        .timeout_ms = TIMEOUT_DEFAULT * 1000,
                        .cancel_fd = -1};
}

bool moves_option(struct moves *m, const struct command_line *line, int key,
                  const char *argument, bool *ret_good)
{
    struct error err;
    uint64_t seconds;

    *ret_good = true;
    switch (key) {
    case MOVES_OPTION_JSON:
        m->json = true;
        return true;
    case 'q':
        m->quiet = true;
        return true;
    case 'v':
        m->verbose = true;
        return true;
    case MOVES_OPTION_STOCK_HELPER:
        m->stock_helper = true;
        return true;
    case MOVES_OPTION_HELPER:
        m->helper = argument;
        return true;
    case MOVES_OPTION_HOST:
        if (strncmp(argument, "embedded:", strlen("embedded:")) != 0) {
            command_line_wrong(line, "--host: '%s', expected embedded:NAME",
                               argument);
            *ret_good = false;
        }
        m->host_uri = argument;
        return true;
    case MOVES_OPTION_TIMEOUT:
        if (!parse_number(argument, TIMEOUT_MAX, "--timeout", &seconds, &err)) {
            command_line_wrong(line, "%s", err.text);
            *ret_good = false;
            return true;
        }
        m->timeout_ms = seconds ? (int)seconds * 1000 : -1;
        return true;
    default:
        return false;
    }
}

/* ---- signals ------------------------------------------------------------ */

/*
 * Signals that ask us to stop become a readable descriptor.  While stopping is
 * possible nobody reads it: once asked, always asked.
 */
static bool signals_take(struct moves *m, struct error *err)
{
    sigset_t mask;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &mask, NULL) != 0)
        return error_set_errno(err, ERR_IO, errno, "signals");
    m->cancel_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return m->cancel_fd >= 0 || error_set_errno(err, ERR_IO, errno, "signals");
}

bool moves_take_signals(struct moves *m, bool *ret_first)
{
    int64_t now = clock_now_ns();
    struct signalfd_siginfo one;

    while (read(m->cancel_fd, &one, sizeof(one)) == sizeof(one))
        continue;
    *ret_first = m->told_ns == 0;
    if (*ret_first)
        m->told_ns = now;
    return now - m->told_ns < SAME_REQUEST_NS;
}

/* ---- the helper --------------------------------------------------------- */

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

static bool program_folder(char *ret, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", ret, size - 1);
    char *slash;

    if (length <= 0)
        return false;
    ret[length] = '\0';
    slash = strrchr(ret, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

static bool helper_found(struct moves *m)
{
    const char *named = m->helper ? m->helper : getenv("XENFERRY_SAVE_HELPER");
    char folder[PATH_MAX];

    if (named) {
        snprintf(m->helper_path, sizeof(m->helper_path), "%s", named);
        return true;
    }
    if (program_folder(folder, sizeof(folder)))
        for (size_t i = 0; i < ARRAY_SIZE(helper_places); i++) {
            int length =
                snprintf(m->helper_path, sizeof(m->helper_path), "%s/%s/%s",
                         folder, helper_places[i], HELPER_NAME);

            if (length > 0 && (size_t)length < sizeof(m->helper_path) &&
                is_program(m->helper_path))
                return true;
        }
    snprintf(m->helper_path, sizeof(m->helper_path), "%s/%s",
             XENFERRY_LIBEXEC_DIR, HELPER_NAME);
    return is_program(m->helper_path);
}

static bool helper_choose(struct moves *m, struct error *err)
{
    if (m->stock_helper)
        return true;
    if (!helper_found(m))
        return error_set(err, ERR_UNSUPPORTED,
                         "no %s beside the program or in %s; --stock-helper "
                         "does without",
                         HELPER_NAME, XENFERRY_LIBEXEC_DIR);
    if (!is_program(m->helper_path))
        return error_set_errno(err, ERR_USAGE, errno, "helper %.256s",
                               m->helper_path);
    m->options.helper = m->helper_path;
    return true;
}

/* ---- begin and end ------------------------------------------------------ */

static const char *lock_folder(void)
{
    const char *named = getenv("XENFERRY_RUN_DIR");

    return named ? named : LOCK_FOLDER;
}

bool moves_prepare(struct moves *m, struct error *err)
{
    m->log = (struct log){
        .level = m->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARNING,
        .sink = log_to_stderr,
        .context = (void *)"xenferry",
    };
    progress_begin(&m->progress, m->json, m->quiet);
    m->watcher = progress_watcher(&m->progress);
    m->options = (struct move_options){
        .log = m->verbose ? &m->log : NULL,
        .watcher = &m->watcher,
        .lock_folder = lock_folder(),
        .answer_timeout_ms = m->timeout_ms,
    };
    if (!signals_take(m, err))
        return false;
    m->options.cancel_fd = m->cancel_fd;
    return true;
}

void moves_abandon(struct moves *m)
{
    toolstack_close(m->toolstack);
    m->toolstack = NULL;
    close_fd(&m->cancel_fd);
}

bool moves_begin(struct moves *m)
{
    struct error err;

    if (!moves_prepare(m, &err) || !helper_choose(m, &err) ||
        !toolstack_open("libxl", m->options.log, &m->toolstack, &err)) {
        command_failed(m->command, &err);
        moves_abandon(m);
        return false;
    }
    m->options.toolstack = m->toolstack;
    return true;
}

static void say_what_to_do(const struct moves *m, enum move_outcome outcome)
{
    const char *guest = m->progress.guest;

    switch (outcome) {
    case MOVE_KEPT:
        if (guest[0])
            fprintf(stderr, "xenferry: %s: the guest runs on here\n",
                    m->command->name);
        break;
    case MOVE_STUCK:
        fprintf(stderr,
                "xenferry: %s: a domain of %s is left; see 'xl list', and "
                "'xenferry resume' for a suspended one\n",
                m->command->name, guest);
        break;
    case MOVE_UNDECIDED:
        fprintf(stderr,
                "xenferry: %s: the other host may run %s now.  Look there "
                "first.\n"
                "  It runs there:       xl destroy %s" MOVE_NAME_AWAY "\n"
                "  It is not there:     xenferry resume --force "
                "%s" MOVE_NAME_AWAY "\n",
                m->command->name, guest, guest, guest);
        break;
    default:
        break;
    }
}

void moves_say_too_late(const struct moves *m, enum move_outcome outcome,
                        const struct error *error)
{
    if (outcome == MOVE_DONE && !error &&
        (m->told_ns || io_is_cancelled(m->cancel_fd)))
        fprintf(stderr, "xenferry: %s: too late to cancel, it is complete\n",
                m->command->name);
}

int moves_end(struct moves *m, enum move_outcome outcome,
              const struct toolstack_guest *guest, const struct error *error)
{
    progress_finish(&m->progress, outcome, guest, error);
    moves_say_too_late(m, outcome, error);
    moves_abandon(m);
    if (error) {
        command_failed(m->command, error);
        say_what_to_do(m, outcome);
    }
    return moves_status(outcome, error);
}

int moves_status(enum move_outcome outcome, const struct error *error)
{
    switch (outcome) {
    case MOVE_DONE:
        return error ? MOVES_ATTENTION : CLI_OK;
    case MOVE_UNDECIDED:
        return MOVES_UNDECIDED;
    case MOVE_STUCK:
        return MOVES_ATTENTION;
    default:
        return error && error->code == ERR_CANCELLED ? MOVES_CANCELLED
                                                     : MOVES_FAILED;
    }
}

/* ---- who looks after the guest ------------------------------------------ */

/* In the child of the child: becomes 'xenferry tend DOMID'. */
static void become_tender(const struct toolstack_guest *guest)
{
    char log_path[TOOLSTACK_NAME_MAX + 64], number[16];
    char *argv[] = {"xenferry", "tend", "--verbose", number, NULL};
    int null_fd, log_fd;
    sigset_t none;

    snprintf(log_path, sizeof(log_path), TENDER_LOGS "/xenferry-%s.log",
             guest->name);
    snprintf(number, sizeof(number), "%u", guest->domid);
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    null_fd = open("/dev/null", O_RDWR);
    log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0640);
    if (log_fd < 0)
        log_fd = null_fd;
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(log_fd, STDOUT_FILENO) < 0 || dup2(log_fd, STDERR_FILENO) < 0)
        _exit(127);
    close_range(3, ~0U, 0);
    execv("/proc/self/exe", argv);
    _exit(127);
}

void moves_leave_tender(struct moves *m, const struct toolstack_guest *guest)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        pid_t grandchild = fork();

        if (grandchild == 0)
            become_tender(guest);
        _exit(grandchild < 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        fprintf(stderr,
                "xenferry: %s: nobody looks after domain %u's power-off: "
                "no process for it\n",
                m->command->name, guest->domid);
}
