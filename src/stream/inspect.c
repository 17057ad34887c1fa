/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/inspect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/hvm/hvm_context.h"
#include "stream/hvm/xsave_area.h"
#include "stream/inspect_noncoop.h"
#include "stream/inspect_private.h"
#include "stream/inspect_xenstore.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"

/* Headers ------------------------------------------------------------------ */

void inspect_row(struct inspect *in, const char *layer, const char *name,
                 uint64_t offset)
{
    fields_begin(in->records, NULL, FIELDS_ROW);
    fields_hex(in->records, "offset", offset);
    fields_text(in->records, "layer", layer);
    fields_text(in->records, "name", name);
}

void inspect_xl_file(struct inspect *in, uint64_t offset,
                     const struct xlfile_header *h,
                     const struct xlfile_config *config)
{
    struct field_sink *out = in->records;
    bool json = h->mandatory_flags & XLFILE_MANDATORY_JSON;

    inspect_row(in, "xl", "file header", offset);
    fields_text(out, "byte_order",
                h->order == ORDER_BIG ? "big-endian" : "little-endian");
    fields_hex(out, "mandatory_flags", h->mandatory_flags);
    fields_hex(out, "optional_flags", h->optional_flags);
    fields_number(out, "optional_length", h->optional_length);
    if (config->present) {
        size_t length = config->length;

        /* A JSON configuration counts its NUL. */
        while (length > 0 && config->text[length - 1] == '\0')
            length--;
        fields_begin(out, "config", FIELDS_OBJECT);
        fields_text(out, "form", json ? "JSON" : "text");
        fields_number(out, "length", config->length);
        fields_number(out, "ignored_octets", config->ignored);
        fields_octets(out, "text", config->text,
                      size_min(length, INSPECT_TEXT_MAX));
        fields_end(out);
    }
    fields_end(out);
}

static void explain_libxl_header(struct inspect *in,
                                 const struct stream_item *item)
{
    struct field_sink *out = in->records;
    const struct xlstream_header *h = &item->libxl;

    in->converted = h->options & XLSTREAM_OPTION_LEGACY;
    inspect_row(in, "libxl", "header", item->offset);
    fields_number(out, "version", h->version);
    fields_hex(out, "options", h->options);
    fields_text(out, "byte_order",
                h->order == ORDER_BIG ? "big-endian" : "little-endian");
    fields_flag(out, "converted_from_legacy", in->converted);
    fields_end(out);
}

static void explain_libxc_headers(struct inspect *in,
                                  const struct stream_item *item)
{
    struct field_sink *out = in->records;
    const struct xcstream_headers *h = &item->libxc;

    in->have_headers = true;
    in->headers = *h;
    inspect_row(in, "libxc", "image header", item->offset);
    fields_number(out, "version", h->version);
    fields_hex(out, "options", h->options);
    fields_text(out, "byte_order",
                h->order == ORDER_BIG ? "big-endian" : "little-endian");
    fields_end(out);
    inspect_row(in, "libxc", "domain header",
                item->offset + XCSTREAM_IMAGE_HEADER_SIZE);
    fields_format(out, "type", "%" PRIu32 " (%s)", h->type,
                  xcstream_domain_type_name(h->type));
    fields_number(out, "page_shift", h->page_shift);
    if (h->xen_major == XCSTREAM_MAJOR_CONVERTED)
        fields_format(out, "writer", "legacy converter, version %" PRIu32,
                      h->xen_minor);
    else
        fields_format(out, "writer", "Xen %" PRIu32 ".%" PRIu32, h->xen_major,
                      h->xen_minor);
    fields_end(out);
}

/* PAGE_DATA ---------------------------------------------------------------- */

/* What the map shows of a frame that carries no page of zeroes. */
static enum memory_class frame_class(unsigned int type)
{
    return frame_type_table_level(type) ? MEMORY_TABLE
           : frame_type_has_page(type)  ? MEMORY_DATA
                                        : MEMORY_EMPTY;
}

/*
 * Frames with contents are drawn when those were read, unless they are not
 * read at all.
 */
static void map_frame(struct inspect *in, uint64_t pfn, unsigned int type,
                      bool known)
{
    struct memory_map *map = in->options->map;

    if (!map || type == FRAME_XTAB)
        return;
    if (known)
        memory_map_add(map, pfn, MEMORY_REPEAT);
    if (!frame_type_has_page(type) || !in->options->page_contents)
        memory_map_add(map, pfn, frame_class(type));
}

static void count_frames(struct inspect *in, const uint64_t *frames,
                         uint32_t nr_frames)
{
    for (uint32_t i = 0; i < nr_frames; i++) {
        unsigned int type = frame_type(frames[i]);
        uint64_t pfn = frame_pfn(frames[i]);

        in->frames_by_type[type]++;
        if (in->rounds == 0 || pfn <= in->last_pfn)
            in->rounds++;
        in->last_pfn = pfn;
        if (type != FRAME_XTAB && pfn > in->max_pfn)
            in->max_pfn = pfn;
        map_frame(in, pfn, type, pfn_set_has(&in->seen, pfn));
        switch (pfn_set_add(&in->seen, pfn)) {
        case PFN_SET_NEW:
            break;
        case PFN_SET_KNOWN:
            in->nr_repeated++;
            break;
        case PFN_SET_BEYOND:
            in->nr_beyond++;
            break;
        }
    }
}

/* Runs of consecutive pfns of one type, each a row. */
static void explain_ranges(struct inspect *in, const uint64_t *frames,
                           uint32_t nr_frames)
{
    fields_begin(in->records, "frames", FIELDS_LIST);
    for (uint32_t i = 0; i < nr_frames;) {
        unsigned int type = frame_type(frames[i]);
        uint64_t first = frame_pfn(frames[i]);
        uint32_t n = 1;

        while (i + n < nr_frames && frame_type(frames[i + n]) == type &&
               frame_pfn(frames[i + n]) == first + n)
            n++;
        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_hex(in->records, "first", first);
        fields_hex(in->records, "last", first + n - 1);
        fields_text(in->records, "type", frame_type_name(type));
        fields_end(in->records);
        i += n;
    }
    fields_end(in->records);
}

static bool page_is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

/* Draw the next 'nr' frames with contents, from '*frames' on. */
static void map_pages(struct inspect *in, const uint64_t **frames, uint64_t nr,
                      const uint8_t *pages)
{
    for (uint64_t i = 0; in->options->map && i < nr; (*frames)++) {
        unsigned int type = frame_type(**frames);
        bool zero;

        if (!frame_type_has_page(type))
            continue;
        zero = !pages || page_is_zero(pages + i * PAGE_SIZE);
        memory_map_add(in->options->map, frame_pfn(**frames),
                       zero ? MEMORY_ZERO : frame_class(type));
        i++;
    }
}

static bool count_zero_pages(struct inspect *in, struct stream_source *source,
                             const uint64_t *frames, uint64_t nr_pages,
                             uint64_t *ret_zero, struct error *err)
{
    uint64_t left = nr_pages;
    uint64_t zero = 0;

    while (left > 0) {
        uint64_t hole = source_hole_ahead(source) / PAGE_SIZE;
        size_t n =
            (size_t)(left < INSPECT_PAGES_CHUNK ? left : INSPECT_PAGES_CHUNK);

        if (hole > 0) {
            if (hole > left)
                hole = left;
            if (!source_skip_hole(source, hole * PAGE_SIZE, err))
                return false;
            map_pages(in, &frames, hole, NULL);
            zero += hole;
            left -= hole;
            continue;
        }
        if (!source_read(source, in->pages, n * PAGE_SIZE, "PAGE_DATA", err))
            return false;
        for (size_t i = 0; i < n; i++)
            zero += page_is_zero(in->pages + i * PAGE_SIZE);
        map_pages(in, &frames, n, in->pages);
        left -= n;
    }
    *ret_zero = zero;
    return true;
}

bool inspect_batch(struct inspect *in, const uint64_t *frames,
                   uint32_t nr_frames, uint64_t nr_pages,
                   struct stream_source *source, struct error *err)
{
    uint64_t rounds = in->rounds;
    uint64_t zero = 0;

    in->nr_batches++;
    in->nr_pages += nr_pages;
    count_frames(in, frames, nr_frames);
    fields_number(in->records, "count", nr_frames);
    fields_number(in->records, "pages", nr_pages);
    if (in->options->page_contents && source) {
        if (!count_zero_pages(in, source, frames, nr_pages, &zero, err))
            return false;
        in->nr_zero_pages += zero;
        fields_number(in->records, "zero_pages", zero);
    }
    if (in->rounds != rounds)
        fields_number(in->records, "round", in->rounds);
    explain_ranges(in, frames, nr_frames);
    return true;
}

static bool explain_page_data(struct inspect *in,
                              const struct record_head *head, struct error *err)
{
    const struct page_data *pd = &in->batch;
    struct error problem = {0};

    if (!page_data_read_frames(in->reader.source, head, &in->batch, &problem)) {
        if (problem.code != ERR_FORMAT && problem.code != ERR_LIMIT) {
            *err = problem;
            return false;
        }
        fields_text(in->records, "problem", problem.text);
        return true;
    }
    return inspect_batch(in, pd->frames, pd->nr_frames, pd->nr_pages,
                         in->reader.source, err);
}

/* Bodies in memory --------------------------------------------------------- */

typedef bool explain_fn(struct inspect *in, const struct record *rec,
                        struct error *err);

static bool explain_pv_info(struct inspect *in, const struct record *rec,
                            struct error *err)
{
    struct pv_info info;

    if (!pv_info_decode(rec, &info, err))
        return false;
    if (pv_info_known(&info))
        in->width = info.width;
    fields_number(in->records, "guest_width", info.width);
    fields_number(in->records, "page_table_levels", info.levels);
    return true;
}

void inspect_extents(struct inspect *in,
                     uint64_t (*get)(const void *context, size_t i),
                     const void *context, size_t nr)
{
    fields_begin(in->records, "extents", FIELDS_LIST);
    for (size_t i = 0; i < nr;) {
        uint64_t first = get(context, i);
        size_t n = 1;

        while (i + n < nr && get(context, i + n) == first + n)
            n++;
        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_number(in->records, "index", i);
        fields_hex(in->records, "first", first);
        fields_hex(in->records, "last", first + n - 1);
        fields_end(in->records);
        i += n;
    }
    fields_end(in->records);
}

static uint64_t p2m_frame(const void *context, size_t i)
{
    return p2m_frames_pfn(context, i);
}

static bool explain_p2m_frames(struct inspect *in, const struct record *rec,
                               struct error *err)
{
    struct p2m_frames list;

    if (!p2m_frames_decode(rec, in->width, &list, err))
        return false;
    fields_hex(in->records, "first_pfn", list.first_pfn);
    fields_hex(in->records, "last_pfn", list.last_pfn);
    fields_number(in->records, "nr_frames", list.nr_frames);
    inspect_extents(in, p2m_frame, &list, list.nr_frames);
    return true;
}

void inspect_xsave(struct inspect *in, const uint8_t *bytes, uint32_t length,
                   enum byte_order order)
{
    fields_number(in->records, "octets", length);
    if (length < 16)
        return;
    fields_hex(in->records, "xcr0", layout_integer(bytes, 0, 8, order));
    fields_hex(in->records, "xcr0_accum", layout_integer(bytes, 8, 8, order));
    xsave_area_explain(bytes + 16, length - 16, order, in->records);
}

static bool explain_vcpu(struct inspect *in, const struct record *rec,
                         struct error *err)
{
    struct vcpu_blob blob;

    if (!vcpu_blob_decode(rec, in->width, &blob, err))
        return false;
    fields_number(in->records, "vcpu", blob.vcpu);
    fields_number(in->records, "octets", blob.length);
    if (blob.length == 0)
        return true;
    fields_begin(in->records, "state", FIELDS_OBJECT);
    if (blob.type == XCREC_X86_PV_VCPU_BASIC) {
        in->nr_vcpus++;
        pv_vcpu_basic_explain(blob.bytes, blob.length, rec->order, in->records);
    } else if (blob.type == XCREC_X86_PV_VCPU_EXTENDED) {
        pv_vcpu_extended_explain(blob.bytes, blob.length, rec->order,
                                 in->records);
    } else if (blob.type == XCREC_X86_PV_VCPU_XSAVE) {
        inspect_xsave(in, blob.bytes, blob.length, rec->order);
    } else {
        fields_begin(in->records, "msrs", FIELDS_LIST);
        for (size_t i = 0; i < vcpu_msrs_count(&blob); i++) {
            struct vcpu_msr msr = vcpu_msrs_get(&blob, rec->order, i);

            fields_begin(in->records, NULL, FIELDS_ROW);
            fields_hex(in->records, "index", msr.index);
            fields_hex(in->records, "value", msr.value);
            fields_end(in->records);
        }
        fields_end(in->records);
    }
    fields_end(in->records);
    return true;
}

static bool explain_shared_info(struct inspect *in, const struct record *rec,
                                struct error *err)
{
    const uint8_t *page;

    if (!shared_info_decode(rec, &page, err))
        return false;
    fields_begin(in->records, "shared_info", FIELDS_OBJECT);
    pv_shared_info_explain(page, in->width, rec->order, in->records);
    fields_end(in->records);
    return true;
}

static bool explain_tsc(struct inspect *in, const struct record *rec,
                        struct error *err)
{
    struct tsc_info info;

    if (!tsc_info_decode(rec, &info, err))
        return false;
    fields_number(in->records, "mode", info.mode);
    fields_number(in->records, "khz", info.khz);
    fields_number(in->records, "nsec", info.nsec);
    fields_number(in->records, "incarnation", info.incarnation);
    return true;
}

void inspect_hvm_context(struct inspect *in, const uint8_t *bytes,
                         uint32_t length)
{
    struct cursor c = cursor_over(bytes, length, ORDER_LITTLE);
    enum hvm_record_outcome outcome;
    struct hvm_record part;

    in->nr_vcpus = 0;
    fields_begin(in->records, "parts", FIELDS_LIST);
    while ((outcome = hvm_record_next(&c, length, &part)) == HVM_RECORD_FOUND) {
        const char *name = hvm_record_name(part.type);

        in->nr_vcpus += part.type == HVM_RECORD_CPU;
        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_text(in->records, "part", name ? name : "unknown");
        fields_number(in->records, "type", part.type);
        fields_number(in->records, "instance", part.instance);
        fields_number(in->records, "length", part.length);
        fields_begin(in->records, "fields", FIELDS_OBJECT);
        hvm_record_explain(&part, in->records);
        fields_end(in->records);
        fields_end(in->records);
    }
    fields_end(in->records);
    if (outcome == HVM_RECORD_SHORT)
        fields_text(in->records, "problem", "context ends within a part");
    else if (cursor_left(&c) > 0)
        fields_number(in->records, "octets_after_end", cursor_left(&c));
}

static bool explain_hvm_context(struct inspect *in, const struct record *rec,
                                struct error *err)
{
    const uint8_t *bytes;
    uint32_t length;

    if (!hvm_context_record_decode(rec, &bytes, &length, err))
        return false;
    inspect_hvm_context(in, bytes, length);
    return true;
}

void inspect_hvm_param(struct inspect *in, uint64_t index, uint64_t value)
{
    const char *name = hvm_param_name(index);

    fields_number(in->records, "index", index);
    fields_text(in->records, "param", name ? name : "unknown");
    fields_hex(in->records, "value", value);
}

static bool explain_hvm_params(struct inspect *in, const struct record *rec,
                               struct error *err)
{
    struct hvm_params params;

    if (!hvm_params_decode(rec, &params, err))
        return false;
    fields_begin(in->records, "params", FIELDS_LIST);
    for (uint32_t i = 0; i < params.nr_params; i++) {
        struct hvm_param param = hvm_params_get(&params, i);

        fields_begin(in->records, NULL, FIELDS_ROW);
        inspect_hvm_param(in, param.index, param.value);
        fields_end(in->records);
    }
    fields_end(in->records);
    return true;
}

static bool explain_cpuid(struct inspect *in, const struct record *rec,
                          struct error *err)
{
    struct cpuid_policy policy;

    if (!cpuid_policy_decode(rec, &policy, err))
        return false;
    in->have_policies = true;
    fields_begin(in->records, "leaves", FIELDS_LIST);
    for (size_t i = 0; i < policy.nr_leaves; i++) {
        struct cpuid_leaf leaf = cpuid_policy_get(&policy, i);

        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_hex(in->records, "leaf", leaf.leaf);
        if (leaf.subleaf != CPUID_NO_SUBLEAF)
            fields_hex(in->records, "subleaf", leaf.subleaf);
        fields_hex(in->records, "eax", leaf.a);
        fields_hex(in->records, "ebx", leaf.b);
        fields_hex(in->records, "ecx", leaf.c);
        fields_hex(in->records, "edx", leaf.d);
        fields_end(in->records);
    }
    fields_end(in->records);
    return true;
}

static bool explain_msr_policy(struct inspect *in, const struct record *rec,
                               struct error *err)
{
    struct msr_policy policy;

    if (!msr_policy_decode(rec, &policy, err))
        return false;
    in->have_policies = true;
    fields_begin(in->records, "msrs", FIELDS_LIST);
    for (size_t i = 0; i < policy.nr_msrs; i++) {
        struct msr_entry msr = msr_policy_get(&policy, i);

        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_hex(in->records, "index", msr.index);
        fields_hex(in->records, "flags", msr.flags);
        fields_hex(in->records, "value", msr.value);
        fields_end(in->records);
    }
    fields_end(in->records);
    return true;
}

static uint64_t dirty_pfn(const void *context, size_t i)
{
    return dirty_pfn_list_get(context, i);
}

static bool explain_dirty_list(struct inspect *in, const struct record *rec,
                               struct error *err)
{
    struct dirty_pfn_list list;

    if (!dirty_pfn_list_decode(rec, &list, err))
        return false;
    fields_number(in->records, "pfns", list.nr_pfns);
    inspect_extents(in, dirty_pfn, &list, list.nr_pfns);
    return true;
}

/* libxl's blob of the draft: no release wrote it here. */
static bool explain_draft_toolstack(struct inspect *in,
                                    const struct record *rec, struct error *err)
{
    fields_text(
        in->records, "remark",
        "of the draft of version 2; releases put it into libxl records");
    fields_dump(in->records, "octets", rec->body, rec->length, 64);
    return true;
}

static bool explain_noncoop(struct inspect *in, const struct record *rec,
                            struct error *err)
{
    return inspect_noncoop(rec, in->records, err);
}

static explain_fn *explain_libxc_fn(uint32_t type)
{
    if (xcstream_record_noncoop(type))
        return explain_noncoop;
    switch (type) {
    case XCREC_X86_PV_INFO:
        return explain_pv_info;
    case XCREC_X86_PV_P2M_FRAMES:
        return explain_p2m_frames;
    case XCREC_X86_PV_VCPU_BASIC:
    case XCREC_X86_PV_VCPU_EXTENDED:
    case XCREC_X86_PV_VCPU_XSAVE:
    case XCREC_X86_PV_VCPU_MSRS:
        return explain_vcpu;
    case XCREC_SHARED_INFO:
        return explain_shared_info;
    case XCREC_X86_TSC_INFO:
        return explain_tsc;
    case XCREC_TOOLSTACK:
        return explain_draft_toolstack;
    case XCREC_HVM_CONTEXT:
        return explain_hvm_context;
    case XCREC_HVM_PARAMS:
        return explain_hvm_params;
    case XCREC_X86_CPUID_POLICY:
        return explain_cpuid;
    case XCREC_X86_MSR_POLICY:
        return explain_msr_policy;
    case XCREC_CHECKPOINT_DIRTY_PFN_LIST:
        return explain_dirty_list;
    default:
        return NULL;
    }
}

void inspect_pairs(struct inspect *in, struct cursor *c)
{
    const char *key;
    const char *value;

    fields_begin(in->records, "pairs", FIELDS_LIST);
    while (xenstore_pair_next(c, &key, &value)) {
        fields_begin(in->records, NULL, FIELDS_ROW);
        fields_octets(in->records, "key", key,
                      size_min(strlen(key), INSPECT_TEXT_MAX));
        fields_octets(in->records, "value", value,
                      size_min(strlen(value), INSPECT_TEXT_MAX));
        fields_end(in->records);
    }
    fields_end(in->records);
}

static bool explain_emulator_xenstore(struct inspect *in,
                                      const struct record *rec,
                                      struct error *err)
{
    struct emulator_data data;
    struct cursor c;

    if (!emulator_data_decode(rec, &data, err))
        return false;
    fields_format(in->records, "emulator", "%" PRIu32 " (%s)", data.emulator,
                  emulator_name(data.emulator));
    fields_number(in->records, "index", data.index);
    c = cursor_over(data.bytes, data.length, rec->order);
    inspect_pairs(in, &c);
    if (c.bad)
        fields_text(in->records, "problem", "a string has no NUL");
    return true;
}

static bool explain_emulator_context(struct inspect *in,
                                     const struct record *rec,
                                     struct error *err)
{
    struct emulator_data data;

    if (!emulator_data_decode(rec, &data, err))
        return false;
    fields_format(in->records, "emulator", "%" PRIu32 " (%s)", data.emulator,
                  emulator_name(data.emulator));
    fields_number(in->records, "index", data.index);
    fields_number(in->records, "octets", data.length);
    if (data.length >= 4)
        fields_octets(in->records, "starts_with", data.bytes, 4);
    return true;
}

static bool explain_checkpoint_state(struct inspect *in,
                                     const struct record *rec,
                                     struct error *err)
{
    uint32_t id;

    if (!checkpoint_state_decode(rec, &id, err))
        return false;
    fields_format(in->records, "state", "%" PRIu32 " (%s)", id,
                  checkpoint_state_name(id));
    return true;
}

static bool explain_domain_xenstore(struct inspect *in,
                                    const struct record *rec, struct error *err)
{
    struct domain_xenstore_data data;
    struct cursor c;

    if (!domain_xenstore_data_decode(rec, &data, err))
        return false;
    fields_text(in->records, "kind",
                data.type == XLSTREAM_XENSTORE_WATCHES        ? "watches"
                : data.type == XLSTREAM_XENSTORE_TRANSACTIONS ? "transactions"
                                                              : "nodes");
    c = cursor_over(data.strings, data.length, rec->order);
    fields_begin(in->records, "strings", FIELDS_LIST);
    while (cursor_left(&c) > 0 && !c.bad) {
        const char *text = cursor_string(&c);

        if (text)
            fields_octets(in->records, NULL, text,
                          size_min(strlen(text), INSPECT_TEXT_MAX));
    }
    fields_end(in->records);
    return true;
}

static explain_fn *explain_libxl_fn(uint32_t type)
{
    switch (type) {
    case XLREC_EMULATOR_XENSTORE_DATA:
        return explain_emulator_xenstore;
    case XLREC_EMULATOR_CONTEXT:
        return explain_emulator_context;
    case XLREC_CHECKPOINT_STATE:
        return explain_checkpoint_state;
    case XLREC_DOMAIN_XENSTORE_DATA:
        return explain_domain_xenstore;
    default:
        return NULL;
    }
}

static bool explain_body(struct inspect *in, const struct stream_item *item,
                         explain_fn *explain, struct error *err)
{
    const struct record_head *head = &item->head;
    struct error problem = {0};
    struct record rec;

    if (!explain || head->length == 0)
        return stream_reader_finish_body(&in->reader, err);
    if (head->length > INSPECT_BODY_MAX) {
        fields_text(in->records, "problem", "too long to be explained");
        return stream_reader_finish_body(&in->reader, err);
    }
    if (!record_read_body(in->reader.source, head, stream_item_name(item),
                          &in->body, &rec, err))
        return false;
    if (!explain(in, &rec, &problem)) {
        if (problem.code == ERR_NO_MEMORY) {
            *err = problem;
            return false;
        }
        fields_text(in->records, "problem", problem.text);
    }
    if (!rec.padding_zero)
        fields_text(in->records, "remark", "padding is not zero");
    return true;
}

static bool explain_record(struct inspect *in, const struct stream_item *item,
                           struct error *err)
{
    bool libxc = item->kind == ITEM_LIBXC_RECORD;
    bool ok;

    in->nr_records++;
    if (libxc && item->head.type == XCREC_VERIFY)
        in->have_verify = true;
    if (libxc && item->head.type == XCREC_CHECKPOINT) {
        in->nr_checkpoints++;
        in->checkpoint_vcpus = in->nr_vcpus;
        in->nr_vcpus = 0;
    }
    inspect_row(in, libxc ? "libxc" : "libxl", stream_item_name(item),
                item->offset);
    fields_hex(in->records, "type", item->head.type);
    fields_number(in->records, "length", item->head.length);
    if (libxc && item->head.type == XCREC_PAGE_DATA)
        ok = explain_page_data(in, &item->head, err) &&
             stream_reader_finish_body(&in->reader, err);
    else
        ok = explain_body(in, item,
                          libxc ? explain_libxc_fn(item->head.type)
                                : explain_libxl_fn(item->head.type),
                          err);
    fields_end(in->records);
    return ok;
}

/* Summary ------------------------------------------------------------------ */

/* Which releases write such an image, by what is in it. */
static const char *writer_range(const struct inspect *in)
{
    if (in->headers.xen_major == XCSTREAM_MAJOR_CONVERTED)
        return "converted from Xen 4.5 or earlier";
    if (in->headers.version == XCSTREAM_VERSION_2)
        return "Xen 4.6 to 4.13";
    return "Xen 4.14 or later";
}

void inspect_counts(struct inspect *in)
{
    struct field_sink *out = in->out;

    /* A guest has as many at each; behind the last, maybe only some came. */
    fields_number(out, "vcpus",
                  in->nr_vcpus > in->checkpoint_vcpus ? in->nr_vcpus
                                                      : in->checkpoint_vcpus);
    fields_number(out, "records", in->nr_records);
    fields_number(out, "batches", in->nr_batches);
    fields_number(out, "pages", in->nr_pages);
    fields_number(out, "page_octets", in->nr_pages * PAGE_SIZE);
    if (in->options->page_contents)
        fields_number(out, "zero_pages", in->nr_zero_pages);
    fields_number(out, "distinct_frames", in->seen.nr_frames);
    fields_number(out, "repeated_frames", in->nr_repeated);
    if (in->nr_beyond)
        fields_number(out, "frames_not_tracked", in->nr_beyond);
    fields_hex(out, "highest_pfn", in->max_pfn);
    fields_number(out, "passes", in->rounds);
    fields_number(out, "checkpoints", in->nr_checkpoints);
    fields_flag(out, "verify_pass", in->have_verify);
    fields_begin(out, "frames_by_type", FIELDS_OBJECT);
    for (unsigned int type = 0; type < ARRAY_SIZE(in->frames_by_type); type++)
        if (in->frames_by_type[type])
            fields_number(out, frame_type_name(type), in->frames_by_type[type]);
    fields_end(out);
    fields_number(out, "octets", in->reader.source->offset);
}

static void explain_summary(struct inspect *in)
{
    struct field_sink *out = in->out;

    fields_begin(out, "summary", FIELDS_OBJECT);
    fields_text(out, "format", stream_kind_name(in->reader.kind));
    if (in->have_headers) {
        fields_text(out, "guest", xcstream_domain_type_name(in->headers.type));
        if (in->headers.type == XCSTREAM_DOMAIN_PV && in->width)
            fields_number(out, "guest_bits", in->width * 8);
        fields_number(out, "image_version", in->headers.version);
        fields_text(out, "written_by", writer_range(in));
        if (in->headers.xen_major != XCSTREAM_MAJOR_CONVERTED)
            fields_format(out, "release", "%" PRIu32 ".%" PRIu32,
                          in->headers.xen_major, in->headers.xen_minor);
        fields_flag(out, "policies", in->have_policies);
    }
    inspect_counts(in);
    fields_end(out);
}

static bool explain_all(struct inspect *in, struct error *err)
{
    for (;;) {
        struct stream_item item;

        if (!stream_reader_next(&in->reader, &item, err))
            return false;
        switch (item.kind) {
        case ITEM_XL_FILE_HEADER:
            inspect_xl_file(in, item.offset, &item.xl_file, &item.config);
            break;
        case ITEM_LIBXL_HEADER:
            explain_libxl_header(in, &item);
            break;
        case ITEM_LIBXC_HEADERS:
            explain_libxc_headers(in, &item);
            break;
        case ITEM_LIBXL_RECORD:
        case ITEM_LIBXC_RECORD:
            if (!explain_record(in, &item, err))
                return false;
            break;
        case ITEM_END:
            return true;
        }
    }
}

static void inspect_free(struct inspect **in)
{
    if (!*in)
        return;
    stream_reader_release(&(*in)->reader);
    buffer_release(&(*in)->body);
    page_data_release(&(*in)->batch);
    pfn_set_release(&(*in)->seen);
    image_close(&(*in)->image);
    free((*in)->pages);
    free(*in);
    *in = NULL;
}

static bool inspect_image(struct inspect *in, struct error *err)
{
    bool ok = image_open(&in->image, &in->source, &in->options->legacy, err);
    bool legacy = ok && in->image.form == IMAGE_LEGACY;

    stream_reader_init(&in->reader, ok ? &in->image.source : &in->source);
    in->reader.kind = in->image.kind;
    fields_begin(in->records, "records", FIELDS_LIST);
    inspect_wrapping_begin(in);
    if (in->image.has_xl_header)
        inspect_xl_file(in, in->image.xl_header.offset, &in->image.xl_header,
                        &in->image.xl_config);
    if (ok)
        ok = legacy ? inspect_legacy(in, err) : explain_all(in, err);
    if (ok)
        ok = inspect_wrapping_end(in, err);
    fields_end(in->records);
    if (legacy)
        inspect_legacy_summary(in);
    else
        explain_summary(in);
    return ok;
}

bool inspect_stream(struct stream_source *source,
                    const struct inspect_options *options,
                    struct field_sink *out, struct error *err)
{
    cleanup(inspect_free) struct inspect *in = calloc(1, sizeof(*in));
    struct error problem = {0};
    enum stream_kind kind;
    size_t got = 0;
    bool ok;

    if (!in)
        return error_set(err, ERR_NO_MEMORY, "inspect");
    in->options = options;
    in->out = out;
    in->silent = fields_dropped();
    in->records = options->summary_only ? &in->silent : out;
    in->body.cap = INSPECT_BODY_MAX + 8;
    in->pages = malloc(INSPECT_PAGES_CHUNK * PAGE_SIZE);
    if (!in->pages)
        return error_set(err, ERR_NO_MEMORY, "inspect");

    ok = source_peek(&in->looked_at, source, SNIFF_SIZE, &in->source, &got,
                     &problem);
    kind =
        ok && got == SNIFF_SIZE ? sniff(in->looked_at.bytes) : STREAM_UNKNOWN;
    if (kind == STREAM_XENSTORE || kind == STREAM_OXENSTORED)
        ok = inspect_xenstore(&in->source, kind, in->records, out, &problem);
    else if (ok)
        ok = inspect_image(in, &problem);
    if (!ok) {
        fields_begin(out, "error", FIELDS_OBJECT);
        fields_text(out, "code", error_code_name(problem.code));
        if (problem.offset != ERROR_NO_OFFSET)
            fields_hex(out, "offset", problem.offset);
        fields_text(out, "text", problem.text);
        fields_end(out);
        if (err)
            *err = problem;
    }
    return ok;
}
