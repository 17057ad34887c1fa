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

/* A worker that dies this often in so short a time will not recover. */
#define RESTARTS_MAX 8
#define RESTARTS_NS  (20 * NS_PER_S)

static bool holder_add(struct holder *h, int fd)
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

static void send_client(struct holder *h, const struct held_client *client)
{
    struct holder_message text = {'c', client->serial};
    struct iovec iov = {&text, sizeof(text)};
    union {
        char octets[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&message);

    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(part), &client->fd, sizeof(int));
    /* If the worker is gone its successor inherits the client. */
    (void)!sendmsg(h->control_fd, &message, MSG_NOSIGNAL);
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

/* False: the worker's end is closed. */
static bool hear_worker(struct holder *h)
{
    struct holder_message text;
    ssize_t got;

    while ((got = recv(h->control_fd, &text, sizeof(text), MSG_DONTWAIT)) ==
           sizeof(text))
        if (text.kind == 'x')
            holder_remove(h, text.serial);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

/* In the holder, while the worker lives.  Returns its wait status. */
static int serve_worker(struct holder *h, int signal_fd, pid_t worker,
                        bool *ret_asked)
{
    int status = 0;
    bool connected = true;

    for (;;) {
        struct pollfd fds[] = {
            {.fd = h->listen_fd,                   .events = POLLIN},
            {.fd = connected ? h->control_fd : -1, .events = POLLIN},
            {.fd = signal_fd,                      .events = POLLIN},
        };
        struct signalfd_siginfo info;

        if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
            continue;
        if (fds[0].revents)
            accept_client(h);
        if (fds[1].revents)
            connected = hear_worker(h);
        while (read(signal_fd, &info, sizeof(info)) == sizeof(info)) {
            if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
                *ret_asked = true;
            if (info.ssi_signo != SIGCHLD)
                kill(worker, (int)info.ssi_signo);
        }
        if (waitpid(worker, &status, WNOHANG) == worker)
            break;
    }
    /* Whatever it still said counts. */
    (void)hear_worker(h);
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
        status = serve_worker(h, signal_fd, worker, &asked);
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
};

static void inbox_ready(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct inbox *inbox = container_of(w, struct inbox, watcher);
    struct holder_message text;
    struct iovec iov = {&text, sizeof(text)};

    (void)events;
    for (;;) {
        union {
            char octets[CMSG_SPACE(sizeof(int))];
            struct cmsghdr align;
        } control;
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control.octets,
                                 .msg_controllen = sizeof(control.octets)};
        ssize_t got = recvmsg(w->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *part;
        struct error err = {0};
        int fd;

        if (got == 0)
            d->stopping = true; /* the holder is gone, and the socket with it */
        if (got != sizeof(text))
            return;
        part = CMSG_FIRSTHDR(&message);
        if (text.kind != 'c' || !part || part->cmsg_type != SCM_RIGHTS)
            continue;
        memcpy(&fd, CMSG_DATA(part), sizeof(int));
        if (!sockets_client(d, fd, text.serial, &err)) {
            log_error(&d->log, "new client: %s", err.text);
            holder_tell_gone(inbox->holder, text.serial);
        }
    }
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
    struct holder_message text = {'x', serial};

    (void)!send(h->control_fd, &text, sizeof(text), MSG_NOSIGNAL);
}
