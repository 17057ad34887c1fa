/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A node, and the table of a directory's children.
 *
 * Children are listed in the order of their creation, found by hash, and
 * removed in constant time:
 *
 *   order  | dev | --- | vm | name |     --- a hole that a removal left
 *   index  | . | 0 | . | 3 | 2 | . |     hash -> place in order, from 9 on
 *
 * A node carries three stamps of the store's change counter, one for each
 * thing that a transaction can have looked at.  The permission stamp is also
 * set at birth, so that it tells one incarnation of a path from the next.
 */
#ifndef STORE_NODE_H
#define STORE_NODE_H

#include "base/list.h"
#include "store/permission.h"
#include "store/pool.h"

enum stamp { STAMP_VALUE, STAMP_PERMS, STAMP_CHILDREN, STAMPS };

#define NODE_SMALL_VALUE 8

struct child_table;

/* Tens of thousands of these are a store: see pool.h before growing it. */
struct node {
    struct node *parent;          /* NULL: the root or a special node */
    struct child_table *children; /* owned; NULL: never had any */
    struct perms *perms;          /* counted */
    struct list owned;            /* on its owner's domain.nodes */
    uint64_t value_stamp, perms_stamp;
    union {
        uint8_t small[NODE_SMALL_VALUE];
        uint8_t *big; /* owned; when value_len > NODE_SMALL_VALUE */
    } value;
    uint32_t place; /* in the parent's order[] */
    uint16_t value_len;
    uint16_t name_len;
    char name[]; /* one component, NUL-terminated */
};

struct child_table {
    uint64_t stamp;
    uint32_t nr;         /* children */
    uint32_t used;       /* order[] in use, holes included */
    uint32_t first;      /* holes only below this place */
    uint32_t capacity;   /* of order[] */
    uint32_t mask;       /* index[] has mask + 1 places; 0: no index */
    uint32_t list_len;   /* octets of the listing, NULs included */
    uint32_t *index;     /* owned; place + 1, or 0 */
    struct node **order; /* owned */
};

/* Names get hashed with a secret of the process: guests choose names. */
uint32_t name_hash(const char *name, size_t length);

static inline const uint8_t *node_value(const struct node *node)
{
    return node->value_len > NODE_SMALL_VALUE ? node->value.big
                                              : node->value.small;
}

/* A node without parent, value or owner link; NULL: no memory. */
struct node *node_new(struct pool *pool, const char *name, size_t name_len,
                      struct perms *perms);
/* The node alone; it has no children and is in no list. */
void node_free(struct pool *pool, struct perms_table *table, struct node *node);

/*
 * A node that never had children shares their stamp with its permissions: its
 * empty list is as old as it is, or looks younger than it is after SET_PERMS.
 */
uint64_t node_stamp(const struct node *node, enum stamp which);
/* All three, of a new node; it has no children yet. */
void node_set_birth(struct node *node, uint64_t generation);
/* That of the children only if node_reserve() was called for the node. */
void node_set_stamp(struct node *node, enum stamp which, uint64_t generation);

/* False: no memory, and nothing changed. */
must_check bool node_set_value(struct node *node, const void *value,
                               uint16_t length);

/* The same with octets that came from malloc(): cannot fail. */
void node_take_value(struct node *node, uint8_t **value, uint16_t length);

struct node *node_child(const struct node *node, const char *name,
                        size_t name_len);

static inline uint32_t node_nr_children(const struct node *node)
{
    return node->children ? node->children->nr : 0;
}

/* Make sure that the next 'extra' node_attach() calls need no memory. */
must_check bool node_reserve(struct node *node, uint32_t extra);
/* Append 'child', for which there is room. */
void node_attach(struct node *node, struct node *child);
/* Takes no memory and gives none back: see node_trim(). */
void node_detach(struct node *child);
/* Give back room that removals left; undoes node_reserve(). */
void node_trim(struct node *node);
/* An empty table goes, if its stamp is the same without it. */
void node_drop_empty_table(struct node *node);

/* The first child at or after place '*at', which moves behind it; NULL: end. */
struct node *node_next_child(const struct node *node, uint32_t *at);

/* Memory that the node stands for, for its owner's account. */
size_t node_memory(const struct node *node);

#endif
