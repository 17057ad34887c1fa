/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rules of the libxc headers and of each libxc record by itself. */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/hvm/hvm_context.h"
#include "stream/verify_private.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"

/* 16 TiB: where a restorer's bitmap by pfn passes half a gigabyte. */
#define PFN_HIGH (UINT64_C(1) << 32)

#define LENGTH_MAX_BEFORE_4_10 ((uint32_t)8 << 20)

/* HVM_PARAMS: the parameters that are newer than 4.6. */
#define PARAM_VM86_TSS_SIZED_SINCE 9
#define PARAM_MCA_CAP_SINCE        10
#define PARAMS_NAMED_MAX           64

void verify_libxc_headers(struct verify *v, const struct stream_item *item)
{
    const struct xcstream_headers *h = &item->libxc;

    v->have_headers = true;
    v->headers = *h;
    if (h->marker != XCSTREAM_MARKER)
        verify_found(v, RULE_XC_MARKER, "%#" PRIx64, h->marker);
    if (h->id != XCSTREAM_ID)
        verify_found(v, RULE_XC_ID, "%#" PRIx32, h->id);
    if (h->version != XCSTREAM_VERSION_2 && h->version != XCSTREAM_VERSION_3)
        verify_found(v, RULE_XC_VERSION, "%" PRIu32, h->version);
    if (h->order == ORDER_BIG)
        verify_found(v, RULE_XC_BIG, "options %#x", h->options);
    if ((h->options & ~XCSTREAM_OPTION_BIG) || h->image_reserved ||
        h->domain_reserved)
        verify_found(v, RULE_XC_RESERVED, "options %#x, %#" PRIx64 ", %#x",
                     h->options, h->image_reserved, h->domain_reserved);
    if (h->type != XCSTREAM_DOMAIN_PV && h->type != XCSTREAM_DOMAIN_HVM)
        verify_found(v, RULE_XC_TYPE, "%" PRIu32 " (%s)", h->type,
                     xcstream_domain_type_name(h->type));
    if (h->page_shift != PAGE_SHIFT)
        verify_found(v, RULE_XC_PAGE_SHIFT, "shift %u", h->page_shift);

    if (h->version >= XCSTREAM_VERSION_3 && verify_before(v, 14))
        verify_found(v, RULE_FOR_VERSION, "%" PRIu32, h->version);
    if (h->xen_major == 4 && v->options->release != 0 &&
        h->xen_minor > v->options->release)
        verify_found(v, RULE_FOR_NEWER, "written by Xen 4.%" PRIu32,
                     h->xen_minor);
    xcstream_order_init(&v->order, h, true);
}

/* PAGE_DATA ---------------------------------------------------------------- */

static void verify_frames_fault(struct verify *v, const struct error *problem)
{
    static const enum verify_rule_id rule_of[] = {
        [PAGE_DATA_BAD_LENGTH] = RULE_PAGES_LENGTH,
        [PAGE_DATA_BAD_COUNT] = RULE_PAGES_COUNT,
        [PAGE_DATA_MANY] = RULE_PAGES_LIMIT,
        [PAGE_DATA_BAD_TYPE] = RULE_PAGES_TYPE,
        [PAGE_DATA_BAD_SIZE] = RULE_PAGES_SIZE,
    };

    verify_found(v, rule_of[v->batch.fault], "%s", problem->text);
}

static void verify_frame(struct verify *v, uint64_t word)
{
    unsigned int type = frame_type(word);
    uint64_t pfn = frame_pfn(word);

    if (word & XCSTREAM_PFN_RESERVED)
        verify_found(v, RULE_PAGES_BITS, "%#" PRIx64, word);
    if (v->order.guest == GUEST_PV) {
        if (v->have_p2m && pfn > v->max_pfn)
            verify_found(v, RULE_PAGES_BEYOND,
                         "pfn %#" PRIx64 ", P2M to %#" PRIx64, pfn, v->max_pfn);
    } else {
        if (pfn >= PFN_HIGH)
            verify_found(v, RULE_PAGES_HIGH, "pfn %#" PRIx64, pfn);
        if (frame_type_table_level(type) > 0)
            verify_found(v, RULE_PAGES_HVM_TYPE, "pfn %#" PRIx64 ", %s", pfn,
                         frame_type_name(type));
    }
    if (pfn_set_add(&v->scratch, pfn) == PFN_SET_KNOWN)
        verify_found(v, RULE_PAGES_TWICE, "pfn %#" PRIx64, pfn);
}

/* Frames from the first on that follow each other and are of one type. */
static uint32_t frames_alike(const uint64_t *frames, uint32_t nr)
{
    uint64_t room = XCSTREAM_PFN_MASK - frame_pfn(frames[0]) + 1;
    uint32_t n = 1;

    while (n < nr && n < room && frames[n] == frames[0] + n)
        n++;
    return n;
}

/* Frames that nothing can be said against, all at once, as most are. */
static bool verify_frames_alike(struct verify *v, uint64_t first, uint32_t nr)
{
    uint64_t last = frame_pfn(first) + nr - 1;
    uint64_t end = v->order.guest != GUEST_PV ? PFN_HIGH
                   : v->have_p2m              ? v->max_pfn + 1
                                              : PFN_SET_LIMIT;

    return !(first & XCSTREAM_PFN_RESERVED) && last < end &&
           (v->order.guest == GUEST_PV ||
            frame_type_table_level(frame_type(first)) == 0) &&
           pfn_set_add_run(&v->scratch, frame_pfn(first), nr, true);
}

static void verify_frames(struct verify *v, const struct page_data *pd)
{
    uint32_t nr;

    for (uint32_t i = 0; i < pd->nr_frames; i += nr) {
        nr = frames_alike(&pd->frames[i], pd->nr_frames - i);
        if (!verify_frames_alike(v, pd->frames[i], nr))
            for (uint32_t n = i; n < i + nr; n++)
                verify_frame(v, pd->frames[n]);
    }
    for (uint32_t i = 0; i < pd->nr_frames; i += nr) {
        nr = frames_alike(&pd->frames[i], pd->nr_frames - i);
        verify_memory_note(v, frame_pfn(pd->frames[i]), nr,
                           frame_type(pd->frames[i]));
        pfn_set_clear_run(&v->scratch, frame_pfn(pd->frames[i]), nr);
    }
}

static bool verify_page_data(struct verify *v, const struct record_head *head,
                             struct error *err)
{
    const struct page_data *pd = &v->batch;
    struct error problem = {0};
    bool padding_zero;

    if (!page_data_read_frames(v->reader.source, head, &v->batch, &problem)) {
        if (pd->fault == PAGE_DATA_UNREAD) {
            *err = problem;
            return false;
        }
        verify_frames_fault(v, &problem);
        return stream_reader_finish_body(&v->reader, err);
    }
    v->result.nr_pages += pd->nr_pages;
    if (pd->reserved)
        verify_found(v, RULE_PAGES_RESERVED, "%#" PRIx32, pd->reserved);
    if (pd->nr_frames > XCSTREAM_BATCH_MAX)
        verify_found(v, RULE_PAGES_BATCH, "%" PRIu32, pd->nr_frames);
    verify_frames(v, pd);
    if (v->scratch.nr_chunks > SMALL_SET_CHUNKS / 2)
        pfn_set_release(&v->scratch);
    if (v->pages_offset == 0)
        v->pages_offset = head->offset;
    return (v->order.guest == GUEST_PV
                ? verify_pv_pages(v, pd->frames, pd->nr_frames, err)
                : source_skip(v->reader.source,
                              (uint64_t)pd->nr_pages * PAGE_SIZE, "PAGE_DATA",
                              err)) &&
           record_read_padding(v->reader.source, head, &padding_zero, err);
}

/* PV ----------------------------------------------------------------------- */

static void verify_pv_info(struct verify *v, const struct record *rec)
{
    struct pv_info info;
    struct error problem = {0};

    if (!pv_info_decode(rec, &info, &problem)) {
        verify_found(v, RULE_PV_INFO_SHORT, "%" PRIu32 " octets", rec->length);
        return;
    }
    if (!info.exact)
        verify_found(v, RULE_PV_INFO_LENGTH, "%" PRIu32 " octets", rec->length);
    if (!info.reserved_zero)
        verify_found(v, RULE_PV_INFO_RESERVED, "octets that are not zero");
    if (!pv_info_known(&info))
        verify_found(v, RULE_PV_INFO_KNOWN, "width %u, levels %u", info.width,
                     info.levels);
    else
        v->width = info.width;
}

static void verify_p2m_frames(struct verify *v, const struct record *rec)
{
    struct p2m_frames list;
    struct error problem = {0};
    uint64_t first = 0;

    if (!p2m_frames_decode(rec, v->width, &list, &problem)) {
        verify_found(v, RULE_P2M_BODY, "%s", problem.text);
        return;
    }
    v->have_p2m = true;
    if (list.last_pfn > v->max_pfn)
        v->max_pfn = list.last_pfn;
    if (v->width != 0)
        first = list.first_pfn / p2m_entries_per_frame(v->width);
    for (size_t i = 0; i < list.nr_frames; i++) {
        uint64_t pfn = p2m_frames_pfn(&list, i);

        if (v->width != 0 && first + i < P2M_FRAMES_KEPT)
            verify_pv_p2m(v, first + i, pfn);
        else if (pfn > v->max_pfn)
            verify_found(v, RULE_P2M_BEYOND,
                         "pfn %#" PRIx64 ", P2M to %#" PRIx64, pfn, v->max_pfn);
        if (pfn_set_add(&v->scratch, pfn) == PFN_SET_KNOWN)
            verify_found(v, RULE_P2M_TWICE, "pfn %#" PRIx64, pfn);
    }
    pfn_set_release(&v->scratch);
}

/* The bit of a vCPU record's kind in vcpu_seen. */
static uint8_t vcpu_kind(uint32_t type)
{
    switch (type) {
    case XCREC_X86_PV_VCPU_BASIC:
        return 1;
    case XCREC_X86_PV_VCPU_EXTENDED:
        return 2;
    case XCREC_X86_PV_VCPU_XSAVE:
        return 4;
    default:
        return 8;
    }
}

static void verify_vcpu(struct verify *v, const struct record *rec)
{
    struct vcpu_blob blob;
    struct error problem = {0};
    uint8_t kind = vcpu_kind(rec->type);
    uint8_t *seen;

    if (!vcpu_blob_decode(rec, v->width, &blob, &problem)) {
        verify_found(v, RULE_VCPU_BODY, "%s", problem.text);
        return;
    }
    seen = &v->vcpus->kinds[blob.vcpu];
    if (blob.reserved)
        verify_found(v, RULE_VCPU_RESERVED, "%#" PRIx32, blob.reserved);
    if (*seen & kind)
        verify_found(v, RULE_VCPU_TWICE, "vCPU %" PRIu32, blob.vcpu);
    if (rec->type != XCREC_X86_PV_VCPU_BASIC && !(*seen & 1))
        verify_found(v, RULE_VCPU_NO_BASIC, "vCPU %" PRIu32, blob.vcpu);
    if (blob.length == 0) {
        verify_found(v, RULE_VCPU_EMPTY, "vCPU %" PRIu32, blob.vcpu);
        if (verify_before(v, 11))
            verify_found(v, RULE_FOR_EMPTY, "vCPU %" PRIu32, blob.vcpu);
        /* As a restorer sees it: not there. */
        return;
    }
    *seen |= kind;
    if (rec->type == XCREC_X86_PV_VCPU_BASIC && v->width != 0)
        verify_pv_context(v, &blob);
    if (rec->type == XCREC_X86_PV_VCPU_EXTENDED && verify_before(v, 14) &&
        blob.length != XCSTREAM_VCPU_EXTENDED_MAX)
        verify_found(v, RULE_FOR_EXTENDED, "%" PRIu32 " octets", blob.length);
}

/* HVM ---------------------------------------------------------------------- */

void verify_hvm_context(struct verify *v, const uint8_t *bytes, uint32_t length)
{
    struct cursor c = cursor_over(bytes, length, ORDER_LITTLE);
    enum hvm_record_outcome outcome;
    struct hvm_record part;
    bool first = true;
    bool cpu = false;

    if (length == 0) {
        verify_found(v, RULE_HVM_EMPTY, "no octets");
        return;
    }
    while ((outcome = hvm_record_next(&c, length, &part)) == HVM_RECORD_FOUND) {
        struct cursor data = cursor_over(part.data, part.length, ORDER_LITTLE);

        if (first && (part.type != HVM_RECORD_HEADER ||
                      cursor_u32(&data) != HVM_CONTEXT_MAGIC))
            verify_found(v, RULE_HVM_HEADER, "part of type %u", part.type);
        if (!hvm_record_name(part.type))
            verify_found(v, RULE_HVM_PART_UNKNOWN,
                         "type %u of %" PRIu32 " octets", part.type,
                         part.length);
        else if (!hvm_record_length_known(&part))
            verify_found(v, RULE_HVM_PART_LENGTH,
                         "%s (type %u) of %" PRIu32 " octets",
                         hvm_record_name(part.type), part.type, part.length);
        cpu |= part.type == HVM_RECORD_CPU;
        if (part.type == HVM_RECORD_CPU)
            verify_noncoop_cpu(v, part.instance);
        first = false;
    }
    if (outcome == HVM_RECORD_SHORT) {
        verify_found(v, RULE_HVM_PARTS,
                     "%" PRIu32 " octets that end within a part", length);
        return;
    }
    if (first)
        verify_found(v, RULE_HVM_HEADER, "END");
    if (!cpu)
        verify_found(v, RULE_HVM_NO_CPU, "none");
    if (cursor_left(&c) > 0)
        verify_found(v, RULE_HVM_AFTER_END, "%zu octets", cursor_left(&c));
}

static void verify_hvm_params(struct verify *v, const struct record *rec)
{
    struct hvm_params params;
    struct error problem = {0};
    uint64_t seen = 0;

    if (!hvm_params_decode(rec, &params, &problem)) {
        verify_found(v, RULE_PARAMS_BODY, "%s", problem.text);
        return;
    }
    if (params.reserved)
        verify_found(v, RULE_PARAMS_RESERVED, "%#" PRIx32, params.reserved);
    if (params.nr_params == 0)
        verify_found(v, RULE_PARAMS_EMPTY, "no parameters");
    for (uint32_t i = 0; i < params.nr_params; i++) {
        struct hvm_param param = hvm_params_get(&params, i);

        if (!hvm_param_name(param.index)) {
            verify_found(v, RULE_PARAMS_UNKNOWN, "index %" PRIu64, param.index);
            continue;
        }
        if (seen >> param.index & 1)
            verify_found(v, RULE_PARAMS_TWICE, "%s",
                         hvm_param_name(param.index));
        seen |= UINT64_C(1) << param.index;
        verify_ring(v, param.index, param.value);
        if ((param.index == HVM_PARAM_INDEX_VM86_TSS_SIZED &&
             verify_before(v, PARAM_VM86_TSS_SIZED_SINCE)) ||
            (param.index == HVM_PARAM_INDEX_MCA_CAP &&
             verify_before(v, PARAM_MCA_CAP_SINCE)))
            verify_found(v, RULE_FOR_PARAM, "%s", hvm_param_name(param.index));
    }
}

/* Any guest ---------------------------------------------------------------- */

static void verify_tsc(struct verify *v, const struct record *rec)
{
    struct tsc_info info;
    struct error problem = {0};

    if (!tsc_info_decode(rec, &info, &problem)) {
        verify_found(v, RULE_TSC_LENGTH, "%" PRIu32 " octets", rec->length);
        return;
    }
    if (info.reserved)
        verify_found(v, RULE_TSC_RESERVED, "%#" PRIx32, info.reserved);
    if (info.mode > 3)
        verify_found(v, RULE_TSC_MODE, "%" PRIu32, info.mode);
}

static void verify_cpuid(struct verify *v, const struct record *rec)
{
    struct cpuid_policy policy;
    struct error problem = {0};

    if (!cpuid_policy_decode(rec, &policy, &problem))
        verify_found(v, RULE_CPUID_LENGTH, "%" PRIu32 " octets", rec->length);
}

static void verify_msrs(struct verify *v, const struct record *rec)
{
    struct msr_policy policy;
    struct error problem = {0};

    if (!msr_policy_decode(rec, &policy, &problem)) {
        verify_found(v, RULE_MSR_LENGTH, "%" PRIu32 " octets", rec->length);
        return;
    }
    for (size_t i = 0; i < policy.nr_msrs; i++) {
        struct msr_entry msr = msr_policy_get(&policy, i);

        if (msr.flags)
            verify_found(v, RULE_MSR_FLAGS, "MSR %#" PRIx32 ", flags %#" PRIx32,
                         msr.index, msr.flags);
    }
}

/* END and CHECKPOINT: what the round lacks that no order rule can tell. */
static bool verify_round_end(struct verify *v, uint32_t type, struct error *err)
{
    if (v->order.guest == GUEST_PV &&
        (v->order.seen & UINT32_C(1) << XCREC_X86_PV_VCPU_BASIC) &&
        !(v->vcpus->kinds[0] & 1))
        verify_found(v, RULE_VCPU_NO_ZERO, "other vCPUs only");
    verify_rings_round_end(v);
    if (v->order.guest == GUEST_PV &&
        !verify_pv_round_end(v, type == XCREC_END, err))
        return false;
    if (type != XCREC_CHECKPOINT)
        return true;
    memset(v->vcpus, 0, sizeof(*v->vcpus));
    if (v->nr_checkpoints++ == 0)
        verify_found(v, RULE_CHECKPOINTED, "CHECKPOINT");
    return true;
}

static void verify_body(struct verify *v, const struct record *rec)
{
    if (xcstream_record_noncoop(rec->type)) {
        verify_noncoop(v, rec);
        return;
    }
    switch (rec->type) {
    case XCREC_X86_PV_INFO:
        verify_pv_info(v, rec);
        break;
    case XCREC_X86_PV_P2M_FRAMES:
        verify_p2m_frames(v, rec);
        break;
    case XCREC_X86_PV_VCPU_BASIC:
    case XCREC_X86_PV_VCPU_EXTENDED:
    case XCREC_X86_PV_VCPU_XSAVE:
    case XCREC_X86_PV_VCPU_MSRS:
        verify_vcpu(v, rec);
        break;
    case XCREC_SHARED_INFO:
        if (rec->length != PAGE_SIZE)
            verify_found(v, RULE_SHARED_INFO_LENGTH, "%" PRIu32 " octets",
                         rec->length);
        break;
    case XCREC_X86_TSC_INFO:
        verify_tsc(v, rec);
        break;
    case XCREC_HVM_CONTEXT:
        verify_hvm_context(v, rec->body, rec->length);
        break;
    case XCREC_HVM_PARAMS:
        verify_hvm_params(v, rec);
        break;
    case XCREC_X86_CPUID_POLICY:
        verify_cpuid(v, rec);
        break;
    case XCREC_X86_MSR_POLICY:
        verify_msrs(v, rec);
        break;
    default: /* END, VERIFY, CHECKPOINT, STATIC_DATA_END */
        if (rec->length > 0)
            verify_found(v, RULE_XC_NOT_EMPTY, "%" PRIu32 " octets",
                         rec->length);
        break;
    }
}

bool verify_libxc_record(struct verify *v, const struct stream_item *item,
                         struct error *err)
{
    const struct record_head *head = &item->head;
    const struct xcstream_record_info *info = xcstream_record_find(head->type);
    struct record rec;
    bool have;

    if (verify_before(v, 10) && head->length > LENGTH_MAX_BEFORE_4_10)
        verify_found(v, RULE_FOR_LENGTH, "%" PRIu32 " octets", head->length);
    if (info && info->min_version >= XCSTREAM_VERSION_3 && verify_before(v, 14))
        verify_found(v, RULE_FOR_RECORD, "%s, since Xen 4.14", info->name);
    if (xcstream_record_optional(head->type) && v->nr_checkpoints > 0)
        verify_found(v, RULE_XC_OPTIONAL_CHECKPOINT, "type %#" PRIx32,
                     head->type);

    if ((head->type == XCREC_END || head->type == XCREC_CHECKPOINT) &&
        !verify_round_end(v, head->type, err))
        return false;
    if (head->type == XCREC_PAGE_DATA)
        return verify_page_data(v, head, err);
    if (!info || (info->use != RECORD_CURRENT && info->use != RECORD_NONCOOP))
        return verify_pass_over(v, head, err);
    if (!verify_read_body(v, head, &rec, &have, err))
        return false;
    if (have)
        verify_body(v, &rec);
    return true;
}
