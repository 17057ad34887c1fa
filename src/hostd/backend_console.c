/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/backend_console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>

#include <xen/io/console.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "hostd/events.h"

/* A guest need not say that it has read what was typed. */
#define ROOM_MS 20

static struct console_backend *console_of(struct backend *b)
{
    return container_of(b, struct console_backend, backend);
}

static struct xencons_interface *ring_of(struct console_backend *b)
{
    return (struct xencons_interface *)guest_memory_page(&b->h->m.memory,
                                                         b->gfn);
}

static void on_event(void *context)
{
    struct console_backend *b = context;

    bell_ring(&b->h->baton, &b->bell);
    bell_ring(&b->h->baton, &b->typist_bell);
}

static bool is_busy(struct backend *b)
{
    (void)b;
    return false;
}

static void resume(struct backend *b)
{
    on_event(console_of(b));
}

/* What the guest printed, at most one ring full; with the baton held. */
static size_t take_output(struct console_backend *b, char *to)
{
    struct xencons_interface *ring = ring_of(b);
    uint32_t prod, cons, length;

    if (!ring)
        return 0;
    prod = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE);
    cons = __atomic_load_n(&ring->out_cons, __ATOMIC_RELAXED);
    length = prod - cons;
    if (length == 0 || length > sizeof(ring->out))
        return 0;
    for (uint32_t i = 0; i < length; i++)
        to[i] = ring->out[MASK_XENCONS_IDX(cons + i, ring->out)];
    __atomic_store_n(&ring->out_cons, prod, __ATOMIC_RELEASE);
    return length;
}

/* How much can be typed; with the baton held. */
static uint32_t input_room(struct console_backend *b)
{
    struct xencons_interface *ring = ring_of(b);
    uint32_t used;

    if (!ring || hosted_is_paused(b->h))
        return 0;
    used = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED) -
           __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    return used < sizeof(ring->in) ? (uint32_t)sizeof(ring->in) - used : 0;
}

/* There is room for it; with the baton held. */
static void put_input(struct console_backend *b, const char *text,
                      uint32_t length)
{
    struct xencons_interface *ring = ring_of(b);
    uint32_t prod = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);

    if (!length)
        return;
    for (uint32_t i = 0; i < length; i++)
        ring->in[MASK_XENCONS_IDX(prod + i, ring->in)] = text[i];
    __atomic_store_n(&ring->in_prod, prod + length, __ATOMIC_RELEASE);
    events_notify_guest(&b->h->m, b->port);
}

static void *console_main(void *context)
{
    struct console_backend *b = context;
    struct hosted *h = b->h;
    char text[sizeof(((struct xencons_interface *)0)->out)];

    hosted_take(h);
    while (!b->ending) {
        size_t length = 0;

        if (!hosted_is_paused(h)) {
            length = take_output(b, text);
            if (length)
                events_notify_guest(&h->m, b->port);
        }
        if (!length) {
            bell_wait(&h->baton, &b->bell, DEADLINE_NONE, BATON_URGENT);
            continue;
        }
        hosted_give(h);
        /* A full disk loses text, never the guest. */
        if (write(b->fd, text, length) < 0)
            log_warning(h->m.log, "domain %u: console: %s", h->m.domid,
                        strerror(errno));
        console_tty_print(&b->tty, text, length);
        hosted_take(h);
    }
    hosted_give(h);
    return NULL;
}

/* What does not fit into the ring stays in the terminal. */
static void *typist_main(void *context)
{
    struct console_backend *b = context;
    struct hosted *h = b->h;
    char text[sizeof(((struct xencons_interface *)0)->in)];

    while (console_tty_wait(&b->tty, b->end_fd)) {
        uint32_t room;

        hosted_take(h);
        room = input_room(b);
        if (room)
            put_input(b, text, (uint32_t)console_tty_read(&b->tty, text, room));
        else if (!b->ending)
            bell_wait(&h->baton, &b->typist_bell, deadline_after_ms(ROOM_MS),
                      BATON_URGENT);
        hosted_give(h);
    }
    return NULL;
}

static bool start_threads(struct console_backend *b, struct error *err)
{
    int rc = pthread_create(&b->thread, NULL, console_main, b);

    b->started = !rc;
    if (!rc && b->tty.master >= 0) {
        rc = pthread_create(&b->typist, NULL, typist_main, b);
        b->typing = !rc;
    }
    return !rc || error_set_errno(err, ERR_NO_MEMORY, rc, "console thread");
}

bool console_backend_start(struct console_backend *b, struct hosted *h,
                           const char *path, struct error *err)
{
    struct event_sink sink = {.notify = on_event, .context = b};
    struct error no_tty;
    off_t end;
    int rc;

    *b = (struct console_backend){
        .h = h,
        .fd = -1,
        .end_fd = -1,
        .tty = CONSOLE_TTY_NONE,
        .backend = {.is_busy = is_busy, .resume = resume},
        .gfn = h->m.hvm_param[HVM_PARAM_CONSOLE_PFN],
        .port = (uint32_t)h->m.hvm_param[HVM_PARAM_CONSOLE_EVTCHN]
    };
    bell_init(&b->bell);
    bell_init(&b->typist_bell);
    list_init(&b->backend.link);
    /* What is there already is of guests that were here before. */
    if (!file_open(path, O_WRONLY | O_APPEND | O_CREAT, 0600, &b->fd, err))
        return false;
    end = lseek(b->fd, 0, SEEK_END);
    b->begin = end > 0 ? (uint64_t)end : 0;
    b->end_fd = eventfd(0, EFD_CLOEXEC);
    if (b->end_fd < 0)
        return error_set_errno(err, ERR_IO, errno, "eventfd");
    if (!console_tty_open(&b->tty, &no_tty))
        log_warning(h->m.log, "domain %u: console: only a log: %s", h->m.domid,
                    no_tty.text);
    hosted_take(h);
    rc = events_attach_host(&h->m, b->port, &sink);
    if (!rc)
        hosted_add_backend(h, &b->backend);
    hosted_give(h);
    if (rc)
        return error_set(err, ERR_STATE,
                         "domain %u: console: port %u is not unbound",
                         h->m.domid, b->port);
    return start_threads(b, err);
}

void console_backend_stop(struct console_backend *b)
{
    uint64_t one = 1;

    if (!b->h)
        return;
    hosted_take(b->h);
    b->ending = true;
    events_detach_host(&b->h->m, b->port);
    hosted_remove_backend(b->h, &b->backend);
    bell_ring(&b->h->baton, &b->bell);
    bell_ring(&b->h->baton, &b->typist_bell);
    hosted_give(b->h);
    if (b->started)
        pthread_join(b->thread, NULL);
    if (b->typing && write(b->end_fd, &one, sizeof(one)) == sizeof(one))
        pthread_join(b->typist, NULL);
    if (console_tty_unread(&b->tty))
        log_warning(b->h->m.log,
                    "domain %u: console: %zu octets typed at %s go with it: "
                    "the guest did not read",
                    b->h->m.domid, console_tty_unread(&b->tty), b->tty.path);
    bell_release(&b->bell);
    bell_release(&b->typist_bell);
    console_tty_close(&b->tty);
    close_fd(&b->end_fd);
    close_fd(&b->fd);
    b->h = NULL;
}

size_t console_backend_type(struct console_backend *b, const char *text,
                            size_t length)
{
    uint32_t room;

    hosted_take(b->h);
    room = (uint32_t)size_min(input_room(b), length);
    put_input(b, text, room);
    hosted_give(b->h);
    return room;
}
