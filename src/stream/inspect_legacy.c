/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A legacy image explained: every block, chunk and tail to the field. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/inspect_private.h"
#include "stream/legacy/legacy_toolstack.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xc/xc_x86_pv.h"
#include "stream/xl/xl_records.h"

static const char *guest_name(enum legacy_guest guest)
{
    return guest == LEGACY_GUEST_PV ? "x86 PV" : "x86 HVM";
}

static void explain_start(struct inspect *in, const struct legacy_item *item)
{
    const struct legacy_start *start = &item->start;
    struct field_sink *out = in->records;

    in->legacy_start = *start;
    fields_number(out, "p2m_size", start->p2m_size);
    fields_number(out, "toolstack_bits", start->width * 8);
    fields_text(out, "guest", guest_name(start->guest));
    if (start->guest != LEGACY_GUEST_PV)
        return;
    in->width = (uint8_t)start->guest_width;
    fields_number(out, "guest_width", start->guest_width);
    fields_number(out, "page_table_levels", start->guest_levels);
    if (start->no_ext_info)
        fields_text(out, "remark", "no extended info: from before Xen 3.2");
    fields_begin(out, "extended_info", FIELDS_LIST);
    for (uint32_t i = 0; i < start->nr_blocks; i++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_hex(out, "offset", start->blocks[i].offset);
        fields_octets(out, "id", start->blocks[i].id, 4);
        fields_number(out, "length", start->blocks[i].length);
        fields_end(out);
    }
    fields_end(out);
    if (start->unknown_blocks)
        fields_number(out, "unknown_blocks", start->unknown_blocks);
    fields_flag(out, "extended_vcpu_state", start->extended);
    if (start->xsave)
        fields_number(out, "xsave_octets", start->xsave_length);
}

struct p2m_words {
    const struct legacy_reader *reader;
    const uint8_t *bytes;
};

static uint64_t p2m_word(const void *context, size_t i)
{
    const struct p2m_words *words = context;

    return legacy_word(words->reader, words->bytes, i);
}

static void explain_p2m(struct inspect *in, const struct legacy_reader *r,
                        const struct legacy_item *item)
{
    const struct p2m_words words = {r, item->bytes};

    fields_number(in->records, "nr_frames", item->nr);
    inspect_extents(in, p2m_word, &words, (size_t)item->nr);
}

static bool explain_batch(struct inspect *in, const struct legacy_item *item,
                          struct error *err)
{
    if (item->frames.nr_fillers)
        fields_number(in->records, "fillers", item->frames.nr_fillers);
    fields_flag(in->records, "pages_here", item->frames.here);
    return inspect_batch(in, item->frames.words, item->frames.nr_frames,
                         item->frames.nr_pages,
                         item->frames.here ? &in->image.source : NULL, err);
}

static void explain_vcpu_map(struct inspect *in, const struct legacy_reader *r)
{
    fields_number(in->records, "highest_vcpu", r->vcpu_max_id);
    fields_begin(in->records, "online", FIELDS_LIST);
    for (uint32_t id = 0; id <= r->vcpu_max_id; id++)
        if (r->vcpu_map[id / 64] >> (id % 64) & 1)
            fields_number(in->records, NULL, id);
    fields_end(in->records);
}

static void explain_toolstack(struct inspect *in, const struct legacy_reader *r,
                              const struct legacy_item *item)
{
    cleanup(buffer_release) struct buffer strings = {
        .cap = LEGACY_TOOLSTACK_STRINGS_MAX};
    enum legacy_toolstack_layout layout;
    struct error problem = {0};
    struct cursor c;

    fields_number(in->records, "length", item->length);
    if (item->length == 0)
        return;
    if (!legacy_toolstack_convert(item->bytes, (size_t)item->length,
                                  r->start.width, item->offset, &strings,
                                  &layout, &problem)) {
        fields_text(in->records, "problem", problem.text);
        return;
    }
    fields_number(in->records, "layout_bits",
                  (layout == TOOLSTACK_OTHER_WIDTH ? 12 - r->start.width
                                                   : r->start.width) *
                      8);
    c = cursor_over(strings.bytes, strings.length, ORDER_LITTLE);
    inspect_pairs(in, &c);
}

static void explain_legacy_vcpu(struct inspect *in,
                                const struct legacy_item *item)
{
    const struct legacy_vcpu *v = &item->vcpu;
    struct field_sink *out = in->records;

    in->nr_vcpus++;
    fields_number(out, "vcpu", v->id);
    fields_begin(out, "state", FIELDS_OBJECT);
    pv_vcpu_basic_explain(v->basic, v->basic_length, ORDER_LITTLE, out);
    fields_end(out);
    if (v->extended) {
        fields_begin(out, "extended", FIELDS_OBJECT);
        pv_vcpu_extended_explain(v->extended, XCSTREAM_VCPU_EXTENDED_MAX,
                                 ORDER_LITTLE, out);
        fields_end(out);
    }
    if (v->xsave) {
        fields_begin(out, "xsave", FIELDS_OBJECT);
        fields_hex(out, "xfeature_mask", v->xfeature_mask);
        inspect_xsave(in, v->xsave, in->legacy_start.xsave_length,
                      ORDER_LITTLE);
        fields_end(out);
    }
}

static bool explain_device_model(struct inspect *in,
                                 const struct legacy_item *item,
                                 struct error *err)
{
    struct stream_source *source = &in->image.source;
    uint64_t begun = source->offset;
    uint8_t bytes[PAGE_SIZE];
    size_t got = 0;

    fields_octets(in->records, "signature", item->device_model.signature,
                  LEGACY_QEMU_SIGNATURE_SIZE);
    if (!item->device_model.to_end) {
        fields_number(in->records, "length", item->length);
        got = size_min((size_t)item->length, 4);
        if (!source_read(source, bytes, got, "device model", err))
            return false;
        fields_octets(in->records, "starts_with", bytes, got);
        return true;
    }
    do {
        if (!source_read_some(source, bytes, sizeof(bytes), &got, err))
            return false;
    } while (got > 0);
    fields_number(in->records, "length", source->offset - begun);
    return true;
}

static bool explain_legacy_item(struct inspect *in,
                                const struct legacy_reader *r,
                                const struct legacy_item *item,
                                struct error *err)
{
    struct field_sink *out = in->records;

    switch (item->kind) {
    case LEGACY_START:
        explain_start(in, item);
        return true;
    case LEGACY_P2M:
        explain_p2m(in, r, item);
        return true;
    case LEGACY_PAGES:
        return explain_batch(in, item, err);
    case LEGACY_COMPRESSED:
        in->legacy_newest = 3;
        fields_number(out, "length", item->length);
        return true;
    case LEGACY_VERIFY:
        in->have_verify = true;
        return true;
    case LEGACY_VCPUS:
        explain_vcpu_map(in, r);
        return true;
    case LEGACY_PARAM:
        inspect_hvm_param(in, item->param.index, item->param.value);
        return true;
    case LEGACY_TSC:
        fields_number(out, "mode", item->tsc.mode);
        fields_number(out, "khz", item->tsc.khz);
        fields_number(out, "nsec", item->tsc.nsec);
        fields_number(out, "incarnation", item->tsc.incarnation);
        return true;
    case LEGACY_TMEM:
        fields_number(out, "length", item->length);
        return true;
    case LEGACY_TOOLSTACK:
        explain_toolstack(in, r, item);
        return true;
    case LEGACY_CHUNKS_END:
        in->nr_vcpus = 0;
        if (!r->seen_vcpus)
            fields_text(out, "remark", "no vCPU map: vCPU 0 alone");
        return true;
    case LEGACY_UNMAPPED:
        fields_number(out, "frames", item->nr);
        return true;
    case LEGACY_VCPU:
        explain_legacy_vcpu(in, item);
        return true;
    case LEGACY_SHARED_INFO:
        fields_begin(out, "shared_info", FIELDS_OBJECT);
        pv_shared_info_explain(item->bytes, in->width, ORDER_LITTLE, out);
        fields_end(out);
        return true;
    case LEGACY_MAGIC_PFNS:
        fields_hex(out, "ioreq_pfn", item->magic.ioreq);
        fields_hex(out, "bufioreq_pfn", item->magic.bufioreq);
        fields_hex(out, "store_pfn", item->magic.store);
        return true;
    case LEGACY_HVM_CONTEXT:
        fields_number(out, "length", item->length);
        inspect_hvm_context(in, item->bytes, (uint32_t)item->length);
        return true;
    case LEGACY_DEVICE_MODEL:
        return explain_device_model(in, item, err);
    case LEGACY_ROUND_END:
        in->nr_checkpoints++;
        return true;
    case LEGACY_CUT_OFF:
        fields_text(out, "remark", "the last complete checkpoint counts");
        fields_text(out, "why", item->why->text);
        return true;
    case LEGACY_LAST_CHECKPOINT:
    case LEGACY_ENABLE_COMPRESSION:
    case LEGACY_END:
        return true;
    }
    return error_set(err, ERR_STATE, "legacy item %d", (int)item->kind);
}

/* The chunk that is newest says which releases may have written the image. */
static void note_age(struct inspect *in, const struct legacy_item *item)
{
    unsigned int age = 0;

    if (item->kind == LEGACY_TOOLSTACK ||
        item->kind == LEGACY_ENABLE_COMPRESSION ||
        (item->kind == LEGACY_PARAM &&
         (item->param.index == HVM_PARAM_INDEX_VM_GENERATION_ID_ADDR ||
          item->param.index == HVM_PARAM_INDEX_PAGING_RING_PFN ||
          item->param.index == HVM_PARAM_INDEX_MONITOR_RING_PFN ||
          item->param.index == HVM_PARAM_INDEX_SHARING_RING_PFN)))
        age = 2;
    if (item->kind == LEGACY_PARAM &&
        (item->param.index == HVM_PARAM_INDEX_IOREQ_SERVER_PFN ||
         item->param.index == HVM_PARAM_INDEX_NR_IOREQ_SERVER_PAGES ||
         item->param.index == HVM_PARAM_INDEX_X87_FIP_WIDTH))
        age = 5;
    if (age > in->legacy_newest)
        in->legacy_newest = age;
}

static bool explain_items(struct inspect *in, struct legacy_reader *r,
                          struct error *err)
{
    struct legacy_item item;
    struct error why = {0};
    bool ok;

    do {
        if (!legacy_reader_next(r, &item, err))
            return false;
        note_age(in, &item);
        in->nr_records++;
        inspect_row(in, "legacy", legacy_item_name(item.kind), item.offset);
        ok = explain_legacy_item(in, r, &item, &why);
        fields_end(in->records);
        if (!ok) {
            if (err)
                *err = why;
            return false;
        }
    } while (item.kind != LEGACY_END && item.kind != LEGACY_CUT_OFF);
    return true;
}

bool inspect_legacy(struct inspect *in, struct error *err)
{
    cleanup_free struct legacy_reader *r = malloc(sizeof(*r));
    bool ok;

    if (!r)
        return error_set(err, ERR_NO_MEMORY, "inspect");
    image_legacy_in_wrapping(&in->image);
    legacy_reader_init(r, &in->image.source, &in->image.legacy);
    ok = explain_items(in, r, err);
    legacy_reader_release(r);
    return ok;
}

static const char *legacy_writer(const struct inspect *in)
{
    if (in->legacy_start.no_ext_info)
        return "Xen 3.1 or earlier";
    return in->legacy_newest >= 5   ? "Xen 4.5"
           : in->legacy_newest >= 2 ? "Xen 4.2 to 4.5"
                                    : "Xen 4.5 or earlier";
}

void inspect_legacy_summary(struct inspect *in)
{
    const struct legacy_start *start = &in->legacy_start;
    struct field_sink *out = in->out;

    fields_begin(out, "summary", FIELDS_OBJECT);
    fields_text(out, "format", stream_kind_name(in->reader.kind));
    fields_flag(out, "xl_file", in->image.has_xl_header);
    fields_number(out, "toolstack_bits", in->image.legacy.width * 8);
    fields_text(out, "guest", guest_name(in->image.legacy.guest));
    if (start->guest_width)
        fields_number(out, "guest_bits", start->guest_width * 8);
    fields_text(out, "written_by", legacy_writer(in));
    fields_number(out, "p2m_size", start->p2m_size);
    /* A plain image's one tail is no checkpoint. */
    in->nr_checkpoints -= in->nr_checkpoints == 1;
    inspect_counts(in);
    fields_end(out);
}
