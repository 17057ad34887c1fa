/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host that a guest comes to.
 *
 *   state      guest here          what we do              a failure here
 *   LISTENING  none                write the banner, read  nothing happened
 *                                  the header, check it
 *   RECEIVING  being made          read the image          no domain is left
 *   READY      --incoming, paused  write "ready", read     it is destroyed
 *                                  "go"
 *   RELEASED   its own name        rename and unpause      destroyed, reported,
 *                                                          and given back
 *   RUNNING    runs                write the report        it runs all the same
 *
 * I1  The guest is unpaused here only after a whole "go".
 * I2  After that it is destroyed only if it was never unpaused, and only then
 *     does the source get it back.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "engine/move/conversation.h"
#include "engine/move/image_header.h"
#include "engine/move/move_common.h"

/* What xl's receiver sends for a failure without a number of its own. */
#define STATUS_FAILED 3

struct target {
    const struct move_options *options;
    const struct migrate_target_request *request;
    struct image_header header;
    uint8_t preamble[IMAGE_PREAMBLE];
    struct toolstack_guest guest; /* as it will be; then as it is */
    char incoming[TOOLSTACK_NAME_MAX];
    uint32_t domid;
    struct io in;
    struct io out;
};

static void target_release(struct target *t)
{
    io_release(&t->in);
    io_release(&t->out);
    image_header_release(&t->header);
}

static bool target_attach(struct target *t, struct error *err)
{
    const struct transport *tr = t->request->transport;
    int timeout_ms = t->options->answer_timeout_ms;

    return io_attach(&t->in, tr->recv_fd, false, timeout_ms,
                     t->options->cancel_fd, err) &&
           io_attach(&t->out, tr->send_fd, true, timeout_ms,
                     t->options->cancel_fd, err);
}

/*
 * Its name must be free when it starts.  Only the guest itself may have it
 * still: when both ends are one host, it gives the name up at the hand-over.
 */
static bool name_will_be_free(struct target *t, struct error *err)
{
    struct toolstack *ts = t->options->toolstack;
    struct toolstack_guest other;
    struct error none;

    if (!ts->ops->find(ts, t->guest.name, &other, &none))
        return true;
    return strcmp(other.uuid, t->guest.uuid) == 0 ||
           error_set(err, ERR_STATE,
                     "domain %.128s: exists here already, as number %u",
                     t->guest.name, other.domid);
}

/* The name it has until the hand-over; '*ret' is as long as a name may be. */
static bool incoming_name(const char *config_name, char *ret, size_t size,
                          struct error *err)
{
    int length = snprintf(ret, size, "%s" MOVE_NAME_INCOMING, config_name);

    return (length > 0 && (size_t)length < size) ||
           error_set(err, ERR_LIMIT, "domain %.64s...: the name is too long",
                     config_name);
}

/* LISTENING and RECEIVING. */
static bool receive_guest(struct target *t, struct error *err)
{
    struct toolstack *ts = t->options->toolstack;
    struct toolstack_work work = move_work(t->options);
    bool whole;

    move_tell(t->options, MOVE_STEP_CONNECT, NULL);
    if (!conversation_send(&t->out, MOVE_MESSAGE_BANNER, &whole, err) ||
        !image_header_read(&t->in, &t->header, err))
        return false;
    move_tell(t->options, MOVE_STEP_CHECK, NULL);
    if (!ts->ops->config_describe(ts, t->header.config, &t->guest, err) ||
        !name_will_be_free(t, err) ||
        !incoming_name(t->guest.name, t->incoming, sizeof(t->incoming), err) ||
        !ts->ops->config_check(ts, t->header.config, t->incoming, err))
        return false;
    if (!image_preamble_read(&t->in, t->preamble, err))
        return false;
    move_tell(t->options, MOVE_STEP_RESTORE, &t->guest);
    return ts->ops->restore(ts, t->header.config, t->incoming, t->preamble,
                            t->request->transport->recv_fd, &work, &t->domid,
                            err);
}

static void destroy_copy(struct target *t)
{
    struct toolstack *ts = t->options->toolstack;
    struct error second;

    if (!ts->ops->destroy(ts, t->domid, &second))
        log_warning(t->options->log, "%s", second.text);
}

/* READY. */
static bool await_release(struct target *t, struct error *err)
{
    bool whole;

    move_tell(t->options, MOVE_STEP_READY, &t->guest);
    return conversation_send(&t->out, MOVE_MESSAGE_READY, &whole, err) &&
           conversation_expect(&t->in, MOVE_MESSAGE_GO, err);
}

/* RELEASED. */
static bool start_guest(struct target *t, struct error *err)
{
    struct toolstack *ts = t->options->toolstack;

    move_tell(t->options, MOVE_STEP_START, &t->guest);
    return ts->ops->rename(ts, t->domid, t->incoming, t->guest.name, err) &&
           (t->request->paused || ts->ops->unpause(ts, t->domid, err));
}

static bool report(struct target *t, uint8_t status, struct error *err)
{
    bool whole;

    return conversation_send(&t->out, MOVE_MESSAGE_REPORT, &whole, err) &&
           conversation_send_status(&t->out, status, err);
}

/* The source waits for a verdict: it gets the guest back once ours is gone. */
static void give_back(struct target *t)
{
    struct toolstack *ts = t->options->toolstack;
    struct error second;
    bool whole;

    if (!report(t, STATUS_FAILED, &second) ||
        !ts->ops->destroy(ts, t->domid, &second) ||
        !conversation_send(&t->out, MOVE_MESSAGE_GO, &whole, &second))
        log_warning(t->options->log, "giving the guest back: %s", second.text);
}

bool migrate_target(const struct move_options *options,
                    const struct migrate_target_request *request,
                    struct toolstack_guest *ret_guest, enum move_outcome *ret,
                    struct error *err)
{
    cleanup(target_release) struct target t = {
        .options = options,
        .request = request,
        .in = {.own_fd = -1},
        .out = {.own_fd = -1},
    };
    struct toolstack *ts = options->toolstack;
    struct error second;

    *ret = MOVE_NOTHING;
    if (!target_attach(&t, err) || !receive_guest(&t, err))
        return false;
    if (!await_release(&t, err)) {
        destroy_copy(&t);
        return false;
    }
    /* The guest is ours: from here nobody's Ctrl-C may lose it. */
    t.in.cancel_fd = t.out.cancel_fd = -1;
    if (!start_guest(&t, err)) {
        give_back(&t);
        return false;
    }
    if (!report(&t, 0, &second))
        log_warning(options->log,
                    "the guest runs here, but the source does not know: %s",
                    second.text);
    move_tell(options, MOVE_STEP_END, &t.guest);
    if (!ts->ops->look(ts, t.domid, ret_guest, &second))
        *ret_guest = t.guest;
    *ret = MOVE_DONE;
    return true;
}
