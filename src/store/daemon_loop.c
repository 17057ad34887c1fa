/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The event loop: wait, let the watchers wake their connections, one turn of
 * the store, again.  While the store has more to do the wait is a mere look.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/daemon.h"
#include "store/journal.h"
#include "store/update.h"

#define EVENTS_PER_TURN 256

bool loop_open(struct daemon *d, struct error *err)
{
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (d->epoll_fd < 0)
        return error_set_errno(err, ERR_IO, errno, "epoll_create1");
    return true;
}

bool loop_add(struct daemon *d, struct watcher *w, uint32_t events,
              struct error *err)
{
    struct epoll_event event = {.events = events, .data.ptr = w};

    if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, w->fd, &event) < 0)
        return error_set_errno(err, ERR_IO, errno, "epoll_ctl: fd %d", w->fd);
    return true;
}

void loop_modify(struct daemon *d, struct watcher *w, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = w};

    epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, w->fd, &event);
}

void loop_remove(struct daemon *d, struct watcher *w)
{
    epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
}

void loop_run(struct daemon *d)
{
    struct epoll_event events[EVENTS_PER_TURN];
    bool more = true;

    while (!d->stopping) {
        int64_t due = store_deadline(d->store);
        int64_t update_due = update_deadline(d);
        int timeout =
            more ? 0 : deadline_left_ms(due < update_due ? due : update_due);
        int nr = epoll_wait(d->epoll_fd, events, EVENTS_PER_TURN, timeout);

        d->now_ns = clock_now_ns();
        for (int i = 0; i < nr; i++) {
            struct watcher *w = events[i].data.ptr;

            w->ready(d, w, events[i].events);
        }
        if (due <= d->now_ns)
            store_tick(d->store);
        more = store_turn(d->store);
        if (d->journal)
            journal_turn(d->journal, d);
        more = update_turn(d) || more;
    }
}
