/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/take_back.h"

#include "engine/handover/handover_common.h"

/* The host is there and will be asked to resume it: nothing is, otherwise. */
static bool resume(const struct handover_options *o, uint32_t domid,
                   bool *ret_untouched, struct error *err)
{
    struct keeper *k = o->keeper;
    struct keeper_host host;

    *ret_untouched = !k->ops->describe(k, &host, err);
    return !*ret_untouched && k->ops->resume(k, domid, err);
}

enum move_outcome take_back(const struct handover_options *o, struct journal *j,
                            uint32_t domid, const char *name)
{
    enum handover_state before = j->state;
    struct keeper_guest guest;
    bool found, untouched;
    struct error error;

    if (!find_same(o->keeper, domid, name, &found, &guest, &error)) {
        log_warning(o->log, "%s", error.text);
        return MOVE_STUCK;
    }
    if (!found)
        return MOVE_GUEST_GONE;
    fault_point("source.kept.before", -1);
    if (j->state != SOURCE_KEPT &&
        !journal_write(j, SOURCE_KEPT, true, &error)) {
        log_warning(o->log, "%s", error.text);
        return MOVE_STUCK;
    }
    fault_point("source.kept.after", -1);
    /* A process that was killed has left it on. */
    if (!o->host->ops->log_dirty_disable(o->host, domid, &error))
        log_info(o->log, "%s", error.text);
    if (guest.state == KEPT_SUSPENDED &&
        !resume(o, domid, &untouched, &error)) {
        log_warning(o->log, "%s", error.text);
        /* Its host has ended: a whole copy elsewhere may still go on. */
        if (untouched && !journal_write(j, before, true, &error))
            log_warning(o->log, "%s", error.text);
        return MOVE_STUCK;
    }
    fault_point("source.resumed", -1);
    if (!journal_write(j, SOURCE_BACK, true, &error))
        log_warning(o->log, "%s", error.text);
    return guest.state != KEPT_ENDED ? MOVE_KEPT : MOVE_GUEST_GONE;
}
