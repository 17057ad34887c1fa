/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's shared page as a transport.
 *
 * The guest can change any octet of the page at any time.  Hence: both
 * indexes are read once and checked, and from then on only our copies are
 * used; our own indexes are kept outside the page and only written to it; no
 * octet is looked at in place.
 *
 *   prod - cons <= 1024 (unsigned), a full ring is legal
 *
 * Of the ring only whole requests are taken, as far as they fit in it, so
 * that what is not taken can be answered by another store after a move.
 */
#ifndef STORE_RING_H
#define STORE_RING_H

#include "store/connection.h"

extern const struct transport ring_transport;

struct carry;

/* Take up the page where it stands, and what carry brought over. */
void ring_attach(struct connection *c);
/* What was taken off the ring but not answered, or NULL if nothing was. */
struct carry *ring_carry(struct connection *c);
/* As after a reconnect that the guest asked for. */
void ring_restart(struct connection *c);
/*
 * A ring that an earlier process served, whose journal says how far it was:
 * make the page agree.
 */
void ring_recover(struct connection *c);
/* Tell the guest why it is no longer served. */
void ring_report(struct connection *c, uint32_t error);

#endif
