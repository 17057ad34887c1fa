/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/take_back.h"

#include "engine/handover/handover_common.h"

enum move_outcome take_back(const struct handover_options *o, struct journal *j,
                            uint32_t domid, const char *name)
{
    struct keeper *k = o->keeper;
    struct keeper_guest guest;
    struct error error;
    bool found;

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
    if (!find_same(k, domid, name, &found, &guest, &error)) {
        log_warning(o->log, "%s", error.text);
        return MOVE_STUCK;
    }
    if (found && guest.state == KEPT_SUSPENDED &&
        !k->ops->resume(k, domid, &error)) {
        log_warning(o->log, "%s", error.text);
        return MOVE_STUCK;
    }
    fault_point("source.resumed", -1);
    if (!journal_write(j, SOURCE_BACK, true, &error))
        log_warning(o->log, "%s", error.text);
    return found && guest.state != KEPT_ENDED ? MOVE_KEPT : MOVE_GUEST_GONE;
}
