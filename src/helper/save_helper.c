/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenferry-save-helper: what libxl starts, in place of its own helper, to save
 * or restore the libxc layer of an image.
 *
 *   --save-domain FD BACKFD DOMID FLAGS CALLBACKS KIND
 *   --restore-domain FD BACKFD DOMID STORE_EVTCHN STORE_DOMID
 *                    CONSOLE_EVTCHN CONSOLE_DOMID CALLBACKS KIND
 *
 * A conversation is: log messages and callbacks; when restoring, the results;
 * "complete" with the outcome, its reply; exit 0.  The exit status only says
 * that the conversation came to its end.
 *
 * SIGTERM during a save cancels it and lets it clean up, so that the guest can
 * run on; during a restore it just ends the process, for the domain is libxl's
 * to destroy.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/engine.h"
#include "helper/helper_events.h"
#include "helper/helper_link.h"

#define FLAG_LIVE  1u
#define FLAG_DEBUG 2u

/* Longer than any guest takes to suspend on the other side. */
#define IDLE_TIMEOUT_MS (10 * 60 * 1000)

/* Exit statuses other than 0: the conversation did not come to its end. */
#define EXIT_ARGUMENTS 255
#define EXIT_LINK      254

struct helper {
    struct helper_link link;
    struct log log;
    struct host *host;
    const char *operation;
    uint32_t domid;
    int event_fd;
    struct engine_event last_event;
};

static const char usage[] =
    "Usage: xenferry-save-helper --save-domain FD BACKFD DOMID FLAGS "
    "CALLBACKS KIND\n"
    "       xenferry-save-helper --restore-domain FD BACKFD DOMID "
    "STORE_EVTCHN\n"
    "           STORE_DOMID CONSOLE_EVTCHN CONSOLE_DOMID CALLBACKS KIND\n"
    "       xenferry-save-helper --help | --version\n"
    "\n"
    "Saves or restores the memory and state of a Xen domain for libxl, which\n"
    "starts it when LIBXL_SAVE_HELPER names it.  It is not for people to run.\n"
    "\n"
    "Environment:\n"
    "  XENFERRY_HOST            host to use (xen:)\n"
    "  XENFERRY_HOST_DIR        folder of the host modules\n"
    "  XENFERRY_EVENT_FD        descriptor for progress, a JSON object a line\n"
    "  XENFERRY_DOWNTIME_MS     downtime to aim at in a live move (50)\n"
    "  XENFERRY_MAX_ROUNDS      most precopy rounds (10)\n"
    "  XENFERRY_BANDWIDTH       octets a second to plan with (as measured)\n"
    "  XENFERRY_NOT_CONVERGING  stop, cancel or keep-trying (stop)\n";

/* ---- cancellation ---------------------------------------------------- */

/* A signal handler can reach nothing else. */
static int cancel_pipe[2] = {-1, -1};

static void on_sigterm(int signal_number)
{
    int saved_errno = errno;
    ssize_t done = write(cancel_pipe[1], "", 1);

    (void)done; /* a full pipe has been told already */
    errno = saved_errno;
}

static bool catch_sigterm(struct error *err)
{
    struct sigaction action = {.sa_handler = on_sigterm,
                               .sa_flags = SA_RESTART};
    sigset_t set;

    if (pipe2(cancel_pipe, O_CLOEXEC | O_NONBLOCK) != 0)
        return error_set_errno(err, ERR_IO, errno, "pipe for cancellation");
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (sigaction(SIGTERM, &action, NULL) != 0 ||
        sigprocmask(SIG_UNBLOCK, &set, NULL) != 0)
        return error_set_errno(err, ERR_IO, errno, "SIGTERM");
    return true;
}

/* ---- arguments ------------------------------------------------------- */

/* libxl prints what it does not use as -1. */
static bool parse_number(const char *text, long long *ret, struct error *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 0);
    if (errno || end == text || *end || value < -1 || value > UINT32_MAX)
        return error_set(err, ERR_USAGE,
                         "argument \"%.40s\": expected a number", text);
    *ret = value;
    return true;
}

static bool parse_numbers(char **texts, size_t nr, long long *ret,
                          struct error *err)
{
    for (size_t i = 0; i < nr; i++)
        if (!parse_number(texts[i], &ret[i], err))
            return false;
    return true;
}

/* An environment variable that libxl passes on from its caller. */
static bool number_from_environment(const char *name, uint64_t *ret,
                                    struct error *err)
{
    const char *text = getenv(name);
    char *end;
    unsigned long long value;

    if (!text || !*text)
        return true;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno || *end || text[0] == '-')
        return error_set(err, ERR_USAGE, "%s=\"%.40s\": expected a number",
                         name, text);
    *ret = value;
    return true;
}

static bool precopy_from_environment(struct precopy_limits *limits,
                                     struct error *err)
{
    const char *fallback = getenv("XENFERRY_NOT_CONVERGING");
    uint64_t downtime = (uint64_t)limits->downtime_ms;
    uint64_t rounds = limits->max_rounds;

    if (!number_from_environment("XENFERRY_DOWNTIME_MS", &downtime, err) ||
        !number_from_environment("XENFERRY_MAX_ROUNDS", &rounds, err) ||
        !number_from_environment("XENFERRY_BANDWIDTH", &limits->bandwidth, err))
        return false;
    if (downtime > INT32_MAX || rounds < 1 || rounds > 1000)
        return error_set(err, ERR_USAGE,
                         "downtime %" PRIu64 " ms, %" PRIu64
                         " rounds: expected at most %d ms and 1 to 1000 rounds",
                         downtime, rounds, INT32_MAX);
    limits->downtime_ms = (int64_t)downtime;
    limits->max_rounds = (unsigned int)rounds;
    if (!fallback || !*fallback || strcmp(fallback, "stop") == 0)
        limits->fallback = PRECOPY_STOP_ANYWAY;
    else if (strcmp(fallback, "cancel") == 0)
        limits->fallback = PRECOPY_CANCEL;
    else if (strcmp(fallback, "keep-trying") == 0)
        limits->fallback = PRECOPY_KEEP_TRYING;
    else
        return error_set(err, ERR_USAGE,
                         "XENFERRY_NOT_CONVERGING=\"%.40s\": expected stop, "
                         "cancel or keep-trying",
                         fallback);
    return true;
}

static void event_fd_from_environment(struct helper *h)
{
    uint64_t fd = UINT64_MAX;

    if (number_from_environment("XENFERRY_EVENT_FD", &fd, NULL) &&
        fd <= INT32_MAX && fcntl((int)fd, F_GETFD) >= 0)
        h->event_fd = (int)fd;
}

/* ---- what the engine calls ------------------------------------------- */

static void on_event(void *context, const struct engine_event *event)
{
    struct helper *h = context;

    if (event->round_total > 0 && event->phase != PHASE_DONE)
        helper_link_progress(&h->link, "Memory", event->round_pages,
                             event->round_total);
    h->last_event = *event;
    helper_events_write(h->event_fd, h->operation, h->domid, event);
}

/* Callbacks that answer 1 for success. */
static bool call_positive(struct helper *h, enum helper_message message,
                          const char *what, struct error *err)
{
    int reply;

    if (!helper_link_wired(&h->link, message))
        return error_set(err, ERR_UNSUPPORTED, "%s: libxl does not offer it",
                         what);
    if (!helper_link_call(&h->link, message, NULL, 0, &reply, err))
        return false;
    if (reply <= 0)
        return error_set(err, ERR_GUEST, "%s: libxl answers %d, expected 1",
                         what, reply);
    return true;
}

static bool on_suspend(void *context, struct error *err)
{
    return call_positive(context, MESSAGE_SUSPEND, "suspending the guest", err);
}

static bool on_postcopy(void *context, struct error *err)
{
    return call_positive(context, MESSAGE_POSTCOPY, "resuming the guest", err);
}

static bool on_checkpoint(void *context, struct error *err)
{
    return call_positive(context, MESSAGE_CHECKPOINT, "checkpoint", err);
}

static bool on_device_model_log_dirty(void *context, bool enable,
                                      struct error *err)
{
    struct helper *h = context;
    uint32_t args[] = {h->domid, enable};
    int reply;

    if (!helper_link_wired(&h->link, MESSAGE_SWITCH_QEMU_LOGDIRTY))
        return true;
    if (!helper_link_call(&h->link, MESSAGE_SWITCH_QEMU_LOGDIRTY, args,
                          ARRAY_SIZE(args), &reply, err))
        return false;
    if (reply != 0)
        return error_set(err, ERR_HOST,
                         "log-dirty mode of the device model: libxl answers "
                         "%d, expected 0",
                         reply);
    return true;
}

static bool on_static_data_done(void *context, uint32_t missing,
                                struct error *err)
{
    struct helper *h = context;
    int reply;

    if (!helper_link_wired(&h->link, MESSAGE_STATIC_DATA_DONE))
        return true;
    if (!helper_link_call(&h->link, MESSAGE_STATIC_DATA_DONE, &missing, 1,
                          &reply, err))
        return false;
    if (reply != 0)
        return error_set(err, ERR_HOST,
                         "end of static data: libxl answers %d, expected 0",
                         reply);
    return true;
}

static enum checkpoint_outcome on_restore_checkpoint(void *context,
                                                     struct error *err)
{
    struct helper *h = context;
    int reply;

    if (!helper_link_wired(&h->link, MESSAGE_CHECKPOINT)) {
        error_set(err, ERR_UNSUPPORTED, "checkpoint: libxl does not offer it");
        return CHECKPOINT_FAILED;
    }
    if (!helper_link_call(&h->link, MESSAGE_CHECKPOINT, NULL, 0, &reply, err))
        return CHECKPOINT_FAILED;
    if (reply == 1)
        return CHECKPOINT_TAKEN;
    if (reply == 2)
        return CHECKPOINT_FAILOVER;
    error_set(err, ERR_HOST, "checkpoint: libxl answers %d, expected 1 or 2",
              reply);
    return CHECKPOINT_FAILED;
}

static const struct save_callbacks save_callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = on_device_model_log_dirty,
    .postcopy = on_postcopy,
    .checkpoint = on_checkpoint,
};

static const struct restore_callbacks restore_callbacks = {
    .static_data_done = on_static_data_done,
    .checkpoint = on_restore_checkpoint,
};

/* ---- the two operations ---------------------------------------------- */

static struct engine_options options_of(struct helper *h)
{
    return (struct engine_options){
        .log = &h->log,
        .event = on_event,
        .event_context = h,
        .cancel_fd = cancel_pipe[0],
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .process_ends = true,
    };
}

static bool run_save(struct helper *h, const long long *n, struct error *err)
{
    struct save_request request = {
        .host = h->host,
        .domid = h->domid,
        .fd = (int)n[0],
        .live = n[3] & FLAG_LIVE,
        .verify = n[3] & FLAG_DEBUG,
        .kind = (enum stream_kind)n[5],
        .precopy = precopy_limits_default(),
        .callbacks = &save_callbacks,
        .callback_context = h,
        .options = options_of(h),
    };
    struct save_report report;

    if (!precopy_from_environment(&request.precopy, err) ||
        !engine_save(&request, &report, err))
        return false;
    log_info(&h->log,
             "domain %" PRIu32 " saved: %" PRIu64 " pages, %" PRIu64
             " of them zero, %" PRIu64 " octets in %" PRId64
             " ms, stopped for %" PRId64 " ms",
             h->domid, report.pages, report.zero_pages, report.bytes,
             report.elapsed_ms, report.downtime_ms);
    return true;
}

/* libxl wants the results also of a restore that failed: zeroes. */
static bool run_restore(struct helper *h, const long long *n, struct error *err)
{
    struct restore_request request = {
        .host = h->host,
        .domid = h->domid,
        .fd = (int)n[0],
        .kind = (enum stream_kind)n[8],
        .store_evtchn = (uint32_t)n[3],
        .store_domid = (uint32_t)n[4],
        .console_evtchn = (uint32_t)n[5],
        .console_domid = (uint32_t)n[6],
        .callbacks = &restore_callbacks,
        .callback_context = h,
        .options = options_of(h),
    };
    struct restore_report report = {0};
    bool ok = h->host && engine_restore(&request, &report, err);

    if (helper_link_wired(&h->link, MESSAGE_RESTORE_RESULTS) &&
        !helper_link_restore_results(&h->link, report.store_gfn,
                                     report.console_gfn, ok ? err : NULL))
        return false;
    if (!ok)
        return false;
    log_info(&h->log,
             "domain %" PRIu32 " restored: %" PRIu64 " pages, %" PRIu64
             " of them zero, %" PRIu64 " extents of 2 MiB, in %" PRId64 " ms",
             h->domid, report.pages, report.zero_pages, report.superpages,
             report.elapsed_ms);
    if (report.verify_mismatches > 0)
        log_warning(&h->log, "%" PRIu64 " pages differ from their second copy",
                    report.verify_mismatches);
    return true;
}

/* An errno that says as much as one can. */
static int errno_of(const struct error *error)
{
    static const int errno_of_code[] = {
        [ERR_FORMAT] = EINVAL,
        [ERR_TRUNCATED] = EPIPE,
        [ERR_IO] = EIO,
        [ERR_NO_MEMORY] = ENOMEM,
        [ERR_LIMIT] = E2BIG,
        [ERR_UNSUPPORTED] = EOPNOTSUPP,
        [ERR_TIMEOUT] = ETIMEDOUT,
        [ERR_CANCELLED] = EINTR,
        [ERR_HOST] = EIO,
        [ERR_GUEST] = ETIMEDOUT,
        [ERR_PEER] = EPIPE,
        [ERR_STATE] = EBUSY,
        [ERR_USAGE] = EINVAL,
    };

    if (error->os_errno > 0)
        return error->os_errno;
    return errno_of_code[error->code] ? errno_of_code[error->code] : EIO;
}

static int conclude(struct helper *h, bool ok, const struct error *error)
{
    uint32_t args[] = {ok ? 0u : UINT32_MAX,
                       ok ? 0u : (uint32_t)errno_of(error)};
    struct error link_error;
    int reply;

    if (!ok)
        log_error(&h->log, "%s", error->text);
    helper_events_end(h->event_fd, h->operation, h->domid, &h->last_event,
                      ok ? NULL : error);
    /* The host is not closed: the end of the process undoes it quicker. */
    if (helper_link_call(&h->link, MESSAGE_COMPLETE, args, ARRAY_SIZE(args),
                         &reply, &link_error))
        return 0;
    fprintf(stderr, "xenferry-save-helper: %s\n", link_error.text);
    return EXIT_LINK;
}

static const char *host_uri(void)
{
    const char *uri = getenv("XENFERRY_HOST");

    return uri && *uri ? uri : "xen:";
}

static bool open_host(struct helper *h, struct error *err)
{
    return host_open(host_uri(), &h->log, &h->host, err);
}

/*
 * Two saves of one domain would take the log of written pages from each other.
 * A name in the abstract socket space goes with its process, however that ends.
 */
static bool claim_domain(struct helper *h, struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
                          "xenferry-save/%s/%" PRIu32, host_uri(), h->domid);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "claim of the domain");
    if (bind(fd, (const struct sockaddr *)&name,
             (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
                 (socklen_t)length) == 0)
        return true; /* the descriptor stays open to the end */
    if (errno == EADDRINUSE)
        error_set(err, ERR_STATE,
                  "domain %" PRIu32 " is being saved by another process",
                  h->domid);
    else
        error_set_errno(err, ERR_IO, errno, "claim of the domain");
    close(fd);
    return false;
}

static int helper_main(struct helper *h, bool save, char **texts)
{
    long long n[9] = {0};
    size_t nr = save ? 6 : 9;
    struct error error = {.offset = ERROR_NO_OFFSET};
    bool ok = false;

    if (!parse_numbers(texts, nr, n, &error)) {
        fprintf(stderr, "xenferry-save-helper: %s\n", error.text);
        return EXIT_ARGUMENTS;
    }
    h->operation = save ? "save" : "restore";
    h->domid = (uint32_t)n[2];
    h->link.wired = (uint32_t)n[nr - 2];
    event_fd_from_environment(h);
    log_debug(&h->log, "starting %s", h->operation);
    if (save)
        ok = catch_sigterm(&error) && claim_domain(h, &error) &&
             open_host(h, &error) && run_save(h, n, &error);
    else if (open_host(h, &error))
        ok = run_restore(h, n, &error);
    else if (!run_restore(h, n, NULL))
        ok = false; /* the results are sent all the same */
    return conclude(h, ok, &error);
}

int main(int argc, char **argv)
{
    struct helper h = {
        .link = {.out_fd = STDOUT_FILENO,
                 .in_fd = STDIN_FILENO,
                 .context = "xenferry-save-helper",
                 .lock = PTHREAD_MUTEX_INITIALIZER},
        .event_fd = -1,
    };

    h.log = (struct log){
        .level = LOG_LEVEL_DEBUG, .sink = helper_link_log, .context = &h.link};
    /* A stream or libxl that went away is an error, not a death. */
    signal(SIGPIPE, SIG_IGN);

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("xenferry-save-helper %s\n", XENFERRY_VERSION) < 0;
    if (argc == 8 && strcmp(argv[1], "--save-domain") == 0)
        exit(helper_main(&h, true, argv + 2));
    if (argc == 11 && strcmp(argv[1], "--restore-domain") == 0)
        exit(helper_main(&h, false, argv + 2));
    fputs(usage, stderr);
    return EXIT_ARGUMENTS;
}
