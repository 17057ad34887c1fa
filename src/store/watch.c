/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/domain.h"

/* A path has no more components than half its octets. */
#define TRIE_DEPTH_MAX (WIRE_ABS_PATH_MAX / 2 + 1)

bool watch_table_init(struct watch_table *table, struct pool *pool)
{
    *table = (struct watch_table){.mask = 63, .pool = pool};
    list_init(&table->root.watches);
    table->buckets = calloc(table->mask + 1u, sizeof(*table->buckets));
    return table->buckets;
}

void watch_table_release(struct watch_table *table)
{
    free(table->buckets);
    table->buckets = NULL;
}

static uint32_t trie_hash(const struct trie_node *parent, const char *name,
                          size_t name_len)
{
    uintptr_t above = (uintptr_t)parent >> 4;

    return name_hash(name, name_len) ^ (uint32_t)(above * 2654435761u);
}

static struct trie_node *trie_child(const struct watch_table *table,
                                    const struct trie_node *parent,
                                    const char *name, size_t name_len,
                                    uint32_t hash)
{
    struct trie_node *node = table->buckets[hash & table->mask];

    while (node && (node->hash != hash || node->parent != parent ||
                    node->name_len != name_len ||
                    memcmp(node->name, name, name_len) != 0))
        node = node->next;
    return node;
}

/* Without memory the table stays as it is: slower, but right. */
static void trie_grow(struct watch_table *table)
{
    uint32_t mask = table->mask * 2 + 1;
    struct trie_node **buckets = calloc(mask + 1u, sizeof(*buckets));

    if (!buckets)
        return;
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct trie_node *node = table->buckets[i];

        while (node) {
            struct trie_node *next = node->next;

            node->next = buckets[node->hash & mask];
            buckets[node->hash & mask] = node;
            node = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = mask;
}

static size_t trie_size(size_t name_len)
{
    return offsetof(struct trie_node, name) + name_len + 1;
}

static size_t watch_size(size_t path_len, size_t token_len)
{
    return offsetof(struct watch, text) + path_len + token_len + 2;
}

/* Remove trie nodes that carry nothing, upwards. */
static void trie_prune(struct watch_table *table, struct trie_node *node)
{
    while (node != &table->root && !node->nr_children &&
           list_is_empty(&node->watches)) {
        struct trie_node *parent = node->parent;
        struct trie_node **at = &table->buckets[node->hash & table->mask];

        while (*at != node)
            at = &(*at)->next;
        *at = node->next;
        parent->nr_children--;
        table->nr--;
        pool_put(table->pool, node, trie_size(node->name_len));
        node = parent;
    }
}

/* The trie node of a canonical path, made if needed; NULL: no memory. */
static struct trie_node *trie_get(struct watch_table *table, const char *path)
{
    struct trie_node *node = &table->root;
    const char *at = *path == '/' ? path + 1 : path;

    while (*at) {
        const char *end = strchrnul(at, '/');
        size_t length = (size_t)(end - at);
        uint32_t hash = trie_hash(node, at, length);
        struct trie_node *child = trie_child(table, node, at, length, hash);

        if (!child) {
            child = pool_get(table->pool, trie_size(length));
            if (!child) {
                trie_prune(table, node);
                return NULL;
            }
            *child = (struct trie_node){
                .parent = node, .hash = hash, .name_len = (uint16_t)length};
            list_init(&child->watches);
            memcpy(child->name, at, length);
            child->name[length] = '\0';
            if (table->nr > table->mask)
                trie_grow(table);
            child->next = table->buckets[hash & table->mask];
            table->buckets[hash & table->mask] = child;
            table->nr++;
            node->nr_children++;
        }
        node = child;
        at = *end ? end + 1 : end;
    }
    return node;
}

/* Where the watch's trie node is, or NULL. */
static struct trie_node *trie_find(struct watch_table *table, const char *path)
{
    struct trie_node *node = &table->root;
    const char *at = *path == '/' ? path + 1 : path;

    while (*at && node) {
        const char *end = strchrnul(at, '/');
        size_t length = (size_t)(end - at);

        node = trie_child(table, node, at, length, trie_hash(node, at, length));
        at = *end ? end + 1 : end;
    }
    return node;
}

size_t watch_memory(const struct watch *w)
{
    return watch_size(w->path_len, w->token_len);
}

struct watch *watch_add(struct store *store, struct connection *c,
                        const char *path, const char *given, const char *token,
                        int depth)
{
    size_t path_len = strlen(given);
    size_t token_len = strlen(token);
    struct trie_node *at = trie_get(&store->watches, path);
    /* Both lengths are bounded by the payload that they came in. */
    struct watch *w =
        at ? pool_get(&store->pool, watch_size(path_len, token_len)) : NULL;

    if (!w) {
        if (at)
            trie_prune(&store->watches, at);
        return NULL;
    }
    *w = (struct watch){
        .connection = c,
        .at = at,
        .sequence = ++store->watch_sequence,
        .depth = (int16_t)depth,
        .prefix_len = (uint16_t)(strlen(path) - path_len),
        .path_len = (uint16_t)path_len,
        .token_len = (uint16_t)token_len,
    };
    memcpy(w->text, given, path_len + 1);
    memcpy(w->text + path_len + 1, token, token_len + 1);
    list_append(&at->watches, &w->on_trie);
    list_append(&c->watches, &w->on_connection);
    c->nr_watches++;
    c->watches_changed = ++store->generation;
    store->watches.nr_watches++;
    if (c->domain) {
        domain_charge(store, c->domain, watch_memory(w));
        domain_saw(store, c->domain, QUOTA_WATCHES, c->nr_watches);
    }
    return w;
}

struct watch *watch_find(struct connection *c, const char *path,
                         const char *token)
{
    struct trie_node *at = trie_find(&c->store->watches, path);

    if (!at)
        return NULL;
    list_for_each (it, &at->watches) {
        struct watch *w = list_object(it, struct watch, on_trie);

        if (w->connection == c && !strcmp(watch_token(w), token))
            return w;
    }
    return NULL;
}

void watch_remove(struct store *store, struct watch *w)
{
    struct connection *c = w->connection;

    list_remove(&w->on_trie);
    list_remove(&w->on_connection);
    c->nr_watches--;
    c->watches_changed = ++store->generation;
    store->watches.nr_watches--;
    if (c->domain)
        domain_discharge(store, c->domain, watch_memory(w));
    trie_prune(&store->watches, w->at);
    pool_put(&store->pool, w, watch_memory(w));
}

void watch_remove_all(struct store *store, struct connection *c)
{
    while (!list_is_empty(&c->watches))
        watch_remove(store,
                     list_object(c->watches.next, struct watch, on_connection));
}

static bool may_read(const struct perms *perms, const struct subject *who)
{
    return perms && (perms_rights(perms, who) & RIGHT_READ);
}

static bool may_know(const struct change_perms *perms,
                     const struct subject *who)
{
    return who->privileged || may_read(perms->node, who) ||
           may_read(perms->parent, who) || may_read(perms->old, who);
}

static void fire_one(struct watch *w, const char *path, unsigned int below,
                     const struct change_perms *perms)
{
    if (w->depth != WATCH_DEPTH_ANY && below > (unsigned int)w->depth)
        return;
    if (!may_know(perms, &w->connection->subject))
        return;
    connection_event(w->connection, path + w->prefix_len, watch_token(w),
                     false);
}

/* Fire the watches of several levels in the order of their registration. */
static void fire_levels(struct trie_node **level, unsigned int nr,
                        const unsigned int *below, const char *path,
                        const struct change_perms *perms)
{
    uint64_t done = 0;

    /* The usual case: one level, whose list is in order already. */
    if (nr == 1) {
        list_for_each_safe (it, after, &level[0]->watches)
            fire_one(list_object(it, struct watch, on_trie), path, below[0],
                     perms);
        return;
    }
    /* Merge: each level's list is sorted; take the lowest head. */
    struct list *heads[TRIE_DEPTH_MAX];

    for (unsigned int i = 0; i < nr; i++)
        heads[i] = level[i]->watches.next;
    for (;;) {
        struct watch *lowest = NULL;
        unsigned int from = 0;

        for (unsigned int i = 0; i < nr; i++) {
            struct watch *w;

            if (heads[i] == &level[i]->watches)
                continue;
            w = list_object(heads[i], struct watch, on_trie);
            if (!lowest || w->sequence < lowest->sequence) {
                lowest = w;
                from = i;
            }
        }
        if (!lowest || lowest->sequence < done)
            return;
        done = lowest->sequence;
        heads[from] = heads[from]->next;
        fire_one(lowest, path, below[from], perms);
    }
}

void watch_fire(struct store *store, const char *path, bool exact,
                const struct change_perms *perms)
{
    struct trie_node *level[TRIE_DEPTH_MAX];
    unsigned int depth_of[TRIE_DEPTH_MAX];
    struct watch_table *table = &store->watches;
    struct trie_node *node = &table->root;
    const char *at = *path == '/' ? path + 1 : path;
    unsigned int nr = 0;
    unsigned int depth = 0;

    if (!table->nr_watches)
        return;
    for (;;) {
        const char *end;

        if (!list_is_empty(&node->watches) && (!exact || !*at)) {
            level[nr] = node;
            depth_of[nr++] = depth;
        }
        if (!*at)
            break;
        end = strchrnul(at, '/');
        node = trie_child(table, node, at, (size_t)(end - at),
                          trie_hash(node, at, (size_t)(end - at)));
        if (!node) {
            /* Levels left to the end, for depth-limited watches. */
            for (; *at; at++)
                depth += *at == '/';
            depth++;
            break;
        }
        depth++;
        at = *end ? end + 1 : end;
    }
    if (!nr)
        return;
    for (unsigned int i = 0; i < nr; i++)
        depth_of[i] = depth - depth_of[i];
    fire_levels(level, nr, depth_of, path, perms);
}

void watch_fire_special(struct store *store, const char *name,
                        const struct perms *perms, uint16_t domid)
{
    char with_domid[64];
    struct change_perms may = {.node = perms};
    struct trie_node *nodes[2];

    snprintf(with_domid, sizeof(with_domid), "%s/%u", name, domid);
    nodes[0] = trie_find(&store->watches, name);
    nodes[1] = trie_find(&store->watches, with_domid);
    for (unsigned int i = 0; i < ARRAY_SIZE(nodes); i++) {
        if (!nodes[i])
            continue;
        list_for_each_safe (it, after, &nodes[i]->watches) {
            struct watch *w = list_object(it, struct watch, on_trie);
            bool tells = i == 1 || w->depth == 1;

            if (may_know(&may, &w->connection->subject))
                connection_event(w->connection, tells ? with_domid : name,
                                 watch_token(w), true);
        }
    }
}

void watch_fire_initial(struct store *store, struct watch *w)
{
    struct cause *cause = store->cause;

    /* Nobody's fault: it does not count as outstanding. */
    store->cause = NULL;
    connection_event(w->connection, watch_path(w), watch_token(w), false);
    store->cause = cause;
}
