/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each decoder of a record by itself.  The first octet chooses the record, the
 * second the byte order and a PV guest's width; the rest is the body.
 *
 * Property: what is decoded and has nothing in its reserved fields encodes to
 * the octets it came from.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_record.h"
#include "stream/hvm/hvm_context.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same(const struct record *rec, const struct buffer *again)
{
    assert(!again->bad);
    assert(again->length == record_size(rec->length));
    assert(rec->length == 0 || memcmp(again->bytes + RECORD_HEAD_SIZE,
                                      rec->body, rec->length) == 0);
}

static void try_page_data(const struct record *rec, struct buffer *again)
{
    struct page_data pd = {0};
    struct page_data in_pieces = {0};
    struct record_head head = {rec->type, rec->length, 0, rec->order};
    struct memory_source memory = {rec->body, rec->length, 0, 3};
    struct stream_source source = source_from_memory(&memory);
    struct error err;
    bool ok = page_data_decode(rec, &pd, &err);

    /* From memory or from a stream: the same. */
    assert(page_data_read_frames(&source, &head, &in_pieces, &err) == ok);
    if (ok) {
        assert(in_pieces.nr_pages == pd.nr_pages);
        assert(source.offset + (uint64_t)pd.nr_pages * PAGE_SIZE ==
               rec->length);
    }
    if (ok && pd.reserved == 0 && rec->order == ORDER_LITTLE) {
        uint8_t *out = buffer_extend(again, PAGE_DATA_HEAD_SIZE(pd.nr_frames));

        assert(out);
        page_data_encode_head(out, pd.frames, pd.nr_frames);
        buffer_bytes(again, pd.pages, pd.nr_pages * PAGE_SIZE);
        assert_same(rec, again);
    }
    page_data_release(&pd);
    page_data_release(&in_pieces);
}

static void try_pv(const struct record *rec, uint8_t width,
                   struct buffer *again)
{
    struct error err;
    struct pv_info info;
    struct p2m_frames list;
    struct vcpu_blob blob;
    const uint8_t *page;

    switch (rec->type) {
    case XCREC_X86_PV_INFO:
        if (pv_info_decode(rec, &info, &err) && info.reserved_zero &&
            info.exact) {
            pv_info_append(again, &info);
            assert_same(rec, again);
        }
        break;
    case XCREC_X86_PV_P2M_FRAMES:
        if (p2m_frames_decode(rec, width, &list, &err)) {
            uint64_t *pfns = calloc(list.nr_frames + 1, sizeof(*pfns));

            assert(pfns);
            for (size_t i = 0; i < list.nr_frames; i++)
                pfns[i] = p2m_frames_pfn(&list, i);
            p2m_frames_append(again, list.first_pfn, list.last_pfn, pfns,
                              list.nr_frames);
            assert_same(rec, again);
            free(pfns);
        }
        break;
    case XCREC_SHARED_INFO:
        if (shared_info_decode(rec, &page, &err)) {
            shared_info_append(again, page);
            assert_same(rec, again);
        }
        break;
    default:
        if (vcpu_blob_decode(rec, width, &blob, &err) && blob.reserved == 0) {
            vcpu_blob_append(again, &blob);
            assert_same(rec, again);
        }
        break;
    }
}

static void try_hvm_context(const struct record *rec)
{
    struct cursor c = cursor_over(rec->body, rec->length, ORDER_LITTLE);
    struct hvm_record part;

    while (hvm_record_next(&c, rec->length, &part) == HVM_RECORD_FOUND)
        hvm_record_length_known(&part);
}

/* All entries of a record that has nothing else, as the writers take them. */
#define ENTRIES(array, nr, get)                       \
    do {                                              \
        (array) = calloc((nr) + 1, sizeof(*(array))); \
        assert(array);                                \
        for (size_t i = 0; i < (nr); i++)             \
            (array)[i] = (get);                       \
    } while (0)

static void try_cpuid(const struct record *rec, struct buffer *again)
{
    struct cpuid_policy p;
    struct cpuid_leaf *leaves;
    struct error err;

    if (!cpuid_policy_decode(rec, &p, &err))
        return;
    ENTRIES(leaves, p.nr_leaves, cpuid_policy_get(&p, i));
    cpuid_policy_append(again, leaves, p.nr_leaves);
    assert_same(rec, again);
    free(leaves);
}

static void try_msrs(const struct record *rec, struct buffer *again)
{
    struct msr_policy p;
    struct msr_entry *msrs;
    struct error err;

    if (!msr_policy_decode(rec, &p, &err))
        return;
    ENTRIES(msrs, p.nr_msrs, msr_policy_get(&p, i));
    msr_policy_append(again, msrs, p.nr_msrs);
    assert_same(rec, again);
    free(msrs);
}

static void try_params(const struct record *rec, struct buffer *again)
{
    struct hvm_params p;
    struct hvm_param *params;
    struct error err;

    if (!hvm_params_decode(rec, &p, &err) || p.reserved)
        return;
    ENTRIES(params, p.nr_params, hvm_params_get(&p, (uint32_t)i));
    hvm_params_append(again, params, p.nr_params);
    assert_same(rec, again);
    free(params);
}

static void try_dirty_list(const struct record *rec, struct buffer *again)
{
    struct dirty_pfn_list list;
    struct error err;
    uint64_t *pfns;

    if (!dirty_pfn_list_decode(rec, &list, &err))
        return;
    ENTRIES(pfns, list.nr_pfns, dirty_pfn_list_get(&list, i));
    dirty_pfn_list_append(again, pfns, list.nr_pfns);
    assert_same(rec, again);
    free(pfns);
}

static void try_common(const struct record *rec, struct buffer *again)
{
    struct tsc_info tsc;
    struct error err;

    switch (rec->type) {
    case XCREC_X86_TSC_INFO:
        if (tsc_info_decode(rec, &tsc, &err) && tsc.reserved == 0) {
            tsc_info_append(again, &tsc);
            assert_same(rec, again);
        }
        break;
    case XCREC_X86_CPUID_POLICY:
        try_cpuid(rec, again);
        break;
    case XCREC_X86_MSR_POLICY:
        try_msrs(rec, again);
        break;
    case XCREC_HVM_PARAMS:
        try_params(rec, again);
        break;
    case XCREC_CHECKPOINT_DIRTY_PFN_LIST:
        try_dirty_list(rec, again);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer again = {0};
    struct record rec;
    uint8_t *body;
    uint8_t width;

    if (size < 2 || size > RECORD_LENGTH_MAX)
        return 0;
    body = record_of_input(data, size, 0x13, &rec);
    width = (uint8_t)(data[1] & 2 ? 4 : data[1] & 4 ? 8 : 0);
    again.order = rec.order;

    switch (rec.type) {
    case XCREC_PAGE_DATA:
        try_page_data(&rec, &again);
        break;
    case XCREC_X86_PV_INFO:
    case XCREC_X86_PV_P2M_FRAMES:
    case XCREC_X86_PV_VCPU_BASIC:
    case XCREC_X86_PV_VCPU_EXTENDED:
    case XCREC_X86_PV_VCPU_XSAVE:
    case XCREC_X86_PV_VCPU_MSRS:
    case XCREC_SHARED_INFO:
        try_pv(&rec, width, &again);
        break;
    case XCREC_HVM_CONTEXT:
        try_hvm_context(&rec);
        break;
    default:
        try_common(&rec, &again);
        break;
    }
    buffer_release(&again);
    free(body);
    return 0;
}
