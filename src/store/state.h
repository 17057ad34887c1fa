/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of our own in a complete dump, beside those of the document.
 * Others skip them.  Numbers are far from those that upstream hands out.
 *
 *   STORE       u64 generation, u64 watch sequence, u32 next connection id
 *   DOMAIN      u16 domid, u16 flags, u32 remote port, u32 local port,
 *               u32 req_cons, u32 rsp_prod, u32 carried input, output,
 *               rest of a message, u64 gfn, u64 birth, [u32 req_cons, rsp_prod, octets] of carry
 *   CONNECTION  u32 id, u32 next transaction id, u32 conflicts, u32 flags,
 *               u64 generation of the watch list, 16 octets parked request,
 *               u16 waited-for domid
 *   STAMPS      u64 x 3 for each node, in the order of the NODE records
 *   TRANSACTION u32 connection, u32 id, u32 flags, u32 pad, i64 own nodes
 *   ENTRY       u32 connection, u32 transaction, u32 flags, u32 event place,
 *               u64 x 3 stamps, u16 base perms, u16 perms, u16 path length,
 *               u16 value length, u32 names length, u32 pad, perms (4 octets
 *               each), path, value, names
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#define STATE_STORE       0x46520100u
#define STATE_DOMAIN      0x46520101u
#define STATE_CONNECTION  0x46520102u
#define STATE_STAMPS      0x46520103u
#define STATE_TRANSACTION 0x46520104u
#define STATE_ENTRY       0x46520105u

#define STATE_DOMAIN_INTRODUCED 1u
#define STATE_DOMAIN_REPORTED   2u
#define STATE_DOMAIN_QUIESCED   4u
#define STATE_DOMAIN_FEATURES   8u
#define STATE_DOMAIN_CARRY      16u

#define STATE_CONNECTION_BROKEN 1u
#define STATE_CONNECTION_PARKED 2u

#define STATE_TX_CHANGED  1u
#define STATE_TX_REMOVED  2u
#define STATE_TX_DOOMED   4u
#define STATE_TX_POISONED 8u

#define STATE_ENTRY_BASE          1u
#define STATE_ENTRY_EXISTS        2u
#define STATE_ENTRY_EMPTIED       4u
#define STATE_ENTRY_VALUE_HELD    8u
#define STATE_ENTRY_VALUE_WRITTEN 16u
#define STATE_ENTRY_PERMS_WRITTEN 32u
#define STATE_ENTRY_TOUCHED_SHIFT 8
#define STATE_ENTRY_EVENT_SHIFT   16
#define STATE_ENTRY_SIBLING       64u /* on its parent's list of changes */

#endif
