/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grant table, version 1: entries in Xen's pages, written by the guest;
 * and the use that the host and other guests make of what they grant.
 *
 *     0        2        4                 8 octet
 *    +--------+--------+-----------------+
 *    | flags  | domid  | frame           |
 *    +--------+--------+-----------------+
 *
 * While the host (domid 0) or a guest uses an entry, the flags say so (reading,
 * writing), and the granter must not take it back.  What it writes into an
 * entry in use has no effect on that use.
 *
 * I1  An entry's reading (writing) flag is set by us exactly while use[ref]
 *     has readers or writers (writers).
 * I2  A frame of RAM that is mapped by a guest is not given back.
 *
 * Another guest's entry is used only while that guest stands still.
 */
#ifndef HOSTD_GRANTS_H
#define HOSTD_GRANTS_H

#include "hostd/guest_machine.h"

enum grant_access { GRANT_READ, GRANT_WRITE };

struct grant_entry_v1 *grants_entry(const struct machine *m, uint32_t ref);

/* Have at least 'nr' frames.  0 or a negative Xen error number. */
int grants_grow(struct machine *m, uint32_t nr);

/* What the host is granted as 'ref', or NULL: not, or not so. */
uint8_t *grants_begin(struct machine *m, uint32_t ref,
                      enum grant_access access);
void grants_end(struct machine *m, uint32_t ref, enum grant_access access);

/* What guest 'domid' is granted, until grants_end(): the GNTST_ status. */
int16_t grants_begin_guest(struct machine *m, uint32_t ref, uint16_t domid,
                           enum grant_access access, uint64_t *ret_gfn);

/* Whether a guest has the frame mapped. */
bool grants_is_lent(const struct machine *m, uint64_t gfn);

/* A page of the guest for the host, as the toolstack does for the rings. */
must_check bool grants_seed(struct machine *m, uint32_t ref, uint64_t gfn,
                            struct error *err);

/*
 * GNTTABOP_copy, one piece, from a guest to a guest: the one that asks, or one
 * that grants; the GNTST_ status of it.
 */
int16_t grants_copy(struct machine *m, struct machine *from, struct machine *to,
                    const struct gnttab_copy *op);

#endif
