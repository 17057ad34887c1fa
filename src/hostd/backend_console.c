/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/backend_console.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <xen/io/console.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "hostd/events.h"

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

static size_t give_input(struct console_backend *b)
{
    struct xencons_interface *ring = ring_of(b);
    uint32_t prod, room, length;

    if (!ring || !b->input_length)
        return 0;
    prod = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);
    room = (uint32_t)sizeof(ring->in) -
           (prod - __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE));
    if (room > sizeof(ring->in))
        return 0;
    length = (uint32_t)size_min(room, b->input_length);
    for (uint32_t i = 0; i < length; i++)
        ring->in[MASK_XENCONS_IDX(prod + i, ring->in)] = b->input[i];
    __atomic_store_n(&ring->in_prod, prod + length, __ATOMIC_RELEASE);
    b->input_length -= length;
    memmove(b->input, b->input + length, b->input_length);
    return length;
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
            if (length + give_input(b))
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
        hosted_take(h);
    }
    hosted_give(h);
    return NULL;
}

bool console_backend_start(struct console_backend *b, struct hosted *h,
                           const char *path, struct error *err)
{
    struct event_sink sink = {.notify = on_event, .context = b};
    int rc;

    *b = (struct console_backend){
        .h = h,
        .fd = -1,
        .backend = {.is_busy = is_busy, .resume = resume},
        .gfn = h->m.hvm_param[HVM_PARAM_CONSOLE_PFN],
        .port = (uint32_t)h->m.hvm_param[HVM_PARAM_CONSOLE_EVTCHN]
    };
    bell_init(&b->bell);
    list_init(&b->backend.link);
    if (!file_open(path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC, 0600, &b->fd,
                   err))
        return false;
    hosted_take(h);
    rc = events_attach_host(&h->m, b->port, &sink);
    if (!rc)
        hosted_add_backend(h, &b->backend);
    hosted_give(h);
    if (rc)
        return error_set(err, ERR_STATE,
                         "domain %u: console: port %u is not unbound",
                         h->m.domid, b->port);
    rc = pthread_create(&b->thread, NULL, console_main, b);
    if (rc)
        return error_set_errno(err, ERR_NO_MEMORY, rc, "console thread");
    b->started = true;
    return true;
}

void console_backend_stop(struct console_backend *b)
{
    if (!b->h)
        return;
    hosted_take(b->h);
    b->ending = true;
    events_detach_host(&b->h->m, b->port);
    hosted_remove_backend(b->h, &b->backend);
    bell_ring(&b->h->baton, &b->bell);
    hosted_give(b->h);
    if (b->started)
        pthread_join(b->thread, NULL);
    bell_release(&b->bell);
    close_fd(&b->fd);
    b->h = NULL;
}

bool console_backend_type(struct console_backend *b, const char *text,
                          size_t length)
{
    bool fits;

    hosted_take(b->h);
    fits = length <= sizeof(b->input) - b->input_length;
    if (fits) {
        memcpy(b->input + b->input_length, text, length);
        b->input_length += length;
        bell_ring(&b->h->baton, &b->bell);
    }
    hosted_give(b->h);
    return fits;
}
