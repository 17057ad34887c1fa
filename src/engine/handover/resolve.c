/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source of a move that was left behind finds out, and acts. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "engine/handover/handover_common.h"
#include "engine/handover/take_back.h"
#include "engine/move/guest_lock.h"

struct resolver {
    const struct handover_options *options;
    struct journal *journal;
    struct guest_lock lock;
    struct transport transport;
    struct talk talk;
    bool heard;
    enum handover_state target;
    bool there;
};

const char *resolve_result_name(enum resolve_result result)
{
    static const char *const names[] = {
        [RESOLVED_KEPT] = "kept",
        [RESOLVED_MOVED] = "moved",
        [RESOLVED_LOST] = "lost",
        [RESOLVED_WAITING] = "waiting",
    };

    return names[result];
}

static void resolver_release(struct resolver *r)
{
    talk_end(&r->talk);
    transport_release(&r->transport);
    guest_lock_release(&r->lock);
}

/* Ask the target what it has. */
static bool ask(struct resolver *r, struct error *err)
{
    struct json_object *m = message_make("resolve");
    struct json_object *answer;
    bool refused;

    message_add(m, "move", r->journal->facts.move);
    message_add(m, "state", handover_state_name(r->journal->state));
    if (!talk_begin(&r->talk, r->options, &r->transport, err)) {
        json_object_put(m);
        return false;
    }
    if (!message_send(&r->talk.out, m, err))
        return false;
    fault_point("resolve.asked", r->talk.out.fd);
    if (!message_expect(&r->talk.in, "state", &answer, &refused, err))
        return false;
    fault_point("resolve.heard", r->talk.out.fd);
    r->target = handover_state_of(message_text(answer, "state"));
    r->there = message_flag(answer, "there");
    r->heard = true;
    json_object_put(answer);
    return true;
}

/* True once the target knows that we have the guest, and has dropped its copy. */
static bool tell_kept(struct resolver *r, struct error *err)
{
    struct json_object *m;
    bool refused;

    if (r->target == HANDOVER_NONE)
        return true;
    if (!message_send(&r->talk.out, message_make("kept"), err) ||
        !message_expect(&r->talk.in, "dropped", &m, &refused, err))
        return false;
    json_object_put(m);
    return true;
}

static bool keep(struct resolver *r, enum resolve_result *ret,
                 struct error *err)
{
    const struct move_facts *f = &r->journal->facts;
    enum move_outcome outcome = MOVE_KEPT;

    if (r->journal->state != SOURCE_BACK)
        outcome = take_back(r->options, r->journal, f->domid, f->guest);
    if (outcome == MOVE_STUCK || r->journal->state != SOURCE_BACK)
        return error_set(err, ERR_HOST,
                         "guest %s (domid %" PRIu32 ") could not be resumed",
                         f->guest, f->domid);
    *ret = outcome == MOVE_GUEST_GONE ? RESOLVED_LOST : RESOLVED_KEPT;
    return true;
}

/* Our copy, which is suspended, goes. */
static bool discard(struct resolver *r, struct error *err)
{
    struct keeper *k = r->options->keeper;
    const struct move_facts *f = &r->journal->facts;
    struct keeper_guest guest;
    bool found;

    if (r->journal->state == SOURCE_DONE)
        return true;
    if (r->journal->state != SOURCE_GONE &&
        !journal_write(r->journal, SOURCE_GONE, true, err))
        return false;
    fault_point("resolve.gone", r->talk.out.fd);
    if (!find_same(k, f->domid, f->guest, &found, &guest, err))
        return false;
    if (found && guest.state == KEPT_SUSPENDED &&
        !k->ops->destroy(k, f->domid, err))
        return false;
    return journal_write(r->journal, SOURCE_DONE, false, err);
}

static bool tell_forget(struct resolver *r, struct error *err)
{
    return r->target == HANDOVER_NONE ||
           message_send(&r->talk.out, message_make("forget"), err);
}

/* '*ret' is RESOLVED_KEPT when the target gives the guest back. */
static bool release_guest(struct resolver *r, enum resolve_result *ret,
                          struct error *err)
{
    struct json_object *m;
    bool refused;

    if (r->journal->state != SOURCE_RELEASED &&
        !journal_write(r->journal, SOURCE_RELEASED, true, err))
        return false;
    fault_point("resolve.released", r->talk.out.fd);
    if (!message_send(&r->talk.out, message_make("release"), err))
        return false;
    fault_point("resolve.release.sent", r->talk.out.fd);
    if (message_expect(&r->talk.in, "running", &m, &refused, err)) {
        json_object_put(m);
        fault_point("resolve.running", r->talk.out.fd);
        *ret = RESOLVED_MOVED;
        return true;
    }
    if (!refused)
        return false;
    r->target = HANDOVER_NONE;
    return keep(r, ret, err);
}

static bool act(struct resolver *r, enum resolve_step step,
                enum resolve_result *ret, struct error *err)
{
    switch (step) {
    case RESOLVE_KEEP:
        return keep(r, ret, err);
    case RESOLVE_RELEASE:
        return release_guest(r, ret, err) &&
               (*ret != RESOLVED_MOVED || discard(r, err));
    case RESOLVE_DISCARD:
        *ret = RESOLVED_MOVED;
        return discard(r, err);
    case RESOLVE_LOST:
        *ret = RESOLVED_LOST;
        return journal_write(r->journal, SOURCE_BACK, true, err);
    case RESOLVE_ASK:
        break;
    }
    *ret = RESOLVED_WAITING;
    return true;
}

bool handover_resolve(const struct handover_options *options, struct journal *j,
                      bool (*connect)(void *context, const char *peer,
                                      struct transport *ret, struct error *err),
                      void *context, enum resolve_result *ret, bool *ret_told,
                      struct error *err)
{
    cleanup(resolver_release) struct resolver r = {
        .options = options,
        .journal = j,
        .lock = {.fd = -1                       },
        .talk = { .in = {.fd = -1, .own_fd = -1},
                 .out = {.fd = -1, .own_fd = -1}},
    };
    enum resolve_result result = RESOLVED_WAITING;
    enum resolve_step step;
    struct keeper_guest guest;
    struct error unheard;
    char moves[512];
    bool here;

    *ret_told = false;
    if (j->role == ROLE_TARGET) {
        *ret = j->state == TARGET_RUNNING     ? RESOLVED_MOVED
               : j->state == TARGET_RECEIVING ? RESOLVED_KEPT
                                              : RESOLVED_WAITING;
        *ret_told = j->state == TARGET_RECEIVING;
        return handover_drop_partial(options, j, err);
    }
    snprintf(moves, sizeof(moves), "%s/moves", options->folder);
    if (!guest_lock_take(&r.lock, moves, j->facts.domid, err) ||
        !find_same(options->keeper, j->facts.domid, j->facts.guest, &here,
                   &guest, err))
        return false;
    /* What can be decided alone is, before anybody is asked. */
    step = handover_resolve_step(j->state, here, false, HANDOVER_NONE, false);
    if (!act(&r, step, &result, err))
        return false;
    if (!connect(context, j->facts.peer, &r.transport, &unheard) ||
        !ask(&r, &unheard)) {
        *ret = result;
        log_info(options->log, "%s", unheard.text);
        if (result != RESOLVED_WAITING)
            return true;
        if (err)
            *err = unheard;
        return error_wrap(err, "the other side cannot be asked");
    }
    if (result == RESOLVED_WAITING) {
        step =
            handover_resolve_step(j->state, here, r.heard, r.target, r.there);
        if (step == RESOLVE_ASK)
            return error_set(err, ERR_STATE,
                             "the target has no journal of move %s, expected "
                             "one; look for guest %s on both hosts",
                             j->facts.move, j->facts.guest);
        if (!act(&r, step, &result, err))
            return false;
    }
    *ret = result;
    fault_point("resolve.settled", r.talk.out.fd);
    *ret_told = result == RESOLVED_MOVED ? tell_forget(&r, &unheard)
                                         : tell_kept(&r, &unheard);
    if (*ret_told)
        journal_remove(j);
    return true;
}
