/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The source has its guest again. */
#ifndef ENGINE_HANDOVER_TAKE_BACK_H
#define ENGINE_HANDOVER_TAKE_BACK_H

#include "engine/handover/handover.h"

/*
 * Journal KEPT and let the guest run on, where it was stopped; then BACK.  The
 * target never runs it from then on.  MOVE_KEPT, MOVE_GUEST_GONE when it has ended
 * meanwhile, or MOVE_STUCK when it stays suspended.
 */
enum move_outcome take_back(const struct handover_options *o, struct journal *j,
                            uint32_t domid, const char *name);

#endif
