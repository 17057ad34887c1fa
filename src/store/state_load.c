/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A state stream as the store.  The stream may come from another program: a
 * record that does not fit what came before is refused, with its offset.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/connection.h"
#include "store/domain.h"
#include "store/ring.h"
#include "store/state.h"
#include "store/transaction.h"
#include "store/tree.h"
#include "stream/xs/xs_dump.h"

struct loader {
    struct store *store;
    const struct store_load_hooks *hooks;
    bool complete;          /* it has our own records */
    struct transaction *tx; /* of the last TRANSACTION record of ours */
    uint64_t watch_sequence;
    uint32_t next_connection_id;
    uint64_t generation; /* stamps that the record of STAMPS replaces */
    struct node *stamped;
    unsigned int special;
    char path[WIRE_ABS_PATH_MAX + 1];
};

static bool wrong(const struct xsdump_record *rec, const char *what,
                  struct error *err)
{
    return error_set_at(err, ERR_FORMAT, rec->offset, "record %#" PRIx32 ": %s",
                        rec->type, what);
}

static bool no_memory(struct error *err)
{
    return error_set(err, ERR_NO_MEMORY, "loading the state");
}

static struct connection *find_connection(struct loader *l, uint32_t id)
{
    return store_connection(l->store, id);
}

/* --- records of the document --- */

static bool load_ring(struct loader *l, const struct xsdump_record *rec,
                      const struct xsdump_connection *k, struct error *err)
{
    struct store *store = l->store;
    struct domain *d = domain_get(store, k->domid);

    if (k->domid >= DOMID_RESERVED_FIRST)
        return wrong(rec, "a ring of no possible domain", err);
    if (!d)
        return no_memory(err);
    if (d->connection)
        return wrong(rec, "a second ring of one domain", err);
    /* While a journal is replayed the page waits for store_replay_end(). */
    d->link.port = k->port;
    if (!store->replaying &&
        !store->host.ring_resume(store->host.context, k->domid, k->port,
                                 &d->link, err))
        return false;
    d->connection = connection_new(store, &ring_transport, NULL, d);
    if (!d->connection)
        return no_memory(err);
    d->introduced = true;
    d->target = k->target < DOMID_RESERVED_FIRST ? k->target : DOMID_NONE_WIRE;
    d->connection->subject.target = d->target;
    if (!connection_renumber(d->connection, k->id))
        return wrong(rec, "an id that is taken", err);
    if (!store->replaying)
        ring_attach(d->connection);
    return true;
}

static bool load_connection(struct loader *l, const struct xsdump_record *rec,
                            struct error *err)
{
    struct xsdump_connection k;
    struct connection *c;
    uint8_t *in;

    if (!xsdump_connection_decode(rec, &k, err))
        return false;
    if (k.kind == XSDUMP_CONNECTION_RING) {
        if (!load_ring(l, rec, &k, err))
            return false;
    } else {
        struct error refused = {0};

        c = l->hooks->socket(l->hooks->context, l->store, k.id, k.fd, &refused);
        if (!c && refused.code != ERR_NONE) {
            *err = refused;
            return error_wrap(err, "connection %" PRIu32, k.id);
        }
        if (!c)
            return true;
        if (!connection_renumber(c, k.id))
            return wrong(rec, "an id that is taken", err);
    }
    c = find_connection(l, k.id);
    if (!c)
        return wrong(rec, "a connection that is closing", err);
    if (k.in_length) {
        in = connection_input(c, k.in_length);
        if (!in)
            return no_memory(err);
        memcpy(in, k.in, k.in_length);
        connection_received(c, k.in_length);
    }
    connection_requeue(c, k.out, k.out_length, k.reply_remainder);
    connection_wake(c);
    return true;
}

static bool load_watch(struct loader *l, const struct xsdump_record *rec,
                       struct error *err)
{
    char path[WIRE_ABS_PATH_MAX + 1];
    struct xsdump_watch w;
    struct connection *c;

    if (!xsdump_watch_decode(rec, &w, err))
        return false;
    c = find_connection(l, w.connection);
    if (!c)
        return true; /* of a connection that was dropped */
    if (path_canonical(c, w.path, true, path) != STORE_OK)
        return wrong(rec, "a watch on no path", err);
    if (!watch_add(l->store, c, path, w.path, w.token,
                   w.depth < 0 || w.depth > INT16_MAX ? WATCH_DEPTH_ANY
                                                      : w.depth))
        return no_memory(err);
    return true;
}

static bool load_perms(struct loader *l, const struct xsdump_record *rec,
                       const struct xsdump_node *n, struct perms **ret,
                       struct error *err)
{
    struct perm_entry entries[PERMS_MAX];
    char text[16];

    if (n->nr_perms > PERMS_MAX)
        return wrong(rec, "more permissions than a request can set", err);
    for (unsigned int i = 0; i < n->nr_perms; i++) {
        struct xsdump_perm perm = xsdump_node_perm(n, i);

        snprintf(text, sizeof(text), "%c%u", perm.letter, perm.domid);
        if (!perm_entry_parse(text, &entries[i]))
            return wrong(rec, "a permission for no domain", err);
        entries[i].stale = perm.stale;
    }
    if (entries[0].domid >= DOMID_RESERVED_FIRST)
        return wrong(rec, "an owner that is no domain", err);
    if (!domain_get(l->store, entries[0].domid))
        return no_memory(err);
    *ret = perms_get(&l->store->perms, entries, n->nr_perms);
    return *ret ? true : no_memory(err);
}

static bool load_node(struct loader *l, const struct xsdump_record *rec,
                      struct error *err)
{
    struct store *store = l->store;
    struct node *nearest = NULL;
    struct xsdump_node n;
    struct perms *perms;
    struct node *node;
    bool good = true;

    if (!xsdump_node_decode(rec, &n, err))
        return false;
    if (n.connection) {
        struct connection *c = find_connection(l, n.connection);
        struct transaction *tx = c ? transaction_find(c, n.transaction) : NULL;

        /* Of whose reads nothing is known: its end says EAGAIN. */
        if (tx)
            tx->doomed = true;
        return true;
    }
    if (!path_is_valid(n.path, true))
        return wrong(rec, "a node at no path", err);
    node = tree_find(store, n.path, &nearest);
    if (!node && (!nearest || tree_missing(nearest, n.path, store) != 1))
        return wrong(rec, "a node without its parent", err);
    if (node && node->parent)
        return wrong(rec, "a node that is there already", err);
    if (!load_perms(l, rec, &n, &perms, err))
        return false;
    if (node)
        good = tree_set_value(store, node, n.value, n.value_length) &&
               tree_set_perms(store, node, perms_hold(perms));
    else
        good =
            tree_create(store, n.path, nearest, perms, n.value, n.value_length);
    perms_drop(&store->perms, perms);
    return good ? true : no_memory(err);
}

static bool load_transaction(struct loader *l, const struct xsdump_record *rec,
                             struct error *err)
{
    struct xsdump_transaction t;
    struct transaction *tx;
    struct connection *c;

    if (!xsdump_transaction_decode(rec, &t, err))
        return false;
    c = find_connection(l, t.connection);
    if (!c)
        return true;
    if (transaction_find(c, t.id))
        return wrong(rec, "a transaction that is there already", err);
    if (transaction_adopt(c, t.id, true, &tx) != STORE_OK)
        return no_memory(err);
    if (c->next_transaction_id < t.id)
        c->next_transaction_id = t.id;
    return true;
}

static bool load_quotas(struct loader *l, const struct xsdump_record *rec,
                        struct error *err)
{
    struct quota_set *set = &l->store->quotas;
    struct xsdump_quotas q;
    const char *name;

    if (!xsdump_quotas_decode(rec, &q, err))
        return false;
    if (rec->type == XSDUMP_DOMAIN) {
        struct domain *d = domain_get(l->store, q.domid);

        if (q.domid >= DOMID_RESERVED_FIRST)
            return wrong(rec, "no possible domain", err);
        if (!d)
            return no_memory(err);
        set = &d->quotas;
        if (rec->version >= 2)
            d->features = q.features & FEATURES_ALL;
    }
    name = q.names;
    for (unsigned int i = 0; i < q.nr; i++) {
        uint32_t *place = quota_by_name(set, name);

        /* Others may know quotas that we do not. */
        if (place)
            *place = xsdump_quota_value(&q, i);
        name += strlen(name) + 1;
    }
    return true;
}

/* --- our own --- */

static struct cursor body_of(const struct xsdump_record *rec)
{
    return cursor_over(rec->body, rec->length, rec->order);
}

static bool load_store_state(struct loader *l, const struct xsdump_record *rec,
                             struct error *err)
{
    struct cursor c = body_of(rec);

    l->complete = true;
    l->generation = cursor_u64(&c);
    l->watch_sequence = cursor_u64(&c);
    l->next_connection_id = cursor_u32(&c);
    return c.bad ? wrong(rec, "too short", err) : true;
}

static bool load_domain_state(struct loader *l, const struct xsdump_record *rec,
                              struct error *err)
{
    struct cursor c = body_of(rec);
    uint16_t domid = cursor_u16(&c);
    uint16_t flags = cursor_u16(&c);
    uint32_t in_len, out_len, out_partial;
    struct domain *d = domain_get(l->store, domid);

    if (domid >= DOMID_RESERVED_FIRST)
        return wrong(rec, "no possible domain", err);
    if (!d)
        return no_memory(err);
    d->remote_port = cursor_u32(&c);
    cursor_u32(&c); /* the local port is with the connection */
    d->ring_req_cons = cursor_u32(&c);
    d->ring_rsp_prod = cursor_u32(&c);
    in_len = cursor_u32(&c);
    out_len = cursor_u32(&c);
    out_partial = cursor_u32(&c);
    d->gfn = cursor_u64(&c);
    d->birth = cursor_u64(&c);
    d->shutdown_reported = flags & STATE_DOMAIN_REPORTED;
    d->quiesced = flags & STATE_DOMAIN_QUIESCED;
    d->features_set = flags & STATE_DOMAIN_FEATURES;
    if (flags & STATE_DOMAIN_CARRY) {
        uint32_t req_cons = cursor_u32(&c);
        uint32_t rsp_prod = cursor_u32(&c);
        const uint8_t *bytes;

        if (in_len > rec->length || out_len > rec->length)
            return wrong(rec, "more carried than there is", err);
        bytes = cursor_bytes(&c, (size_t)in_len + out_len);
        if (!bytes || out_partial > out_len)
            return wrong(rec, "more carried than there is", err);
        d->carry = malloc(sizeof(*d->carry) + in_len + out_len);
        if (!d->carry)
            return no_memory(err);
        *d->carry = (struct carry){.req_cons = req_cons,
                                   .rsp_prod = rsp_prod,
                                   .in_len = in_len,
                                   .out_len = out_len,
                                   .out_partial = out_partial};
        memcpy(d->carry->bytes, bytes, (size_t)in_len + out_len);
    }
    return c.bad ? wrong(rec, "too short", err) : true;
}

static bool load_connection_state(struct loader *l,
                                  const struct xsdump_record *rec,
                                  struct error *err)
{
    struct cursor at = body_of(rec);
    struct connection *c = find_connection(l, cursor_u32(&at));
    uint32_t flags;
    const uint8_t *parked;

    if (!c)
        return true;
    c->next_transaction_id = cursor_u32(&at);
    c->conflicts = cursor_u32(&at);
    flags = cursor_u32(&at);
    c->watches_changed = cursor_u64(&at);
    parked = cursor_bytes(&at, sizeof(c->parked));
    c->waiting_for = cursor_u16(&at);
    if (at.bad)
        return wrong(rec, "too short", err);
    memcpy(&c->parked, parked, sizeof(c->parked));
    c->broken = c->domain && flags & STATE_CONNECTION_BROKEN;
    c->is_parked = flags & STATE_CONNECTION_PARKED;
    if (c->is_parked && c->waiting_for != DOMID_NONE_WIRE) {
        /* It waits anew, and is told when the time is over. */
        c->waiting_until_ns = store_now(l->store) + 2 * NS_PER_S;
        list_append(&l->store->waiting, &c->waiting);
    }
    return true;
}

static bool load_tx_state(struct loader *l, const struct xsdump_record *rec,
                          struct error *err)
{
    struct cursor at = body_of(rec);
    struct connection *c = find_connection(l, cursor_u32(&at));
    uint32_t id = cursor_u32(&at);
    uint32_t flags = cursor_u32(&at);
    int64_t own_nodes;

    cursor_u32(&at);
    own_nodes = (int64_t)cursor_u64(&at);
    if (l->tx)
        transaction_load_end(l->tx);
    l->tx = NULL;
    if (at.bad || !id)
        return wrong(rec, "no transaction", err);
    if (!c)
        return true;
    if (transaction_find(c, id))
        return wrong(rec, "a transaction that is there already", err);
    if (transaction_adopt(c, id, flags & STATE_TX_DOOMED, &l->tx) != STORE_OK)
        return no_memory(err);
    l->tx->changed = flags & STATE_TX_CHANGED;
    l->tx->removed_any = flags & STATE_TX_REMOVED;
    l->tx->poisoned = flags & STATE_TX_POISONED;
    l->tx->own_nodes = own_nodes;
    return true;
}

static bool entry_perms(struct loader *l, struct cursor *at, unsigned int nr,
                        struct perms **ret)
{
    struct perm_entry entries[PERMS_MAX];

    *ret = NULL;
    if (!nr)
        return true;
    if (nr > PERMS_MAX)
        return false;
    for (unsigned int i = 0; i < nr; i++) {
        entries[i].domid = cursor_u16(at);
        entries[i].rights = cursor_u8(at) & (RIGHT_READ | RIGHT_WRITE);
        entries[i].stale = cursor_u8(at) & 1;
    }
    if (at->bad || entries[0].domid >= DOMID_RESERVED_FIRST)
        return false;
    *ret = perms_get(&l->store->perms, entries, nr);
    return *ret;
}

static bool load_entry(struct loader *l, const struct xsdump_record *rec,
                       struct error *err)
{
    struct cursor at = body_of(rec);
    uint32_t flags, place, names_len;
    uint64_t stamps[STAMPS];
    uint16_t nr_base, nr, path_len, value_len;
    struct perms *base_perms, *perms;
    struct entry_state state = {0};
    const char *path;

    cursor_u32(&at);
    cursor_u32(&at);
    flags = cursor_u32(&at);
    place = cursor_u32(&at);
    for (unsigned int i = 0; i < STAMPS; i++)
        stamps[i] = cursor_u64(&at);
    nr_base = cursor_u16(&at);
    nr = cursor_u16(&at);
    path_len = cursor_u16(&at);
    value_len = cursor_u16(&at);
    names_len = cursor_u32(&at);
    cursor_u32(&at);
    if (!l->tx)
        return true; /* of a connection that was dropped */
    if (!entry_perms(l, &at, nr_base, &base_perms))
        return wrong(rec, "permissions", err);
    if (!entry_perms(l, &at, nr, &perms)) {
        perms_drop(&l->store->perms, base_perms);
        return wrong(rec, "permissions", err);
    }
    path = (const char *)cursor_bytes(&at, path_len);
    state.value = cursor_bytes(&at, value_len);
    state.names = cursor_bytes(&at, names_len);
    if (at.bad || !path_len || path[path_len - 1] ||
        !path_is_valid(path, true) || !base_perms != !(flags & 1) ||
        !perms != !(flags & STATE_ENTRY_EXISTS) ||
        (names_len && state.names[names_len - 1])) {
        perms_drop(&l->store->perms, base_perms);
        perms_drop(&l->store->perms, perms);
        return wrong(rec, "an entry that contradicts itself", err);
    }
    state.flags = flags;
    state.place = place;
    state.stamps = stamps;
    state.base_perms = base_perms;
    state.perms = perms;
    state.value_len = value_len;
    state.names_len = names_len;
    if (!transaction_load_entry(l->tx, path, &state))
        return no_memory(err);
    return true;
}

static bool load_stamps(struct loader *l, const struct xsdump_record *rec,
                        struct error *err)
{
    struct cursor at = body_of(rec);

    if (!l->stamped && !l->special) {
        l->stamped = l->store->root;
        strcpy(l->path, "/");
    }
    while (cursor_left(&at) >= STAMPS * sizeof(uint64_t)) {
        if (!l->stamped)
            return wrong(rec, "more stamps than nodes", err);
        for (unsigned int i = 0; i < STAMPS; i++) {
            uint64_t stamp = cursor_u64(&at);

            if (i == STAMP_CHILDREN && stamp != node_stamp(l->stamped, i) &&
                !node_reserve(l->stamped, 0))
                return no_memory(err);
            node_set_stamp(l->stamped, i, stamp);
        }
        l->stamped =
            l->special ? NULL : tree_next(l->store->root, l->stamped, l->path);
        if (!l->stamped && l->special < SPECIAL_NR)
            l->stamped = l->store->special[l->special++];
    }
    return true;
}

/* --- all of it --- */

static bool load_record(struct loader *l, const struct xsdump_record *rec,
                        struct error *err)
{
    switch (rec->type) {
    case XSDUMP_CONNECTION:
        return load_connection(l, rec, err);
    case XSDUMP_WATCH:
    case XSDUMP_WATCH_EXTENDED:
        return load_watch(l, rec, err);
    case XSDUMP_NODE:
        return load_node(l, rec, err);
    case XSDUMP_TRANSACTION:
        return load_transaction(l, rec, err);
    case XSDUMP_QUOTA:
    case XSDUMP_DOMAIN:
        return load_quotas(l, rec, err);
    case STATE_STORE:
        return load_store_state(l, rec, err);
    case STATE_DOMAIN:
        return load_domain_state(l, rec, err);
    case STATE_CONNECTION:
        return load_connection_state(l, rec, err);
    case STATE_TRANSACTION:
        return load_tx_state(l, rec, err);
    case STATE_ENTRY:
        return load_entry(l, rec, err);
    case STATE_STAMPS:
        return load_stamps(l, rec, err);
    default:
        return true; /* unknown records are skipped, as the document says */
    }
}

bool store_load(struct store *store, const void *bytes, size_t length,
                const struct store_load_hooks *hooks, struct error *err)
{
    struct loader l = {.store = store, .hooks = hooks};
    cleanup(buffer_release) struct buffer report = {0};
    struct xsdump_reader reader;
    struct xsdump_record rec;
    uint32_t at = 0;
    struct node *child;

    if (!xsdump_open(&reader, bytes, length, err))
        return false;
    while ((child = node_next_child(store->root, &at)))
        tree_remove(store, child, false);
    node_trim(store->root);
    do {
        if (!xsdump_next(&reader, &rec, err) || !load_record(&l, &rec, err))
            return false;
    } while (rec.type != XSDUMP_END);
    if (l.tx)
        transaction_load_end(l.tx);
    /* What was made while loading has its old number by now. */
    if (l.complete) {
        store->next_connection_id = l.next_connection_id;
        store->watch_sequence = l.watch_sequence;
        store->generation = l.generation;
    }
    store_check(store, &report);
    if (report.length) {
        buffer_u8(&report, 0);
        return error_set(err, ERR_FORMAT, "loaded state: %s",
                         report.bytes ? (char *)report.bytes : "");
    }
    return true;
}
