/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *   terminal -> pending -> domain-type -> the guest's ring
 *   terminal <- the guest's pseudo-terminal
 *
 * Typed text goes by request, not through the pseudo-terminal, because the
 * answer says what is in the guest's ring and moves with the guest; the rest
 * stays pending here, where it can be counted.
 */
#include "cli/domain_console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define ESCAPE       0x1d /* Ctrl-] */
#define PENDING_MAX  4096
#define TYPE_WAIT_MS 10000
#define RETRY_MS     20
#define LOG_POLL_MS  50

static void nap_ms(int ms)
{
    struct timespec nap = {.tv_nsec = ms * NS_PER_MS};

    nanosleep(&nap, NULL);
}

/* ---- the log ----------------------------------------------------------- */

/* From '*offset' on, or if that is -1 where this guest's output begins;
   '*ret_some': there was something. */
static bool print_part(struct hostd_client *client, const char *name,
                       int64_t *offset, bool *ret_some, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct json_object *request = hostd_request_named("domain-console", name);
    struct json_object *answer;

    if (request && *offset >= 0)
        json_object_object_add(request, "offset",
                               json_object_new_int64(*offset));
    if (!hostd_call(client, request, NULL, 0, &reply, &answer, err))
        return false;
    *offset = (int64_t)hostd_number(answer, "offset");
    *ret_some = reply.data.length != 0;
    fwrite(reply.data.bytes, 1, reply.data.length, stdout);
    json_object_put(answer);
    return true;
}

bool console_print_log(struct hostd_client *client, const char *name,
                       bool follow, struct error *err)
{
    int64_t offset = -1;
    bool some = true;

    while (some || follow) {
        if (!print_part(client, name, &offset, &some, err))
            return false;
        fflush(stdout);
        if (!some && follow)
            nap_ms(LOG_POLL_MS);
    }
    return true;
}

/* ---- typing ------------------------------------------------------------ */

/* What the ring has room for; '*ret_taken' is how much that was. */
static bool type_some(struct hostd_client *client, const char *name,
                      const void *text, size_t length, size_t *ret_taken,
                      struct error *err)
{
    struct json_object *answer;

    if (!hostd_call(client, hostd_request_named("domain-type", name), text,
                    length, NULL, &answer, err))
        return false;
    *ret_taken = size_min((size_t)hostd_number(answer, "taken"), length);
    json_object_put(answer);
    return true;
}

bool console_type_line(struct hostd_client *client, const char *name,
                       const char *text, struct error *err)
{
    cleanup(buffer_release) struct buffer line = {0};
    int64_t deadline = deadline_after_ms(TYPE_WAIT_MS);
    size_t typed = 0, taken;

    buffer_text(&line, text);
    buffer_u8(&line, '\n');
    if (!buffer_check(&line, "line", err))
        return false;
    for (;;) {
        if (!type_some(client, name, line.bytes + typed, line.length - typed,
                       &taken, err))
            return typed ? error_wrap(err, "after %zu of %zu octets", typed,
                                      line.length)
                         : false;
        typed += taken;
        if (typed == line.length)
            return true;
        if (clock_now_ns() > deadline)
            return error_set(err, ERR_TIMEOUT,
                             "domain %s: %zu of %zu octets typed, the guest "
                             "reads no more, or is paused",
                             name, typed, line.length);
        nap_ms(RETRY_MS);
    }
}

/* ---- the terminal ------------------------------------------------------ */

struct seat {
    struct hostd_client *client;
    const char *name;
    int tty;     /* owned: the guest's */
    int signals; /* owned, signalfd */
    sigset_t old_mask;
    struct termios before;
    char pending[PENDING_MAX]; /* typed, not taken by the ring yet */
    size_t nr_pending;
    int signal; /* that ended it, or 0 */
    bool left;  /* Ctrl-], or the guest is gone */
};

static bool make_raw(struct seat *s, struct error *err)
{
    struct termios raw = s->before;

    cfmakeraw(&raw);
    return !tcsetattr(STDIN_FILENO, TCSANOW, &raw) ||
           error_set_errno(err, ERR_IO, errno, "terminal");
}

static void make_as_before(struct seat *s)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &s->before);
}

static bool open_tty(struct seat *s, struct error *err)
{
    struct json_object *answer, *d = NULL;
    char path[64];

    if (!hostd_call(s->client, hostd_request_named("domain-show", s->name),
                    NULL, 0, NULL, &answer, err))
        return false;
    json_object_object_get_ex(answer, "domain", &d);
    snprintf(path, sizeof(path), "%s", d ? hostd_text(d, "console_tty") : "");
    json_object_put(answer);
    if (!*path)
        return error_set(err, ERR_STATE,
                         "domain %s has no pseudo-terminal, only a log; use "
                         "--follow",
                         s->name);
    s->tty = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (s->tty < 0)
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    /* Two readers would each get half of what is printed. */
    return !flock(s->tty, LOCK_EX | LOCK_NB) ||
           error_set(err, ERR_STATE,
                     "domain %s: somebody else sits at %s; use --follow",
                     s->name, path);
}

static bool take_signals(struct seat *s, struct error *err)
{
    static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
    sigset_t mask;

    sigemptyset(&mask);
    for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
        sigaddset(&mask, taken[i]);
    if (sigprocmask(SIG_BLOCK, &mask, &s->old_mask))
        return error_set_errno(err, ERR_IO, errno, "signals");
    s->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 || error_set_errno(err, ERR_IO, errno, "signals");
}

/* As if we had never caught it. */
static void obey_signal(const struct seat *s, int number)
{
    signal(number, SIG_DFL);
    raise(number);
    sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
}

static bool on_signal(struct seat *s, struct error *err)
{
    struct signalfd_siginfo info;
    sigset_t mask;

    if (read(s->signals, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo != SIGTSTP) {
        s->signal = (int)info.ssi_signo;
        return true;
    }
    make_as_before(s);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    obey_signal(s, SIGTSTP);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    return make_raw(s, err);
}

/* What was typed here, up to the escape.  Beyond PENDING_MAX the bell says
   that it is not taken. */
static void on_typed(struct seat *s)
{
    char text[256];
    ssize_t n = read(STDIN_FILENO, text, sizeof(text));
    const char *escape = n > 0 ? memchr(text, ESCAPE, (size_t)n) : NULL;
    size_t length;

    if (n <= 0 || escape)
        s->left = true;
    if (n <= 0)
        return;
    length = escape ? (size_t)(escape - text) : (size_t)n;
    if (length > sizeof(s->pending) - s->nr_pending) {
        (void)!write(STDOUT_FILENO, "\a", 1);
        return;
    }
    memcpy(s->pending + s->nr_pending, text, length);
    s->nr_pending += length;
}

static bool type_pending(struct seat *s, struct error *err)
{
    size_t taken;

    if (!s->nr_pending)
        return true;
    if (!type_some(s->client, s->name, s->pending, s->nr_pending, &taken, err))
        return false;
    s->nr_pending -= taken;
    memmove(s->pending, s->pending + taken, s->nr_pending);
    return true;
}

static void on_printed(struct seat *s)
{
    char text[4096];
    ssize_t n = read(s->tty, text, sizeof(text));

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        s->left = true;
    for (ssize_t at = 0, done; at < n; at += done) {
        done = write(STDOUT_FILENO, text + at, (size_t)(n - at));
        if (done < 0 && errno != EINTR) {
            s->left = true;
            return;
        }
        done = done < 0 ? 0 : done;
    }
}

static bool sit(struct seat *s, struct error *err)
{
    while (!s->left && !s->signal) {
        struct pollfd fds[] = {
            {.fd = s->signals,   .events = POLLIN},
            {.fd = STDIN_FILENO, .events = POLLIN},
            {.fd = s->tty,       .events = POLLIN},
        };

        if (poll(fds, ARRAY_SIZE(fds), s->nr_pending ? RETRY_MS : -1) < 0)
            continue;
        if (fds[0].revents && !on_signal(s, err))
            return false;
        if (fds[1].revents)
            on_typed(s);
        if (fds[2].revents)
            on_printed(s);
        if (!type_pending(s, err))
            return false;
    }
    return true;
}

static void seat_release(struct seat *s)
{
    close_fd(&s->tty);
    close_fd(&s->signals);
}

bool console_attach(struct hostd_client *client, const char *name,
                    struct error *err)
{
    cleanup(seat_release) struct seat s = {
        .client = client, .name = name, .tty = -1, .signals = -1};
    bool ok;

    if (tcgetattr(STDIN_FILENO, &s.before))
        return error_set_errno(err, ERR_IO, errno, "terminal");
    if (!open_tty(&s, err) || !take_signals(&s, err))
        return false;
    fprintf(stderr, "xenferry: the console of %s; Ctrl-] leaves it\n", name);
    ok = make_raw(&s, err) && sit(&s, err);
    make_as_before(&s);
    fputs("\n", stderr);
    if (s.nr_pending)
        fprintf(stderr, "xenferry: %zu octets typed last were not read by %s\n",
                s.nr_pending, name);
    if (s.signal)
        obey_signal(&s, s.signal);
    return ok;
}
