/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's own state: what its files share.
 *
 * I1 Every committed node is on its owner's domain.nodes, and
 *    domain.nr_nodes is the length of that list.
 * I2 A connection with work is on store.ready, one with output to send on
 *    store.flush; all others cost nothing.
 * I3 A refusal changes nothing: whatever can fail is done first.
 * I4 Nothing here asserts on what a client can bring about.
 */
#ifndef STORE_CORE_H
#define STORE_CORE_H

#include "base/clock.h"
#include "store/node.h"
#include "store/quota.h"
#include "store/store.h"
#include "store/watch.h"

enum special { SPECIAL_INTRODUCE, SPECIAL_RELEASE, SPECIAL_NR };

struct store {
    struct store_host host;
    struct store_options options;

    uint64_t generation; /* counts changes; nodes carry stamps of it */
    struct pool pool;    /* of nodes and watches */
    struct node *root;
    struct node *special[SPECIAL_NR];
    struct perms_table perms;
    uint64_t nr_nodes;

    struct watch_table watches;
    uint64_t watch_sequence;

    struct domain **domains; /* by domid; DOMID_RESERVED_FIRST of them */
    uint32_t nr_domains;
    struct quota_set quotas;
    /* The most that any guest was seen to have of each. */
    uint32_t seen[QUOTA_NR];

    struct connection *connections; /* by id */
    uint32_t next_connection_id;
    struct list ready;
    struct list flush;
    struct list clients;        /* all, oldest first */
    struct connection *current; /* whose request runs, or NULL */
    /* Events that 'current' causes are charged to it: see connection.h. */
    struct cause *cause;

    /* Guests may not change anything until then: see request.c. */
    struct connection *shielded;
    int64_t shield_until_ns;

    int64_t next_expiry_ns; /* earliest time that an event may expire */
    struct list waiting;    /* QUIESCE requests that wait for the guest */

    const struct store_recorder *recorder; /* borrowed; NULL: none */
    bool replaying;

    struct store_figures figures;
    struct buffer scratch; /* for replies; capped by their length */
    uint8_t *spare_input;  /* owned; see connection.c */
    bool trace;            /* log every request */
};

int64_t store_now(const struct store *store);

/* Say who was refused what, at most once a second for each. */
struct domain;
void store_log_refusal(struct store *store, struct domain *domain,
                       enum quota quota, uint64_t value);

#endif
