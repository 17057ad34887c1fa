/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry-xenstored: set up, run, tear down. */
#include "store/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "store/holder.h"
#include "store/journal.h"
#include "store/request.h"
#include "store/update.h"

static int64_t now_ns(void *context)
{
    return ((struct daemon *)context)->now_ns;
}

/* The state stream into a file that did not exist. */
static bool daemon_save_state(struct daemon *d, const char *path,
                              const struct store_dump_options *options,
                              struct error *err)
{
    cleanup(buffer_release) struct buffer out = {0};
    cleanup(io_release) struct io io = {.own_fd = -1};
    cleanup_fd int fd = -1;

    return store_dump(d->store, options, &out, err) &&
           file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err) &&
           io_attach(&io, fd, true, -1, -1, err) &&
           io_write_all(&io, out.bytes, out.length, err);
}

/* save-state FILE [VERSION [DOMID]] */
static enum outcome control_save_state(struct daemon *d, unsigned int nr,
                                       char **words)
{
    struct store_dump_options options = {
        .version = 2,
        .listen_fd = -1,
        .evtchn_fd = -1,
    };
    struct error err = {0};
    uint32_t domid;

    if (nr < 2 || nr > 4 ||
        (nr > 2 && (!number_parse(words[2], &options.version) ||
                    options.version < 1 || options.version > 2)))
        return STORE_EINVAL;
    if (nr == 4) {
        if (!number_parse(words[3], &domid) || domid >= DOMID_RESERVED_FIRST)
            return STORE_EINVAL;
        if (!store_knows_domain(d->store, (uint16_t)domid))
            return STORE_ENOENT;
        options.one_domain = true;
        options.domid = (uint16_t)domid;
    } else {
        options.listen_fd = d->listener.fd;
        options.evtchn_fd = hypervisor_fd(d);
        options.socket_fd = sockets_fd;
    }
    if (daemon_save_state(d, words[1], &options, &err))
        return STORE_OK;
    log_error(&d->log, "%s", err.text);
    return STORE_EIO;
}

enum outcome daemon_control(void *context, struct connection *from,
                            unsigned int nr_words, char **words,
                            struct buffer *reply)
{
    struct daemon *d = context;
    struct error err = {0};

    if (!strcmp(words[0], "help")) {
        buffer_text(reply,
                    "live-update\t-f <file> | -c <options> | -s [-t <seconds>] "
                    "[-F] [-v <version>] | -a\n"
                    "logfile\t<file>\nsave-state\t<file> [1|2 [<domid>]]\n");
        return STORE_OK;
    }
    if (!strcmp(words[0], "live-update"))
        return update_control(d, from, nr_words, words, reply);
    if (!strcmp(words[0], "save-state"))
        return control_save_state(d, nr_words, words);
    if (!strcmp(words[0], "logfile") && nr_words == 2)
        return daemon_log_open(d, words[1], &err) ? STORE_OK : STORE_EIO;
    return STORE_EINVAL;
}

static void signals_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct signalfd_siginfo info;

    (void)events;
    while (read(w->fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            daemon_log_reopen(d);
        else
            d->stopping = true;
    }
}

static bool signals_open(struct daemon *d, struct error *err)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    d->signals.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (d->signals.fd < 0)
        return error_set_errno(err, ERR_IO, errno, "signalfd");
    d->signals.ready = signals_ready;
    return loop_add(d, &d->signals, EPOLLIN, err);
}

/* Every guest and client needs a descriptor or two. */
static void raise_limits(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

/* A predecessor that takes over again may find it still locked. */
#define PID_FILE_WAIT_NS (5 * NS_PER_S)

/*
 * The file stays open and locked for as long as the daemon lives; until
 * 'deadline_ns' somebody else may have it.
 */
static bool write_pid_file(const char *path, int64_t deadline_ns, int *ret_fd,
                           struct error *err)
{
    cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool locked;
    char text[32];
    int length;

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "pid file %s", path);
    while (!(locked = flock(fd, LOCK_EX | LOCK_NB) == 0) &&
           clock_now_ns() < deadline_ns)
        (void)poll(NULL, 0, 10);
    if (!locked)
        return error_set_errno(err, ERR_STATE, errno,
                               "pid file %s: held by another xenstored", path);
    length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || write(fd, text, (size_t)length) != length)
        return error_set_errno(err, ERR_IO, errno, "pid file %s", path);
    *ret_fd = take_fd(&fd);
    return true;
}

/*
 * Leave the terminal.  The first process stays until the daemon serves, so
 * that whoever started it may connect at once.  Returns in the daemon, with
 * the descriptor to write a zero octet to.
 */
static bool go_to_background(int *ret_ready, struct error *err)
{
    int ends[2];
    pid_t pid;
    char octet;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return error_set_errno(err, ERR_IO, errno, "pipe");
    pid = fork();
    if (pid < 0)
        return error_set_errno(err, ERR_IO, errno, "fork");
    if (pid > 0) {
        close(ends[1]);
        _exit(read(ends[0], &octet, 1) == 1 ? 0 : 1);
    }
    close(ends[0]);
    setsid();
    if (chdir("/") < 0)
        return error_set_errno(err, ERR_IO, errno, "chdir");
    *ret_ready = ends[1];
    return true;
}

/* After a live update that failed it is another one. */
static void announce_pid(void)
{
    char text[32];

    snprintf(text, sizeof(text), "MAINPID=%d", (int)getpid());
    notify_service_manager(text);
}

static void close_standard_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int fd = 0; null >= 0 && fd < 3; fd++)
        dup2(null, fd);
    if (null > 2)
        close(null);
}

/* 'h' is NULL without a journal. */
static bool daemon_start(struct daemon *d, struct holder *h, struct error *err)
{
    struct store_host host = {
        .now_ns = now_ns,
        .control = daemon_control,
        .log = &d->log,
        .context = d,
    };
    int fd = -1;

    d->now_ns = clock_now_ns();
    hypervisor_hooks(&host);
    if (d->journal)
        journal_hooks(d->journal, d, &host);
    if (!loop_open(d, err) || !signals_open(d, err))
        return false;
    if (!d->options.no_domain_init && !hypervisor_open(d, err))
        return false;
    if (!store_open(&d->options.store, &host, &d->store, err))
        return false;
    hypervisor_map_dom0(d, !d->predecessor &&
                               (!h || journal_is_fresh(d->journal)));
    if (h)
        return holder_attach(d, h, err) && journal_start(d->journal, d, h, err);
    if (d->predecessor) {
        fd = d->predecessor->listen_fd;
        return sockets_adopt(d, fd, err) && sockets_accept(d, fd, err) &&
               predecessor_load(d, err);
    }
    return sockets_open(d, &fd, err) && sockets_accept(d, fd, err);
}

static void daemon_stop(struct daemon *d)
{
    if (d->store)
        store_record(d->store, NULL);
    if (d->store)
        update_release(d);
    store_close(d->store);
    hypervisor_close(d);
    close_fd(&d->listener.fd);
    close_fd(&d->signals.fd);
    close_fd(&d->epoll_fd);
    free(d->inbox);
    journal_free(d->journal);
    free(d->closed);
}

/* What the holder keeps for the workers. */
static bool holder_open(struct daemon *d, struct holder *h, struct error *err)
{
    return (d->options.no_domain_init || hypervisor_open_events(d, err)) &&
           (d->predecessor ? predecessor_clients(d, h, err) &&
                                 sockets_adopt(d, h->listen_fd, err)
                           : sockets_open(d, &h->listen_fd, err)) &&
           journal_create(&d->journal, err);
}

static int serve(struct daemon *d, struct holder *h, int ready_fd)
{
    struct error err = {0};
    bool good = daemon_start(d, h, &err);

    if (!good) {
        log_error(&d->log, "%s", err.text);
        daemon_stop(d);
        return 1;
    }
    if (ready_fd >= 0 && !(h && h->restarted)) {
        close_standard_descriptors();
        (void)!write(ready_fd, "", 1);
    }
    if (d->predecessor && d->predecessor->loaded)
        predecessor_served(d);
    notify_service_manager("READY=1\nSTATUS=serving");
    loop_run(d);
    notify_service_manager("STOPPING=1");
    daemon_stop(d);
    return 0;
}

/* In one piece of memory: parsing cuts the words that we were given. */
static char **copy_words(char **words, int nr)
{
    size_t pointers = ((size_t)nr + 1) * sizeof(*words);
    size_t size = pointers;
    char **copy;
    char *to;

    for (int i = 0; i < nr; i++)
        size += strlen(words[i]) + 1;
    copy = calloc(1, size);
    if (!copy)
        return NULL;
    to = (char *)copy + pointers;
    for (int i = 0; i < nr; i++) {
        copy[i] = to;
        to = stpcpy(to, words[i]) + 1;
    }
    return copy;
}

int main(int argc, char **argv)
{
    struct daemon d = {
        .epoll_fd = -1, .listener.fd = -1, .signals.fd = -1, .pid_fd = -1};
    struct holder h = {.control_fd = -1, .listen_fd = -1};
    struct error err = {0};
    cleanup_fd int ready_fd = -1;
    bool worker = false;
    int status = 1;
    bool good;

    list_init(&d.clients);
    list_init(&d.taken);
    d.argv = copy_words(argv, argc);
    if (!d.argv)
        return 1;
    daemon_options_parse(&d.options, argc, argv);
    if (d.options.check_state) {
        status = update_check_state(&d);
        free(d.argv);
        return status;
    }
    raise_limits();
    good = d.options.no_fork || d.options.live_update ||
           go_to_background(&ready_fd, &err);
    good = good && daemon_log_open(&d, d.options.trace_file, &err);
    if (good && d.options.live_update)
        good = predecessor_open(&d, &err);
    if (good && d.options.pid_file)
        good = write_pid_file(d.options.pid_file,
                              clock_now_ns() +
                                  (d.predecessor ? PID_FILE_WAIT_NS : 0),
                              &d.pid_fd, &err);
    if (good && d.predecessor)
        announce_pid();
    if (good && d.options.output_pid) {
        printf("%d\n", (int)getpid());
        fflush(stdout);
    }
    if (good && d.options.journal)
        good = holder_open(&d, &h, &err);
    if (!good) {
        fprintf(stderr, "xenferry-xenstored: %s\n", err.text);
    } else if (d.options.journal) {
        worker = holder_run(&d, &h, &status);
        if (worker)
            status = serve(&d, &h, ready_fd);
        else
            daemon_stop(&d);
        for (uint32_t i = 0; !worker && i < h.nr_clients; i++)
            close(h.clients[i].fd);
        free(h.clients);
        close_fd(&h.listen_fd);
        close_fd(&h.control_fd);
    } else {
        status = serve(&d, NULL, ready_fd);
    }
    /* What did not take over leaves all to who will. */
    good = good && !worker && !(d.predecessor && status);
    if (d.socket_path && good)
        unlink(d.socket_path);
    free(d.socket_path);
    if (d.options.pid_file && good)
        unlink(d.options.pid_file);
    close_fd(&d.pid_fd);
    if (d.predecessor && !worker && status) {
        /* Before a service manager sees the end of us. */
        predecessor_release(&d);
        (void)poll(NULL, 0, 1000);
    }
    predecessor_release(&d);
    free(d.argv);
    daemon_log_close(&d);
    return status;
}
