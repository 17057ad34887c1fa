/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The xenstore state stream, versions 1 and 2: bytes <-> structs.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------------------------------+
 *    | "xenstore"                         big-endian |
 *    +-----------------------+-----------------------+
 *    | version               | flags     big-endian  |
 *    +-----------------------+-----------------------+
 *    | type                  | length                |  records, in the
 *    +-----------------------+-----------------------+  order that flags
 *    | body[length], then zeroes to a multiple of 8  |  bit 0 says
 *    +-----------------------------------------------+
 *
 * The document has 'length' without the padding; the stock daemon counts the
 * padding in, and reads just 'length' octets.  We write lengths that are
 * multiples of 8, which both understand the same way, and read both.
 *
 * What is decoded borrows from the bytes; nothing is allocated.
 *
 * Spec: Xen's docs/designs/xenstore-migration.md.
 */
#ifndef STREAM_XS_DUMP_H
#define STREAM_XS_DUMP_H

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/error.h"
#include "stream/xs/xs_wire.h"

struct xsdump_header {
    uint32_t version;
    enum byte_order order;
};

struct xsdump_record {
    uint32_t type;
    uint32_t length;
    const uint8_t *body;
    enum byte_order order;
    uint32_t version;
    uint64_t offset; /* of the record's head in the stream */
};

struct xsdump_reader {
    struct cursor at;
    const uint8_t *start;
    struct xsdump_header header;
};

/* Takes the header off. */
must_check bool xsdump_open(struct xsdump_reader *ret, const void *bytes,
                            size_t length, struct error *err);
/* The next record; END is one too, and nothing may follow it. */
must_check bool xsdump_next(struct xsdump_reader *reader,
                            struct xsdump_record *ret, struct error *err);

struct xsdump_global {
    int32_t listen_fd; /* -1: none */
    int32_t evtchn_fd;
};

struct xsdump_connection {
    uint32_t id; /* not 0 */
    uint16_t kind;
    uint16_t domid, target; /* of a ring; target may be XSDUMP_NO_DOMID */
    uint32_t port;          /* local */
    int32_t fd;             /* of a socket */
    const uint8_t *in, *out;
    uint32_t in_length;       /* at most 65535 */
    uint32_t reply_remainder; /* of out: rest of a half-sent message */
    uint32_t out_length;
    bool has_unique_id;
    uint64_t unique_id;
};

struct xsdump_watch {
    uint32_t connection;
    const char *path; /* as the client gave it */
    const char *token;
    int32_t depth; /* -1: none */
};

struct xsdump_transaction {
    uint32_t connection;
    uint32_t id; /* not 0 */
};

struct xsdump_perm {
    char letter; /* n r w b */
    bool stale;
    uint16_t domid;
};

struct xsdump_node {
    uint32_t connection; /* 0: committed */
    uint32_t transaction;
    uint16_t access;
    uint16_t nr_perms;
    const uint8_t *perms; /* 4 octets each: see xsdump_node_perm() */
    enum byte_order order;
    const char *path;
    const uint8_t *value;
    uint16_t value_length;
};

struct xsdump_quotas {
    uint16_t domid;     /* DOMAIN_DATA */
    uint32_t features;  /* DOMAIN_DATA of version 2 */
    uint16_t nr;        /* all values */
    uint16_t nr_global; /* the last ones, of QUOTA_DATA */
    const uint8_t *values;
    enum byte_order order;
    const char *names; /* nr strings, one after the other */
};

/* Each refuses a record that breaks a rule, and says which. */
must_check bool xsdump_global_decode(const struct xsdump_record *rec,
                                     struct xsdump_global *ret,
                                     struct error *err);
must_check bool xsdump_connection_decode(const struct xsdump_record *rec,
                                         struct xsdump_connection *ret,
                                         struct error *err);
/* WATCH and WATCH_EXTENDED. */
must_check bool xsdump_watch_decode(const struct xsdump_record *rec,
                                    struct xsdump_watch *ret,
                                    struct error *err);
must_check bool xsdump_transaction_decode(const struct xsdump_record *rec,
                                          struct xsdump_transaction *ret,
                                          struct error *err);
must_check bool xsdump_node_decode(const struct xsdump_record *rec,
                                   struct xsdump_node *ret, struct error *err);
/* QUOTA and DOMAIN. */
must_check bool xsdump_quotas_decode(const struct xsdump_record *rec,
                                     struct xsdump_quotas *ret,
                                     struct error *err);

struct xsdump_perm xsdump_node_perm(const struct xsdump_node *node,
                                    unsigned int i);
uint32_t xsdump_quota_value(const struct xsdump_quotas *q, unsigned int i);

/* The writing side appends to 'out', whose order is the stream's. */
void xsdump_write_header(struct buffer *out, uint32_t version);
/* Begin a record; end it with what begin returned. */
size_t xsdump_begin(struct buffer *out, uint32_t type);
void xsdump_end(struct buffer *out, size_t begun);

void xsdump_write_global(struct buffer *out, const struct xsdump_global *g);
void xsdump_write_connection(struct buffer *out,
                             const struct xsdump_connection *c);
/* Depth-limited ones need version 2 and become WATCH_EXTENDED. */
void xsdump_write_watch(struct buffer *out, const struct xsdump_watch *w);
void xsdump_write_transaction(struct buffer *out,
                              const struct xsdump_transaction *t);
void xsdump_write_node(struct buffer *out, const struct xsdump_node *n,
                       const struct xsdump_perm *perms);
void xsdump_write_quotas(struct buffer *out, uint32_t type,
                         const struct xsdump_quotas *q, const uint32_t *values,
                         const char *const *names);

#endif
