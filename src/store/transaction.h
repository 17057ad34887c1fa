/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transactions: what a client touched, and what it would like changed.
 *
 * The first touch of a path makes an entry, which remembers whether the node
 * was there and what stamps it carried, and holds the private state from then
 * on.  At the end every entry is compared with the tree:
 *
 *   touched              conflicts with a change of
 *   existence, rights    the node's being there, its permissions
 *   value (read, write)  its value
 *   children (list, rm)  its list of children
 *
 * Creating a child touches the parent's existence and rights, not its list of
 * children: clients that create siblings do not disturb each other.  A path
 * that was looked for in vain must still be absent.
 *
 * I1 If no entry conflicts, every answer that the client got is what it would
 *    have got had all its requests run now: commits are serialisable.
 * I2 A commit takes all its memory before it changes anything.
 */
#ifndef STORE_TRANSACTION_H
#define STORE_TRANSACTION_H

#include "store/connection.h"

enum touched {
    TOUCHED_VALUE = 1u << STAMP_VALUE,
    TOUCHED_CHILDREN = 1u << STAMP_CHILDREN,
};

enum entry_event { EVENT_NONE, EVENT_EXACT, EVENT_ALL };

struct entry {
    UT_hash_handle hh; /* by path */
    struct list
        order; /* on transaction.entries; parents of created nodes first */
    struct list event;   /* on transaction.events, first change first */
    struct list sibling; /* on the parent's entry.changed */
    struct list changed; /* entries below whose being there changed */
    unsigned int touched;
    enum entry_event events;
    uint32_t event_place; /* only while a dump is written or loaded */
    bool wants_sibling;   /* likewise */
    bool base_exists, exists;
    bool emptied;    /* was removed: no child of the base is left */
    bool value_held; /* 'value' is ours, read or written */
    bool value_written, perms_written;
    uint64_t stamp[STAMPS];   /* of the base */
    struct perms *base_perms; /* counted; NULL if absent */
    struct perms *perms;      /* counted; NULL if absent */
    uint8_t *value;           /* owned */
    uint8_t *names;           /* owned; the base's listing when touched */
    size_t names_len;
    struct node *fresh; /* during commit: what is to be attached */
    /* During a removal: which children are still to come. */
    size_t next_name;
    struct list *next_changed;
    uint16_t value_len;
    uint16_t path_len;
    char path[];
};

struct transaction {
    struct connection *connection;
    uint32_t id;
    UT_hash_handle hh;
    struct entry *by_path;
    struct list entries;
    struct list events;
    uint32_t nr_entries;
    int64_t own_nodes; /* created less removed, of the client's domain */
    size_t memory;     /* charged to the client's domain */
    bool changed;
    bool removed_any;
    bool doomed;   /* sure to conflict */
    bool poisoned; /* a change was refused: must not be committed */
};

enum outcome transaction_start(struct connection *c, uint32_t *ret_id);
/* With a given id; already in conflict (a transaction from another host). */
enum outcome transaction_adopt(struct connection *c, uint32_t id, bool doomed,
                               struct transaction **ret);
struct transaction *transaction_find(struct connection *c, uint32_t id);
/* Publish, with events; frees it whatever the outcome. */
enum outcome transaction_commit(struct transaction *tx);
void transaction_drop(struct transaction *tx);
void transaction_drop_all(struct connection *c);

/* The path's entry, made at the first touch. */
enum outcome transaction_touch(struct transaction *tx, const char *path,
                               struct entry **ret);
/* The nearest ancestor that exists; touches all between. */
enum outcome transaction_nearest(struct transaction *tx, const char *path,
                                 struct entry **ret);
enum outcome transaction_value(struct transaction *tx, struct entry *entry);
/* The names of the children, each with its NUL. */
enum outcome transaction_list(struct transaction *tx, struct entry *entry,
                              struct buffer *out);

/* Create 'entry', which is absent, and its missing parents. */
enum outcome transaction_create(struct transaction *tx, struct entry *entry,
                                struct entry *nearest, struct perms *perms,
                                const void *value, uint16_t value_len);
enum outcome transaction_write(struct transaction *tx, struct entry *entry,
                               const void *value, uint16_t value_len);
enum outcome transaction_set_perms(struct transaction *tx, struct entry *entry,
                                   struct perms *perms);
enum outcome transaction_remove(struct transaction *tx, struct entry *entry);

/* An entry as a dump has it; flags as in state.h. */
struct entry_state {
    uint32_t flags;
    uint32_t place; /* of its event, from 1 on; 0: none */
    const uint64_t *stamps;
    struct perms *base_perms, *perms; /* taken over */
    const uint8_t *value, *names;
    uint16_t value_len;
    uint32_t names_len;
};

/* False: no memory; the transaction is then to be dropped. */
must_check bool transaction_load_entry(struct transaction *tx, const char *path,
                                       const struct entry_state *state);
/* After the last entry. */
void transaction_load_end(struct transaction *tx);

#endif
