/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the store knows about a domain: its ring, its account and its quotas.
 *
 * A record exists from the first node that a domain owns (the toolstack
 * writes them before INTRODUCE) or from INTRODUCE, until the domain is dead.
 *
 *   known --INTRODUCE--> introduced --QUIESCE--> quiesced
 *     ^                     |  ^--UNQUIESCE/INTRODUCE--|
 *     +------RELEASE--------+<---------RELEASE---------+
 *   any --death--> gone: connection, nodes and entries in permission lists
 *
 * RELEASE deletes what the domain owns, unless it is quiesced: then another
 * INTRODUCE finds everything.  Octets that were taken off a ring but not
 * answered survive RELEASE in 'carry', and return if the page still stands
 * where it was left.
 */
#ifndef STORE_DOMAIN_H
#define STORE_DOMAIN_H

#include "store/core.h"

struct carry {
    uint32_t req_cons, rsp_prod; /* where the page stood */
    size_t in_len, out_len;
    size_t out_partial; /* of the output: rest of a half-sent message */
    uint8_t bytes[];    /* in_len of input, out_len of output */
};

struct domain {
    uint16_t domid;
    bool introduced;
    bool shutdown_reported;
    bool quiesced;
    bool features_set;
    uint16_t target; /* DOMID_NONE_WIRE if none */
    uint32_t features;
    uint64_t birth; /* store.generation when the record was made */
    uint64_t gfn;
    uint32_t remote_port;
    struct ring_link link;
    /* Ours: the page's copies are only written. */
    uint32_t ring_req_cons, ring_rsp_prod;
    bool ring_notify;              /* the guest has not been told yet */
    struct connection *connection; /* while introduced */
    struct carry *carry;           /* owned */

    struct list nodes; /* node.owned */
    uint32_t nr_nodes;
    uint64_t memory;
    uint32_t outstanding;
    struct quota_set quotas;
    uint32_t seen[QUOTA_NR];
    struct quota_refusals refusals[QUOTA_NR + 1]; /* + soft memory */
    bool over_memory, over_soft;
};

struct domain *domain_find(const struct store *store, uint32_t domid);
/* Makes the record if there is none; NULL: no memory or no such number. */
struct domain *domain_get(struct store *store, uint32_t domid);
void domain_free_all(struct store *store);

bool domid_is_privileged(const struct store *store, uint32_t domid);
/* Whether a permission entry for it can have an effect. */
bool domid_exists(const struct store *store, uint32_t domid);
bool domain_is_guest(const struct store *store, const struct domain *domain);

void domain_charge(struct store *store, struct domain *domain, size_t octets);
void domain_discharge(struct store *store, struct domain *domain,
                      size_t octets);
/* Remember the most that was used of a quota. */
void domain_saw(struct store *store, struct domain *domain, enum quota quota,
                uint32_t value);

void domain_add_node(struct store *store, struct domain *domain,
                     struct node *node);
void domain_remove_node(struct store *store, struct node *node);

/* QUIESCE and its way back. */
enum outcome domain_quiesce(struct store *store, struct domain *domain);
bool domain_is_drained(const struct domain *domain);
enum outcome domain_unquiesce(struct store *store, struct domain *domain);

enum outcome domain_set_target(struct store *store, uint32_t domid,
                               uint32_t target);
enum outcome domain_resume(struct store *store, uint32_t domid);

#endif
