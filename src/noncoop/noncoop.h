/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image of a guest that must not notice its move has beside memory and
 * contexts: a record for each part of state/guest_state.h, in their order,
 * between the HVM records and END.
 *
 *   source   suspended from outside -> each part read -> records
 *   target   records -> checked alone, then together -> each part loaded, in
 *            order -> backends settle
 *
 * Nothing is loaded before every part has arrived and makes sense.
 */
#ifndef NONCOOP_NONCOOP_H
#define NONCOOP_NONCOOP_H

#include "host/host.h"
#include "stream/record.h"

/* Append the records of a guest that was suspended from outside. */
must_check bool noncoop_append(struct host *host, uint32_t domid,
                               struct buffer *ret, struct error *err);

/* Keep one of these records; its order has been checked. */
must_check bool noncoop_take(struct guest_state *state,
                             const struct record *rec, struct error *err);

/*
 * All that was kept, into a domain that has its memory and contexts.  'state'
 * is only read.  On failure the domain is only fit to be destroyed.
 */
must_check bool noncoop_load(struct host *host, uint32_t domid,
                             struct guest_state *state, struct error *err);

#endif
