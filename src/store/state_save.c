/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store as a state stream. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/domain.h"
#include "store/state.h"
#include "store/transaction.h"
#include "store/tree.h"
#include "stream/xs/xs_dump.h"

/* What a stream's u16 can announce. */
#define LENGTH_MAX 65535u

static void save_quota_set(struct buffer *out, uint32_t type,
                           struct xsdump_quotas *q, const struct quota_set *set)
{
    uint32_t values[QUOTA_NR + 1];
    const char *names[QUOTA_NR + 1];

    for (unsigned int i = 0; i < QUOTA_NR; i++) {
        values[i] = set->hard[i];
        names[i] = quota_name(i);
    }
    values[QUOTA_NR] = set->soft_memory;
    names[QUOTA_NR] = "soft-memory";
    q->nr = QUOTA_NR + 1;
    xsdump_write_quotas(out, type, q, values, names);
}

static bool save_connection(const struct store_dump_options *options,
                            struct connection *c, struct buffer *out)
{
    struct buffer queue = {0};
    struct xsdump_connection k = {
        .id = c->id,
        .kind = c->domain ? XSDUMP_CONNECTION_RING : XSDUMP_CONNECTION_SOCKET,
        .target = XSDUMP_NO_DOMID,
        .fd = -1,
        .in = c->in ? c->in + c->in_at : NULL,
        .in_length = (uint32_t)(c->in_len - c->in_at),
    };
    bool good;

    if (!c->domain && options->socket_input)
        k.in_length = (uint32_t)options->socket_input(c);
    if (c->domain) {
        k.domid = c->domain->domid;
        k.target = c->domain->target;
        k.port = c->domain->link.port;
    } else if (options->socket_fd) {
        k.fd = options->socket_fd(c);
    }
    list_for_each (it, &c->output) {
        struct message *m = list_object(it, struct message, link);
        size_t skip = it == c->output.next ? c->output_sent : 0;

        /* Of the first: octets up to the next whole message. */
        if (it == c->output.next && m->partial) {
            k.reply_remainder = (uint32_t)(m->length - skip);
        } else if (skip) {
            size_t at = 0;

            while (at < skip) {
                struct wire_header hdr;

                memcpy(&hdr, m->bytes + at, sizeof(hdr));
                at += sizeof(hdr) + hdr.len;
            }
            k.reply_remainder = (uint32_t)(at - skip);
        }
        buffer_bytes(&queue, m->bytes + skip, m->length - skip);
    }
    k.out = queue.bytes;
    k.out_length = (uint32_t)queue.length;
    good = !queue.bad && k.in_length <= LENGTH_MAX;
    if (good)
        xsdump_write_connection(out, &k);
    buffer_release(&queue);
    list_for_each (it, &c->watches) {
        struct watch *w = list_object(it, struct watch, on_connection);
        struct xsdump_watch record = {
            .connection = c->id,
            .path = watch_path(w),
            .token = watch_token(w),
            .depth = options->version >= 2 ? w->depth : WATCH_DEPTH_ANY,
        };

        /* Version 1 cannot say how deep: such watches are left out. */
        if (options->version >= 2 || w->depth == WATCH_DEPTH_ANY)
            xsdump_write_watch(out, &record);
    }
    return good;
}

static unsigned int copy_perms(const struct perms *perms,
                               struct xsdump_perm *ret)
{
    for (unsigned int i = 0; i < perms->nr; i++)
        ret[i] = (struct xsdump_perm){.letter =
                                          perm_letter(perms->entries[i].rights),
                                      .stale = perms->entries[i].stale,
                                      .domid = perms->entries[i].domid};
    return perms->nr;
}

static void save_node(const struct node *node, const char *path,
                      struct buffer *out)
{
    struct xsdump_perm perms[PERMS_MAX];
    struct xsdump_node n = {
        .path = path,
        .nr_perms = (uint16_t)copy_perms(node->perms, perms),
        .value = node_value(node),
        .value_length = node->value_len,
    };

    xsdump_write_node(out, &n, perms);
}

/* The nodes that lead to a domain's home, the home, and all below it. */
static void save_home(struct store *store, uint16_t domid, struct buffer *out)
{
    static const char *const above[] = {"/", "/local", "/local/domain"};
    char path[WIRE_ABS_PATH_MAX + 1];
    struct node *home;

    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    home = tree_find(store, path, NULL);
    if (!home)
        return;
    for (unsigned int i = 0; i < ARRAY_SIZE(above); i++)
        save_node(tree_find(store, above[i], NULL), above[i], out);
    for (struct node *n = home; n; n = tree_next(home, n, path))
        save_node(n, path, out);
}

static void save_nodes(struct store *store, struct buffer *out)
{
    char path[WIRE_ABS_PATH_MAX + 1] = "/";

    for (struct node *n = store->root; n; n = tree_next(store->root, n, path))
        save_node(n, path, out);
    for (unsigned int i = 0; i < SPECIAL_NR; i++)
        save_node(store->special[i], store->special[i]->name, out);
}

/* Pending nodes as the document has them: for readers other than ours. */
static void save_transactions(struct connection *c, struct buffer *out)
{
    struct transaction *tx, *next;

    HASH_ITER(hh, c->transactions, tx, next)
    {
        struct xsdump_transaction t = {.connection = c->id, .id = tx->id};

        xsdump_write_transaction(out, &t);
        list_for_each (it, &tx->entries) {
            struct entry *e = list_object(it, struct entry, order);
            struct xsdump_perm perms[PERMS_MAX];
            struct xsdump_node n = {
                .connection = c->id, .transaction = tx->id, .path = e->path};

            if (!e->exists && !e->base_exists)
                continue;
            if (!e->exists) {
                n.access = XSDUMP_ACCESS_DELETED;
            } else {
                n.access = e->value_written || e->perms_written
                               ? XSDUMP_ACCESS_WRITTEN
                               : XSDUMP_ACCESS_READ;
                n.nr_perms = (uint16_t)copy_perms(e->perms, perms);
                n.value = e->value;
                n.value_length = e->value_held ? e->value_len : 0;
            }
            xsdump_write_node(out, &n, perms);
        }
    }
}

/* --- what only we understand --- */

static void save_domain_state(const struct domain *d, struct buffer *out)
{
    size_t begun = xsdump_begin(out, STATE_DOMAIN);
    uint16_t flags = 0;

    if (d->introduced)
        flags |= STATE_DOMAIN_INTRODUCED;
    if (d->shutdown_reported)
        flags |= STATE_DOMAIN_REPORTED;
    if (d->quiesced)
        flags |= STATE_DOMAIN_QUIESCED;
    if (d->features_set)
        flags |= STATE_DOMAIN_FEATURES;
    if (d->carry)
        flags |= STATE_DOMAIN_CARRY;
    buffer_u16(out, d->domid);
    buffer_u16(out, flags);
    buffer_u32(out, d->remote_port);
    buffer_u32(out, d->link.port);
    buffer_u32(out, d->ring_req_cons);
    buffer_u32(out, d->ring_rsp_prod);
    buffer_u32(out, d->carry ? (uint32_t)d->carry->in_len : 0);
    buffer_u32(out, d->carry ? (uint32_t)d->carry->out_len : 0);
    buffer_u32(out, d->carry ? (uint32_t)d->carry->out_partial : 0);
    buffer_u64(out, d->gfn);
    buffer_u64(out, d->birth);
    if (d->carry) {
        buffer_u32(out, d->carry->req_cons);
        buffer_u32(out, d->carry->rsp_prod);
        buffer_bytes(out, d->carry->bytes,
                     d->carry->in_len + d->carry->out_len);
    }
    xsdump_end(out, begun);
}

static void save_entry(const struct transaction *tx, const struct entry *e,
                       struct buffer *out)
{
    struct perms *lists[2] = {e->base_perms, e->perms};
    size_t begun = xsdump_begin(out, STATE_ENTRY);
    uint32_t flags = 0;

    if (e->base_exists)
        flags |= STATE_ENTRY_BASE;
    if (e->exists)
        flags |= STATE_ENTRY_EXISTS;
    if (e->emptied)
        flags |= STATE_ENTRY_EMPTIED;
    if (e->value_held)
        flags |= STATE_ENTRY_VALUE_HELD;
    if (e->value_written)
        flags |= STATE_ENTRY_VALUE_WRITTEN;
    if (e->perms_written)
        flags |= STATE_ENTRY_PERMS_WRITTEN;
    if (!list_is_empty(&e->sibling))
        flags |= STATE_ENTRY_SIBLING;
    flags |= e->touched << STATE_ENTRY_TOUCHED_SHIFT;
    flags |= (uint32_t)e->events << STATE_ENTRY_EVENT_SHIFT;
    buffer_u32(out, tx->connection->id);
    buffer_u32(out, tx->id);
    buffer_u32(out, flags);
    buffer_u32(out, e->event_place);
    for (unsigned int i = 0; i < STAMPS; i++)
        buffer_u64(out, e->stamp[i]);
    for (unsigned int i = 0; i < 2; i++)
        buffer_u16(out, lists[i] ? lists[i]->nr : 0);
    buffer_u16(out, (uint16_t)(e->path_len + 1));
    buffer_u16(out, e->value_held ? e->value_len : 0);
    buffer_u32(out, (uint32_t)e->names_len);
    buffer_u32(out, 0);
    for (unsigned int i = 0; i < 2; i++)
        for (unsigned int j = 0; lists[i] && j < lists[i]->nr; j++) {
            buffer_u16(out, lists[i]->entries[j].domid);
            buffer_u8(out, lists[i]->entries[j].rights);
            buffer_u8(out, lists[i]->entries[j].stale);
        }
    buffer_bytes(out, e->path, e->path_len + 1u);
    buffer_bytes(out, e->value, e->value_held ? e->value_len : 0);
    buffer_bytes(out, e->names, e->names_len);
    xsdump_end(out, begun);
}

static void save_connection_state(struct connection *c, struct buffer *out)
{
    struct transaction *tx, *next;
    size_t begun = xsdump_begin(out, STATE_CONNECTION);

    buffer_u32(out, c->id);
    buffer_u32(out, c->next_transaction_id);
    buffer_u32(out, c->conflicts);
    buffer_u32(out, (c->broken ? STATE_CONNECTION_BROKEN : 0) |
                        (c->is_parked ? STATE_CONNECTION_PARKED : 0));
    buffer_u64(out, c->watches_changed);
    buffer_bytes(out, &c->parked, sizeof(c->parked));
    buffer_u16(out, c->waiting_for);
    xsdump_end(out, begun);

    HASH_ITER(hh, c->transactions, tx, next)
    {
        begun = xsdump_begin(out, STATE_TRANSACTION);
        buffer_u32(out, c->id);
        buffer_u32(out, tx->id);
        buffer_u32(out, (tx->changed ? STATE_TX_CHANGED : 0) |
                            (tx->removed_any ? STATE_TX_REMOVED : 0) |
                            (tx->doomed ? STATE_TX_DOOMED : 0) |
                            (tx->poisoned ? STATE_TX_POISONED : 0));
        buffer_u32(out, 0);
        buffer_u64(out, (uint64_t)tx->own_nodes);
        xsdump_end(out, begun);
        uint32_t place = 0;

        /* Which event it is, from 1 on; 0: none. */
        list_for_each (it, &tx->entries)
            list_object(it, struct entry, order)->event_place = 0;
        list_for_each (it, &tx->events)
            list_object(it, struct entry, event)->event_place = ++place;
        list_for_each (it, &tx->entries)
            save_entry(tx, list_object(it, struct entry, order), out);
    }
}

/* Records are bounded: the stamps of many nodes are several. */
#define STAMPS_AT_ONCE 4096u

static void save_stamps(struct store *store, struct buffer *out)
{
    char path[WIRE_ABS_PATH_MAX + 1] = "/";
    struct node *n = store->root;
    unsigned int special = 0;

    while (n) {
        size_t begun = xsdump_begin(out, STATE_STAMPS);

        for (unsigned int i = 0; n && i < STAMPS_AT_ONCE; i++) {
            /* As it will be when it was loaded. */
            node_drop_empty_table(n);
            for (unsigned int j = 0; j < STAMPS; j++)
                buffer_u64(out, node_stamp(n, j));
            n = special ? NULL : tree_next(store->root, n, path);
            if (!n && special < SPECIAL_NR)
                n = store->special[special++];
        }
        xsdump_end(out, begun);
    }
}

static bool is_wanted(const struct store_dump_options *options,
                      const struct connection *c)
{
    return !c->closing && (!options->one_domain ||
                           (c->domain && c->domain->domid == options->domid));
}

bool store_dump(struct store *store, const struct store_dump_options *options,
                struct buffer *out, struct error *err)
{
    struct xsdump_quotas global = {0};
    bool good = true;

    xsdump_write_header(out, options->version);
    if (options->listen_fd >= 0 || options->evtchn_fd >= 0) {
        struct xsdump_global g = {options->listen_fd, options->evtchn_fd};

        xsdump_write_global(out, &g);
    }
    if (options->version >= 2 && !options->one_domain)
        save_quota_set(out, XSDUMP_QUOTA, &global, &store->quotas);
    if (options->complete) {
        size_t begun = xsdump_begin(out, STATE_STORE);

        buffer_u64(out, store->generation);
        buffer_u64(out, store->watch_sequence);
        buffer_u32(out, store->next_connection_id);
        xsdump_end(out, begun);
        for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++)
            if (store->domains[i])
                save_domain_state(store->domains[i], out);
    }
    list_for_each (it, &store->clients) {
        struct connection *c = list_object(it, struct connection, all);

        if (is_wanted(options, c))
            good = good && save_connection(options, c, out);
    }
    if (options->one_domain)
        save_home(store, options->domid, out);
    else
        save_nodes(store, out);
    list_for_each (it, &store->clients) {
        struct connection *c = list_object(it, struct connection, all);

        if (!is_wanted(options, c))
            continue;
        if (options->complete)
            save_connection_state(c, out);
        else
            save_transactions(c, out);
    }
    if (options->version >= 2)
        for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++) {
            struct domain *d = store->domains[i];
            struct xsdump_quotas q;

            if (!d || (options->one_domain && i != options->domid))
                continue;
            q = (struct xsdump_quotas){.domid = d->domid,
                                       .features = d->features};
            save_quota_set(out, XSDUMP_DOMAIN, &q, &d->quotas);
        }
    if (options->complete)
        save_stamps(store, out);
    xsdump_end(out, xsdump_begin(out, XSDUMP_END));
    if (!good)
        return error_set(err, ERR_LIMIT,
                         "a connection's input does not fit its record");
    return buffer_check(out, "state stream", err);
}
