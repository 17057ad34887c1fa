/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grant table, version 1: one frame of 512 entries.
 *
 * References are ours to choose, and stay what they are in every domain that
 * the guest lives in:
 *
 *   0..7    reserved for the toolstack (0 console, 1 xenstore)
 *   8       the block ring
 *   9       a page that nobody maps (held.h)
 *   10, 11  pages for another guest (peer.h)
 *   16..47  the page of block request 0..31
 */
#ifndef GUEST_DRV_GRANT_H
#define GUEST_DRV_GRANT_H

#include "abi.h"

#define GRANT_BLOCK_RING  8
#define GRANT_HELD        9
#define GRANT_PEER_SHARED 10
#define GRANT_PEER_SHOWN  11
#define GRANT_BLOCK_PAGE  16
#define NR_GRANTS         512

/* Have Xen put the table at its place (again, after a move). */
void grant_init(void);

/* Let 'domid' map 'page' under 'ref'. */
void grant_access(grant_ref_t ref, domid_t domid, const void *page,
                  bool readonly);

/* Take it back; false while the other side still has it mapped. */
bool grant_end(grant_ref_t ref);

/* Entry 'ref' as it stands. */
const struct grant_entry_v1 *grant_entry(grant_ref_t ref);

#endif
