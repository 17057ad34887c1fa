/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host that a guest comes to; states.h has the states. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/handover/handover_common.h"
#include "engine/handover/offer.h"

/* What a source that we gave up still sends is read for so long, so that our
   reason reaches it. */
#define DRAIN_MS 3000
/* The source discards its copy first. */
#define FORGET_MS 10000

struct target {
    const struct handover_options *options;
    const struct handover_target_request *request;
    struct move_facts facts;
    struct journal journal;
    struct talk talk;
    bool cancelled; /* before the copy was READY: nothing is promised yet */
    /* What became of the move once its image was whole. */
    enum move_outcome outcome;
    bool ended_well;
    struct error error;
};

static void target_release(struct target *t)
{
    talk_end(&t->talk);
    journal_release(&t->journal);
}

static void tell(const struct target *t, enum move_step step)
{
    handover_tell(t->options, step, t->facts.guest, t->facts.domid);
}

static bool note(struct target *t, enum handover_state state, struct error *err)
{
    char point[64];
    bool ok;

    snprintf(point, sizeof(point), "target.%s.before",
             handover_state_name(state));
    fault_point(point, t->talk.out.fd);
    ok = journal_write(&t->journal, state, true, err);
    snprintf(point, sizeof(point), "target.%s.after",
             handover_state_name(state));
    fault_point(point, t->talk.out.fd);
    return ok;
}

/* ---- giving up ------------------------------------------------------------ */

/* The copy, if there is one, is no more; the journal says so for good. */
static bool drop_copy(struct target *t, struct error *err)
{
    struct keeper *k = t->options->keeper;
    struct keeper_guest guest;
    bool found;

    if (t->journal.fd >= 0 && t->journal.state != TARGET_DROPPED &&
        !note(t, TARGET_DROPPED, err))
        return false;
    if (!find_same(k, t->facts.domid, t->facts.guest, &found, &guest, err))
        return false;
    /* One that runs is not the copy. */
    if (found && guest.state == KEPT_PAUSED)
        return k->ops->destroy(k, t->facts.domid, err);
    return true;
}

static void drain(struct target *t)
{
    int64_t deadline = deadline_after_ms(DRAIN_MS);
    char noise[4096];
    size_t got = 1;

    t->talk.in.idle_timeout_ms = DRAIN_MS;
    while (got && clock_now_ns() < deadline)
        if (!io_read_some(&t->talk.in, noise, sizeof(noise), &got, NULL))
            break;
}

/* Say why, in a way that gets there. */
static void say_failed(struct target *t, const char *type,
                       const struct error *error)
{
    t->talk.in.cancel_fd = t->talk.out.cancel_fd = -1;
    if (message_send_error(&t->talk.out, type, error, NULL)) {
        transport_half_close(t->request->transport);
        drain(t);
    }
}

bool handover_drop_partial(const struct handover_options *options,
                           struct journal *j, struct error *err)
{
    struct target t = {.options = options, .journal = *j, .facts = j->facts};
    bool ok;

    if (j->role != ROLE_TARGET || j->state != TARGET_RECEIVING)
        return true;
    ok = drop_copy(&t, err);
    j->state = t.journal.state;
    if (ok)
        journal_remove(j);
    return ok;
}

static bool drop_if_partial(void *context, struct journal *j)
{
    const struct handover_options *options = context;
    struct error error;

    if (!handover_drop_partial(options, j, &error))
        log_warning(options->log, "%s", error.text);
    return true;
}

/* ---- the copy ------------------------------------------------------------- */

static void on_event(void *context, const struct engine_event *e)
{
    struct target *t = context;
    char point[64];

    snprintf(point, sizeof(point), "target.%s", engine_phase_name(e->phase));
    fault_point(point, t->talk.out.fd);
    handover_event(t->options, e);
}

/* ---- in the source's hands ------------------------------------------------ */

/* A source that asks again may find that it runs already. */
static enum keeper_outcome start_once(struct target *t, struct error *err)
{
    struct keeper *k = t->options->keeper;
    struct keeper_guest guest;
    bool found;

    if (t->facts.paused)
        return KEEPER_DONE;
    if (!find_same(k, t->facts.domid, t->facts.guest, &found, &guest, err))
        return KEEPER_REFUSED;
    if (!found) {
        error_set(err, ERR_STATE, "guest %s is no more", t->facts.guest);
        return KEEPER_REFUSED;
    }
    if (guest.state != KEPT_PAUSED)
        return KEEPER_DONE;
    return k->ops->start(k, t->facts.domid, err);
}

/* It never ran here, and never will: the source may have it again. */
static bool give_back(struct target *t, const struct error *reason,
                      enum move_outcome *ret, struct error *err)
{
    *ret = MOVE_NOTHING;
    if (!note(t, TARGET_DROPPED, err))
        return false;
    if (!drop_copy(t, err))
        log_info(t->options->log, "%s", err->text);
    say_failed(t, "failed", reason);
    if (err)
        *err = *reason;
    return error_wrap(err, "starting the guest");
}

/* It is ours. */
static bool on_release(struct target *t, enum move_outcome *ret,
                       struct error *err)
{
    bool anew = t->journal.state == TARGET_READY;
    enum keeper_outcome outcome;
    struct error reason;

    fault_point("target.release.received", t->talk.out.fd);
    if (anew && !note(t, TARGET_RUNNING, err))
        return false;
    *ret = MOVE_UNDECIDED;
    tell(t, MOVE_STEP_START);
    outcome = start_once(t, &reason);
    if (outcome == KEEPER_REFUSED && anew)
        return give_back(t, &reason, ret, err);
    if (outcome != KEEPER_DONE) {
        if (err)
            *err = reason;
        return error_wrap(err, "starting the guest");
    }
    *ret = MOVE_DONE;
    fault_point("target.started", t->talk.out.fd);
    if (!message_send(&t->talk.out, message_make("running"), err))
        return error_wrap(err, "the guest runs here, but the source");
    fault_point("target.running.sent", t->talk.out.fd);
    return true;
}

static bool on_kept(struct target *t, enum move_outcome *ret, struct error *err)
{
    if (!drop_copy(t, err))
        return false;
    *ret = MOVE_NOTHING;
    fault_point("target.dropped", t->talk.out.fd);
    if (!message_send(&t->talk.out, message_make("dropped"), err))
        return false;
    journal_remove(&t->journal);
    return error_set(err, ERR_CANCELLED, "the source has kept the guest");
}

/* A message, or a clean end: '*ret' is NULL then. */
static bool next_message(struct target *t, struct json_object **ret,
                         struct error *err)
{
    struct error reason;

    *ret = NULL;
    if (talk_await(&t->talk, t->options, &t->journal, &reason) &&
        message_receive(&t->talk.in, ret, &reason))
        return true;
    if (t->journal.state == TARGET_RUNNING ||
        t->journal.state == TARGET_DROPPED)
        return true;
    if (err)
        *err = reason;
    return error_wrap(err, "the guest is here, whole and paused, until "
                           "'xenferry resolve' has run at the source");
}

/* READY, or later: what happens is the source's to say. */
static bool serve(struct target *t, enum move_outcome *ret, struct error *err)
{
    struct json_object *m;

    t->talk.in.cancel_fd = t->talk.out.cancel_fd = -1;
    for (;;) {
        const char *type;
        bool ok = true, last = false;

        if (!next_message(t, &m, err))
            return false;
        if (!m)
            return true;
        type = message_type(m);
        if (!strcmp(type, "release") && (t->journal.state == TARGET_READY ||
                                         t->journal.state == TARGET_RUNNING)) {
            ok = on_release(t, ret, err);
            t->talk.in.idle_timeout_ms = FORGET_MS;
        } else if (!strcmp(type, "kept") &&
                   t->journal.state != TARGET_RUNNING) {
            ok = on_kept(t, ret, err);
        } else if (!strcmp(type, "forget") &&
                   (t->journal.state == TARGET_RUNNING ||
                    t->journal.state == TARGET_DROPPED)) {
            journal_remove(&t->journal);
            last = true;
        } else {
            ok = error_set(err, ERR_PEER,
                           "the source said \"%.32s\", which makes no sense "
                           "in state %s",
                           type, handover_state_name(t->journal.state));
        }
        json_object_put(m);
        if (!ok || last)
            return ok;
    }
}

/* ---- a guest that comes --------------------------------------------------- */

static bool admit(struct target *t, struct json_object *m,
                  struct move_offer *offer, struct error *err)
{
    unsigned int busy;

    tell(t, MOVE_STEP_CHECK);
    return journal_each(t->options->folder, drop_if_partial, (void *)t->options,
                        &busy, err) &&
           offer_from_message(m, offer, err) &&
           offer_check(offer, t->options->keeper, wall_clock_ms(), err);
}

static bool make_domain(struct target *t, const struct move_offer *offer,
                        struct error *err)
{
    struct keeper *k = t->options->keeper;
    bool ok;

    memcpy(t->facts.move, offer->move, sizeof(t->facts.move));
    memcpy(t->facts.guest, offer->guest.name, sizeof(t->facts.guest));
    t->facts.domid = offer->guest.domid;
    t->facts.paused = offer->paused || t->request->paused;
    snprintf(t->facts.peer, sizeof(t->facts.peer), "%s",
             t->request->transport->name);
    fault_point("target.receiving.before", t->talk.out.fd);
    ok = journal_create(&t->journal, t->options->folder, ROLE_TARGET, &t->facts,
                        TARGET_RECEIVING, err);
    fault_point("target.receiving.after", t->talk.out.fd);
    return ok && k->ops->create(k, &offer->guest, err);
}

/* Whole, and paused: from here on what happens is the source's to say. */
static bool be_ready(struct target *t, enum move_outcome *ret,
                     struct error *err)
{
    *ret = MOVE_UNDECIDED;
    t->talk.in.cancel_fd = t->talk.out.cancel_fd = -1;
    if (!note(t, TARGET_READY, err))
        return false;
    if (!message_send(&t->talk.out, message_make("ready"), err))
        return error_wrap(err, "the guest is here, whole and paused");
    fault_point("target.ready.sent", t->talk.out.fd);
    tell(t, MOVE_STEP_READY);
    return serve(t, ret, err);
}

static void on_whole(void *context)
{
    struct target *t = context;

    fault_point("target.restored", t->talk.out.fd);
    t->cancelled = !handover_goes_on(t->options, &t->error);
    if (!t->cancelled)
        t->ended_well = be_ready(t, &t->outcome, &t->error);
}

static bool restore_image(struct target *t, struct error *err)
{
    const struct handover_options *o = t->options;
    struct restore_request request = {
        .host = o->host,
        .domid = t->facts.domid,
        .fd = t->request->transport->recv_fd,
        .noncoop = true,
        .runs = true,
        .callbacks = &plain_restore,
        .callback_context = t,
        .whole = on_whole,
        .options = {.log = o->log,
                    .event = on_event,
                    .event_context = t,
                    .cancel_fd = o->cancel_fd,
                    .idle_timeout_ms = o->timeout_ms},
    };
    struct restore_report restored;

    tell(t, MOVE_STEP_RESTORE);
    if (!engine_restore(&request, &restored, err))
        return false;
    if (t->cancelled && err)
        *err = t->error;
    return !t->cancelled;
}

static bool take_guest(struct target *t, struct json_object *m,
                       enum move_outcome *ret, struct error *err)
{
    struct move_offer offer;
    struct error reason;

    *ret = MOVE_NOTHING;
    if (!admit(t, m, &offer, err) || !make_domain(t, &offer, err)) {
        reason = *err;
        if (t->journal.fd >= 0)
            journal_remove(&t->journal);
        say_failed(t, "refuse", &reason);
        return false;
    }
    fault_point("target.created", t->talk.out.fd);
    if (!message_send(&t->talk.out, message_make("accept"), err) ||
        !restore_image(t, err)) {
        reason = *err;
        if (!drop_copy(t, err)) {
            *ret = MOVE_STUCK;
            return false;
        }
        say_failed(t, "failed", &reason);
        journal_remove(&t->journal);
        *err = reason;
        return false;
    }
    *ret = t->outcome;
    if (!t->ended_well && err)
        *err = t->error;
    return t->ended_well;
}

/* ---- a source that asks --------------------------------------------------- */

static bool open_left_behind(struct target *t, struct json_object *m,
                             bool *ret_found, struct error *err)
{
    const char *move = message_text(m, "move");

    if (!journal_open(&t->journal, t->options->folder, ROLE_TARGET, move,
                      ret_found, err))
        return false;
    if (*ret_found)
        t->facts = t->journal.facts;
    return true;
}

/* A copy that is not whole, or that its host has lost, is given up here. */
static bool settle(struct target *t, bool *ret_there, struct error *err)
{
    struct keeper *k = t->options->keeper;
    struct keeper_guest guest;

    if (!find_same(k, t->facts.domid, t->facts.guest, ret_there, &guest, err))
        return false;
    if (t->journal.state == TARGET_RECEIVING ||
        t->journal.state == TARGET_DROPPED ||
        (t->journal.state == TARGET_READY && !*ret_there)) {
        *ret_there = false;
        return drop_copy(t, err);
    }
    return true;
}

static bool answer_question(struct target *t, struct json_object *question,
                            enum move_outcome *ret, struct error *err)
{
    struct json_object *m;
    bool found, there = false;

    *ret = MOVE_NOTHING;
    if (!open_left_behind(t, question, &found, err) ||
        (found && !settle(t, &there, err))) {
        struct error reason = *err;

        say_failed(t, "failed", &reason);
        return false;
    }
    m = message_make("state");
    message_add(m, "state", handover_state_name(t->journal.state));
    json_object_object_add(m, "there", json_object_new_boolean(there));
    if (!message_send(&t->talk.out, m, err))
        return false;
    *ret = t->journal.state == TARGET_READY     ? MOVE_UNDECIDED
           : t->journal.state == TARGET_RUNNING ? MOVE_DONE
                                                : MOVE_NOTHING;
    return !found || serve(t, ret, err);
}

bool handover_target(const struct handover_options *options,
                     const struct handover_target_request *request,
                     struct toolstack_guest *ret_guest,
                     enum move_outcome *ret_outcome, struct error *err)
{
    cleanup(target_release) struct target t = {
        .options = options,
        .request = request,
        .journal = JOURNAL_NONE,
        .talk = {.in = {.fd = -1, .own_fd = -1},
                 .out = {.fd = -1, .own_fd = -1}},
    };
    struct json_object *m;
    bool ok;

    *ret_outcome = MOVE_NOTHING;
    tell(&t, MOVE_STEP_CONNECT);
    if (!talk_begin(&t.talk, options, request->transport, err) ||
        !message_receive(&t.talk.in, &m, err))
        return false;
    fault_point("target.asked", t.talk.out.fd);
    if (!strcmp(message_type(m), "move"))
        ok = take_guest(&t, m, ret_outcome, err);
    else if (!strcmp(message_type(m), "resolve"))
        ok = answer_question(&t, m, ret_outcome, err);
    else
        ok = error_set(err, ERR_PEER,
                       "the other side said \"%.32s\", expected \"move\" or "
                       "\"resolve\"",
                       message_type(m));
    json_object_put(m);
    snprintf(ret_guest->name, sizeof(ret_guest->name), "%s", t.facts.guest);
    ret_guest->domid = t.facts.domid;
    if (ok)
        tell(&t, MOVE_STEP_END);
    return ok;
}
