/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a guest's state (state/guest_state.h) that are the machine's:
 * all but STORE.  With the baton held, and the guest paused.
 */
#ifndef HOSTD_MACHINE_STATE_H
#define HOSTD_MACHINE_STATE_H

#include "hostd/guest_machine.h"
#include "state/guest_state.h"

/* STATE_IDENTITY, the first, is refused if the guest cannot leave. */
must_check bool machine_state_get(struct machine *m, enum state_part part,
                                  struct guest_state *ret, struct error *err);

/*
 * Load a part that guest_state_check() has let pass.  What this host does not
 * have is ERR_LIMIT; what contradicts the guest's memory is ERR_FORMAT.
 */
must_check bool machine_state_set(struct machine *m, enum state_part part,
                                  const struct guest_state *s,
                                  struct error *err);

/*
 * Whether the guest can leave this host: it shares no port and no page with
 * another guest, which would stay behind.  'err' names the first that it does,
 * and the cure.
 */
must_check bool machine_state_can_leave(const struct machine *m,
                                        struct error *err);

#endif
