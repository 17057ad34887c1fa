/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages of other guests that a guest has mapped, by handle: the mapper's side
 * of what grants.h is the granter's side of.
 *
 *   mapper                                granter
 *   map[handle] = {granter, ref}  ----->  use[ref] counts it, the entry's flags
 *   foreign page 'handle' at a gfn        say so, the frame is not given back
 *
 * I1  Each map[] in use is counted once in the granter's use[] and nr_lent,
 *     unless the granter is gone.
 *
 * 'granter' is the machine of the guest that the operation or the handle
 * names, and stands still; it may be the mapper.
 */
#ifndef HOSTD_GRANT_MAPS_H
#define HOSTD_GRANT_MAPS_H

#include "hostd/guest_machine.h"

/* GNTTABOP_map_grant_ref, one operation: fills in its results. */
void grant_maps_map(struct machine *m, struct machine *granter,
                    struct gnttab_map_grant_ref *op);

/* Whose page it is; the guest itself if nobody else is concerned. */
uint16_t grant_maps_granter(const struct machine *m, uint32_t handle);

/* GNTTABOP_unmap_grant_ref, one operation: fills in its status. */
void grant_maps_unmap(struct machine *m, struct machine *granter,
                      struct gnttab_unmap_grant_ref *op);

/* That guest has ended: pages of it that 'm' has mapped become its own. */
void grant_maps_forget_guest(struct machine *m, uint16_t domid);

/* 'm' has ended: it uses nothing of 'granter' any more. */
void grant_maps_end(struct machine *m, struct machine *granter);

#endif
