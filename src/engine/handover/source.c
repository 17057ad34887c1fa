/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host that a guest leaves; states.h has the states. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/handover/handover_common.h"
#include "engine/handover/offer.h"
#include "engine/handover/take_back.h"
#include "engine/move/guest_lock.h"

/* What the other side may still have to say about a broken stream. */
#define LAST_WORD_MS 2000
/* A target that has all of it loads its state before it listens again. */
#define DROPPED_MS 10000

struct source {
    const struct handover_options *options;
    const struct handover_source_request *request;
    struct handover_report *report;
    struct keeper_guest guest;
    struct guest_lock lock;
    struct journal journal;
    struct talk talk;
    int64_t began_ns;
    /* When each part of the blackout began, and when it was over. */
    int64_t stop_ns, final_ns, state_ns, sent_ns, released_ns, running_ns;
    bool refused;  /* the target has said that it has no copy */
    bool released; /* 'outcome' says what became of it */
    enum move_outcome outcome;
};

static void source_release(struct source *s)
{
    talk_end(&s->talk);
    journal_release(&s->journal);
    guest_lock_release(&s->lock);
}

static void tell(const struct source *s, enum move_step step)
{
    handover_tell(s->options, step, s->guest.name, s->guest.domid);
}

static bool note(struct source *s, enum handover_state state, bool sync,
                 struct error *err)
{
    char point[64];
    bool ok;

    snprintf(point, sizeof(point), "source.%s.before",
             handover_state_name(state));
    fault_point(point, s->talk.out.fd);
    ok = journal_write(&s->journal, state, sync, err);
    snprintf(point, sizeof(point), "source.%s.after",
             handover_state_name(state));
    fault_point(point, s->talk.out.fd);
    return ok;
}

/* ---- before anything changes --------------------------------------------- */

struct leftover {
    uint32_t domid;
    char move[MOVE_ID_MAX];
};

static bool is_leftover(void *context, struct journal *j)
{
    struct leftover *l = context;

    if (j->role == ROLE_SOURCE && j->facts.domid == l->domid &&
        j->state != SOURCE_DONE && j->state != SOURCE_BACK)
        memcpy(l->move, j->facts.move, sizeof(l->move));
    return !l->move[0];
}

/* A move that was left behind has to be resolved first. */
static bool refuse_leftover(struct source *s, struct error *err)
{
    struct leftover l = {.domid = s->guest.domid};
    unsigned int busy;

    if (!journal_each(s->options->folder, is_leftover, &l, &busy, err))
        return false;
    return !l.move[0] ||
           error_set(err, ERR_STATE,
                     "guest %s: an earlier move (%s) was left unfinished; run "
                     "'xenferry resolve' first",
                     s->guest.name, l.move);
}

static bool find_guest(struct source *s, struct error *err)
{
    struct keeper *k = s->options->keeper;
    char moves[512];
    bool found;

    if (!k->ops->find(k, s->request->guest, &found, &s->guest, err))
        return false;
    if (!found)
        return error_set(err, ERR_STATE, "no guest \"%s\" on this host",
                         s->request->guest);
    if (s->guest.state != KEPT_RUNNING)
        return error_set(err, ERR_STATE, "guest %s: it does not run; %s",
                         s->guest.name,
                         s->guest.state == KEPT_PAUSED ? "unpause it first"
                         : s->guest.state == KEPT_SUSPENDED
                             ? "an earlier move stopped it, see 'xenferry "
                               "resolve'"
                             : "there is nothing to move");
    if (*s->guest.cannot_leave)
        return error_set(err, ERR_STATE, "guest %s cannot leave: %s",
                         s->guest.name, s->guest.cannot_leave);
    snprintf(moves, sizeof(moves), "%s/moves", s->options->folder);
    return guest_lock_take(&s->lock, moves, s->guest.domid, err) &&
           refuse_leftover(s, err);
}

/* Both sides agree, or nothing has changed. */
static bool agree(struct source *s, struct error *err)
{
    struct keeper *k = s->options->keeper;
    struct move_facts facts = {.domid = s->guest.domid};
    struct json_object *answer;
    struct keeper_host host;
    struct move_offer offer;
    bool refused;

    tell(s, MOVE_STEP_CONNECT);
    if (!move_id_make(facts.move, err) ||
        !talk_begin(&s->talk, s->options, s->request->transport, err) ||
        !k->ops->describe(k, &host, err) ||
        !offer_make(&offer, facts.move, &host, &s->guest, err))
        return false;
    offer.paused = s->request->paused;
    snprintf(facts.guest, sizeof(facts.guest), "%s", s->guest.name);
    snprintf(facts.peer, sizeof(facts.peer), "%s", s->request->peer);
    memcpy(s->report->move, facts.move, sizeof(facts.move));
    tell(s, MOVE_STEP_CHECK);
    if (!message_send(&s->talk.out, offer_to_message(&offer), err))
        return false;
    fault_point("source.move.sent", s->talk.out.fd);
    if (!message_expect(&s->talk.in, "accept", &answer, &refused, err))
        return refused ? error_wrap(err, "the target refuses") : false;
    json_object_put(answer);
    fault_point("source.accept.received", s->talk.out.fd);
    fault_point("source.precopy.before", s->talk.out.fd);
    if (!journal_create(&s->journal, s->options->folder, ROLE_SOURCE, &facts,
                        SOURCE_PRECOPY, err))
        return false;
    fault_point("source.precopy.after", s->talk.out.fd);
    return true;
}

/* ---- the image ----------------------------------------------------------- */

static void on_event(void *context, const struct engine_event *e)
{
    struct source *s = context;
    int64_t now = clock_now_ns();
    char point[64];

    snprintf(point, sizeof(point), "source.%s", engine_phase_name(e->phase));
    fault_point(point, s->talk.out.fd);
    if (e->phase == PHASE_SUSPEND && !s->stop_ns)
        s->stop_ns = now;
    if (e->phase == PHASE_FINAL && !s->final_ns)
        s->final_ns = now;
    if (e->phase == PHASE_STATE && !s->state_ns)
        s->state_ns = now;
    if (e->phase == PHASE_STATE)
        s->report->rest_pages = e->round_total;
    handover_event(s->options, e);
}

static bool on_suspend(void *context, struct error *err)
{
    struct source *s = context;
    struct keeper *k = s->options->keeper;

    return note(s, SOURCE_STOPPED, false, err) &&
           k->ops->suspend(k, s->guest.domid, err);
}

static const struct save_callbacks callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = plain_device_model,
    .postcopy = plain_checkpoint,
    .checkpoint = plain_checkpoint,
};

/* The reason of the other side, if it has one, is better than "broken pipe". */
static void hear_reason(struct source *s, struct error *err)
{
    struct json_object *m;
    struct error reason;
    bool refused;

    if (err->code != ERR_PEER && err->code != ERR_IO)
        return;
    s->talk.in.idle_timeout_ms = LAST_WORD_MS;
    if (message_expect(&s->talk.in, "ready", &m, &refused, &reason))
        json_object_put(m);
    else if (refused)
        error_set(err, reason.code, "the target: %.400s", reason.text);
}

/* ---- handing over -------------------------------------------------------- */

static bool wait_ready(struct source *s, struct error *err)
{
    struct json_object *m;

    tell(s, MOVE_STEP_READY);
    if (!message_expect(&s->talk.in, "ready", &m, &s->refused, err))
        return s->refused ? error_wrap(err, "the target") : false;
    json_object_put(m);
    fault_point("source.ready.received", s->talk.out.fd);
    return true;
}

/*
 * From the journal's RELEASED on the guest is the target's, unless it says that
 * it is not.
 */
static bool release_guest(struct source *s, struct error *err)
{
    struct json_object *m;
    bool refused;

    s->talk.in.cancel_fd = s->talk.out.cancel_fd = -1;
    s->released = true;
    s->outcome = MOVE_UNDECIDED;
    if (!message_send(&s->talk.out, message_make("release"), err))
        return false;
    s->released_ns = clock_now_ns();
    fault_point("source.release.sent", s->talk.out.fd);
    tell(s, MOVE_STEP_HANDOVER);
    if (!talk_await(&s->talk, s->options, &s->journal, err))
        return error_wrap(err, "waiting for \"running\"");
    if (message_expect(&s->talk.in, "running", &m, &refused, err)) {
        s->running_ns = clock_now_ns();
        json_object_put(m);
        fault_point("source.running.received", s->talk.out.fd);
        s->outcome = MOVE_DONE;
        return true;
    }
    if (refused) {
        error_wrap(err, "the target could not start the guest");
        s->outcome =
            take_back(s->options, &s->journal, s->guest.domid, s->guest.name);
        if (s->journal.state == SOURCE_BACK)
            journal_remove(&s->journal);
    }
    return false;
}

/*
 * The image is on its way.  The guest stands still until the target runs it, so
 * everything else, the save's own end as well, comes after that.
 */
static bool on_sent(void *context, const struct save_report *saved,
                    struct error *err)
{
    struct source *s = context;

    s->sent_ns = clock_now_ns();
    s->report->rounds = saved->rounds;
    s->report->pages = saved->pages;
    s->report->zero_pages = saved->zero_pages;
    s->report->bytes = saved->bytes;
    /* Past this last question there is no way back. */
    return note(s, SOURCE_SENT, false, err) && wait_ready(s, err) &&
           handover_goes_on(s->options, err) &&
           note(s, SOURCE_RELEASED, true, err) && release_guest(s, err);
}

static bool hand_over(struct source *s, struct error *err)
{
    const struct handover_options *o = s->options;
    struct save_request request = {
        .host = o->host,
        .domid = s->guest.domid,
        .fd = s->request->transport->send_fd,
        .live = s->request->live,
        .precopy = s->request->precopy,
        .noncoop = true,
        .runs = true,
        .rate_limit = s->request->bandwidth_cap,
        .callbacks = &callbacks,
        .callback_context = s,
        .sent = on_sent,
        .options = {.log = o->log,
                    .event = on_event,
                    .event_context = s,
                    .cancel_fd = o->cancel_fd,
                    .idle_timeout_ms = o->timeout_ms},
    };
    struct save_report saved;

    tell(s, MOVE_STEP_SAVE);
    if (engine_save(&request, &saved, err))
        return true;
    if (!s->sent_ns)
        hear_reason(s, err);
    return false;
}

static bool discard(struct source *s, struct error *err)
{
    struct keeper *k = s->options->keeper;

    tell(s, MOVE_STEP_DISCARD);
    if (!note(s, SOURCE_GONE, true, err) ||
        !k->ops->destroy(k, s->guest.domid, err) ||
        !note(s, SOURCE_DONE, false, err))
        return error_wrap(err, "the guest runs on the target; its remains");
    /* Without this word only a journal is left over there. */
    if (message_send(&s->talk.out, message_make("forget"), NULL))
        journal_remove(&s->journal);
    return true;
}

/* ---- backing out --------------------------------------------------------- */

/* Its answer to "kept"; one "ready" may have been on its way before. */
static bool has_dropped(struct source *s)
{
    bool dropped = false;

    for (int i = 0; i < 2 && !dropped; i++) {
        struct json_object *m;

        if (!message_receive(&s->talk.in, &m, NULL))
            return false;
        dropped = !strcmp(message_type(m), "dropped") ||
                  !strcmp(message_type(m), "failed");
        json_object_put(m);
    }
    return dropped;
}

/* A target that may be READY has to know that the guest stays with us. */
static void tell_kept(struct source *s)
{
    s->talk.in.cancel_fd = s->talk.out.cancel_fd = -1;
    s->talk.in.idle_timeout_ms = DROPPED_MS;
    if (message_send(&s->talk.out, message_make("kept"), NULL) &&
        has_dropped(s))
        journal_remove(&s->journal);
}

static enum move_outcome back_out(struct source *s)
{
    bool may_be_ready = s->journal.state == SOURCE_SENT && !s->refused;
    enum move_outcome outcome;

    if (s->journal.fd < 0)
        return MOVE_KEPT;
    tell(s, MOVE_STEP_TAKEBACK);
    outcome = take_back(s->options, &s->journal, s->guest.domid, s->guest.name);
    /* The target's copy may be the only one: 'xenferry resolve' has to see. */
    if (s->journal.state != SOURCE_BACK)
        return MOVE_STUCK;
    if (may_be_ready)
        tell_kept(s);
    else
        journal_remove(&s->journal);
    return outcome;
}

static void complete_report(struct source *s)
{
    struct handover_report *r = s->report;

    r->elapsed_ns = s->running_ns - s->began_ns;
    r->blackout_ns = s->running_ns - s->stop_ns;
    r->stop_ns = s->final_ns - s->stop_ns;
    r->final_ns = s->state_ns - s->final_ns;
    r->state_ns = s->sent_ns - s->state_ns;
    r->handover_ns = s->released_ns - s->sent_ns;
    r->resume_ns = s->running_ns - s->released_ns;
}

bool handover_source(const struct handover_options *options,
                     const struct handover_source_request *request,
                     struct handover_report *ret,
                     enum move_outcome *ret_outcome, struct error *err)
{
    struct handover_report report = {0};
    cleanup(source_release) struct source s = {
        .options = options,
        .request = request,
        .report = &report,
        .lock = {.fd = -1                       },
        .journal = JOURNAL_NONE,
        .talk = { .in = {.fd = -1, .own_fd = -1},
                 .out = {.fd = -1, .own_fd = -1}},
        .began_ns = clock_now_ns(),
    };

    *ret_outcome = MOVE_KEPT;
    if (!find_guest(&s, err))
        return false;
    if (!agree(&s, err) || !hand_over(&s, err)) {
        /* RELEASED or later has been dealt with. */
        *ret_outcome = s.released ? s.outcome : back_out(&s);
        return false;
    }
    complete_report(&s);
    *ret_outcome = MOVE_DONE;
    *ret = report;
    if (!discard(&s, err)) {
        *ret_outcome = MOVE_STUCK;
        return false;
    }
    handover_event_report(options, &report);
    tell(&s, MOVE_STEP_END);
    return true;
}
