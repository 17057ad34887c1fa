/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One domain's part of the store as libxl records DOMAIN_XENSTORE_DATA, for a
 * move that the guest does not notice: see stream/xl/xl_xenstore.h.
 *
 * Quiesce the domain before saving, else it may change what was saved.
 */
#ifndef STORE_DOMAIN_DATA_H
#define STORE_DOMAIN_DATA_H

#include "base/buffer.h"
#include "base/error.h"

struct store;

/*
 * Append whole records, little-endian, padded to 8 octets: the nodes from the
 * domain's home downwards, parents first, with owners and permissions, then
 * its watches in the order in which they were made, then the numbers of its
 * open transactions.  A domain without a home has no nodes, one without a
 * connection neither watches nor transactions.
 */
must_check bool domain_data_save(struct store *store, uint32_t domid,
                                 struct buffer *ret, struct error *err);

/*
 * Lay such records over what 'domid' has: values and permissions are set,
 * nodes that the records do not know stay.  Entries for 'was', the domain's
 * number when it was saved, become entries for 'domid'.  Watches that are
 * there already are skipped; each new one fires once.  Transactions are open
 * again and will end in conflict, so that the guest tries again: what they read
 * was another store's.  Quotas do not count:
 * what was allowed once is allowed again.
 *
 * Everything is looked at before anything changes; only ERR_NO_MEMORY can
 * come in the middle.
 */
must_check bool domain_data_load(struct store *store, uint32_t domid,
                                 uint32_t was, const void *bytes, size_t length,
                                 struct error *err);

#endif
