/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths, and the committed tree.  Changes made here are seen by everybody at
 * once; inside a transaction see transaction.h.
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "store/core.h"

/* "/" and @ names aside: one or more "/component". */
bool path_is_valid(const char *path, bool special_too);

/*
 * 'given' as an absolute path in 'ret', which holds WIRE_ABS_PATH_MAX + 1
 * octets.  Names without leading '/' (or '@') are below the client's home.
 * STORE_EINVAL: not a path, or too long.
 */
enum outcome path_canonical(const struct connection *c, const char *given,
                            bool special_too, char *ret);
/* Cut the last component off; false for "/" and special names. */
bool path_parent(char *path);

/* The node, or NULL and in '*ret_nearest' the nearest ancestor there is. */
struct node *tree_find(const struct store *store, const char *path,
                       struct node **ret_nearest);
/* The node's path into WIRE_ABS_PATH_MAX + 1 octets. */
void tree_path(const struct store *store, const struct node *node, char *ret);

must_check bool tree_init(struct store *store);
void tree_release(struct store *store);

/*
 * Create 'path', which is absent, and its missing parents below 'nearest',
 * all with 'perms'.  NULL: no memory, and nothing changed.
 */
struct node *tree_create(struct store *store, const char *path,
                         struct node *nearest, struct perms *perms,
                         const void *value, uint16_t value_len);
/* How many nodes that would be. */
uint32_t tree_missing(const struct node *nearest, const char *path,
                      const struct store *store);
must_check bool tree_set_value(struct store *store, struct node *node,
                               const void *value, uint16_t value_len);
/* Takes over the caller's reference to 'perms'; false: no memory. */
must_check bool tree_set_perms(struct store *store, struct node *node,
                               struct perms *perms);
/* Remove the node and all below; events only if 'fire'. */
void tree_remove(struct store *store, struct node *top, bool fire);

/* Put a fresh node where it belongs: accounts, stamps, parent. */
void tree_attach(struct store *store, struct node *parent, struct node *node);

/* The next node in pre-order within 'top', appending to and cutting 'path'. */
struct node *tree_next(const struct node *top, struct node *node, char *path);

#endif
