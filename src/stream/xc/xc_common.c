/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_common.h"

#include <assert.h>
#include <inttypes.h>

#include "stream/xc/xc_records.h"

#define TSC_INFO_SIZE   24
#define CPUID_LEAF_SIZE 24
#define MSR_ENTRY_SIZE  16

static bool length_wrong(const struct record *rec, const char *expected,
                         struct error *err)
{
    return record_error(
        rec, err,
        "%s at offset %" PRIu64 ": body of %" PRIu32 " octets, expected %s",
        xcstream_record_name(rec->type), rec->offset, rec->length, expected);
}

bool tsc_info_decode(const struct record *rec, struct tsc_info *ret,
                     struct error *err)
{
    struct cursor c = record_cursor(rec);

    if (rec->length != TSC_INFO_SIZE)
        return length_wrong(rec, "24", err);
    ret->mode = cursor_u32(&c);
    ret->khz = cursor_u32(&c);
    ret->nsec = cursor_u64(&c);
    ret->incarnation = cursor_u32(&c);
    ret->reserved = cursor_u32(&c);
    return true;
}

void tsc_info_append(struct buffer *buffer, const struct tsc_info *info)
{
    size_t begun = record_begin(buffer, XCREC_X86_TSC_INFO);

    buffer_u32(buffer, info->mode);
    buffer_u32(buffer, info->khz);
    buffer_u64(buffer, info->nsec);
    buffer_u32(buffer, info->incarnation);
    buffer_u32(buffer, 0);
    record_end(buffer, begun);
}

bool cpuid_policy_decode(const struct record *rec, struct cpuid_policy *ret,
                         struct error *err)
{
    if (rec->length == 0 || rec->length % CPUID_LEAF_SIZE != 0)
        return length_wrong(rec, "a multiple of 24, not 0", err);
    *ret = (struct cpuid_policy){.nr_leaves = rec->length / CPUID_LEAF_SIZE,
                                 .leaves = rec->body,
                                 .order = rec->order};
    return true;
}

struct cpuid_leaf cpuid_policy_get(const struct cpuid_policy *p, size_t i)
{
    struct cursor c =
        cursor_over(p->leaves + i * CPUID_LEAF_SIZE, CPUID_LEAF_SIZE, p->order);
    struct cpuid_leaf leaf = {0};

    assert(i < p->nr_leaves);
    leaf.leaf = cursor_u32(&c);
    leaf.subleaf = cursor_u32(&c);
    leaf.a = cursor_u32(&c);
    leaf.b = cursor_u32(&c);
    leaf.c = cursor_u32(&c);
    leaf.d = cursor_u32(&c);
    return leaf;
}

void cpuid_policy_append(struct buffer *buffer, const struct cpuid_leaf *leaves,
                         size_t nr_leaves)
{
    size_t begun;

    if (nr_leaves == 0)
        return;
    begun = record_begin(buffer, XCREC_X86_CPUID_POLICY);
    for (size_t i = 0; i < nr_leaves; i++) {
        buffer_u32(buffer, leaves[i].leaf);
        buffer_u32(buffer, leaves[i].subleaf);
        buffer_u32(buffer, leaves[i].a);
        buffer_u32(buffer, leaves[i].b);
        buffer_u32(buffer, leaves[i].c);
        buffer_u32(buffer, leaves[i].d);
    }
    record_end(buffer, begun);
}

bool msr_policy_decode(const struct record *rec, struct msr_policy *ret,
                       struct error *err)
{
    if (rec->length == 0 || rec->length % MSR_ENTRY_SIZE != 0)
        return length_wrong(rec, "a multiple of 16, not 0", err);
    *ret = (struct msr_policy){.nr_msrs = rec->length / MSR_ENTRY_SIZE,
                               .msrs = rec->body,
                               .order = rec->order};
    return true;
}

struct msr_entry msr_policy_get(const struct msr_policy *p, size_t i)
{
    struct cursor c =
        cursor_over(p->msrs + i * MSR_ENTRY_SIZE, MSR_ENTRY_SIZE, p->order);
    struct msr_entry msr = {0};

    assert(i < p->nr_msrs);
    msr.index = cursor_u32(&c);
    msr.flags = cursor_u32(&c);
    msr.value = cursor_u64(&c);
    return msr;
}

void msr_policy_append(struct buffer *buffer, const struct msr_entry *msrs,
                       size_t nr_msrs)
{
    size_t begun;

    if (nr_msrs == 0)
        return;
    begun = record_begin(buffer, XCREC_X86_MSR_POLICY);
    for (size_t i = 0; i < nr_msrs; i++) {
        buffer_u32(buffer, msrs[i].index);
        buffer_u32(buffer, msrs[i].flags);
        buffer_u64(buffer, msrs[i].value);
    }
    record_end(buffer, begun);
}

bool dirty_pfn_list_decode(const struct record *rec, struct dirty_pfn_list *ret,
                           struct error *err)
{
    if (rec->length % 8 != 0)
        return length_wrong(rec, "a multiple of 8", err);
    *ret = (struct dirty_pfn_list){
        .nr_pfns = rec->length / 8, .pfns = rec->body, .order = rec->order};
    return true;
}

uint64_t dirty_pfn_list_get(const struct dirty_pfn_list *list, size_t i)
{
    struct cursor c = cursor_over(list->pfns + i * 8, 8, list->order);

    assert(i < list->nr_pfns);
    return cursor_u64(&c);
}

void dirty_pfn_list_append(struct buffer *buffer, const uint64_t *pfns,
                           size_t nr_pfns)
{
    size_t begun = record_begin(buffer, XCREC_CHECKPOINT_DIRTY_PFN_LIST);

    for (size_t i = 0; i < nr_pfns; i++)
        buffer_u64(buffer, pfns[i]);
    record_end(buffer, begun);
}

void empty_record_append(struct buffer *buffer, uint32_t type)
{
    record_append(buffer, type, NULL, 0);
}
