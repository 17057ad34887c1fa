/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/handover_common.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

bool talk_begin(struct talk *t, const struct handover_options *o,
                struct transport *transport, struct error *err)
{
    return io_attach(&t->in, transport->recv_fd, false, o->timeout_ms,
                     o->cancel_fd, err) &&
           io_attach(&t->out, transport->send_fd, true, o->timeout_ms,
                     o->cancel_fd, err);
}

void talk_end(struct talk *t)
{
    io_release(&t->in);
    io_release(&t->out);
}

/* Whoever asks to stop when the answer has come is not told that it has not. */
static bool has_come(struct io *in)
{
    in->cancel_fd = -1;
    in->idle_timeout_ms = 0;
    return io_wait(in, POLLIN, NULL);
}

bool talk_await(struct talk *t, const struct handover_options *o,
                const struct journal *j, struct error *err)
{
    struct handover_wait wait = {
        .facts = &j->facts, .role = j->role, .state = j->state};
    int limit_ms = t->in.idle_timeout_ms;
    int64_t deadline = deadline_after_ms(limit_ms);
    bool good, asked, goes_on = true;
    struct error why;

    do {
        wait.left_ms = deadline_left_ms(deadline);
        t->in.idle_timeout_ms = wait.left_ms;
        t->in.cancel_fd = o->too_late ? o->cancel_fd : -1;
        good = io_wait(&t->in, POLLIN, &why);
        asked = !good && why.code == ERR_CANCELLED;
        if (asked && has_come(&t->in))
            good = true;
        else if (asked)
            goes_on = o->too_late(o->too_late_context, &wait);
    } while (asked && !good && goes_on);
    t->in.idle_timeout_ms = limit_ms;
    t->in.cancel_fd = -1;
    if (good)
        return true;
    if (asked)
        return error_set(err, ERR_CANCELLED,
                         "no answer, and the wait was ended from here");
    if (why.code == ERR_TIMEOUT)
        return error_set(err, ERR_TIMEOUT, "no answer for %d ms", limit_ms);
    if (err)
        *err = why;
    return false;
}

void handover_tell(const struct handover_options *o, enum move_step step,
                   const char *name, uint32_t domid)
{
    struct toolstack_guest guest = {.domid = domid};

    if (!o->watcher)
        return;
    snprintf(guest.name, sizeof(guest.name), "%s", name);
    o->watcher->step(o->watcher->context, step, *name ? &guest : NULL);
}

bool handover_goes_on(const struct handover_options *o, struct error *err)
{
    return !io_is_cancelled(o->cancel_fd) ||
           error_set(err, ERR_CANCELLED, "cancelled");
}

static void send_line(const struct handover_options *o, struct buffer *b)
{
    buffer_u8(b, '\0');
    if (o->watcher && !b->bad)
        o->watcher->helper_event(o->watcher->context, (const char *)b->bytes);
}

/* How long this round will take at the present rate; false: not known. */
static bool time_left(const struct engine_event *e, uint64_t *ret_ms)
{
    uint64_t rate = e->rate / PAGE_SIZE;

    if (!rate || e->round_total < e->round_pages)
        return false;
    *ret_ms = (e->round_total - e->round_pages) * 1000 / rate;
    return true;
}

void handover_event(const struct handover_options *o,
                    const struct engine_event *e)
{
    cleanup(buffer_release) struct buffer b = {0};
    uint64_t left;

    buffer_format(&b,
                  "{\"event\":\"progress\",\"phase\":\"%s\",\"round\":%u,"
                  "\"bytes\":%" PRIu64 ",\"pages\":%" PRIu64
                  ",\"zero_pages\":%" PRIu64 ",\"round_pages\":%" PRIu64
                  ",\"round_total\":%" PRIu64 ",\"rate\":%" PRIu64
                  ",\"dirty_pages\":%" PRIu64 ",\"dirty_rate\":%" PRIu64,
                  engine_phase_name(e->phase), e->round, e->bytes, e->pages,
                  e->zero_pages, e->round_pages, e->round_total, e->rate,
                  e->dirty_pages, e->dirty_rate);
    if (e->downtime_ms != INT64_MAX)
        buffer_format(&b, ",\"downtime_ms\":%" PRId64, e->downtime_ms);
    if (time_left(e, &left))
        buffer_format(&b, ",\"left_ms\":%" PRIu64, left);
    buffer_format(&b, ",\"elapsed_ms\":%" PRId64 "}", e->elapsed_ms);
    send_line(o, &b);
}

void handover_event_report(const struct handover_options *o,
                           const struct handover_report *r)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_format(&b,
                  "{\"event\":\"report\",\"move\":\"%s\",\"rounds\":%u,"
                  "\"pages\":%" PRIu64 ",\"zero_pages\":%" PRIu64
                  ",\"bytes\":%" PRIu64 ",\"rest_pages\":%" PRIu64
                  ",\"elapsed_us\":%" PRId64 ",\"blackout_us\":%" PRId64,
                  r->move, r->rounds, r->pages, r->zero_pages, r->bytes,
                  r->rest_pages, r->elapsed_ns / 1000, r->blackout_ns / 1000);
    buffer_format(&b,
                  ",\"stop_us\":%" PRId64 ",\"final_us\":%" PRId64
                  ",\"state_us\":%" PRId64 ",\"handover_us\":%" PRId64
                  ",\"resume_us\":%" PRId64 "}",
                  r->stop_ns / 1000, r->final_ns / 1000, r->state_ns / 1000,
                  r->handover_ns / 1000, r->resume_ns / 1000);
    send_line(o, &b);
}

bool find_same(struct keeper *k, uint32_t domid, const char *name,
               bool *ret_found, struct keeper_guest *ret, struct error *err)
{
    char text[16];

    snprintf(text, sizeof(text), "%" PRIu32, domid);
    if (!k->ops->find(k, text, ret_found, ret, err))
        return false;
    *ret_found = *ret_found && !strcmp(ret->name, name);
    return true;
}
