/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Quotas: how much of each thing a guest may have.  A limit of N grants
 * exactly N.  Sockets and privileged domains are never refused, and removing
 * never needs a quota.
 */
#ifndef STORE_QUOTA_H
#define STORE_QUOTA_H

#include "store/store.h"

struct quota_refusals {
    int64_t said_ns;     /* when a line was last logged */
    uint32_t suppressed; /* refusals since */
};

struct quota_set quota_defaults(void);

/* Explanation for people. */
const char *quota_text(enum quota quota);
/* The spelling that stock xenstore-control prints and takes. */
const char *quota_control_name(enum quota quota);

/* Whether 'value' of it is more than the limit allows. */
static inline bool quota_exceeded(const struct quota_set *set, enum quota quota,
                                  uint64_t value)
{
    return set->hard[quota] && value > set->hard[quota];
}

#endif
