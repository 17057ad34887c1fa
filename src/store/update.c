/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/update.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "store/holder.h"
#include "store/journal.h"
#include "store/request.h"
#include "stream/xs/xs_dump.h"

#define SECONDS_DEFAULT 60u
#define SECONDS_MAX     3600u
/* What a rehearsal may say. */
#define SAID_MAX 4096u
/* Longest wait for a successor to serve, or to have died at once. */
#define SERVE_MS    60000
#define SURVIVES_MS 3000
#define WORDS_ADDED 4u

enum phase { PHASE_ASKED, PHASE_REHEARSING, PHASE_DRAINING, PHASE_GOING };

struct update {
    uint32_t connection; /* id of who began the session */
    enum phase phase;
    char *file; /* owned */
    char *line; /* owned; NULL: our own options */
    uint32_t version;
    bool forced;
    bool rehearsed;
    int64_t deadline_ns;
    struct watcher report; /* standard output of the rehearsal */
    pid_t child;           /* 0: none */
    struct buffer expected, said;
};

/* --- sessions --- */

static void end_rehearsal(struct daemon *d, struct update *u)
{
    if (u->report.fd >= 0) {
        loop_remove(d, &u->report);
        close_fd(&u->report.fd);
    }
    if (u->child) {
        kill(u->child, SIGKILL);
        waitpid(u->child, NULL, 0);
        u->child = 0;
    }
}

void update_release(struct daemon *d)
{
    struct update *u = d->update;

    if (!u)
        return;
    end_rehearsal(d, u);
    buffer_release(&u->expected);
    buffer_release(&u->said);
    free(u->file);
    free(u->line);
    free(u);
    d->update = NULL;
}

/* The parked request gets its answer, the session is over. */
static void end_session(struct daemon *d, const char *answer)
{
    struct connection *c = store_connection(d->store, d->update->connection);
    struct error err = {0};

    log_info(&d->log, "live update: %s", answer);
    if (c)
        connection_answer_parked(c, answer);
    update_release(d);
    /* The answer follows from nothing that the journal has. */
    if (d->journal && !journal_snapshot(d->journal, &err))
        log_error(&d->log, "journal: %s", err.text);
}

static bool is_program(const char *file)
{
    struct stat st;

    return stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
           access(file, X_OK) == 0;
}

static void begin_session(struct daemon *d, struct connection *from,
                          const char *file, struct buffer *reply)
{
    struct update *u;

    if (*file != '/' || !is_program(file)) {
        buffer_text(reply, "no program with this absolute path");
        return;
    }
    u = calloc(1, sizeof(*u));
    if (u)
        u->file = strdup(file);
    if (!u || !u->file) {
        free(u);
        buffer_text(reply, "no memory");
        return;
    }
    u->connection = connection_id(from);
    u->version = 0;
    u->report.fd = -1;
    u->said.cap = SAID_MAX;
    d->update = u;
}

/* --- the rehearsal --- */

/*
 * The successor's command line: 'line' or our own options, without -U, and
 * what is added.  Cuts 'line'.
 */
static char **successor_argv(const struct daemon *d, const char *file,
                             char *line, const char *const *added)
{
    size_t nr = WORDS_ADDED + 2;
    size_t at = 0;
    char **argv;
    char *save = NULL;

    for (const char *c = line; c && *c; c++)
        nr += *c == ' ';
    for (char *const *a = d->argv; a && *a; a++)
        nr++;
    argv = calloc(nr, sizeof(*argv));
    if (!argv)
        return NULL;
    argv[at++] = (char *)file;
    if (line && *line) {
        for (char *w = strtok_r(line, " ", &save); w;
             w = strtok_r(NULL, " ", &save))
            argv[at++] = w;
    } else {
        for (char *const *a = d->argv + 1; *a; a++)
            if (strcmp(*a, "-U") != 0 && strcmp(*a, "--live-update") != 0)
                argv[at++] = *a;
    }
    for (; *added; added++)
        argv[at++] = (char *)*added;
    return argv;
}

static bool state_in_memory(const struct buffer *state, int *ret_fd,
                            struct error *err)
{
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup_fd int fd = memfd_create("xenstored-state", MFD_CLOEXEC);

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "memfd_create");
    if (!io_attach(&io, fd, true, -1, -1, err) ||
        !io_write_all(&io, state->bytes, state->length, err))
        return false;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return error_set_errno(err, ERR_IO, errno, "state");
    *ret_fd = take_fd(&fd);
    return true;
}

static bool spawn_rehearsal(struct daemon *d, struct update *u, int state_fd,
                            int said_fd, struct error *err)
{
    /* A word that is no option ends programs that do not know the first. */
    static const char *const added[] = {"--check-state", "-", NULL};
    cleanup_free char *line = u->line ? strdup(u->line) : NULL;
    cleanup_free char **argv = successor_argv(d, u->file, line, added);
    posix_spawn_file_actions_t actions;
    int why;

    if (!argv || (u->line && !line))
        return error_set(err, ERR_NO_MEMORY, "rehearsal");
    why = posix_spawn_file_actions_init(&actions);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&actions, state_fd, 0);
    if (!why)
        why = posix_spawn_file_actions_adddup2(&actions, said_fd, 1);
    if (!why)
        why = posix_spawn(&u->child, u->file, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (why) {
        u->child = 0;
        return error_set_errno(err, ERR_IO, why, "%s", u->file);
    }
    return true;
}

static void rehearsal_ended(struct daemon *d, struct update *u)
{
    static const char known[] = "xenferry-xenstored: ";
    int status = 0;
    char text[512];

    loop_remove(d, &u->report);
    close_fd(&u->report.fd);
    /* Its output is closed; whatever it still does is of no interest. */
    kill(u->child, SIGKILL);
    waitpid(u->child, &status, 0);
    u->child = 0;
    buffer_u8(&u->said, 0);
    if (!u->said.bad && u->said.length == u->expected.length + 1 &&
        !memcmp(u->said.bytes, u->expected.bytes, u->expected.length)) {
        u->rehearsed = true;
        u->phase = PHASE_GOING;
        return;
    }
    if (!u->said.bad && !strncmp((char *)u->said.bytes, known, strlen(known))) {
        snprintf(text, sizeof(text),
                 "%.200s cannot take the state over: %.200s", u->file,
                 (char *)u->said.bytes + strlen(known));
        text[strcspn(text, "\n")] = '\0';
        end_session(d, text);
    } else if (!u->said.bad && !strncmp((char *)u->said.bytes, "state ", 6)) {
        buffer_u8(&u->expected, 0);
        log_error(&d->log, "live update: %s, expected %s",
                  (char *)u->said.bytes, (char *)u->expected.bytes);
        end_session(d, "the successor loaded another state than ours");
    } else if (!u->forced) {
        end_session(d, "the program cannot rehearse with our state; -F would "
                       "take it as it is");
    } else {
        u->phase = PHASE_DRAINING;
    }
}

static void report_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct update *u = container_of(w, struct update, report);
    char octets[512];
    ssize_t got;

    (void)events;
    do {
        got = read(w->fd, octets, sizeof(octets));
        if (got > 0)
            buffer_bytes(&u->said, octets, (size_t)got);
    } while (got > 0 || (got < 0 && errno == EINTR));
    if (got < 0 && errno == EAGAIN)
        return;
    rehearsal_ended(d, u);
}

static struct store_dump_options state_options(const struct daemon *d,
                                               const struct update *u)
{
    return (struct store_dump_options){
        .version = u->version     ? u->version
                   : u->rehearsed ? 2
                                  : 1,
        .listen_fd = d->holder ? d->holder->listen_fd : d->listener.fd,
        .evtchn_fd = hypervisor_fd(d),
        .socket_fd = sockets_main_fd,
        .socket_input = d->journal ? sockets_taken_input : NULL,
        .complete = u->rehearsed,
    };
}

static bool begin_rehearsal(struct daemon *d, struct update *u,
                            struct error *err)
{
    cleanup(buffer_release) struct buffer state = {0};
    cleanup_fd int state_fd = -1;
    cleanup_fd int said_fd = -1;
    struct store_dump_options options;
    int ends[2];

    u->rehearsed = true;
    options = state_options(d, u);
    options.version = 2;
    u->rehearsed = false;
    if (!store_dump(d->store, &options, &state, err) ||
        !update_summary(state.bytes, state.length, &u->expected, err) ||
        !state_in_memory(&state, &state_fd, err))
        return false;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return error_set_errno(err, ERR_IO, errno, "pipe");
    u->report.fd = ends[0];
    said_fd = ends[1];
    u->report.ready = report_ready;
    if (!loop_add(d, &u->report, EPOLLIN, err)) {
        close_fd(&u->report.fd);
        return false;
    }
    if (!spawn_rehearsal(d, u, state_fd, said_fd, err))
        return false;
    u->phase = PHASE_REHEARSING;
    return true;
}

/* --- commands --- */

/* -s [-t SECONDS] [-F] [-v VERSION] */
static enum outcome do_start(struct daemon *d, unsigned int nr, char **words,
                             struct buffer *reply)
{
    struct update *u = d->update;
    uint32_t seconds = SECONDS_DEFAULT;
    struct error err = {0};

    for (unsigned int i = 0; i < nr; i++) {
        bool more = i + 1 < nr;

        if (!strcmp(words[i], "-F"))
            u->forced = true;
        else if (!strcmp(words[i], "-t") && more &&
                 number_parse(words[i + 1], &seconds) && seconds <= SECONDS_MAX)
            i++;
        else if (!strcmp(words[i], "-v") && more &&
                 number_parse(words[i + 1], &u->version) && u->version >= 1 &&
                 u->version <= 2)
            i++;
        else
            return STORE_EINVAL;
    }
    u->deadline_ns = d->now_ns + seconds * NS_PER_S;
    if (!begin_rehearsal(d, u, &err)) {
        buffer_text(reply, err.text);
        update_release(d);
        return STORE_OK;
    }
    log_info(&d->log, "live update: rehearsal of %s", u->file);
    return STORE_PARKED;
}

enum outcome update_control(struct daemon *d, struct connection *from,
                            unsigned int nr, char **words, struct buffer *reply)
{
    struct update *u = d->update;

    if (nr < 2)
        return STORE_EINVAL;
    if (u && !store_connection(d->store, u->connection)) {
        update_release(d);
        u = NULL;
    }
    if (u && u->connection != connection_id(from)) {
        buffer_text(reply, "live-update session already active");
        return STORE_OK;
    }
    if (!strcmp(words[1], "-f")) {
        if (nr != 3)
            return STORE_EINVAL;
        update_release(d);
        begin_session(d, from, words[2], reply);
        return STORE_OK;
    }
    if (!u) {
        buffer_text(reply, "not in a live-update session");
        return STORE_OK;
    }
    if (!strcmp(words[1], "-a") && nr == 2) {
        update_release(d);
        return STORE_OK;
    }
    if (!strcmp(words[1], "-c") && nr == 3) {
        free(u->line);
        u->line = strdup(words[2]);
        return u->line ? STORE_OK : STORE_ENOMEM;
    }
    if (!strcmp(words[1], "-s"))
        return do_start(d, nr - 2, words + 2, reply);
    return STORE_EINVAL;
}

/* --- going --- */

static void pass_on(int fd, bool pass)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, pass ? 0 : FD_CLOEXEC);
}

static void pass_all(struct daemon *d, const struct holder *h, bool pass)
{
    pass_on(hypervisor_fd(d), pass);
    if (h) {
        pass_on(h->listen_fd, pass);
        for (uint32_t i = 0; i < h->nr_clients; i++)
            pass_on(h->clients[i].fd, pass);
    } else {
        pass_on(d->listener.fd, pass);
        sockets_pass_on(d, pass);
    }
}

void update_become(struct daemon *d, const struct holder *h,
                   const struct update_target *target, int ready_fd)
{
    static const char *const added[] = {"-U", NULL};
    cleanup_free char *line = strdup(target->line);
    cleanup_free char **argv =
        line ? successor_argv(d, target->file, line, added) : NULL;
    char number[16];
    sigset_t none, before;
    char why[64];

    if (!argv) {
        (void)!write(ready_fd, "Fno memory", 10);
        return;
    }
    snprintf(number, sizeof(number), "%d", ready_fd);
    setenv("XENFERRY_READY_FD", number, 1);
    pass_all(d, h, true);
    pass_on(ready_fd, true);
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(target->rehearsed ? SIG_BLOCK : SIG_SETMASK, &none, &before);
    execv(target->file, argv);

    snprintf(why, sizeof(why), "F%s", strerror(errno));
    sigprocmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, SIG_IGN);
    pass_on(ready_fd, false);
    pass_all(d, h, false);
    unsetenv("XENFERRY_READY_FD");
    (void)!write(ready_fd, why, strlen(why));
}

static bool write_state(struct daemon *d,
                        const struct store_dump_options *options,
                        struct error *err)
{
    cleanup(buffer_release) struct buffer state = {0};
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup_free char *path = NULL;
    cleanup_fd int fd = -1;

    if (!store_dump(d->store, options, &state, err))
        return false;
    if (asprintf(&path, "%s/state_dump", d->options.run_dir) < 0) {
        path = NULL;
        return error_set(err, ERR_NO_MEMORY, "state");
    }
    unlink(path);
    return file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err) &&
           io_attach(&io, fd, true, -1, -1, err) &&
           io_write_all(&io, state.bytes, state.length, err);
}

enum fate { FATE_SERVES, FATE_NO_EXEC, FATE_DIED };

/* 'why' has 'size' octets; used for FATE_NO_EXEC. */
static enum fate await_fate(int fd, bool rehearsed, pid_t main_process,
                            char *why, size_t size)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t end = clock_now_ns() +
                  (rehearsed ? SERVE_MS : SURVIVES_MS) * (int64_t)NS_PER_MS;
    ssize_t got;

    while (poll(&p, 1, deadline_left_ms(end)) < 0 && errno == EINTR)
        ;
    if (!p.revents) {
        /* Others say nothing, and live. */
        if (!rehearsed)
            return FATE_SERVES;
        kill(main_process, SIGKILL);
        return FATE_DIED;
    }
    got = read(fd, why, size - 1);
    if (got <= 0)
        return FATE_DIED;
    why[got] = '\0';
    return *why == 'R' ? FATE_SERVES : FATE_NO_EXEC;
}

/* In the waiting process: the old program again, where the new one was. */
static _Noreturn void take_back(struct daemon *d, struct update *u)
{
    static const char answer[] = "the successor died; the old daemon is back";
    static const char *const added[] = {"-U", NULL};
    struct connection *c = store_connection(d->store, u->connection);
    struct store_dump_options options;
    struct error err = {0};
    char **argv;
    int exe;

    log_error(&d->log, "live update: %s", answer);
    if (c) {
        connection_park_again(c, "OK");
        connection_answer_parked(c, answer);
    }
    u->rehearsed = true;
    u->version = 2;
    options = state_options(d, u);
    options.socket_fd = sockets_fd;
    argv = successor_argv(d, d->argv[0], NULL, added);
    exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (argv && exe >= 0 && write_state(d, &options, &err)) {
        pass_all(d, NULL, true);
        if (d->holder)
            pass_on(d->holder->listen_fd, true);
        unsetenv("XENFERRY_READY_FD");
        fexecve(exe, argv, environ);
    }
    log_error(&d->log, "live update: the way back: %s",
              err.text[0] ? err.text : strerror(errno));
    _exit(1);
}

/* Comes back, with the reason in 'why', if all goes on as before. */
static void go_as_worker(struct daemon *d, struct update *u, const int *ends,
                         const struct update_target *target, char *why,
                         size_t size)
{
    pid_t holder = getppid();

    prctl(PR_SET_PDEATHSIG, 0);
    /* Its lock is for the successor. */
    close_fd(&d->pid_fd);
    if (!holder_tell_update(d->holder, target, ends[1])) {
        snprintf(why, size, "Fthe parent process does not listen");
        return;
    }
    close(ends[1]);
    switch (await_fate(ends[0], u->rehearsed, holder, why, size)) {
    case FATE_SERVES:
        _exit(0);
    case FATE_DIED:
        take_back(d, u);
    case FATE_NO_EXEC:
        break;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static void go_alone(struct daemon *d, struct update *u, const int *ends,
                     const struct update_target *target, char *why, size_t size)
{
    pid_t self = getpid();
    pid_t pid = fork();

    if (pid < 0) {
        snprintf(why, size, "Ffork: %s", strerror(errno));
        return;
    }
    if (pid == 0) {
        /* Nobody's child: the successor does not know of it. */
        if (fork())
            _exit(0);
        close(ends[1]);
        close_fd(&d->pid_fd);
        if (await_fate(ends[0], u->rehearsed, self, why, size) == FATE_DIED)
            take_back(d, u);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    update_become(d, NULL, target, ends[1]);
    /* The fork hears it as well, whoever is first. */
    snprintf(why, size, "F%s: not started", target->file);
    close(ends[1]);
}

static void go(struct daemon *d, struct update *u)
{
    struct connection *c = store_connection(d->store, u->connection);
    struct store_dump_options options;
    struct update_target target = {.file = u->file,
                                   .line = u->line ? u->line : "",
                                   .rehearsed = u->rehearsed};
    struct error err = {0};
    char why[256] = "";
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        end_session(d, strerror(errno));
        return;
    }
    /* From here on no client comes that the state would not have. */
    if (d->holder && !holder_pause(d)) {
        close(ends[0]);
        close(ends[1]);
        end_session(d, "the parent process does not answer");
        return;
    }
    hypervisor_release_virq(d);
    connection_answer_parked(c, "OK");
    options = state_options(d, u);
    if (!write_state(d, &options, &err))
        snprintf(why, sizeof(why), "F%.200s", err.text);
    else if (d->holder)
        go_as_worker(d, u, ends, &target, why, sizeof(why));
    else
        go_alone(d, u, ends, &target, why, sizeof(why));

    close(ends[0]);
    connection_park_again(c, "OK");
    hypervisor_claim_virq(d);
    hypervisor_look(d);
    if (d->holder)
        holder_go_on(d->holder);
    end_session(d, why + 1);
}

/* A parked connection is not read, so nobody else would notice. */
static bool is_there(struct daemon *d, const struct update *u)
{
    struct connection *c = store_connection(d->store, u->connection);
    struct pollfd p = {.fd = c ? sockets_fd(c) : -1};

    return c && (p.fd < 0 || poll(&p, 1, 0) == 0);
}

bool update_turn(struct daemon *d)
{
    struct update *u = d->update;
    bool due;

    if (!u || u->phase == PHASE_ASKED)
        return false;
    if (!is_there(d, u)) {
        log_info(&d->log, "live update: who asked for it is gone");
        update_release(d);
        return false;
    }
    due = clock_now_ns() >= u->deadline_ns;
    if (u->phase == PHASE_REHEARSING && due) {
        end_session(d, "the rehearsal did not end in time");
    } else if (u->phase == PHASE_DRAINING) {
        struct store_figures figures;

        store_figures(d->store, &figures);
        if (due || !figures.transactions)
            go(d, u);
    } else if (u->phase == PHASE_GOING) {
        go(d, u);
    }
    return !d->update;
}

int64_t update_deadline(const struct daemon *d)
{
    if (!d->update || d->update->phase == PHASE_ASKED)
        return DEADLINE_NONE;
    return d->update->deadline_ns;
}
