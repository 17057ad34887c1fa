/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The grant table, version 1: entries in Xen's pages, written by the guest;
 * and the host's use of what they grant.
 *
 *     0        2        4                 8 octet
 *    +--------+--------+-----------------+
 *    | flags  | domid  | frame           |
 *    +--------+--------+-----------------+
 *
 * While the host (domid 0) uses an entry, the flags say so (reading, writing),
 * and a guest must not take it back.
 *
 * I1  An entry's reading (writing) flag is set by us exactly while use[ref]
 *     has readers or writers (writers).
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

/* A page of the guest for the host, as the toolstack does for the rings. */
must_check bool grants_seed(struct machine *m, uint32_t ref, uint64_t gfn,
                            struct error *err);

/* GNTTABOP_copy, one piece; the GNTST_ status of it. */
int16_t grants_copy(struct machine *m, const struct gnttab_copy *op);

#endif
