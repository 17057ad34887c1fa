/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/node.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/cleanup.h"

/* Up to here children are found by looking at each. */
#define CHILDREN_WITHOUT_INDEX 8u

static uint64_t secret(void)
{
    static uint64_t value;

    if (!value && getrandom(&value, sizeof(value), 0) != sizeof(value))
        value = (uint64_t)(uintptr_t)&value;
    return value;
}

uint32_t name_hash(const char *name, size_t length)
{
    return (uint32_t)XXH3_64bits_withSeed(name, length, secret());
}

struct node *node_new(struct pool *pool, const char *name, size_t name_len,
                      struct perms *perms)
{
    struct node *node = pool_get(pool, sizeof(*node) + name_len + 1);

    if (!node)
        return NULL;
    memset(node, 0, sizeof(*node));
    list_init(&node->owned);
    node->perms = perms_hold(perms);
    node->name_len = (uint16_t)name_len;
    memcpy(node->name, name, name_len);
    node->name[name_len] = '\0';
    return node;
}

void node_free(struct pool *pool, struct perms_table *table, struct node *node)
{
    if (node->value_len > NODE_SMALL_VALUE)
        free(node->value.big);
    if (node->children) {
        free(node->children->index);
        free(node->children->order);
        free(node->children);
    }
    perms_drop(table, node->perms);
    pool_put(pool, node, sizeof(*node) + node->name_len + 1u);
}

uint64_t node_stamp(const struct node *node, enum stamp which)
{
    if (which == STAMP_VALUE)
        return node->value_stamp;
    if (which == STAMP_CHILDREN && node->children)
        return node->children->stamp;
    return node->perms_stamp;
}

void node_set_birth(struct node *node, uint64_t generation)
{
    node->value_stamp = generation;
    node->perms_stamp = generation;
    if (node->children)
        node->children->stamp = generation;
}

void node_set_stamp(struct node *node, enum stamp which, uint64_t generation)
{
    if (which == STAMP_VALUE)
        node->value_stamp = generation;
    else if (which == STAMP_PERMS)
        node->perms_stamp = generation;
    else if (node->children)
        node->children->stamp = generation;
}

bool node_set_value(struct node *node, const void *value, uint16_t length)
{
    uint8_t *fresh = NULL;

    if (length > NODE_SMALL_VALUE) {
        if (length == node->value_len) {
            memcpy(node->value.big, value, length);
            return true;
        }
        fresh = malloc(length);
        if (!fresh)
            return false;
        memcpy(fresh, value, length);
    }
    if (node->value_len > NODE_SMALL_VALUE)
        free(node->value.big);
    if (fresh)
        node->value.big = fresh;
    else if (length)
        memcpy(node->value.small, value, length);
    node->value_len = length;
    return true;
}

void node_take_value(struct node *node, uint8_t **value, uint16_t length)
{
    if (node->value_len > NODE_SMALL_VALUE)
        free(node->value.big);
    if (length > NODE_SMALL_VALUE)
        node->value.big = MOVE(*value);
    else if (length)
        memcpy(node->value.small, *value, length);
    node->value_len = length;
}

static bool node_is_called(const struct node *node, const char *name,
                           size_t name_len)
{
    return node->name_len == name_len && !memcmp(node->name, name, name_len);
}

struct node *node_child(const struct node *node, const char *name,
                        size_t name_len)
{
    const struct child_table *t = node->children;
    uint32_t hash;

    if (!t || !t->nr)
        return NULL;
    if (!t->mask) {
        for (uint32_t i = 0; i < t->used; i++)
            if (t->order[i] && node_is_called(t->order[i], name, name_len))
                return t->order[i];
        return NULL;
    }
    hash = name_hash(name, name_len);
    for (uint32_t i = hash & t->mask; t->index[i]; i = (i + 1) & t->mask) {
        struct node *child = t->order[t->index[i] - 1];

        if (child && node_is_called(child, name, name_len))
            return child;
    }
    return NULL;
}

static void index_insert(struct child_table *t, const struct node *child)
{
    uint32_t i = name_hash(child->name, child->name_len) & t->mask;

    while (t->index[i])
        i = (i + 1) & t->mask;
    t->index[i] = child->place + 1;
}

/*
 * Lay the table out anew with room for 'room' places and no holes.  The index
 * keeps entries of removed children until then: at most three quarters of it
 * are in use, since it has so many more places than order[].
 */
static bool children_rebuild(struct child_table *t, uint32_t room)
{
    uint32_t mask = 0;
    uint32_t *index = NULL;
    struct node **order = malloc(room * sizeof(*order));

    if (room > CHILDREN_WITHOUT_INDEX) {
        for (mask = 15; (mask + 1) / 4 * 3 < room; mask = 2 * mask + 1)
            ;
        index = calloc((size_t)mask + 1, sizeof(*index));
    }
    if (!order || (mask && !index)) {
        free(order);
        free(index);
        return false;
    }

    uint32_t kept = 0;

    for (uint32_t i = 0; i < t->used; i++) {
        if (!t->order[i])
            continue;
        order[kept] = t->order[i];
        order[kept]->place = kept;
        kept++;
    }
    free(t->order);
    free(t->index);
    t->order = order;
    t->index = index;
    t->mask = mask;
    t->used = kept;
    t->first = 0;
    t->capacity = room;
    if (mask)
        for (uint32_t i = 0; i < kept; i++)
            index_insert(t, order[i]);
    return true;
}

bool node_reserve(struct node *node, uint32_t extra)
{
    struct child_table *t = node->children;
    uint32_t room;

    if (!t) {
        t = calloc(1, sizeof(*t));
        if (!t)
            return false;
        t->stamp = node->perms_stamp;
        node->children = t;
    }
    if (t->capacity - t->used >= extra)
        return true;
    if (!extra)
        return true;
    room = t->nr + extra;
    room += room > 64 ? room / 4 : room / 2;
    return children_rebuild(t, room < 2 ? 2 : room);
}

void node_attach(struct node *node, struct node *child)
{
    struct child_table *t = node->children;

    child->parent = node;
    child->place = t->used;
    t->order[t->used++] = child;
    t->nr++;
    t->list_len += child->name_len + 1u;
    if (t->mask)
        index_insert(t, child);
}

void node_detach(struct node *child)
{
    struct child_table *t = child->parent->children;

    t->order[child->place] = NULL;
    while (t->first < t->used && !t->order[t->first])
        t->first++;
    t->nr--;
    t->list_len -= child->name_len + 1u;
    child->parent = NULL;
}

void node_trim(struct node *node)
{
    struct child_table *t = node->children;

    if (!t)
        return;
    if (!t->nr) {
        /* The table stays, for its stamp. */
        free(t->order);
        free(t->index);
        *t = (struct child_table){.stamp = t->stamp};
    } else if (t->capacity > 16 && t->nr < t->capacity / 4) {
        /* Without memory the table just stays as large as it was. */
        if (!children_rebuild(t, t->nr * 2))
            return;
    }
}

void node_drop_empty_table(struct node *node)
{
    struct child_table *t = node->children;

    if (!t || t->nr || t->stamp != node->perms_stamp)
        return;
    free(t->order);
    free(t->index);
    free(t);
    node->children = NULL;
}

struct node *node_next_child(const struct node *node, uint32_t *at)
{
    const struct child_table *t = node->children;

    if (t && *at < t->first)
        *at = t->first;
    while (t && *at < t->used) {
        struct node *child = t->order[(*at)++];

        if (child)
            return child;
    }
    return NULL;
}

size_t node_memory(const struct node *node)
{
    return sizeof(*node) + node->name_len + 1u +
           (node->value_len > NODE_SMALL_VALUE ? node->value_len : 0u) +
           sizeof(struct node *);
}
