/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source has its guest again. */
#ifndef ENGINE_HANDOVER_TAKE_BACK_H
#define ENGINE_HANDOVER_TAKE_BACK_H

#include "engine/handover/handover.h"

/*
 * Journal KEPT and let the guest run on, where it was stopped; then BACK: from
 * then on the target never runs it.  The outcome is
 *
 *   MOVE_KEPT        it is BACK
 *   MOVE_GUEST_GONE  BACK, but it has ended by itself; or, in any other state,
 *                    this host does not have it any more: the target may
 *   MOVE_STUCK       it stays suspended, or its host has ended
 */
enum move_outcome take_back(const struct handover_options *o, struct journal *j,
                            uint32_t domid, const char *name);

#endif
