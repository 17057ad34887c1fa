/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watches, kept in a trie of path components:
 *
 *     (root)            watches on "/"
 *       local
 *         domain        watches on "/local/domain"
 *           7
 *             device    ...
 *       @releaseDomain  special names hang off the root
 *
 * A change to a path visits the trie nodes along it and nothing else, so its
 * cost does not depend on how many watches or connections there are.  All
 * trie nodes are in one hash table keyed by (parent, component).
 */
#ifndef STORE_WATCH_H
#define STORE_WATCH_H

#include "base/list.h"
#include "store/permission.h"
#include "store/pool.h"

struct connection;
struct store;

struct trie_node {
    struct trie_node *next; /* in its bucket */
    struct trie_node *parent;
    struct list watches;
    uint32_t nr_children;
    uint32_t hash;
    uint16_t name_len;
    char name[];
};

struct watch_table {
    struct trie_node root;
    struct trie_node **buckets; /* owned; mask + 1 */
    uint32_t mask;
    uint32_t nr;
    uint64_t nr_watches;
    struct pool *pool; /* borrowed */
};

#define WATCH_DEPTH_ANY (-1)

struct watch {
    struct list on_connection;
    struct list on_trie;
    struct connection *connection;
    struct trie_node *at;
    uint64_t sequence;   /* order of registration */
    int16_t depth;       /* WATCH_DEPTH_ANY, or levels below the path */
    uint16_t prefix_len; /* what events leave out: the path was relative */
    uint16_t path_len;
    uint16_t token_len;
    char text[]; /* path as the client gave it, NUL, token, NUL */
};

static inline const char *watch_path(const struct watch *w)
{
    return w->text;
}

static inline const char *watch_token(const struct watch *w)
{
    return w->text + w->path_len + 1;
}

must_check bool watch_table_init(struct watch_table *table, struct pool *pool);
void watch_table_release(struct watch_table *table);

/*
 * Register; 'path' is canonical and 'given' as the client spelt it.  NULL: no
 * memory.
 */
struct watch *watch_add(struct store *store, struct connection *c,
                        const char *path, const char *given, const char *token,
                        int depth);
struct watch *watch_find(struct connection *c, const char *path,
                         const char *token);
void watch_remove(struct store *store, struct watch *w);
void watch_remove_all(struct store *store, struct connection *c);

size_t watch_memory(const struct watch *w);

/* What a receiver may know about a change depends on these; each may be NULL. */
struct change_perms {
    const struct perms *node;   /* the node's, or its last */
    const struct perms *parent; /* its parent's */
    const struct perms *old;    /* the node's before a SET_PERMS */
};

/*
 * Queue the events of a change to 'path'.  'exact': only for watches on just
 * this path (a descendant of a removed node).
 */
void watch_fire(struct store *store, const char *path, bool exact,
                const struct change_perms *perms);

/*
 * Queue the events of "@introduceDomain" or "@releaseDomain".  Watchers that
 * asked for one level or one domain learn the domid.
 */
void watch_fire_special(struct store *store, const char *name,
                        const struct perms *perms, uint16_t domid);

/* The event that every WATCH begins with. */
void watch_fire_initial(struct store *store, struct watch *w);

#endif
