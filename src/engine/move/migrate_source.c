/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host that a guest leaves.
 *
 *   state      guest here        what we do               a failure here
 *   CONNECTED  runs              read the banner          nothing happened
 *   GREETED    runs, then        write header and         the guest resumes
 *              suspended         image
 *   SENT       suspended         read "ready"             the guest resumes
 *   READY      suspended         rename it away, write    the guest resumes,
 *                                "go"                     with its name back
 *   RELEASED   --migratedaway    read the report          UNDECIDED: it stays
 *   REFUSED    --migratedaway    read "go" back           UNDECIDED: it stays
 *              then resumed
 *   GONE       destroyed
 *
 * I1  The guest is resumed here only if the target cannot have a whole "go",
 *     or has given it back.
 * I2  It is destroyed here only after the target's report that it runs there.
 *
 * READY becomes RELEASED with the last octet of "go" that the kernel takes from
 * us: a target that has fewer cannot act on them.  From then on cancelling has
 * no effect.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/move/conversation.h"
#include "engine/move/image_header.h"
#include "engine/move/move_common.h"

struct source {
    const struct move_options *options;
    const struct migrate_source_request *request;
    struct departure departure;
    struct io in;  /* from the target */
    struct io out; /* to the target */
};

static void source_release(struct source *s)
{
    io_release(&s->in);
    io_release(&s->out);
    departure_release(&s->departure);
}

static bool source_attach(struct source *s, struct error *err)
{
    const struct transport *t = s->request->transport;
    int timeout_ms = s->options->answer_timeout_ms;

    return io_attach(&s->in, t->recv_fd, false, timeout_ms,
                     s->options->cancel_fd, err) &&
           io_attach(&s->out, t->send_fd, true, timeout_ms,
                     s->options->cancel_fd, err);
}

/* Whether the target has hung up, so that a failed write has a reason. */
static bool target_hung_up(const struct source *s)
{
    struct pollfd pfd = {.fd = s->request->transport->recv_fd,
                         .events = POLLIN};
    char octet;

    if (poll(&pfd, 1, 0) <= 0)
        return false;
    if (pfd.revents & (POLLHUP | POLLERR))
        return true;
    return recv(pfd.fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* CONNECTED and GREETED. */
static bool send_guest(struct source *s, enum move_outcome *ret,
                       struct error *err)
{
    unsigned int flags = (s->request->live ? TOOLSTACK_SAVE_LIVE : 0) |
                         (s->request->debug ? TOOLSTACK_SAVE_DEBUG : 0);
    struct departure *d = &s->departure;

    move_tell(s->options, MOVE_STEP_CONNECT, &d->guest);
    if (!conversation_expect(&s->in, MOVE_MESSAGE_BANNER, err) ||
        !image_header_write(&s->out, (const char *)d->config.bytes, err))
        return false;
    if (departure_save(d, s->request->transport->send_fd, flags, ret, err))
        return true;
    if (err->code != ERR_CANCELLED && target_hung_up(s))
        error_wrap(err, "the target closed the connection");
    return false;
}

static bool rename_away(struct departure *d, struct error *err)
{
    struct toolstack *ts = d->options->toolstack;
    char away[TOOLSTACK_NAME_MAX];
    int length =
        snprintf(away, sizeof(away), "%s" MOVE_NAME_AWAY, d->guest.name);

    if (length < 0 || (size_t)length >= sizeof(away))
        return error_set(err, ERR_LIMIT,
                         "domain %u: a name of %zu octets is too long",
                         d->guest.domid, strlen(d->guest.name));
    if (!ts->ops->rename(ts, d->guest.domid, d->guest.name, away, err))
        return false;
    memcpy(d->away, away, sizeof(away));
    return true;
}

/* SENT and READY; '*ret_released' tells whether it may have ended in RELEASED. */
static bool release_guest(struct source *s, bool *ret_released,
                          struct error *err)
{
    *ret_released = false;
    move_tell(s->options, MOVE_STEP_READY, &s->departure.guest);
    if (!conversation_expect(&s->in, MOVE_MESSAGE_READY, err) ||
        !rename_away(&s->departure, err))
        return false;
    move_tell(s->options, MOVE_STEP_HANDOVER, &s->departure.guest);
    /* Forty-four octets go as a whole: what matters is that they do or not. */
    return conversation_send(&s->out, MOVE_MESSAGE_GO, ret_released, err);
}

/* RELEASED and REFUSED; true only when the guest runs there. */
static bool hear_report(struct source *s, enum move_outcome *ret,
                        struct error *err)
{
    uint8_t status;

    *ret = MOVE_UNDECIDED;
    s->in.cancel_fd = -1;
    if (!conversation_expect(&s->in, MOVE_MESSAGE_REPORT, err) ||
        !conversation_read_status(&s->in, &status, err))
        return false;
    if (status == 0)
        return true;
    if (!conversation_expect(&s->in, MOVE_MESSAGE_GO, err))
        return error_wrap(err,
                          "the target could not start the guest (status %u), "
                          "and",
                          status);
    error_set(err, ERR_PEER, "the target could not start the guest (status %u)",
              status);
    *ret = departure_abandon(&s->departure, err);
    return false;
}

bool migrate_source(const struct move_options *options,
                    const struct migrate_source_request *request,
                    enum move_outcome *ret, struct error *err)
{
    cleanup(source_release) struct source s = {
        .options = options,
        .request = request,
        .departure = {.lock = {.fd = -1}},
        .in = {.own_fd = -1},
        .out = {.own_fd = -1},
    };
    struct toolstack *ts = options->toolstack;
    bool released;

    *ret = MOVE_KEPT;
    if (!departure_begin(&s.departure, options, request->guest,
                         request->keep_domid, err) ||
        !source_attach(&s, err))
        return false;

    if (!send_guest(&s, ret, err)) {
        if (*ret != MOVE_GUEST_GONE)
            *ret = departure_abandon(&s.departure, err);
        return false;
    }
    if (!release_guest(&s, &released, err) && !released) {
        *ret = departure_abandon(&s.departure, err);
        return false;
    }
    if (!hear_report(&s, ret, err))
        return false;

    move_tell(options, MOVE_STEP_DISCARD, &s.departure.guest);
    *ret = MOVE_DONE;
    if (!ts->ops->destroy(ts, s.departure.guest.domid, err)) {
        *ret = MOVE_STUCK;
        return error_wrap(err, "the guest runs on the target; its remains");
    }
    move_tell(options, MOVE_STEP_END, &s.departure.guest);
    return true;
}
