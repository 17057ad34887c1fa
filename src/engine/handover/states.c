/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/states.h"

#include <string.h>

static const char *const names[] = {
    [HANDOVER_NONE] = "none",       [SOURCE_PRECOPY] = "precopy",
    [SOURCE_STOPPED] = "stopped",   [SOURCE_SENT] = "sent",
    [SOURCE_RELEASED] = "released", [SOURCE_GONE] = "gone",
    [SOURCE_DONE] = "done",         [SOURCE_KEPT] = "kept",
    [SOURCE_BACK] = "back",         [TARGET_RECEIVING] = "receiving",
    [TARGET_READY] = "ready",       [TARGET_RUNNING] = "running",
    [TARGET_DROPPED] = "dropped",
};

const char *handover_state_name(enum handover_state state)
{
    return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

enum handover_state handover_state_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], name))
            return (enum handover_state)i;
    return HANDOVER_NONE;
}

/* RELEASED: the target decides, for it alone may have run the guest since. */
static enum resolve_step after_release(bool here, enum handover_state target,
                                       bool there)
{
    switch (target) {
    case TARGET_READY:
        if (there)
            return RESOLVE_RELEASE;
        return here ? RESOLVE_KEEP : RESOLVE_LOST;
    case TARGET_RUNNING:
        /*
         * Perhaps it was not started yet.  What became of one that is not
         * there any more is no matter of the move's.
         */
        return there ? RESOLVE_RELEASE : RESOLVE_DISCARD;
    case TARGET_DROPPED:
        return here ? RESOLVE_KEEP : RESOLVE_LOST;
    default:
        /* It was READY once; without its journal nobody knows what became. */
        return RESOLVE_ASK;
    }
}

enum resolve_step handover_resolve_step(enum handover_state source, bool here,
                                        bool heard, enum handover_state target,
                                        bool there)
{
    switch (source) {
    case SOURCE_PRECOPY:
    case SOURCE_STOPPED:
    case SOURCE_SENT:
        if (here)
            return RESOLVE_KEEP;
        if (!heard)
            return RESOLVE_ASK;
        return target == TARGET_READY && there ? RESOLVE_RELEASE : RESOLVE_LOST;
    case SOURCE_RELEASED:
        return heard ? after_release(here, target, there) : RESOLVE_ASK;
    case SOURCE_KEPT:
        /* Perhaps it ran again before it went. */
        return here ? RESOLVE_KEEP : RESOLVE_LOST;
    case SOURCE_GONE:
    case SOURCE_DONE:
        return RESOLVE_DISCARD;
    default:
        return RESOLVE_KEEP;
    }
}
