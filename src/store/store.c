/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/domain.h"
#include "store/request.h"
#include "store/ring.h"
#include "store/tree.h"

struct store_options store_options_default(void)
{
    return (struct store_options){
        .quotas = quota_defaults(),
        .event_timeout_ns = 20 * NS_PER_S,
    };
}

int64_t store_now(const struct store *store)
{
    return store->host.now_ns(store->host.context);
}

void store_log_refusal(struct store *store, struct domain *d, enum quota quota,
                       uint64_t value)
{
    struct quota_refusals *said;
    int64_t now = store_now(store);

    if (!d)
        return;
    said = &d->refusals[quota];
    if (said->said_ns && now - said->said_ns < NS_PER_S) {
        said->suppressed++;
        return;
    }
    log_warning(store->host.log,
                "domain %u: %s %" PRIu64 " refused, the quota is %u (%u "
                "refusals not shown)",
                d->domid, quota_name(quota), value, d->quotas.hard[quota],
                said->suppressed);
    said->said_ns = now ? now : 1;
    said->suppressed = 0;
}

bool store_open(const struct store_options *options,
                const struct store_host *host, struct store **ret,
                struct error *err)
{
    struct store *store = calloc(1, sizeof(*store));

    if (!store)
        return error_set(err, ERR_NO_MEMORY, "store");
    store->host = *host;
    store->options = *options;
    store->quotas = options->quotas;
    store->next_expiry_ns = DEADLINE_NONE;
    list_init(&store->ready);
    list_init(&store->flush);
    list_init(&store->clients);
    list_init(&store->waiting);
    pool_init(&store->pool);
    perms_table_init(&store->perms);
    store->domains = calloc(DOMID_RESERVED_FIRST, sizeof(*store->domains));
    if (!store->domains || !watch_table_init(&store->watches, &store->pool) ||
        !tree_init(store)) {
        store_close(store);
        return error_set(err, ERR_NO_MEMORY, "store");
    }
    *ret = store;
    return true;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    if (store->domains)
        for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++) {
            struct domain *d = store->domains[i];

            if (!d || !d->connection)
                continue;
            d->connection->domain = NULL;
            connection_free(d->connection);
            /* Removing the nodes may bring the domain below its quotas. */
            d->connection = NULL;
            store->host.ring_close(store->host.context, d->domid, &d->link);
        }
    while (!list_is_empty(&store->clients))
        connection_free(
            list_object(store->clients.next, struct connection, all));
    tree_release(store);
    if (store->domains)
        domain_free_all(store);
    watch_table_release(&store->watches);
    pool_release(&store->pool);
    buffer_release(&store->scratch);
    free(store->spare_input);
    free(store->domains);
    free(store);
}

/*
 * One turn for every connection that was woken, then whatever they and the
 * events for others want sent, one send each.
 */
bool store_turn(struct store *store)
{
    struct list turn;
    struct list again;

    store->figures.turns++;
    list_init(&turn);
    list_init(&again);
    while (!list_is_empty(&store->ready)) {
        struct connection *c =
            list_object(store->ready.next, struct connection, ready);

        list_remove(&c->ready);
        list_append(&turn, &c->ready);
    }
    while (!list_is_empty(&turn)) {
        struct connection *c = list_object(turn.next, struct connection, ready);

        list_remove(&c->ready);
        if (c->closing)
            connection_free(c);
        else if (connection_run(c) && list_is_empty(&c->ready))
            list_append(&again, &c->ready);
    }
    while (!list_is_empty(&again)) {
        struct connection *c =
            list_object(again.next, struct connection, ready);

        list_remove(&c->ready);
        list_append(&store->ready, &c->ready);
    }
    while (!list_is_empty(&store->flush)) {
        struct connection *c =
            list_object(store->flush.next, struct connection, flush);

        list_remove(&c->flush);
        connection_flush(c);
    }
    if (!list_is_empty(&store->waiting))
        migration_tick(store);
    return !list_is_empty(&store->ready) || !list_is_empty(&store->flush);
}

void store_record(struct store *store, const struct store_recorder *recorder)
{
    store->recorder = recorder;
}

void store_replay_begin(struct store *store)
{
    store->replaying = true;
}

bool store_replay_end(struct store *store, struct error *err)
{
    store->replaying = false;
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++) {
        struct domain *d = store->domains[i];

        if (!d || !d->connection)
            continue;
        if (!store->host.ring_resume(store->host.context, d->domid,
                                     d->link.port, &d->link, err)) {
            /* It died meanwhile: found when all domains are looked at. */
            log_warning(store->host.log, "domain %u: %s", d->domid, err->text);
            *err = (struct error){0};
            d->connection->broken = true;
            continue;
        }
        if (!d->connection->broken)
            ring_recover(d->connection);
    }
    list_for_each (it, &store->clients)
        connection_wake(list_object(it, struct connection, all));
    return true;
}

int64_t store_deadline(const struct store *store)
{
    int64_t due = store->next_expiry_ns;

    if (store->shielded && store->shield_until_ns < due)
        due = store->shield_until_ns;
    list_for_each (it, &store->waiting) {
        struct connection *c = list_object(it, struct connection, waiting);

        if (c->waiting_until_ns < due)
            due = c->waiting_until_ns;
    }
    return due;
}

void store_tick(struct store *store)
{
    int64_t now = store_now(store);
    int64_t timeout = store->options.event_timeout_ns;

    if (store->recorder)
        store->recorder->tick(store->recorder->context);
    if (store->shielded && now >= store->shield_until_ns)
        store_unshield(store);
    migration_tick(store);
    if (now < store->next_expiry_ns)
        return;
    store->next_expiry_ns = DEADLINE_NONE;
    list_for_each (it, &store->clients) {
        struct connection *c = list_object(it, struct connection, all);

        if (!c->domain || !domain_is_guest(store, c->domain))
            continue;
        connection_expire(c, now - timeout);
        list_for_each (mit, &c->output) {
            struct message *m = list_object(mit, struct message, link);

            if (m->kind == MESSAGE_EVENT &&
                m->queued_ns + timeout < store->next_expiry_ns &&
                m->queued_ns + timeout > now)
                store->next_expiry_ns = m->queued_ns + timeout;
        }
    }
}

void store_figures(const struct store *store, struct store_figures *ret)
{
    *ret = store->figures;
    ret->nodes = store->nr_nodes;
    ret->watches = store->watches.nr_watches;
    ret->connections = HASH_COUNT(store->connections);
    ret->memory = 0;
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++)
        if (store->domains[i])
            ret->memory += store->domains[i]->memory;
}

void store_check(struct store *store, struct buffer *report)
{
    char path[WIRE_ABS_PATH_MAX + 1] = "/";
    uint32_t *owned = calloc(DOMID_RESERVED_FIRST, sizeof(*owned));
    uint64_t nodes = 0;

    if (!owned) {
        buffer_text(report, "no memory\n");
        return;
    }
    for (struct node *n = store->root; n; n = tree_next(store->root, n, path)) {
        uint16_t owner = perms_owner(n->perms);

        if (owner >= DOMID_RESERVED_FIRST || !domain_find(store, owner)) {
            buffer_format(report, "%s: owner %u has no account\n", path, owner);
            continue;
        }
        if (list_is_empty(&n->owned))
            buffer_format(report, "%s: not on its owner's list\n", path);
        owned[owner]++;
        nodes += n != store->root;
    }
    if (nodes != store->nr_nodes)
        buffer_format(report, "nodes: %" PRIu64 " found, %" PRIu64 " counted\n",
                      nodes, store->nr_nodes);
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++)
        if (store->domains[i] && store->domains[i]->nr_nodes != owned[i])
            buffer_format(report, "domain %u: %u nodes found, %u counted\n", i,
                          owned[i], store->domains[i]->nr_nodes);
    free(owned);
}
