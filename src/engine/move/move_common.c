/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/move/move_common.h"

#include <stdio.h>
#include <string.h>

const char *move_outcome_name(enum move_outcome outcome)
{
    static const char *const names[] = {
        [MOVE_DONE] = "done",
        [MOVE_KEPT] = "kept",
        [MOVE_STUCK] = "stuck",
        [MOVE_UNDECIDED] = "undecided",
        [MOVE_GUEST_GONE] = "guest-gone",
        [MOVE_NOTHING] = "nothing",
    };

    return names[outcome];
}

const char *move_step_name(enum move_step step)
{
    static const char *const names[] = {
        [MOVE_STEP_CONNECT] = "connect",   [MOVE_STEP_CHECK] = "check",
        [MOVE_STEP_SAVE] = "save",         [MOVE_STEP_RESTORE] = "restore",
        [MOVE_STEP_SYNC] = "sync",         [MOVE_STEP_READY] = "ready",
        [MOVE_STEP_HANDOVER] = "handover", [MOVE_STEP_START] = "start",
        [MOVE_STEP_TAKEBACK] = "takeback", [MOVE_STEP_DISCARD] = "discard",
        [MOVE_STEP_END] = "end",
    };

    return names[step];
}

void move_tell(const struct move_options *o, enum move_step step,
               const struct toolstack_guest *guest)
{
    if (o->watcher && o->watcher->step)
        o->watcher->step(o->watcher->context, step, guest);
}

struct toolstack_work move_work(const struct move_options *o)
{
    struct toolstack_work work = {.cancel_fd = o->cancel_fd,
                                  .helper = o->helper};

    if (o->watcher) {
        work.event = o->watcher->helper_event;
        work.context = o->watcher->context;
    }
    return work;
}

/* A guest that cannot run cannot answer: refuse now, not after a timeout. */
static bool can_be_asked(const struct toolstack_guest *g, struct error *err)
{
    const char *is = g->dead        ? "has shut down"
                     : g->suspended ? "is suspended already"
                     : g->paused    ? "is paused"
                                    : NULL;

    return !is || error_set(err, ERR_STATE,
                            "domain %u (%.128s): %s, expected it to run",
                            g->domid, g->name, is);
}

bool departure_begin(struct departure *d, const struct move_options *options,
                     const char *guest, bool keep_domid, struct error *err)
{
    struct toolstack *ts = options->toolstack;

    *d = (struct departure){.options = options, .lock = {.fd = -1}};
    if (!ts->ops->find(ts, guest, &d->guest, err) ||
        !guest_lock_take(&d->lock, options->lock_folder, d->guest.domid, err))
        return false;
    /* As it is now that nobody else moves it. */
    return ts->ops->look(ts, d->guest.domid, &d->guest, err) &&
           can_be_asked(&d->guest, err) &&
           ts->ops->config_get(ts, d->guest.domid, keep_domid, &d->config, err);
}

void departure_release(struct departure *d)
{
    buffer_release(&d->config);
    guest_lock_release(&d->lock);
}

bool departure_save(struct departure *d, int fd, unsigned int flags,
                    enum move_outcome *ret, struct error *err)
{
    struct toolstack *ts = d->options->toolstack;
    struct toolstack_work work = move_work(d->options);
    enum toolstack_save_outcome outcome;
    bool saved;

    move_tell(d->options, MOVE_STEP_SAVE, &d->guest);
    saved = ts->ops->save(ts, d->guest.domid, fd, flags, &work, &outcome, err);
    d->suspended = outcome == SAVE_DONE || outcome == SAVE_SUSPENDED;
    *ret = outcome == SAVE_GUEST_GONE ? MOVE_GUEST_GONE : MOVE_KEPT;
    return saved;
}

enum move_outcome departure_abandon(struct departure *d, struct error *err)
{
    struct toolstack *ts = d->options->toolstack;
    enum move_outcome outcome = MOVE_KEPT;
    struct error second;

    if (d->suspended)
        move_tell(d->options, MOVE_STEP_TAKEBACK, &d->guest);
    if (d->away[0] &&
        !ts->ops->rename(ts, d->guest.domid, d->away, d->guest.name, &second))
        log_warning(d->options->log, "%s", second.text);
    if (d->suspended && !ts->ops->resume(ts, d->guest.domid, &second)) {
        size_t length = strlen(err->text);

        snprintf(err->text + length, sizeof(err->text) - length,
                 "; then %.200s", second.text);
        outcome = MOVE_STUCK;
    }
    d->suspended = false;
    d->away[0] = '\0';
    return outcome;
}
