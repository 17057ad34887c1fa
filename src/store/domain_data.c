/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/domain_data.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "store/connection.h"
#include "store/domain.h"
#include "store/transaction.h"
#include "store/tree.h"
#include "stream/xl/xl_xenstore.h"

#define HOME_MAX 32

static void home_of(uint32_t domid, char ret[HOME_MAX])
{
    snprintf(ret, HOME_MAX, "/local/domain/%" PRIu32, domid);
}

static struct domain *find_domain(struct store *store, uint32_t domid,
                                  struct error *err)
{
    struct domain *d = domain_find(store, domid);

    if (!d)
        error_set(err, ERR_STATE, "domain %" PRIu32 ": not in the store",
                  domid);
    return d;
}

/* --- saving --- */

/* Their numbers: what they did stays here. */
static void save_transactions(const struct domain *d, struct buffer *ret)
{
    struct transaction *tx, *next;

    if (d->connection)
        HASH_ITER(hh, d->connection->transactions, tx, next)
    xenstore_transaction_append(ret, tx->id);
}

bool domain_data_save(struct store *store, uint32_t domid, struct buffer *ret,
                      struct error *err)
{
    char path[WIRE_ABS_PATH_MAX + 1];
    cleanup(buffer_release) struct buffer perms = {0};
    struct domain *d = find_domain(store, domid, err);
    struct node *home;
    size_t home_len;

    if (!d)
        return false;
    home_of(domid, path);
    home_len = strlen(path);
    home = tree_find(store, path, NULL);
    for (struct node *n = home; n; n = tree_next(home, n, path)) {
        struct xenstore_node node = {
            .path = n == home ? "" : path + home_len + 1,
            .value = node_value(n),
            .value_length = n->value_len,
            .nr_perms = n->perms->nr,
        };

        buffer_reset(&perms);
        perms_format(n->perms, &perms);
        if (!buffer_check(&perms, "permissions", err))
            return false;
        node.perms = (const char *)perms.bytes;
        xenstore_node_append(ret, &node);
    }
    if (d->connection)
        list_for_each (it, &d->connection->watches) {
            struct watch *w = list_object(it, struct watch, on_connection);
            struct xenstore_watch watch = {
                .path = watch_path(w),
                .token = watch_token(w),
                .depth = w->depth == WATCH_DEPTH_ANY ? -1 : w->depth,
            };

            xenstore_watch_append(ret, &watch);
        }
    save_transactions(d, ret);
    return buffer_check(ret, "a domain's store data", err);
}

/* --- loading --- */

struct overlay {
    struct store *store;
    struct domain *d;
    uint32_t was;
    bool apply; /* else only look */
    uint64_t watches_before;
    uint32_t nr_nodes; /* of the guest's own, looked at so far */
    uint32_t nr_watches;
    uint32_t nr_transactions;
};

/* Nobody may bring along what the guest could not have made here. */
static bool count(const struct overlay *o, const struct record *rec,
                  enum quota quota, uint32_t *nr, struct error *err)
{
    if (o->apply || !quota_exceeded(&o->d->quotas, quota, ++*nr))
        return true;
    return record_error(rec, err,
                        "record at offset %" PRIu64 ": %s: number %" PRIu32
                        ", expected at most %" PRIu32,
                        rec->offset, quota_text(quota), *nr,
                        o->d->quotas.hard[quota]);
}

/* The path in this store, with the home where it is now. */
static bool node_path(const struct overlay *o, const struct record *rec,
                      const char *given, char *ret, struct error *err)
{
    size_t home;

    home_of(o->d->domid, ret);
    home = strlen(ret);
    if (!*given)
        return true;
    if (home + 1 + strlen(given) > WIRE_ABS_PATH_MAX)
        return record_error(rec, err,
                            "node at offset %" PRIu64 ": path of %zu octets, "
                            "expected at most %zu",
                            rec->offset, strlen(given),
                            WIRE_ABS_PATH_MAX - home - 1);
    ret[home] = '/';
    strcpy(ret + home + 1, given);
    if (!path_is_valid(ret, false))
        return record_error(
            rec, err, "node at offset %" PRIu64 ": '%.64s', expected a path",
            rec->offset, given);
    return true;
}

static bool node_perms(const struct overlay *o, const struct record *rec,
                       const struct xenstore_node *n,
                       struct perm_entry *entries, struct error *err)
{
    const char *text = n->perms;

    if (n->nr_perms > PERMS_MAX)
        return record_error(rec, err,
                            "node at offset %" PRIu64 ": %" PRIu32
                            " permissions, expected at most %u",
                            rec->offset, n->nr_perms, PERMS_MAX);
    for (uint32_t i = 0; i < n->nr_perms; i++) {
        if (!perm_entry_parse(text, &entries[i]))
            return record_error(rec, err,
                                "node at offset %" PRIu64
                                ": permission '%.16s', expected n, r, w or b "
                                "and a domain",
                                rec->offset, text);
        if (entries[i].domid == o->was)
            entries[i].domid = o->d->domid;
        entries[i].stale = !domid_exists(o->store, entries[i].domid);
        text += strlen(text) + 1;
    }
    if (entries[0].domid >= DOMID_RESERVED_FIRST)
        return record_error(
            rec, err, "node at offset %" PRIu64 ": owner %u, expected a domain",
            rec->offset, entries[0].domid);
    return true;
}

static bool set_node(struct store *store, const char *path,
                     const struct xenstore_node *n, struct perms *perms)
{
    struct node *nearest;
    struct node *node = tree_find(store, path, &nearest);
    struct perms *old = NULL;
    bool good;

    if (node) {
        old = perms_hold(node->perms);
        good =
            tree_set_value(store, node, n->value, (uint16_t)n->value_length) &&
            tree_set_perms(store, node, perms_hold(perms));
    } else {
        node = tree_create(store, path, nearest, perms, n->value,
                           (uint16_t)n->value_length);
        good = node;
    }
    if (good) {
        struct change_perms change = {
            .node = node->perms, .parent = node->parent->perms, .old = old};

        watch_fire(store, path, false, &change);
    }
    perms_drop(&store->perms, old);
    return good;
}

static bool load_node(struct overlay *o, const struct record *rec,
                      struct error *err)
{
    struct perm_entry entries[PERMS_MAX];
    char path[WIRE_ABS_PATH_MAX + 1];
    struct xenstore_node n;
    struct perms *perms;
    bool good;

    if (!xenstore_node_decode(rec, &n, err) ||
        !node_path(o, rec, n.path, path, err) ||
        !node_perms(o, rec, &n, entries, err))
        return false;
    if (n.value_length > WIRE_PAYLOAD_MAX)
        return record_error(rec, err,
                            "node at offset %" PRIu64 ": value of %" PRIu32
                            " octets, expected at most %u",
                            rec->offset, n.value_length, WIRE_PAYLOAD_MAX);
    if (entries[0].domid == o->d->domid &&
        !count(o, rec, QUOTA_NODES, &o->nr_nodes, err))
        return false;
    if (!o->apply)
        return true;
    perms = perms_get(&o->store->perms, entries, n.nr_perms);
    good = perms && set_node(o->store, path, &n, perms);
    perms_drop(&o->store->perms, perms);
    return good ? true : error_set(err, ERR_NO_MEMORY, "node '%.64s'", n.path);
}

/* An absolute path below the home that was becomes one below the new home. */
static bool watch_given(const struct overlay *o, const char *path,
                        char ret[WIRE_ABS_PATH_MAX + 1])
{
    char home[HOME_MAX];
    size_t length;
    int made;

    home_of(o->was, home);
    length = strlen(home);
    if (!strncmp(path, home, length) && (!path[length] || path[length] == '/'))
        made = snprintf(ret, WIRE_ABS_PATH_MAX + 1, "/local/domain/%u%s",
                        o->d->domid, path + length);
    else
        made = snprintf(ret, WIRE_ABS_PATH_MAX + 1, "%s", path);
    return made <= WIRE_ABS_PATH_MAX;
}

/* Where watches and transactions belong. */
static struct connection *open_ring(const struct overlay *o, struct error *err)
{
    struct connection *c = o->d->connection;

    if (c && !c->broken)
        return c;
    error_set(err, ERR_STATE, "domain %u: %s, expected one that is served",
              o->d->domid, c ? "its ring is broken" : "no ring");
    return NULL;
}

static bool load_watch(struct overlay *o, const struct record *rec,
                       struct error *err)
{
    char given[WIRE_ABS_PATH_MAX + 1], path[WIRE_ABS_PATH_MAX + 1];
    struct xenstore_watch w;
    struct connection *c;

    if (!xenstore_watch_decode(rec, &w, err))
        return false;
    c = open_ring(o, err);
    if (!c)
        return false;
    if (!watch_given(o, w.path, given) ||
        path_canonical(c, given, true, path) != STORE_OK ||
        strlen(w.token) > WIRE_PAYLOAD_MAX)
        return record_error(rec, err,
                            "watch at offset %" PRIu64
                            ": '%.64s', expected a path and a token",
                            rec->offset, w.path);
    if (!count(o, rec, QUOTA_WATCHES, &o->nr_watches, err))
        return false;
    if (!o->apply || watch_find(c, path, w.token))
        return true;
    return watch_add(o->store, c, path, given, w.token,
                     w.depth < 0 || w.depth > INT16_MAX ? WATCH_DEPTH_ANY
                                                        : w.depth)
               ? true
               : error_set(err, ERR_NO_MEMORY, "watch '%.64s'", w.path);
}

/* The guest gets EAGAIN when it ends one, as after any other conflict. */
static bool load_transaction(struct overlay *o, const struct record *rec,
                             struct error *err)
{
    struct transaction *tx;
    struct connection *c;
    uint32_t id;

    if (!xenstore_transaction_decode(rec, &id, err))
        return false;
    c = open_ring(o, err);
    if (!c || !count(o, rec, QUOTA_TRANSACTIONS, &o->nr_transactions, err))
        return false;
    if (!o->apply || transaction_find(c, id))
        return true;
    return transaction_adopt(c, id, true, &tx) == STORE_OK ||
           error_set(err, ERR_NO_MEMORY, "transaction %" PRIu32, id);
}

static bool load_record(struct overlay *o, uint32_t type,
                        const struct record *rec, struct error *err)
{
    switch (type) {
    case XLSTREAM_XENSTORE_WATCHES:
        return load_watch(o, rec, err);
    case XLSTREAM_XENSTORE_TRANSACTIONS:
        return load_transaction(o, rec, err);
    default:
        return load_node(o, rec, err);
    }
}

static bool walk(struct overlay *o, const void *bytes, size_t length,
                 struct error *err)
{
    const uint8_t *at = bytes;

    for (size_t offset = 0; offset < length;) {
        size_t left = length - offset;
        struct record rec;
        struct domain_xenstore_data data;
        uint32_t size;

        if (left < RECORD_HEAD_SIZE)
            return error_set_at(err, ERR_TRUNCATED, offset,
                                "record: %zu octets left, expected %u", left,
                                RECORD_HEAD_SIZE);

        struct record_head head =
            record_head_decode(at + offset, ORDER_LITTLE, offset);

        if (head.type != XLREC_DOMAIN_XENSTORE_DATA)
            return error_set_at(err, ERR_FORMAT, offset,
                                "record at offset %zu: type %#" PRIx32
                                ", expected DOMAIN_XENSTORE_DATA",
                                offset, head.type);
        if (record_size(head.length) > left)
            return error_set_at(err, ERR_TRUNCATED, offset,
                                "DOMAIN_XENSTORE_DATA at offset %zu: %zu "
                                "octets left, expected %" PRIu64,
                                offset, left, record_size(head.length));
        size = head.length;
        rec = record_over(head.type, at + offset + RECORD_HEAD_SIZE, size,
                          ORDER_LITTLE);
        rec.offset = offset;
        if (!domain_xenstore_data_decode(&rec, &data, err))
            return false;
        if (!load_record(o, data.type, &rec, err))
            return false;
        offset += (size_t)record_size(size);
    }
    return true;
}

bool domain_data_load(struct store *store, uint32_t domid, uint32_t was,
                      const void *bytes, size_t length, struct error *err)
{
    struct overlay o = {.store = store,
                        .d = find_domain(store, domid, err),
                        .was = was,
                        .watches_before = store->watch_sequence};

    if (!o.d || !walk(&o, bytes, length, err))
        return false;
    o.apply = true;
    if (!walk(&o, bytes, length, err))
        return false;
    if (!o.d->connection)
        return true;
    list_for_each (it, &o.d->connection->watches) {
        struct watch *w = list_object(it, struct watch, on_connection);

        if (w->sequence > o.watches_before)
            watch_fire_initial(store, w);
    }
    return true;
}
