/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tuples in DOMAIN_XENSTORE_DATA: one node, watch or
 * transaction a record.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +------------------------+------------------------+
 *    | type                   | record specific data   |
 *    +------------------------+                        |
 *    | strings, each with its NUL                      |
 *    +-------------------------------------------------+
 *
 *   1           path, value, permission+
 *   2           path, token, [depth]
 *   0x46520001  path, number of permissions, permission+, value
 *   0x46520002  number of a transaction
 *
 * The design has one permission; nodes that a guest shares with its backend
 * carry two, so further ones follow the first.  A value may hold NULs: what
 * stands between the path and the trailing permissions is the value.  Where
 * that could be read in two ways the writer takes the third type, which is
 * ours, and none of the design's.  So is the fourth: a transaction that was
 * open has to be known to a store that can only let it fail.
 *
 * A node's path is relative to the domain's home; the home itself is "".  A
 * watch has the path that the guest gave: relative, absolute or special.
 *
 * What is decoded borrows from the record.
 */
#ifndef STREAM_XL_XENSTORE_H
#define STREAM_XL_XENSTORE_H

#include "stream/xl/xl_records.h"

struct xenstore_node {
    const char *path;
    const uint8_t *value;
    uint32_t value_length;
    uint32_t nr_perms; /* at least 1 */
    const char *perms; /* strings, one after the other */
};

struct xenstore_watch {
    const char *path;
    const char *token;
    int32_t depth; /* -1: none */
};

must_check bool xenstore_node_decode(const struct record *rec,
                                     struct xenstore_node *ret,
                                     struct error *err);
must_check bool xenstore_watch_decode(const struct record *rec,
                                      struct xenstore_watch *ret,
                                      struct error *err);

/* Its number is not 0. */
must_check bool xenstore_transaction_decode(const struct record *rec,
                                            uint32_t *ret, struct error *err);

/* Append the whole record to 'out'. */
void xenstore_node_append(struct buffer *out, const struct xenstore_node *node);
void xenstore_watch_append(struct buffer *out,
                           const struct xenstore_watch *watch);
void xenstore_transaction_append(struct buffer *out, uint32_t id);

#endif
