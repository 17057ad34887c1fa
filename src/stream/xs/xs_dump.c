/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xs/xs_dump.h"

#include <inttypes.h>
#include <string.h>

bool xsdump_open(struct xsdump_reader *ret, const void *bytes, size_t length,
                 struct error *err)
{
    struct xsdump_reader r = {.start = bytes};
    uint64_t magic;
    uint32_t flags;

    r.at = cursor_over(bytes, length, ORDER_BIG);
    magic = cursor_u64(&r.at);
    r.header.version = cursor_u32(&r.at);
    flags = cursor_u32(&r.at);
    if (r.at.bad)
        return error_set_at(err, ERR_TRUNCATED, 0,
                            "xenstore stream: %zu octets, a header has %u",
                            length, XSDUMP_HEADER_SIZE);
    if (magic != XSDUMP_MAGIC)
        return error_set_at(err, ERR_FORMAT, 0,
                            "xenstore stream: begins with %#" PRIx64
                            ", expected %#" PRIx64,
                            magic, XSDUMP_MAGIC);
    if (r.header.version < 1 || r.header.version > XSDUMP_VERSION_MAX)
        return error_set_at(err, ERR_UNSUPPORTED, 8,
                            "xenstore stream: version %" PRIu32
                            ", known are 1 and 2",
                            r.header.version);
    if (flags & ~XSDUMP_FLAG_BIG)
        return error_set_at(err, ERR_FORMAT, 12,
                            "xenstore stream: flags %#" PRIx32
                            ", only bit 0 is defined",
                            flags);
    r.header.order = flags & XSDUMP_FLAG_BIG ? ORDER_BIG : ORDER_LITTLE;
    r.at.order = r.header.order;
    *ret = r;
    return true;
}

bool xsdump_next(struct xsdump_reader *reader, struct xsdump_record *ret,
                 struct error *err)
{
    struct cursor *c = &reader->at;
    struct xsdump_record rec = {.order = reader->header.order,
                                .version = reader->header.version};
    size_t padding;

    rec.offset = (uint64_t)(c->at - reader->start);
    rec.type = cursor_u32(c);
    rec.length = cursor_u32(c);
    if (c->bad)
        return error_set_at(err, ERR_TRUNCATED, rec.offset,
                            "xenstore stream: ends without an END record");
    if (rec.length > XSDUMP_BODY_MAX)
        return error_set_at(err, ERR_LIMIT, rec.offset,
                            "record %" PRIu32 ": %" PRIu32
                            " octets, at most %u are accepted",
                            rec.type, rec.length, XSDUMP_BODY_MAX);
    rec.body = cursor_bytes(c, rec.length);
    if (!rec.body)
        return error_set_at(err, ERR_TRUNCATED, rec.offset,
                            "record %" PRIu32 ": %" PRIu32
                            " octets announced, %zu left",
                            rec.type, rec.length, cursor_left(c));
    padding = (size_t)(padded_to_8(rec.length) - rec.length);
    if (rec.type == XSDUMP_END && rec.length)
        return error_set_at(err, ERR_FORMAT, rec.offset,
                            "END: %" PRIu32 " octets, expected none",
                            rec.length);
    /* Some writers leave the padding of the last record out. */
    if (padding)
        cursor_bytes(c, size_min(padding, cursor_left(c)));
    *ret = rec;
    return true;
}

static struct cursor body_of(const struct xsdump_record *rec)
{
    return cursor_over(rec->body, rec->length, rec->order);
}

static bool short_record(const struct xsdump_record *rec, const char *name,
                         struct error *err)
{
    return error_set_at(err, ERR_FORMAT, rec->offset,
                        "%s: %" PRIu32 " octets do not hold what they announce",
                        name, rec->length);
}

/* What follows the last field is the padding that some writers count in. */
static bool rest_is_padding(struct cursor *c)
{
    size_t left = cursor_left(c);

    return !c->bad && left < 8 && cursor_zeroes(c, left);
}

/* A string of 'length' octets, its NUL at the end and nowhere else. */
static const char *string_of(struct cursor *c, size_t length)
{
    const uint8_t *bytes = cursor_bytes(c, length);

    if (!bytes || !length || memchr(bytes, 0, length) != bytes + length - 1)
        return NULL;
    return (const char *)bytes;
}

bool xsdump_global_decode(const struct xsdump_record *rec,
                          struct xsdump_global *ret, struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_global g;

    g.listen_fd = (int32_t)cursor_u32(&c);
    g.evtchn_fd = (int32_t)cursor_u32(&c);
    if (!rest_is_padding(&c))
        return short_record(rec, "GLOBAL_DATA", err);
    *ret = g;
    return true;
}

bool xsdump_connection_decode(const struct xsdump_record *rec,
                              struct xsdump_connection *ret, struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_connection k = {.fd = -1, .target = XSDUMP_NO_DOMID};
    uint16_t fields;
    size_t odd;

    k.id = cursor_u32(&c);
    k.kind = cursor_u16(&c);
    fields = cursor_u16(&c);
    if (k.kind == XSDUMP_CONNECTION_RING) {
        k.domid = cursor_u16(&c);
        k.target = cursor_u16(&c);
        k.port = cursor_u32(&c);
    } else {
        k.fd = (int32_t)cursor_u32(&c);
        cursor_u32(&c);
    }
    k.in_length = cursor_u16(&c);
    k.reply_remainder = cursor_u16(&c);
    k.out_length = cursor_u32(&c);
    k.in = cursor_bytes(&c, k.in_length);
    k.out = cursor_bytes(&c, k.out_length);
    if (c.bad)
        return short_record(rec, "CONNECTION_DATA", err);
    if (!k.id)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "CONNECTION_DATA: id 0, which means none");
    if (k.kind > XSDUMP_CONNECTION_SOCKET)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "CONNECTION_DATA: kind %u, known are 0 and 1",
                            k.kind);
    if (k.reply_remainder > k.out_length)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "CONNECTION_DATA: the first reply's rest has "
                            "%" PRIu32 " octets, all output %" PRIu32,
                            k.reply_remainder, k.out_length);
    if (fields & XSDUMP_FIELD_UNIQUE_ID && rec->version >= 2) {
        odd = (size_t)(c.at - rec->body) % 8;
        cursor_zeroes(&c, odd ? 8 - odd : 0);
        k.unique_id = cursor_u64(&c);
        k.has_unique_id = true;
    }
    if (!rest_is_padding(&c))
        return short_record(rec, "CONNECTION_DATA", err);
    *ret = k;
    return true;
}

/* The two strings from offset 'at' on; false if they are not there. */
static bool watch_strings(const struct xsdump_record *rec, size_t at,
                          uint16_t path_len, uint16_t token_len,
                          struct xsdump_watch *w)
{
    struct cursor c = body_of(rec);

    cursor_bytes(&c, at);
    w->path = string_of(&c, path_len);
    w->token = string_of(&c, token_len);
    return w->path && w->token && rest_is_padding(&c);
}

bool xsdump_watch_decode(const struct xsdump_record *rec,
                         struct xsdump_watch *ret, struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_watch w = {.depth = -1};
    bool extended = rec->type == XSDUMP_WATCH_EXTENDED;
    const char *name = extended ? "WATCH_DATA_EXTENDED" : "WATCH_DATA";
    uint16_t path_len, token_len, depth;
    bool found;

    w.connection = cursor_u32(&c);
    path_len = cursor_u16(&c);
    token_len = cursor_u16(&c);
    if (extended) {
        depth = cursor_u16(&c);
        if (depth != XSDUMP_NO_DEPTH)
            w.depth = depth;
        /* The document has two octets of padding, a known writer none. */
        found = watch_strings(rec, 12, path_len, token_len, &w) ||
                watch_strings(rec, 10, path_len, token_len, &w);
    } else {
        found = watch_strings(rec, 8, path_len, token_len, &w);
    }
    if (c.bad || !found)
        return short_record(rec, name, err);
    if (!w.connection)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "%s: connection 0, which means none", name);
    *ret = w;
    return true;
}

bool xsdump_transaction_decode(const struct xsdump_record *rec,
                               struct xsdump_transaction *ret,
                               struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_transaction t;

    t.connection = cursor_u32(&c);
    t.id = cursor_u32(&c);
    if (!rest_is_padding(&c))
        return short_record(rec, "TRANSACTION_DATA", err);
    if (!t.connection || !t.id)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "TRANSACTION_DATA: connection %" PRIu32
                            " and id %" PRIu32 ", neither may be 0",
                            t.connection, t.id);
    *ret = t;
    return true;
}

struct xsdump_perm xsdump_node_perm(const struct xsdump_node *node,
                                    unsigned int i)
{
    struct cursor c = cursor_over(node->perms + 4u * i, 4, node->order);
    struct xsdump_perm perm;

    perm.letter = (char)cursor_u8(&c);
    perm.stale = cursor_u8(&c) & XSDUMP_PERM_STALE;
    perm.domid = cursor_u16(&c);
    return perm;
}

bool xsdump_node_decode(const struct xsdump_record *rec,
                        struct xsdump_node *ret, struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_node n = {.order = rec->order};
    uint16_t path_len;

    n.connection = cursor_u32(&c);
    n.transaction = cursor_u32(&c);
    path_len = cursor_u16(&c);
    n.value_length = cursor_u16(&c);
    n.access = cursor_u16(&c);
    n.nr_perms = cursor_u16(&c);
    n.perms = cursor_bytes(&c, 4u * n.nr_perms);
    n.path = string_of(&c, path_len);
    n.value = cursor_bytes(&c, n.value_length);
    if (!n.path || !rest_is_padding(&c))
        return short_record(rec, "NODE_DATA", err);
    for (unsigned int i = 0; i < n.nr_perms; i++) {
        char letter = xsdump_node_perm(&n, i).letter;

        if (!letter || !strchr("nrwb", letter))
            return error_set_at(err, ERR_FORMAT, rec->offset,
                                "NODE_DATA %s: permission '\\x%02x', expected "
                                "one of n r w b",
                                n.path, (unsigned char)letter);
    }
    if (!n.connection && !n.nr_perms)
        return error_set_at(err, ERR_FORMAT, rec->offset,
                            "NODE_DATA %s: no permissions, thus no owner",
                            n.path);
    *ret = n;
    return true;
}

uint32_t xsdump_quota_value(const struct xsdump_quotas *q, unsigned int i)
{
    struct cursor c = cursor_over(q->values + 4u * i, 4, q->order);

    return cursor_u32(&c);
}

bool xsdump_quotas_decode(const struct xsdump_record *rec,
                          struct xsdump_quotas *ret, struct error *err)
{
    struct cursor c = body_of(rec);
    struct xsdump_quotas q = {.order = rec->order};
    const char *name = "DOMAIN_DATA";

    if (rec->type == XSDUMP_QUOTA) {
        name = "GLOBAL_QUOTA_DATA";
        q.nr = cursor_u16(&c);
        q.nr_global = cursor_u16(&c);
        if ((uint32_t)q.nr + q.nr_global > UINT16_MAX)
            return short_record(rec, name, err);
        q.nr = (uint16_t)(q.nr + q.nr_global);
    } else {
        q.domid = cursor_u16(&c);
        q.nr = cursor_u16(&c);
        q.features = cursor_u32(&c);
    }
    q.values = cursor_bytes(&c, 4u * q.nr);
    q.names = (const char *)c.at;
    for (unsigned int i = 0; i < q.nr && !c.bad; i++)
        cursor_string(&c);
    if (!rest_is_padding(&c))
        return short_record(rec, name, err);
    *ret = q;
    return true;
}

/* --- writing --- */

void xsdump_write_header(struct buffer *out, uint32_t version)
{
    enum byte_order order = out->order;

    out->order = ORDER_BIG;
    buffer_u64(out, XSDUMP_MAGIC);
    buffer_u32(out, version);
    buffer_u32(out, order == ORDER_BIG ? XSDUMP_FLAG_BIG : 0);
    out->order = order;
}

size_t xsdump_begin(struct buffer *out, uint32_t type)
{
    size_t begun = out->length;

    buffer_u32(out, type);
    buffer_u32(out, 0);
    return begun;
}

void xsdump_end(struct buffer *out, size_t begun)
{
    buffer_align(out, 8);
    if (!out->bad)
        buffer_patch_u32(out, begun + 4, (uint32_t)(out->length - begun - 8));
}

void xsdump_write_global(struct buffer *out, const struct xsdump_global *g)
{
    size_t begun = xsdump_begin(out, XSDUMP_GLOBAL);

    buffer_u32(out, (uint32_t)g->listen_fd);
    buffer_u32(out, (uint32_t)g->evtchn_fd);
    xsdump_end(out, begun);
}

void xsdump_write_connection(struct buffer *out,
                             const struct xsdump_connection *c)
{
    size_t begun = xsdump_begin(out, XSDUMP_CONNECTION);

    buffer_u32(out, c->id);
    buffer_u16(out, c->kind);
    buffer_u16(out, c->has_unique_id ? XSDUMP_FIELD_UNIQUE_ID : 0);
    if (c->kind == XSDUMP_CONNECTION_RING) {
        buffer_u16(out, c->domid);
        buffer_u16(out, c->target);
        buffer_u32(out, c->port);
    } else {
        buffer_u32(out, (uint32_t)c->fd);
        buffer_u32(out, 0);
    }
    buffer_u16(out, (uint16_t)c->in_length);
    buffer_u16(out, (uint16_t)c->reply_remainder);
    buffer_u32(out, c->out_length);
    buffer_bytes(out, c->in, c->in_length);
    buffer_bytes(out, c->out, c->out_length);
    if (c->has_unique_id) {
        buffer_align(out, 8);
        buffer_u64(out, c->unique_id);
    }
    xsdump_end(out, begun);
}

void xsdump_write_watch(struct buffer *out, const struct xsdump_watch *w)
{
    size_t path_len = strlen(w->path) + 1;
    size_t token_len = strlen(w->token) + 1;
    bool extended = w->depth >= 0;
    size_t begun =
        xsdump_begin(out, extended ? XSDUMP_WATCH_EXTENDED : XSDUMP_WATCH);

    buffer_u32(out, w->connection);
    buffer_u16(out, (uint16_t)path_len);
    buffer_u16(out, (uint16_t)token_len);
    if (extended) {
        buffer_u16(out, (uint16_t)w->depth);
        buffer_u16(out, 0);
    }
    buffer_bytes(out, w->path, path_len);
    buffer_bytes(out, w->token, token_len);
    xsdump_end(out, begun);
}

void xsdump_write_transaction(struct buffer *out,
                              const struct xsdump_transaction *t)
{
    size_t begun = xsdump_begin(out, XSDUMP_TRANSACTION);

    buffer_u32(out, t->connection);
    buffer_u32(out, t->id);
    xsdump_end(out, begun);
}

void xsdump_write_node(struct buffer *out, const struct xsdump_node *n,
                       const struct xsdump_perm *perms)
{
    size_t path_len = strlen(n->path) + 1;
    size_t begun = xsdump_begin(out, XSDUMP_NODE);

    buffer_u32(out, n->connection);
    buffer_u32(out, n->transaction);
    buffer_u16(out, (uint16_t)path_len);
    buffer_u16(out, n->value_length);
    buffer_u16(out, n->access);
    buffer_u16(out, n->nr_perms);
    for (unsigned int i = 0; i < n->nr_perms; i++) {
        buffer_u8(out, (uint8_t)perms[i].letter);
        buffer_u8(out, perms[i].stale ? XSDUMP_PERM_STALE : 0);
        buffer_u16(out, perms[i].domid);
    }
    buffer_bytes(out, n->path, path_len);
    buffer_bytes(out, n->value, n->value_length);
    xsdump_end(out, begun);
}

void xsdump_write_quotas(struct buffer *out, uint32_t type,
                         const struct xsdump_quotas *q, const uint32_t *values,
                         const char *const *names)
{
    size_t begun = xsdump_begin(out, type);

    if (type == XSDUMP_QUOTA) {
        buffer_u16(out, (uint16_t)(q->nr - q->nr_global));
        buffer_u16(out, q->nr_global);
    } else {
        buffer_u16(out, q->domid);
        buffer_u16(out, q->nr);
        buffer_u32(out, q->features);
    }
    for (unsigned int i = 0; i < q->nr; i++)
        buffer_u32(out, values[i]);
    for (unsigned int i = 0; i < q->nr; i++)
        buffer_bytes(out, names[i], strlen(names[i]) + 1);
    xsdump_end(out, begun);
}
