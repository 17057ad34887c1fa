/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records that images of every guest type have.
 *
 *  X86_TSC_INFO      u32 mode, u32 khz, u64 nsec, u32 incarnation, u32 reserved
 *  X86_CPUID_POLICY  {u32 leaf, subleaf, a, b, c, d}[]
 *  X86_MSR_POLICY    {u32 index, u32 flags, u64 value}[]
 *  CHECKPOINT_DIRTY_PFN_LIST   u64 pfn[]; only on the back channel
 *  STATIC_DATA_END, VERIFY, CHECKPOINT, END: no body
 *
 * Decoders return views that borrow from the record.
 */
#ifndef STREAM_XC_XC_COMMON_H
#define STREAM_XC_XC_COMMON_H

#include "stream/record.h"
#include "stream/xc/xc_wire.h"

struct tsc_info {
    uint32_t mode; /* 0 default, 1 always emulate, 2 never, 3 PVRDTSCP */
    uint32_t khz;
    uint64_t nsec;
    uint32_t incarnation;
    uint32_t reserved;
};

must_check bool tsc_info_decode(const struct record *rec, struct tsc_info *ret,
                                struct error *err);
void tsc_info_append(struct buffer *buffer, const struct tsc_info *info);

#define CPUID_NO_SUBLEAF UINT32_MAX

struct cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf; /* CPUID_NO_SUBLEAF: the leaf has none */
    uint32_t a, b, c, d;
};

struct cpuid_policy {
    size_t nr_leaves;      /* never 0 */
    const uint8_t *leaves; /* borrowed; see cpuid_policy_get() */
    enum byte_order order;
};

must_check bool cpuid_policy_decode(const struct record *rec,
                                    struct cpuid_policy *ret,
                                    struct error *err);
struct cpuid_leaf cpuid_policy_get(const struct cpuid_policy *p, size_t i);

/* Appends nothing for no leaves: an empty policy is not written. */
void cpuid_policy_append(struct buffer *buffer, const struct cpuid_leaf *leaves,
                         size_t nr_leaves);

struct msr_entry {
    uint32_t index;
    uint32_t flags; /* must be zero */
    uint64_t value;
};

struct msr_policy {
    size_t nr_msrs;      /* never 0 */
    const uint8_t *msrs; /* borrowed; see msr_policy_get() */
    enum byte_order order;
};

must_check bool msr_policy_decode(const struct record *rec,
                                  struct msr_policy *ret, struct error *err);
struct msr_entry msr_policy_get(const struct msr_policy *p, size_t i);

/* Appends nothing for no MSRs. */
void msr_policy_append(struct buffer *buffer, const struct msr_entry *msrs,
                       size_t nr_msrs);

struct dirty_pfn_list {
    size_t nr_pfns;
    const uint8_t *pfns; /* borrowed; see dirty_pfn_list_get() */
    enum byte_order order;
};

must_check bool dirty_pfn_list_decode(const struct record *rec,
                                      struct dirty_pfn_list *ret,
                                      struct error *err);
uint64_t dirty_pfn_list_get(const struct dirty_pfn_list *list, size_t i);
void dirty_pfn_list_append(struct buffer *buffer, const uint64_t *pfns,
                           size_t nr_pfns);

/* A record without a body: STATIC_DATA_END, VERIFY, CHECKPOINT, END. */
void empty_record_append(struct buffer *buffer, uint32_t type);

#endif
