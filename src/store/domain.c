/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/domain.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/ring.h"
#include "store/tree.h"

struct domain *domain_find(const struct store *store, uint32_t domid)
{
    return domid < DOMID_RESERVED_FIRST ? store->domains[domid] : NULL;
}

struct domain *domain_get(struct store *store, uint32_t domid)
{
    struct domain *d = domain_find(store, domid);

    if (d || domid >= DOMID_RESERVED_FIRST)
        return d;
    d = calloc(1, sizeof(*d));
    if (!d)
        return NULL;
    d->domid = (uint16_t)domid;
    d->target = DOMID_NONE_WIRE;
    d->birth = ++store->generation;
    d->features = FEATURES_ALL;
    d->quotas = store->quotas;
    list_init(&d->nodes);
    store->domains[domid] = d;
    store->nr_domains++;
    return d;
}

static void domain_free(struct store *store, struct domain *d)
{
    store->domains[d->domid] = NULL;
    store->nr_domains--;
    free(d->carry);
    free(d);
}

void domain_free_all(struct store *store)
{
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++)
        if (store->domains[i])
            domain_free(store, store->domains[i]);
}

bool domid_is_privileged(const struct store *store, uint32_t domid)
{
    return domid == 0 || domid == store->options.privileged_domid ||
           domid == store->options.master_domid;
}

bool domid_exists(const struct store *store, uint32_t domid)
{
    if (domid >= DOMID_RESERVED_FIRST)
        return domid == DOMID_ANY_WIRE;
    if (domid_is_privileged(store, domid))
        return true;

    enum domain_life life =
        store->host.domain_life(store->host.context, (uint16_t)domid);

    return life == DOMAIN_ALIVE || life == DOMAIN_SHUTDOWN;
}

bool domain_is_guest(const struct store *store, const struct domain *d)
{
    return !domid_is_privileged(store, d->domid);
}

void domain_saw(struct store *store, struct domain *d, enum quota quota,
                uint32_t value)
{
    if (value > d->seen[quota])
        d->seen[quota] = value;
    if (value > store->seen[quota] && domain_is_guest(store, d))
        store->seen[quota] = value;
}

/* Say it when a guest crosses a memory limit, and when it is back. */
static void domain_memory_changed(struct store *store, struct domain *d)
{
    bool over = quota_exceeded(&d->quotas, QUOTA_MEMORY, d->memory);
    bool over_soft = d->quotas.soft_memory && d->memory > d->quotas.soft_memory;

    if (over != d->over_memory) {
        d->over_memory = over;
        if (over)
            store_log_refusal(store, d, QUOTA_MEMORY, d->memory);
        else if (d->connection)
            connection_wake(d->connection);
    }
    if (over_soft != d->over_soft) {
        struct quota_refusals *said = &d->refusals[QUOTA_NR];
        int64_t now = store_now(store);

        d->over_soft = over_soft;
        if (!said->said_ns || now - said->said_ns >= 10 * NS_PER_S) {
            said->said_ns = now;
            log_warning(store->host.log,
                        "domain %u: memory %" PRIu64 ", %s the soft quota %u",
                        d->domid, d->memory, over_soft ? "above" : "below",
                        d->quotas.soft_memory);
        }
    }
}

void domain_charge(struct store *store, struct domain *d, size_t octets)
{
    d->memory += octets;
    if (domain_is_guest(store, d)) {
        domain_saw(store, d, QUOTA_MEMORY,
                   (uint32_t)(d->memory < UINT32_MAX ? d->memory : UINT32_MAX));
        domain_memory_changed(store, d);
    }
}

void domain_discharge(struct store *store, struct domain *d, size_t octets)
{
    d->memory -= octets < d->memory ? octets : d->memory;
    if (domain_is_guest(store, d))
        domain_memory_changed(store, d);
}

void domain_add_node(struct store *store, struct domain *d, struct node *node)
{
    list_append(&d->nodes, &node->owned);
    d->nr_nodes++;
    domain_saw(store, d, QUOTA_NODES, d->nr_nodes);
    domain_charge(store, d, node_memory(node));
}

void domain_remove_node(struct store *store, struct node *node)
{
    struct domain *d = domain_find(store, perms_owner(node->perms));

    list_remove(&node->owned);
    if (!d)
        return;
    d->nr_nodes--;
    domain_discharge(store, d, node_memory(node));
}

static void fire_special(struct store *store, enum special which,
                         uint16_t domid)
{
    struct node *node = store->special[which];

    watch_fire_special(store, node->name, node->perms, domid);
}

/* Delete what the domain owns, or give it to the first domain. */
static void domain_drop_nodes(struct store *store, struct domain *d)
{
    struct domain *heir = domain_find(store, store->options.master_domid);

    while (!list_is_empty(&d->nodes)) {
        struct node *node = list_object(d->nodes.next, struct node, owned);

        if (node->parent && !store->options.keep_orphans) {
            struct node *above = node->parent;

            tree_remove(store, node, true);
            node_trim(above);
            continue;
        }

        struct perms *perms =
            perms_with_owner(&store->perms, node->perms, heir->domid);

        if (!perms) {
            /* Out of memory: an owner that nobody can be. */
            domain_remove_node(store, node);
            continue;
        }
        domain_remove_node(store, node);
        perms_drop(&store->perms, node->perms);
        node->perms = perms;
        domain_add_node(store, heir, node);
    }
    for (unsigned int i = 0; i < SPECIAL_NR; i++) {
        struct node *node = store->special[i];
        struct perms *perms;

        if (perms_owner(node->perms) != d->domid)
            continue;
        perms = perms_with_owner(&store->perms, node->perms, heir->domid);
        if (perms) {
            perms_drop(&store->perms, node->perms);
            node->perms = perms;
        }
    }
    perms_forget_domain(&store->perms, d->domid);
}

/* Take the connection away; what was half done goes into 'carry'. */
static void domain_disconnect(struct store *store, struct domain *d,
                              bool keep_carry)
{
    struct connection *c = d->connection;

    if (!c)
        return;
    free(d->carry);
    d->carry = keep_carry ? ring_carry(c) : NULL;
    connection_reset(c); /* while the account is there */
    d->connection = NULL;
    d->introduced = false;
    c->domain = NULL;
    connection_close(c);
    store->host.ring_close(store->host.context, d->domid, &d->link);
    d->link = (struct ring_link){0};
}

static void forget_as_target(struct store *store, uint16_t domid)
{
    for (struct connection *c = store->connections; c; c = c->hh.next)
        if (c->subject.target == domid)
            c->subject.target = DOMID_NONE_WIRE;
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++)
        if (store->domains[i] && store->domains[i]->target == domid)
            store->domains[i]->target = DOMID_NONE_WIRE;
}

/* The domain is dead: nothing of it stays. */
static void domain_destroy(struct store *store, struct domain *d)
{
    uint16_t domid = d->domid;

    domain_disconnect(store, d, false);
    domain_drop_nodes(store, d);
    forget_as_target(store, domid);
    domain_free(store, d);
}

enum outcome store_introduce(struct store *store, uint16_t domid, uint64_t gfn,
                             uint32_t port)
{
    struct error err = {0};
    bool fresh = !domain_find(store, domid);
    struct domain *d = domain_get(store, domid);

    if (!d)
        return domid < DOMID_RESERVED_FIRST ? STORE_ENOMEM : STORE_EINVAL;
    if (d->introduced) {
        /* Known already: only the event channel may be another one. */
        if (!store->host.ring_rebind(store->host.context, domid, port, &d->link,
                                     &err)) {
            log_warning(store->host.log, "INTRODUCE of domain %u: %s", domid,
                        err.text);
            return STORE_EINVAL;
        }
        d->remote_port = port;
        d->quiesced = false;
        if (d->connection->broken)
            return STORE_OK;
        connection_wake(d->connection);
        fire_special(store, SPECIAL_INTRODUCE, domid);
        return STORE_OK;
    }
    if (!store->host.ring_open(store->host.context, domid, gfn, port, &d->link,
                               &err)) {
        log_warning(store->host.log, "INTRODUCE of domain %u: %s", domid,
                    err.text);
        if (fresh)
            domain_free(store, d);
        return STORE_EINVAL;
    }
    d->connection = connection_new(store, &ring_transport, NULL, d);
    if (!d->connection) {
        store->host.ring_close(store->host.context, domid, &d->link);
        if (fresh)
            domain_free(store, d);
        return STORE_ENOMEM;
    }
    d->introduced = true;
    d->quiesced = false;
    d->shutdown_reported = false;
    d->gfn = gfn;
    d->remote_port = port;
    d->connection->subject.target = d->target;
    ring_attach(d->connection);
    connection_wake(d->connection);
    fire_special(store, SPECIAL_INTRODUCE, domid);
    return STORE_OK;
}

enum outcome store_release(struct store *store, uint16_t domid)
{
    struct domain *d = domain_find(store, domid);

    if (domid_is_privileged(store, domid))
        return STORE_EINVAL;
    if (!d || !d->introduced)
        return STORE_ENOENT;
    if (!domid_exists(store, domid)) {
        domain_destroy(store, d);
    } else {
        domain_disconnect(store, d, true);
        forget_as_target(store, domid);
        d->target = DOMID_NONE_WIRE;
        if (!d->quiesced) {
            domain_drop_nodes(store, d);
            if (!d->carry && !d->features_set &&
                !memcmp(&d->quotas, &store->quotas, sizeof(d->quotas)))
                domain_free(store, d);
        }
    }
    fire_special(store, SPECIAL_RELEASE, domid);
    return STORE_OK;
}

void store_domains_changed(struct store *store)
{
    if (store->recorder)
        store->recorder->domains_changed(store->recorder->context);
    for (uint32_t i = 0; i < DOMID_RESERVED_FIRST; i++) {
        struct domain *d = store->domains[i];
        bool was_introduced;
        enum domain_life life;

        if (!d || domid_is_privileged(store, i))
            continue;
        life = store->host.domain_life(store->host.context, d->domid);
        if (life == DOMAIN_ALIVE)
            continue;
        was_introduced = d->introduced;
        if (life == DOMAIN_SHUTDOWN) {
            if (d->shutdown_reported || !was_introduced)
                continue;
            d->shutdown_reported = true;
        } else {
            domain_destroy(store, d);
        }
        if (was_introduced)
            fire_special(store, SPECIAL_RELEASE, (uint16_t)i);
    }
}

bool store_knows_domain(const struct store *store, uint16_t domid)
{
    return domain_find(store, domid);
}

void store_ring_kicked(struct store *store, uint16_t domid)
{
    struct domain *d = domain_find(store, domid);

    if (d && d->connection)
        connection_wake(d->connection);
}

bool domain_is_drained(const struct domain *d)
{
    return !d->connection || d->connection->output_len == 0;
}

enum outcome domain_quiesce(struct store *store, struct domain *d)
{
    if (!d->introduced)
        return STORE_ENOENT;
    d->quiesced = true;
    connection_want_flush(d->connection);
    return STORE_OK;
}

enum outcome domain_unquiesce(struct store *store, struct domain *d)
{
    d->quiesced = false;
    if (d->connection)
        connection_wake(d->connection);
    return STORE_OK;
}

enum outcome domain_set_target(struct store *store, uint32_t domid,
                               uint32_t target)
{
    struct domain *d = domain_find(store, domid);
    struct domain *t = domain_find(store, target);

    if (!d || !d->introduced || !t || !t->introduced)
        return STORE_ENOENT;
    d->target = (uint16_t)target;
    d->connection->subject.target = (uint16_t)target;
    return STORE_OK;
}

enum outcome domain_resume(struct store *store, uint32_t domid)
{
    struct domain *d = domain_find(store, domid);

    if (!d || !d->introduced)
        return STORE_ENOENT;
    d->shutdown_reported = false;
    return STORE_OK;
}
