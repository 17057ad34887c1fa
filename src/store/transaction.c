/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/transaction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/domain.h"
#include "store/state.h"
#include "store/tree.h"

static struct domain *guest_of(const struct transaction *tx)
{
    struct connection *c = tx->connection;

    return c->domain && !c->subject.privileged ? c->domain : NULL;
}

static void charge(struct transaction *tx, size_t octets)
{
    tx->memory += octets;
    if (tx->connection->domain)
        domain_charge(tx->connection->store, tx->connection->domain, octets);
}

/* --- life --- */

enum outcome transaction_adopt(struct connection *c, uint32_t id, bool doomed,
                               struct transaction **ret)
{
    struct transaction *tx = calloc(1, sizeof(*tx));

    if (!tx)
        return STORE_ENOMEM;
    tx->connection = c;
    tx->id = id;
    tx->doomed = doomed;
    list_init(&tx->entries);
    list_init(&tx->events);
    HASH_ADD(hh, c->transactions, id, sizeof(tx->id), tx);
    c->nr_transactions++;
    c->store->figures.transactions++;
    charge(tx, sizeof(*tx));
    if (c->domain)
        domain_saw(c->store, c->domain, QUOTA_TRANSACTIONS, c->nr_transactions);
    *ret = tx;
    return STORE_OK;
}

enum outcome transaction_start(struct connection *c, uint32_t *ret_id)
{
    struct domain *d = c->subject.privileged ? NULL : c->domain;
    struct transaction *tx;
    enum outcome outcome;

    if (d && quota_exceeded(&d->quotas, QUOTA_TRANSACTIONS,
                            c->nr_transactions + 1)) {
        store_log_refusal(c->store, d, QUOTA_TRANSACTIONS,
                          c->nr_transactions + 1);
        return STORE_ENOSPC;
    }
    do {
        if (!++c->next_transaction_id)
            c->next_transaction_id = 1;
    } while (transaction_find(c, c->next_transaction_id));
    outcome = transaction_adopt(c, c->next_transaction_id, false, &tx);
    if (outcome == STORE_OK)
        *ret_id = tx->id;
    return outcome;
}

struct transaction *transaction_find(struct connection *c, uint32_t id)
{
    struct transaction *tx;

    HASH_FIND(hh, c->transactions, &id, sizeof(id), tx);
    return tx;
}

static void entry_free(struct store *store, struct entry *e)
{
    perms_drop(&store->perms, e->base_perms);
    perms_drop(&store->perms, e->perms);
    free(e->value);
    free(e->names);
    free(e);
}

void transaction_drop(struct transaction *tx)
{
    struct connection *c = tx->connection;

    HASH_CLEAR(hh, tx->by_path);
    list_for_each_safe (it, after, &tx->entries)
        entry_free(c->store, list_object(it, struct entry, order));
    HASH_DEL(c->transactions, tx);
    c->nr_transactions--;
    c->store->figures.transactions--;
    if (c->domain)
        domain_discharge(c->store, c->domain, tx->memory);
    free(tx);
}

void transaction_drop_all(struct connection *c)
{
    struct transaction *tx, *next;

    HASH_ITER(hh, c->transactions, tx, next)
    transaction_drop(tx);
}

/* --- touching --- */

static struct entry *entry_find(struct transaction *tx, const char *path,
                                size_t length)
{
    struct entry *e;

    HASH_FIND(hh, tx->by_path, path, length, e);
    return e;
}

/* Whether the transaction itself removed the path from under the tree. */
static bool is_below_removed(struct transaction *tx, const char *path)
{
    char above[WIRE_ABS_PATH_MAX + 1];
    struct entry *e;

    if (!tx->removed_any)
        return false;
    strcpy(above, path);
    while (path_parent(above)) {
        e = entry_find(tx, above, strlen(above));
        /* What was removed and made again has no old children either. */
        if (e && (!e->exists || e->emptied))
            return true;
    }
    return false;
}

enum outcome transaction_touch(struct transaction *tx, const char *path,
                               struct entry **ret)
{
    struct store *store = tx->connection->store;
    struct domain *guest = guest_of(tx);
    size_t length = strlen(path);
    struct entry *e = entry_find(tx, path, length);
    struct node *node;

    if (e) {
        *ret = e;
        return STORE_OK;
    }
    if (guest && quota_exceeded(&guest->quotas, QUOTA_TRANSACTION_NODES,
                                tx->nr_entries + 1)) {
        store_log_refusal(store, guest, QUOTA_TRANSACTION_NODES,
                          tx->nr_entries + 1);
        return STORE_ENOSPC;
    }
    e = calloc(1, sizeof(*e) + length + 1);
    if (!e)
        return STORE_ENOMEM;
    memcpy(e->path, path, length + 1);
    e->path_len = (uint16_t)length;
    list_init(&e->event);
    list_init(&e->sibling);
    list_init(&e->changed);
    node = tree_find(store, path, NULL);
    if (node && is_below_removed(tx, path)) {
        tx->doomed = true;
        node = NULL;
    }
    if (node) {
        e->base_exists = e->exists = true;
        e->base_perms = perms_hold(node->perms);
        e->perms = perms_hold(node->perms);
        for (unsigned int i = 0; i < STAMPS; i++)
            e->stamp[i] = node_stamp(node, i);
    }
    HASH_ADD(hh, tx->by_path, path, length, e);
    list_append(&tx->entries, &e->order);
    tx->nr_entries++;
    if (guest)
        domain_saw(store, guest, QUOTA_TRANSACTION_NODES, tx->nr_entries);
    charge(tx, sizeof(*e) + length + 1);
    *ret = e;
    return STORE_OK;
}

enum outcome transaction_nearest(struct transaction *tx, const char *path,
                                 struct entry **ret)
{
    char above[WIRE_ABS_PATH_MAX + 1];
    enum outcome outcome = STORE_ENOENT;
    struct entry *e = NULL;

    strcpy(above, path);
    while (path_parent(above)) {
        outcome = transaction_touch(tx, above, &e);
        if (outcome != STORE_OK || e->exists)
            break;
    }
    if (outcome == STORE_OK)
        *ret = e;
    return outcome;
}

/* The node behind an entry that was there at first; it may be gone by now. */
static struct node *base_node(struct transaction *tx, const struct entry *e)
{
    struct node *node = tree_find(tx->connection->store, e->path, NULL);

    if (node && node_stamp(node, STAMP_PERMS) == e->stamp[STAMP_PERMS])
        return node;
    tx->doomed = true;
    return NULL;
}

enum outcome transaction_value(struct transaction *tx, struct entry *e)
{
    struct node *node;

    e->touched |= TOUCHED_VALUE;
    if (e->value_held)
        return STORE_OK;
    node = base_node(tx, e);
    if (node) {
        e->value = malloc(node->value_len + 1u);
        if (!e->value)
            return STORE_ENOMEM;
        memcpy(e->value, node_value(node), node->value_len);
        e->value_len = node->value_len;
        e->stamp[STAMP_VALUE] = node_stamp(node, STAMP_VALUE);
        charge(tx, node->value_len + 1u);
    }
    e->value_held = true;
    return STORE_OK;
}

/* Keep the children's names as they are now. */
static enum outcome entry_snapshot(struct transaction *tx, struct entry *e)
{
    struct buffer names = {0};
    struct node *node, *child;
    uint32_t at = 0;

    if (e->touched & TOUCHED_CHILDREN)
        return STORE_OK;
    if (e->base_exists && (node = base_node(tx, e))) {
        if (node->children && node->children->list_len &&
            !buffer_extend(&names, node->children->list_len))
            return STORE_ENOMEM;
        names.length = 0;
        while ((child = node_next_child(node, &at)))
            buffer_bytes(&names, child->name, child->name_len + 1u);
        e->stamp[STAMP_CHILDREN] = node_stamp(node, STAMP_CHILDREN);
    }
    e->names = names.bytes;
    e->names_len = names.length;
    e->touched |= TOUCHED_CHILDREN;
    charge(tx, e->names_len);
    return STORE_OK;
}

static struct entry *entry_of_child(struct transaction *tx,
                                    const struct entry *e, const char *name)
{
    char path[2 * WIRE_ABS_PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s/%s",
                          e->path_len > 1 ? e->path : "", name);

    return entry_find(tx, path, (size_t)length);
}

enum outcome transaction_list(struct transaction *tx, struct entry *e,
                              struct buffer *out)
{
    enum outcome outcome = entry_snapshot(tx, e);

    if (outcome != STORE_OK)
        return outcome;
    for (size_t i = 0; i < e->names_len;) {
        const char *name = (const char *)e->names + i;
        struct entry *child = entry_of_child(tx, e, name);
        size_t length = strlen(name) + 1;

        if (!child || child->exists)
            buffer_bytes(out, name, length);
        i += length;
    }
    list_for_each (it, &e->changed) {
        struct entry *child = list_object(it, struct entry, sibling);

        if (child->exists && !child->base_exists)
            buffer_bytes(out, strrchr(child->path, '/') + 1,
                         strlen(strrchr(child->path, '/')));
    }
    return out->bad ? STORE_ENOMEM : STORE_OK;
}

/* --- changing --- */

static void note_event(struct transaction *tx, struct entry *e,
                       enum entry_event kind)
{
    tx->changed = true;
    if (e->events == EVENT_NONE)
        list_append(&tx->events, &e->event);
    if (kind > e->events)
        e->events = kind;
}

/* Whether the entry's node counts for the client's own domain. */
static bool is_own(const struct transaction *tx, const struct perms *perms)
{
    return tx->connection->domain &&
           perms_owner(perms) == tx->connection->domain->domid;
}

static enum outcome entry_set_value(struct transaction *tx, struct entry *e,
                                    const void *value, uint16_t value_len)
{
    uint8_t *fresh = malloc(value_len + 1u);

    if (!fresh)
        return STORE_ENOMEM;
    if (value_len)
        memcpy(fresh, value, value_len);
    free(e->value);
    e->value = fresh;
    e->value_len = value_len;
    e->value_held = true;
    e->value_written = true;
    e->touched |= TOUCHED_VALUE;
    charge(tx, value_len + 1u);
    return STORE_OK;
}

/* One node of a branch; its parent's entry exists. */
static enum outcome create_one(struct transaction *tx, struct entry *e,
                               struct entry *parent, struct perms *perms,
                               const void *value, uint16_t value_len)
{
    enum outcome outcome = entry_set_value(tx, e, value, value_len);

    if (outcome != STORE_OK)
        return outcome;
    perms_drop(&tx->connection->store->perms, e->perms);
    e->perms = perms_hold(perms);
    e->perms_written = true;
    e->exists = true;
    /* Entries are committed in this order: parents before children. */
    list_remove(&e->order);
    list_append(&tx->entries, &e->order);
    if (list_is_empty(&e->sibling))
        list_append(&parent->changed, &e->sibling);
    tx->own_nodes += is_own(tx, perms);
    return STORE_OK;
}

static enum outcome parent_entry(struct transaction *tx, const struct entry *e,
                                 struct entry **ret)
{
    char above[WIRE_ABS_PATH_MAX + 1];

    memcpy(above, e->path, e->path_len + 1u);
    if (!path_parent(above))
        return STORE_EINVAL;
    return transaction_touch(tx, above, ret);
}

enum outcome transaction_create(struct transaction *tx, struct entry *entry,
                                struct entry *nearest, struct perms *perms,
                                const void *value, uint16_t value_len)
{
    size_t at = nearest->path_len > 1 ? nearest->path_len + 1u : 1u;
    struct entry *above = nearest;
    enum outcome outcome;

    for (;;) {
        const char *slash = strchr(entry->path + at, '/');
        char part[WIRE_ABS_PATH_MAX + 1];
        struct entry *e;

        if (!slash)
            break;
        memcpy(part, entry->path, (size_t)(slash - entry->path));
        part[slash - entry->path] = '\0';
        outcome = transaction_touch(tx, part, &e);
        if (outcome == STORE_OK && !e->exists)
            outcome = create_one(tx, e, above, perms, NULL, 0);
        if (outcome != STORE_OK)
            return outcome;
        above = e;
        at = (size_t)(slash - entry->path) + 1;
    }
    outcome = create_one(tx, entry, above, perms, value, value_len);
    if (outcome == STORE_OK)
        note_event(tx, entry, EVENT_ALL);
    return outcome;
}

enum outcome transaction_write(struct transaction *tx, struct entry *e,
                               const void *value, uint16_t value_len)
{
    enum outcome outcome = entry_set_value(tx, e, value, value_len);

    if (outcome == STORE_OK)
        note_event(tx, e, EVENT_ALL);
    return outcome;
}

enum outcome transaction_set_perms(struct transaction *tx, struct entry *e,
                                   struct perms *perms)
{
    perms_drop(&tx->connection->store->perms, e->perms);
    e->perms = perms;
    e->perms_written = true;
    tx->changed = true;
    if (e->path[0] != '@')
        note_event(tx, e, EVENT_ALL);
    return STORE_OK;
}

static void entry_remove(struct transaction *tx, struct entry *e,
                         enum entry_event event)
{
    struct store *store = tx->connection->store;

    tx->own_nodes -= is_own(tx, e->perms);
    perms_drop(&store->perms, e->perms);
    e->perms = NULL;
    e->exists = false;
    e->emptied = true;
    e->value_written = e->perms_written = false;
    e->value_held = false;
    tx->removed_any = true;
    note_event(tx, e, event);
}

static void begin_children(struct entry *e)
{
    e->next_name = 0;
    e->next_changed = e->changed.next;
}

/*
 * The next child that exists in the view of the transaction, touched, or NULL.
 * Each is looked at once: many siblings must not cost their square.
 */
static enum outcome next_child(struct transaction *tx, struct entry *e,
                               struct entry **ret)
{
    enum outcome outcome = entry_snapshot(tx, e);

    *ret = NULL;
    while (outcome == STORE_OK && e->next_name < e->names_len) {
        const char *name = (const char *)e->names + e->next_name;
        char path[2 * WIRE_ABS_PATH_MAX];
        struct entry *child = entry_of_child(tx, e, name);

        e->next_name += strlen(name) + 1;
        if (child && !child->exists)
            continue;
        snprintf(path, sizeof(path), "%s/%s", e->path_len > 1 ? e->path : "",
                 name);
        outcome = transaction_touch(tx, path, ret);
        if (outcome != STORE_OK || (*ret)->exists)
            return outcome;
        /* Gone from the tree meanwhile: the conflict is certain. */
        tx->doomed = true;
        return STORE_EAGAIN;
    }
    while (outcome == STORE_OK && e->next_changed != &e->changed) {
        struct entry *child =
            list_object(e->next_changed, struct entry, sibling);

        e->next_changed = e->next_changed->next;
        if (child->exists && !child->base_exists) {
            *ret = child;
            break;
        }
    }
    return outcome;
}

enum outcome transaction_remove(struct transaction *tx, struct entry *top)
{
    struct entry *e = top;
    struct entry *parent;
    enum outcome outcome = parent_entry(tx, top, &parent);

    if (outcome != STORE_OK)
        return outcome;
    begin_children(top);
    for (;;) {
        struct entry *child;

        outcome = next_child(tx, e, &child);
        if (outcome != STORE_OK)
            return outcome;
        if (child) {
            e = child;
            begin_children(e);
            continue;
        }
        outcome = transaction_value(tx, e);
        if (outcome == STORE_OK)
            outcome = parent_entry(tx, e, &parent);
        if (outcome != STORE_OK)
            return outcome;
        entry_remove(tx, e, e == top ? EVENT_ALL : EVENT_EXACT);
        if (list_is_empty(&e->sibling))
            list_append(&parent->changed, &e->sibling);
        if (e == top)
            return STORE_OK;
        e = parent;
    }
}

/* --- from a dump --- */

static void event_restore(struct transaction *tx, struct entry *e,
                          uint32_t place)
{
    struct list *at = tx->events.prev;

    e->event_place = place;
    while (at != &tx->events &&
           list_object(at, struct entry, event)->event_place > place)
        at = at->prev;
    list_insert_before(at->next, &e->event);
}

bool transaction_load_entry(struct transaction *tx, const char *path,
                            const struct entry_state *state)
{
    struct store *store = tx->connection->store;
    size_t length = strlen(path);
    struct entry *e = entry_find(tx, path, length);

    if (!e)
        e = calloc(1, sizeof(*e) + length + 1);
    else
        e = NULL; /* twice the same path: no dump of ours */
    if (!e) {
        perms_drop(&store->perms, state->base_perms);
        perms_drop(&store->perms, state->perms);
        return false;
    }
    memcpy(e->path, path, length + 1);
    e->path_len = (uint16_t)length;
    list_init(&e->event);
    list_init(&e->sibling);
    list_init(&e->changed);
    e->base_exists = state->flags & STATE_ENTRY_BASE;
    e->exists = state->flags & STATE_ENTRY_EXISTS;
    e->emptied = state->flags & STATE_ENTRY_EMPTIED;
    e->value_held = state->flags & STATE_ENTRY_VALUE_HELD;
    e->value_written = state->flags & STATE_ENTRY_VALUE_WRITTEN;
    e->perms_written = state->flags & STATE_ENTRY_PERMS_WRITTEN;
    e->touched = state->flags >> STATE_ENTRY_TOUCHED_SHIFT & 0xff;
    e->events = state->flags >> STATE_ENTRY_EVENT_SHIFT & 3;
    e->base_perms = state->base_perms;
    e->perms = state->perms;
    memcpy(e->stamp, state->stamps, sizeof(e->stamp));
    HASH_ADD(hh, tx->by_path, path, length, e);
    list_append(&tx->entries, &e->order);
    tx->nr_entries++;
    charge(tx, sizeof(*e) + length + 1);
    if (e->events != EVENT_NONE)
        event_restore(tx, e, state->place);
    if (e->value_held) {
        e->value = malloc(state->value_len + 1u);
        if (!e->value)
            return false;
        memcpy(e->value, state->value, state->value_len);
        e->value_len = state->value_len;
        charge(tx, state->value_len + 1u);
    }
    if (state->names_len) {
        e->names = malloc(state->names_len);
        if (!e->names)
            return false;
        memcpy(e->names, state->names, state->names_len);
        e->names_len = state->names_len;
        charge(tx, e->names_len);
    }
    e->wants_sibling = state->flags & STATE_ENTRY_SIBLING;
    return true;
}

void transaction_load_end(struct transaction *tx)
{
    list_for_each (it, &tx->entries) {
        struct entry *e = list_object(it, struct entry, order);
        char above[WIRE_ABS_PATH_MAX + 1];
        struct entry *parent;

        if (!e->wants_sibling)
            continue;
        memcpy(above, e->path, e->path_len + 1u);
        parent =
            path_parent(above) ? entry_find(tx, above, strlen(above)) : NULL;
        if (parent)
            list_append(&parent->changed, &e->sibling);
        else
            tx->doomed = true;
    }
}

/* --- the end --- */

static bool entry_conflicts(const struct store *store, const struct entry *e)
{
    const struct node *node = tree_find(store, e->path, NULL);

    if (!node || !e->base_exists)
        return (node != NULL) != e->base_exists;
    if (node_stamp(node, STAMP_PERMS) != e->stamp[STAMP_PERMS])
        return true;
    if (e->touched & TOUCHED_VALUE &&
        node_stamp(node, STAMP_VALUE) != e->stamp[STAMP_VALUE])
        return true;
    return e->touched & TOUCHED_CHILDREN &&
           node_stamp(node, STAMP_CHILDREN) != e->stamp[STAMP_CHILDREN];
}

static void commit_undo(struct transaction *tx)
{
    struct store *store = tx->connection->store;

    list_for_each (it, &tx->entries) {
        struct entry *e = list_object(it, struct entry, order);

        if (e->fresh)
            node_free(&store->pool, &store->perms, e->fresh);
        e->fresh = NULL;
    }
}

/* Take all the memory that the commit needs (I2). */
static bool commit_prepare(struct transaction *tx)
{
    struct store *store = tx->connection->store;

    list_for_each (it, &tx->entries) {
        struct entry *e = list_object(it, struct entry, order);
        uint32_t created = 0;
        struct node *node;

        if (!e->exists)
            continue;
        if (!e->base_exists) {
            const char *name = strrchr(e->path, '/') + 1;

            e->fresh = node_new(&store->pool, name, strlen(name), e->perms);
            if (!e->fresh || !node_set_value(e->fresh, e->value, e->value_len))
                return false;
        }
        if (e->perms_written && !domain_get(store, perms_owner(e->perms)))
            return false;
        list_for_each (below, &e->changed) {
            struct entry *child = list_object(below, struct entry, sibling);

            created += child->exists && !child->base_exists;
        }
        if (!created)
            continue;
        node = e->base_exists ? tree_find(store, e->path, NULL) : e->fresh;
        if (!node_reserve(node, created))
            return false;
    }
    return true;
}

static void commit_entry(struct transaction *tx, struct entry *e)
{
    struct store *store = tx->connection->store;
    struct node *node;

    if (e->fresh) {
        char above[WIRE_ABS_PATH_MAX + 1];

        memcpy(above, e->path, e->path_len + 1u);
        path_parent(above);
        tree_attach(store, tree_find(store, above, NULL), e->fresh);
        e->fresh = NULL;
        return;
    }
    if (!e->exists || !(e->value_written || e->perms_written))
        return;
    node = tree_find(store, e->path, NULL);
    /* Values of existing nodes were given their memory by the entry. */
    if (e->value_written) {
        struct domain *owner = domain_find(store, perms_owner(node->perms));

        domain_discharge(store, owner, node_memory(node));
        node_take_value(node, &e->value, e->value_len);
        domain_charge(store, owner, node_memory(node));
        node_set_stamp(node, STAMP_VALUE, store->generation);
    }
    if (e->perms_written) {
        uint64_t generation = store->generation;

        /* Its owner's record was made in commit_prepare(). */
        if (tree_set_perms(store, node, perms_hold(e->perms)))
            node_set_stamp(node, STAMP_PERMS, generation);
    }
}

static void commit_remove(struct transaction *tx)
{
    struct store *store = tx->connection->store;

    list_for_each (it, &tx->entries) {
        struct entry *e = list_object(it, struct entry, order);
        struct node *node;

        if (e->exists || !e->base_exists)
            continue;
        node = tree_find(store, e->path, NULL);
        if (node)
            tree_remove(store, node, false);
    }
}

static void commit_events(struct transaction *tx)
{
    struct store *store = tx->connection->store;

    list_for_each (it, &tx->events) {
        struct entry *e = list_object(it, struct entry, event);
        char above[WIRE_ABS_PATH_MAX + 1];
        struct change_perms perms = {0};
        struct entry *parent;

        if (!e->exists && !e->base_exists)
            continue;
        perms.node = e->exists ? e->perms : e->base_perms;
        perms.old = e->base_perms;
        memcpy(above, e->path, e->path_len + 1u);
        if (path_parent(above)) {
            parent = entry_find(tx, above, strlen(above));
            if (parent) {
                perms.parent =
                    parent->perms ? parent->perms : parent->base_perms;
            } else {
                struct node *node = tree_find(store, above, NULL);

                perms.parent = node ? node->perms : NULL;
            }
        }
        watch_fire(store, e->path, e->events == EVENT_EXACT, &perms);
    }
}

/* Tables that removals left too large. */
static void commit_trim(struct transaction *tx)
{
    list_for_each (it, &tx->entries) {
        struct entry *e = list_object(it, struct entry, order);
        struct node *node;

        if (list_is_empty(&e->changed))
            continue;
        node = tree_find(tx->connection->store, e->path, NULL);
        if (node)
            node_trim(node);
    }
}

enum outcome transaction_commit(struct transaction *tx)
{
    struct connection *c = tx->connection;
    struct store *store = c->store;
    struct domain *guest = guest_of(tx);
    enum outcome outcome = STORE_OK;

    if (tx->poisoned)
        outcome = STORE_ENOMEM;
    else if (tx->doomed)
        outcome = STORE_EAGAIN;
    if (outcome == STORE_OK)
        list_for_each (it, &tx->entries)
            if (entry_conflicts(store, list_object(it, struct entry, order))) {
                outcome = STORE_EAGAIN;
                break;
            }
    if (outcome == STORE_OK && guest && tx->own_nodes > 0 &&
        quota_exceeded(&guest->quotas, QUOTA_NODES,
                       guest->nr_nodes + (uint64_t)tx->own_nodes)) {
        store_log_refusal(store, guest, QUOTA_NODES,
                          guest->nr_nodes + (uint64_t)tx->own_nodes);
        outcome = STORE_ENOSPC;
    }
    if (outcome == STORE_OK && tx->changed) {
        if (commit_prepare(tx)) {
            store->generation++;
            commit_remove(tx);
            list_for_each (it, &tx->entries)
                commit_entry(tx, list_object(it, struct entry, order));
            commit_trim(tx);
            commit_events(tx);
        } else {
            commit_undo(tx);
            outcome = STORE_ENOMEM;
        }
    }
    if (outcome == STORE_EAGAIN) {
        store->figures.conflicts++;
        c->conflicts++;
    } else {
        c->conflicts = 0;
    }
    transaction_drop(tx);
    return outcome;
}
