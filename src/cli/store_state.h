/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a store holds, read from a state stream or from DOMAIN_XENSTORE_DATA
 * records, in one form: nodes with absolute paths, and watches with whose they
 * are.
 */
#ifndef CLI_STORE_STATE_H
#define CLI_STORE_STATE_H

#include "base/buffer.h"
#include "base/error.h"

enum store_state_kind { STORE_STATE_STREAM, STORE_STATE_RECORDS };

struct state_node {
    char *path; /* owned; absolute or special */
    const uint8_t *value;
    uint32_t value_length;
    uint32_t nr_perms;
    char *perms; /* owned; strings, one after the other */
};

struct state_watch {
    uint32_t connection; /* of a stream; 0 else */
    bool guest;          /* of a ring, and then: */
    uint16_t domid;
    const char *path; /* as the client gave it */
    const char *token;
    int32_t depth; /* -1: none */
};

struct state_connection {
    uint32_t id;
    bool guest;
    uint16_t domid;
    uint32_t in_length, out_length;
};

struct store_state {
    enum store_state_kind kind;
    uint32_t version; /* of a stream */
    struct state_node *nodes;
    size_t nr_nodes;
    struct state_watch *watches;
    size_t nr_watches;
    struct state_connection *connections;
    size_t nr_connections;
    uint32_t nr_transactions;
};

#define STORE_STATE_MAX ((size_t)128 << 20)

/*
 * 'bytes' stay the caller's and are borrowed.  'domid' is whose records they
 * are, where the bytes do not tell.
 */
must_check bool store_state_parse(struct store_state *ret, const void *bytes,
                                  size_t length, uint32_t domid,
                                  struct error *err);
void store_state_release(struct store_state *state);

/* Append a domain's part as DOMAIN_XENSTORE_DATA records. */
must_check bool store_state_records(const struct store_state *state,
                                    uint32_t domid, struct buffer *out,
                                    struct error *err);

/*
 * What follows "/local/domain/<domid>" in 'path': "" or "/..."; NULL if the
 * path is not in that home.
 */
const char *store_path_in_home(const char *path, uint32_t domid);

#endif
