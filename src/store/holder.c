/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/holder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "store/update.h"

/* A worker that dies this often in so short a time will not recover. */
#define RESTARTS_MAX 8
#define RESTARTS_NS  (20 * NS_PER_S)

bool holder_add(struct holder *h, int fd)
{
    if (h->nr_clients == h->capacity) {
        uint32_t capacity = h->capacity ? h->capacity * 2 : 64;
        struct held_client *fresh =
            realloc(h->clients, capacity * sizeof(*fresh));

        if (!fresh)
            return false;
        h->clients = fresh;
        h->capacity = capacity;
    }
    h->clients[h->nr_clients++] =
        (struct held_client){.serial = ++h->last_serial, .fd = fd};
    return true;
}

static void holder_remove(struct holder *h, uint32_t serial)
{
    for (uint32_t i = 0; i < h->nr_clients; i++)
        if (h->clients[i].serial == serial) {
            close(h->clients[i].fd);
            h->clients[i] = h->clients[--h->nr_clients];
            return;
        }
}

int holder_fd(const struct holder *h, uint32_t serial)
{
    for (uint32_t i = 0; i < h->nr_clients; i++)
        if (h->clients[i].serial == serial)
            return h->clients[i].fd;
    return -1;
}

uint32_t holder_serial(const struct holder *h, int fd)
{
    for (uint32_t i = 0; i < h->nr_clients; i++)
        if (h->clients[i].fd == fd)
            return h->clients[i].serial;
    return 0;
}

/* --- messages --- */

union rights {
    char octets[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

/* 'fd' goes along unless it is negative. */
static bool tell(const struct holder *h, struct holder_message head,
                 const char *text, size_t length, int fd)
{
    struct iovec parts[] = {
        {&head,        sizeof(head)},
        {(void *)text, length      }
    };
    union rights control = {0};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    struct cmsghdr *part;

    if (fd >= 0) {
        message.msg_control = control.octets;
        message.msg_controllen = sizeof(control.octets);
        part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &fd, sizeof(int));
    }
    return sendmsg(h->control_fd, &message, MSG_NOSIGNAL) > 0;
}

/* How many octets of text, or negative; '*ret_fd' is -1 without one. */
static ssize_t hear(int from, struct holder_message *ret_head, char *text,
                    size_t size, int *ret_fd)
{
    struct iovec parts[] = {
        {ret_head, sizeof(*ret_head)},
        {text,     size             }
    };
    union rights control;
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    ssize_t got;
    struct cmsghdr *part;

    *ret_fd = -1;
    do
        got = recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < (ssize_t)sizeof(*ret_head)) {
        errno = got < 0 ? errno : ECONNRESET;
        return -1;
    }
    part = CMSG_FIRSTHDR(&message);
    if (part && part->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(part), sizeof(int));
    return got - (ssize_t)sizeof(*ret_head);
}

static void send_client(struct holder *h, const struct held_client *client)
{
    /* If the worker is gone its successor inherits the client. */
    (void)tell(h,
               (struct holder_message){
                   .kind = 'c', .serial = client->serial, .fd = client->fd},
               NULL, 0, client->fd);
}

static void accept_client(struct holder *h)
{
    int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    if (!holder_add(h, fd)) {
        close(fd);
        return;
    }
    send_client(h, &h->clients[h->nr_clients - 1]);
}

/* Comes back if it cannot be done. */
static void become(struct daemon *d, struct holder *h,
                   const struct holder_message *head, const char *text,
                   size_t length, int ready_fd)
{
    struct update_target target = {.file = text, .rehearsed = head->rehearsed};
    const char *line = memchr(text, '\0', length);

    if (ready_fd < 0 || !line || text[length - 1] || line == text + length - 1)
        return;
    target.line = line + 1;
    update_become(d, h, &target, ready_fd);
}

/* False: the worker's end is closed. */
static bool hear_worker(struct daemon *d, struct holder *h)
{
    struct holder_message head;
    char text[HOLDER_TEXT_MAX];
    ssize_t length;
    int fd;

    while ((length = hear(h->control_fd, &head, text, sizeof(text), &fd)) >=
           0) {
        switch (head.kind) {
        case 'x':
            holder_remove(h, head.serial);
            break;
        case 'p':
            h->paused = true;
            (void)tell(h, (struct holder_message){.kind = 'p'}, NULL, 0, -1);
            break;
        case 'g':
            h->paused = false;
            break;
        case 's':
            predecessor_release(d);
            break;
        case 'u':
            become(d, h, &head, text, (size_t)length, fd);
            break;
        default:
            break;
        }
        close_fd(&fd);
    }
    return errno == EAGAIN;
}

/* In the holder, while the worker lives.  Returns its wait status. */
static int serve_worker(struct daemon *d, struct holder *h, int signal_fd,
                        pid_t worker, bool *ret_asked)
{
    int status = 0;
    bool connected = true;
    bool alive = true;

    h->paused = false;
    while (alive) {
        struct pollfd fds[] = {
            {.fd = h->paused ? -1 : h->listen_fd,  .events = POLLIN},
            {.fd = connected ? h->control_fd : -1, .events = POLLIN},
            {.fd = signal_fd,                      .events = POLLIN},
        };
        struct signalfd_siginfo info;
        int how;
        pid_t child;

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            accept_client(h);
        if (fds[1].revents)
            connected = hear_worker(d, h);
        while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
                *ret_asked = true;
            if (info.ssi_signo != SIGCHLD)
                kill(worker, (int)info.ssi_signo);
        }
        /* The other one is a predecessor's worker, which waited for us. */
        while ((child = waitpid(-1, &how, WNOHANG)) > 0)
            if (child == worker) {
                status = how;
                alive = false;
            }
    }
    /* Whatever it still said counts. */
    (void)hear_worker(d, h);
    return status;
}

static int signals_of_holder(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

bool holder_run(struct daemon *d, struct holder *h, int *ret_status)
{
    cleanup_fd int signal_fd = signals_of_holder();
    int64_t first_restart = clock_now_ns();
    unsigned int restarts = 0;
    bool asked = false;

    *ret_status = 1;
    for (;;) {
        int ends[2];
        pid_t worker;
        int status;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
            log_error(&d->log, "socketpair: %s", strerror(errno));
            return false;
        }
        worker = fork();
        if (worker < 0) {
            log_error(&d->log, "fork: %s", strerror(errno));
            return false;
        }
        if (worker == 0) {
            prctl(PR_SET_PDEATHSIG, SIGTERM);
            close(ends[0]);
            h->control_fd = ends[1];
            return true;
        }
        close(ends[1]);
        h->control_fd = ends[0];
        status = serve_worker(d, h, signal_fd, worker, &asked);
        close_fd(&h->control_fd);
        if (asked || (WIFEXITED(status) && !h->restarted && !restarts)) {
            *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            return false;
        }
        h->worker_signal = WIFSIGNALED(status) ? WTERMSIG(status) : SIGABRT;
        h->restarted = true;
        log_error(&d->log, "the serving process died (signal %d), restarting",
                  h->worker_signal);
        if (clock_now_ns() - first_restart > RESTARTS_NS) {
            first_restart = clock_now_ns();
            restarts = 0;
        }
        /* Who kills it from outside may do so as often as he likes. */
        restarts += h->worker_signal != SIGKILL;
        if (restarts > RESTARTS_MAX) {
            log_error(&d->log, "it died %u times in a row, giving up",
                      restarts);
            return false;
        }
    }
}

/* --- in the worker --- */

struct inbox {
    struct watcher watcher;
    struct holder *holder;
    bool paused;
};

static void inbox_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct inbox *inbox = container_of(w, struct inbox, watcher);
    struct holder_message head;
    struct connection *c;
    char none[1];
    int fd;

    (void)events;
    while (hear(w->fd, &head, none, sizeof(none), &fd) >= 0) {
        struct error err = {0};

        if (head.kind == 'p')
            inbox->paused = true;
        if (head.kind != 'c' || fd < 0) {
            close_fd(&fd);
            continue;
        }
        c = sockets_client(d, fd, head.serial, &err);
        if (c) {
            sockets_set_main_fd(c, head.fd);
        } else {
            log_error(&d->log, "new client: %s", err.text);
            holder_tell_gone(inbox->holder, head.serial);
        }
    }
    if (errno == ECONNRESET)
        d->stopping = true; /* the holder is gone, and the socket with it */
}

#define PAUSE_MS 5000

bool holder_pause(struct daemon *d)
{
    struct inbox *inbox = d->inbox;
    struct pollfd p = {.fd = inbox->watcher.fd, .events = POLLIN};
    int64_t end = deadline_after_ms(PAUSE_MS);

    inbox->paused = false;
    if (!tell(inbox->holder, (struct holder_message){.kind = 'p'}, NULL, 0, -1))
        return false;
    while (!inbox->paused && !d->stopping) {
        if (poll(&p, 1, deadline_left_ms(end)) == 0)
            return false;
        inbox_ready(d, &inbox->watcher, EPOLLIN);
    }
    return inbox->paused;
}

void holder_go_on(struct holder *h)
{
    (void)tell(h, (struct holder_message){.kind = 'g'}, NULL, 0, -1);
}

void holder_tell_serving(struct holder *h)
{
    (void)tell(h, (struct holder_message){.kind = 's'}, NULL, 0, -1);
}

bool holder_tell_update(struct holder *h, const struct update_target *target,
                        int ready_fd)
{
    struct holder_message head = {.kind = 'u', .rehearsed = target->rehearsed};
    char text[HOLDER_TEXT_MAX];
    size_t file = strlen(target->file) + 1;
    size_t line = strlen(target->line) + 1;

    if (file + line > sizeof(text))
        return false;
    memcpy(text, target->file, file);
    memcpy(text + file, target->line, line);
    return tell(h, head, text, file + line, ready_fd);
}

bool holder_attach(struct daemon *d, struct holder *h, struct error *err)
{
    struct inbox *inbox = calloc(1, sizeof(*inbox));

    if (!inbox)
        return error_set(err, ERR_NO_MEMORY, "holder");
    inbox->holder = h;
    inbox->watcher.fd = h->control_fd;
    inbox->watcher.ready = inbox_ready;
    d->holder = h;
    d->inbox = inbox;
    return loop_add(d, &inbox->watcher, EPOLLIN, err);
}

void holder_tell_gone(struct holder *h, uint32_t serial)
{
    (void)tell(h, (struct holder_message){.kind = 'x', .serial = serial}, NULL,
               0, -1);
}
