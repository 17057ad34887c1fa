/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules of legacy images.  No release since 4.6 reads one itself: libxl has it
 * converted first, so what its converter cannot do, no restore can.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/legacy/legacy_toolstack.h"
#include "stream/verify_private.h"
#include "stream/xc/xc_x86_hvm.h"

static void verify_legacy_start(struct verify *v, const struct legacy_item *it)
{
    const struct legacy_start *start = &it->start;

    if (start->no_ext_info)
        verify_found(v, RULE_LEGACY_NO_EXT, "none");
    if (start->unknown_blocks)
        verify_found(v, RULE_LEGACY_BLOCK, "%" PRIu32 " of another kind",
                     start->unknown_blocks);
    v->order.guest = start->guest == LEGACY_GUEST_PV ? GUEST_PV : GUEST_HVM;
    v->have_p2m = start->guest == LEGACY_GUEST_PV;
    v->max_pfn = start->p2m_size - 1;
    v->width = (uint8_t)start->guest_width;
}

static void verify_legacy_p2m(struct verify *v, const struct legacy_reader *r,
                              const struct legacy_item *it)
{
    for (size_t i = 0; i < it->nr; i++) {
        uint64_t pfn = legacy_word(r, it->bytes, i);

        verify_pv_p2m(v, i, pfn);
        if (pfn_set_add(&v->scratch, pfn) == PFN_SET_KNOWN)
            verify_found(v, RULE_LEGACY_P2M, "pfn %#" PRIx64, pfn);
    }
    pfn_set_release(&v->scratch);
}

static bool verify_legacy_pages(struct verify *v, const struct legacy_reader *r,
                                const struct legacy_item *it, struct error *err)
{
    v->result.nr_pages += it->frames.nr_pages;
    if (it->frames.nr_fillers)
        verify_found(v, RULE_LEGACY_FILLER, "%" PRIu32 " of them",
                     it->frames.nr_fillers);
    for (uint32_t i = 0; i < it->frames.nr_frames; i++)
        verify_memory_note(v, frame_pfn(it->frames.words[i]), 1,
                           frame_type(it->frames.words[i]));
    if (r->start.guest == LEGACY_GUEST_PV)
        /* Compressed pages are not unpacked. */
        return !it->frames.here ||
               verify_pv_pages(v, it->frames.words, it->frames.nr_frames, err);
    for (uint32_t i = 0; i < it->frames.nr_frames; i++)
        if (frame_type_table_level(frame_type(it->frames.words[i])))
            verify_found(v, RULE_LEGACY_HVM_TYPE, "pfn %#" PRIx64 ", type %u",
                         frame_pfn(it->frames.words[i]),
                         frame_type(it->frames.words[i]));
    return true;
}

static void verify_legacy_param(struct verify *v, const struct legacy_item *it)
{
    uint64_t bit = UINT64_C(1) << (it->param.index & 63);

    if (it->param.index == HVM_PARAM_INDEX_X87_FIP_WIDTH)
        verify_found(v, RULE_LEGACY_FIP_WIDTH, "chunk -21");
    if (v->legacy_params & bit)
        verify_found(v, RULE_LEGACY_PARAM, "parameter %" PRIu32,
                     it->param.index);
    v->legacy_params |= bit;
    verify_ring(v, it->param.index, it->param.value);
}

static void verify_legacy_toolstack(struct verify *v,
                                    const struct legacy_reader *r,
                                    const struct legacy_item *it)
{
    cleanup(buffer_release) struct buffer strings = {
        .cap = LEGACY_TOOLSTACK_STRINGS_MAX};
    enum legacy_toolstack_layout layout;
    struct error problem = {0};

    if (it->length == 0)
        return;
    if (!legacy_toolstack_convert(it->bytes, (size_t)it->length, r->start.width,
                                  it->offset, &strings, &layout, &problem))
        verify_found(v, RULE_LEGACY_TOOLSTACK, "%s", problem.text);
    else if (layout == TOOLSTACK_OTHER_WIDTH)
        verify_found(v, RULE_LEGACY_LAYOUT, "that of the other width");
}

static bool verify_device_model(struct verify *v, const struct legacy_item *it,
                                struct error *err)
{
    struct stream_source *source = &v->image.source;
    uint8_t bytes[PAGE_SIZE] = {0};
    size_t got;

    if (memcmp(it->device_model.signature, LEGACY_QEMU_0002,
               LEGACY_QEMU_SIGNATURE_SIZE) != 0)
        verify_found(v, RULE_LEGACY_SIGNATURE, "%.*s",
                     LEGACY_QEMU_SIGNATURE_SIZE,
                     (const char *)it->device_model.signature);
    got = it->device_model.to_end ? 4 : it->length < 4 ? (size_t)it->length : 4;
    if (!source_read(source, bytes, got, "device model", err))
        return false;
    if (memcmp(bytes, "QEVM", 4) != 0)
        verify_found(v, RULE_LEGACY_MODEL, "something else");
    while (it->device_model.to_end && got > 0)
        if (!source_read_some(source, bytes, sizeof(bytes), &got, err))
            return false;
    return true;
}

static void verify_legacy_vcpu(struct verify *v, const struct legacy_item *it)
{
    const struct vcpu_blob basic = {.vcpu = it->vcpu.id,
                                    .bytes = it->vcpu.basic,
                                    .length = it->vcpu.basic_length};

    v->legacy_vcpu0 |= basic.vcpu == 0;
    verify_pv_context(v, &basic);
}

static bool verify_round_end(struct verify *v, const struct legacy_reader *r,
                             struct error *err)
{
    if (r->start.guest == LEGACY_GUEST_PV && !v->legacy_vcpu0)
        verify_found(v, RULE_LEGACY_NO_VCPU0, "none");
    v->legacy_vcpu0 = false;
    v->legacy_params = 0;
    v->legacy_rounds++;
    verify_rings_round_end(v);
    return r->start.guest != LEGACY_GUEST_PV ||
           verify_pv_round_end(v, true, err);
}

static bool verify_legacy_item(struct verify *v, const struct legacy_reader *r,
                               const struct legacy_item *it, struct error *err)
{
    switch (it->kind) {
    case LEGACY_START:
        verify_legacy_start(v, it);
        break;
    case LEGACY_P2M:
        verify_legacy_p2m(v, r, it);
        break;
    case LEGACY_PAGES:
        return verify_legacy_pages(v, r, it, err);
    case LEGACY_COMPRESSED:
        verify_found(v, RULE_LEGACY_COMPRESSED, "%" PRIu64 " octets",
                     it->length);
        break;
    case LEGACY_VERIFY:
        verify_found(v, RULE_LEGACY_VERIFY, "chunk -1");
        break;
    case LEGACY_PARAM:
        verify_legacy_param(v, it);
        break;
    case LEGACY_TSC:
        if (it->tsc.mode > 3)
            verify_found(v, RULE_TSC_MODE, "%" PRIu32, it->tsc.mode);
        break;
    case LEGACY_TMEM:
        verify_found(v, RULE_LEGACY_TMEM, "%" PRIu64 " octets", it->length);
        break;
    case LEGACY_TOOLSTACK:
        verify_legacy_toolstack(v, r, it);
        break;
    case LEGACY_CHUNKS_END:
        if (!r->seen_vcpus)
            verify_found(v, RULE_LEGACY_NO_MAP, "none");
        break;
    case LEGACY_VCPU:
        verify_legacy_vcpu(v, it);
        break;
    case LEGACY_HVM_CONTEXT:
        verify_hvm_context(v, it->bytes, (uint32_t)it->length);
        break;
    case LEGACY_DEVICE_MODEL:
        return verify_device_model(v, it, err);
    case LEGACY_ROUND_END:
        return verify_round_end(v, r, err);
    case LEGACY_CUT_OFF:
        v->offset = it->why->offset;
        verify_found(v, RULE_ENDS_CHECKPOINTED, "%s", it->why->text);
        break;
    case LEGACY_MAGIC_PFNS:
        verify_ring(v, HVM_PARAM_INDEX_IOREQ_PFN, it->magic.ioreq);
        verify_ring(v, HVM_PARAM_INDEX_BUFIOREQ_PFN, it->magic.bufioreq);
        verify_ring(v, HVM_PARAM_INDEX_STORE_PFN, it->magic.store);
        break;
    case LEGACY_VCPUS:
    case LEGACY_LAST_CHECKPOINT:
    case LEGACY_ENABLE_COMPRESSION:
    case LEGACY_UNMAPPED:
    case LEGACY_SHARED_INFO:
    case LEGACY_END:
        break;
    }
    return true;
}

static bool verify_legacy_items(struct verify *v, struct legacy_reader *r,
                                struct error *err)
{
    struct legacy_item item;

    do {
        if (!legacy_reader_next(r, &item, err))
            return false;
        v->result.nr_records++;
        v->offset = item.offset;
        v->where = legacy_item_name(item.kind);
        if (v->legacy_rounds == 1 && item.kind == LEGACY_PAGES)
            verify_found(v, RULE_LEGACY_ROUNDS, "pages of another");
        if (!verify_legacy_item(v, r, &item, err))
            return false;
    } while (item.kind != LEGACY_END && item.kind != LEGACY_CUT_OFF);
    return true;
}

bool verify_legacy(struct verify *v, struct error *err)
{
    cleanup_free struct legacy_reader *r = malloc(sizeof(*r));
    bool ok;

    if (!r)
        return error_set(err, ERR_NO_MEMORY, "verify");
    v->legacy = true;
    v->offset = v->image.source.offset;
    v->where = "legacy image";
    verify_found(v, RULE_LEGACY, "%s", stream_kind_name(v->image.kind));
    image_legacy_in_wrapping(&v->image);
    legacy_reader_init(r, &v->image.source, &v->image.legacy);
    ok = verify_legacy_items(v, r, err);
    legacy_reader_release(r);
    return ok;
}
