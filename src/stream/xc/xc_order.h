/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which records of a libxc image may come when: one table, read by whoever
 * verifies an image and by whoever restores one.
 *
 *  PV   PV_INFO [CPUID] [MSR] STATIC_DATA_END P2M_FRAMES PAGE_DATA*
 *       [VERIFY PAGE_DATA*] TSC_INFO SHARED_INFO VCPU_*  END
 *  HVM  [CPUID] [MSR] STATIC_DATA_END PAGE_DATA* [VERIFY PAGE_DATA*]
 *       TSC_INFO, HVM_CONTEXT and HVM_PARAMS in either order, [all NC_*] END
 *
 * Version 2 has no STATIC_DATA_END: the first P2M_FRAMES or PAGE_DATA implies
 * it.  In a checkpointed image CHECKPOINT stands in the place of END, and a new
 * round of PAGE_DATA* and what follows begins after it.
 *
 * A verifier asks for every rule that a record breaks; a restorer refuses only
 * on those that real releases refuse as well.
 */
#ifndef STREAM_XC_XC_ORDER_H
#define STREAM_XC_XC_ORDER_H

#include "stream/record.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_records.h"

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR };

struct order_rule {
    const char *id;          /* stable: "xc-order-pv-info-first" */
    enum severity severity;  /* for a verifier */
    bool restore_refuses;    /* for a restorer */
    int kind;                /* private */
    enum guest_set guests;   /* images that the rule is about */
    uint32_t records;        /* set of types, 1 << type; 0: any */
    uint32_t other;          /* set of types that the kind speaks of */
    const char *explanation; /* what the format or a restorer asks for */
};

struct xcstream_order {
    uint32_t version;
    enum guest_set guest;
    bool checkpointed;     /* CHECKPOINT is welcome */
    bool noncoop;          /* a guest's state is welcome; at first it is */
    uint32_t seen;         /* set of types, from the start */
    uint32_t seen_round;   /* since the start or the last CHECKPOINT */
    bool static_data_done; /* STATIC_DATA_END came, or was implied */
};

void xcstream_order_init(struct xcstream_order *o,
                         const struct xcstream_headers *h, bool checkpointed);

/*
 * The next rule from '*at' on that a record of 'type' would break now, or
 * NULL.  Start with *at = 0.
 */
const struct order_rule *
xcstream_order_violation(const struct xcstream_order *o, uint32_t type,
                         size_t *at);

/*
 * The record is taken.  Returns true exactly once in an image: on the record
 * that ends the static data, or that implies their end in version 2; in the
 * second case the end comes before the record.
 */
bool xcstream_order_advance(struct xcstream_order *o, uint32_t type);

/* For a restorer: whether the record may come now. */
must_check bool xcstream_order_check(const struct xcstream_order *o,
                                     const struct record_head *head,
                                     struct error *err);

/* Every rule, for documents and tests; NULL after the last. */
const struct order_rule *xcstream_order_rule(size_t i);

#endif
