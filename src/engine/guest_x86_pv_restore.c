/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restoring a PV guest: wherever the stream has pfns, the machine frames that
 * this host gave the guest take their place.  A page table may name a pfn
 * before its page arrived: the frame is allocated then and filled later.
 *
 * At the end, in this order: shared info, vCPUs, pinning (no page may be mapped
 * for writing by then), the guest's own table of frames, grant table.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_x86_pv.h"

#define NR_VCPU_KINDS 4

struct pv_vcpu {
    struct buffer state[NR_VCPU_KINDS]; /* by enum vcpu_state_kind */
};

struct pv_restore {
    const struct pv_layout *layout; /* NULL until X86_PV_INFO */

    uint64_t nr_pfns;
    uint64_t *frames; /* by pfn: mfn + 1, or 0 */
    uint8_t *types;   /* by pfn: type + 1, or 0 */

    uint64_t *p2m_pfns; /* where the guest's own table is: pfn + 1, or 0 */
    size_t nr_p2m_pfns;

    struct pv_vcpu *vcpus;
    uint32_t nr_vcpus;

    uint8_t shared_info[PAGE_SIZE];
    bool has_shared_info;
};

static bool pv_prepare(struct restore *r, struct error *err)
{
    struct pv_restore *pv = calloc(1, sizeof(*pv));

    if (!pv)
        return error_set(err, ERR_NO_MEMORY, "PV guest");
    r->guest = pv;
    if (r->info.max_vcpu_id >= XCSTREAM_PV_VCPUS_MAX)
        return error_set(err, ERR_LIMIT, "vCPU %" PRIu32, r->info.max_vcpu_id);
    pv->nr_vcpus = r->info.max_vcpu_id + 1;
    pv->vcpus = calloc(pv->nr_vcpus, sizeof(*pv->vcpus));
    if (!pv->vcpus)
        return error_set(err, ERR_NO_MEMORY, "PV vCPUs");
    return true;
}

/* ---- records --------------------------------------------------------- */

static bool take_pv_info(struct restore *r, const struct record *rec,
                         struct error *err)
{
    struct pv_restore *pv = r->guest;
    struct host *host = r->request->host;
    struct pv_info info;

    if (!pv_info_decode(rec, &info, err))
        return false;
    if (!pv_info_known(&info))
        return record_error(rec, err,
                            "X86_PV_INFO: width %u with %u levels, expected 8 "
                            "with 4 or 4 with 3",
                            info.width, info.levels);
    pv->layout = pv_layout_of(info.width);
    return host->ops->address_size_set(host, r->request->domid, info.width,
                                       err);
}

/* Room for pfns below 'nr'; they have nothing yet. */
static bool grow_pfns(struct restore *r, uint64_t nr, struct error *err)
{
    struct pv_restore *pv = r->guest;
    uint64_t *frames;
    uint8_t *types;

    if (nr <= pv->nr_pfns)
        return true;
    if (pv->frames && bitmap_next(&r->seen, 0) != BITMAP_END)
        return error_set(err, ERR_UNSUPPORTED,
                         "X86_PV_P2M_FRAMES: pfns up to %#" PRIx64
                         " when memory is arriving, expected below %#" PRIx64,
                         nr - 1, pv->nr_pfns);
    /*
     * At most 2^32 pfns.  The pages of both arrays come into being when they
     * are written.
     */
    frames = calloc((size_t)nr, sizeof(*frames));
    types = calloc((size_t)nr, sizeof(*types));
    if (!frames || !types || !restore_limit_pfns(r, nr, err)) {
        free(frames);
        free(types);
        return error_set(err, ERR_NO_MEMORY, "%" PRIu64 " pfns", nr);
    }
    free(pv->frames);
    free(pv->types);
    pv->frames = frames;
    pv->types = types;
    pv->nr_pfns = nr;
    return true;
}

/* Room for the first 'nr' frames of the guest's own table. */
static bool grow_p2m(struct pv_restore *pv, size_t nr, struct error *err)
{
    uint64_t *pfns;

    if (nr <= pv->nr_p2m_pfns)
        return true;
    pfns = calloc(nr, sizeof(*pfns));
    if (!pfns)
        return error_set(err, ERR_NO_MEMORY, "X86_PV_P2M_FRAMES: %zu frames",
                         nr);
    if (pv->p2m_pfns)
        memcpy(pfns, pv->p2m_pfns, pv->nr_p2m_pfns * sizeof(*pfns));
    free(pv->p2m_pfns);
    pv->p2m_pfns = pfns;
    pv->nr_p2m_pfns = nr;
    return true;
}

/* The table, or a piece of it. */
static bool take_p2m_frames(struct restore *r, const struct record *rec,
                            struct error *err)
{
    struct pv_restore *pv = r->guest;
    uint8_t width = (uint8_t)pv->layout->width;
    struct p2m_frames list;
    size_t first;

    if (!p2m_frames_decode(rec, width, &list, err))
        return false;
    first = list.first_pfn / p2m_entries_per_frame(width);
    if (!grow_pfns(r, (uint64_t)list.last_pfn + 1, err) ||
        !grow_p2m(pv, first + list.nr_frames, err))
        return false;
    for (size_t i = 0; i < list.nr_frames; i++)
        pv->p2m_pfns[first + i] = p2m_frames_pfn(&list, i) + 1;
    return true;
}

static bool take_shared_info(struct restore *r, const struct record *rec,
                             struct error *err)
{
    struct pv_restore *pv = r->guest;
    const uint8_t *page;

    if (!shared_info_decode(rec, &page, err))
        return false;
    memcpy(pv->shared_info, page, PAGE_SIZE);
    pv->has_shared_info = true;
    return true;
}

static bool take_vcpu(struct restore *r, const struct record *rec,
                      enum vcpu_state_kind kind, struct error *err)
{
    struct pv_restore *pv = r->guest;
    struct vcpu_blob blob;
    struct buffer *state;

    if (!vcpu_blob_decode(rec, (uint8_t)pv->layout->width, &blob, err))
        return false;
    if (blob.vcpu >= pv->nr_vcpus)
        return record_error(rec, err,
                            "%s: vCPU %" PRIu32 ", expected one below %" PRIu32
                            ", the domain's number",
                            xcstream_record_name(rec->type), blob.vcpu,
                            pv->nr_vcpus);
    state = &pv->vcpus[blob.vcpu].state[kind];
    buffer_reset(state);
    buffer_bytes(state, blob.bytes, blob.length);
    return buffer_check(state, "vCPU state", err);
}

static enum record_outcome
pv_take_record(struct restore *r, const struct record *rec, struct error *err)
{
    bool taken;

    switch (rec->type) {
    case XCREC_X86_PV_INFO:
        taken = take_pv_info(r, rec, err);
        break;
    case XCREC_X86_PV_P2M_FRAMES:
        taken = take_p2m_frames(r, rec, err);
        break;
    case XCREC_SHARED_INFO:
        taken = take_shared_info(r, rec, err);
        break;
    case XCREC_X86_PV_VCPU_BASIC:
        taken = take_vcpu(r, rec, VCPU_STATE_BASIC, err);
        break;
    case XCREC_X86_PV_VCPU_EXTENDED:
        taken = take_vcpu(r, rec, VCPU_STATE_EXTENDED, err);
        break;
    case XCREC_X86_PV_VCPU_XSAVE:
        taken = take_vcpu(r, rec, VCPU_STATE_XSAVE, err);
        break;
    case XCREC_X86_PV_VCPU_MSRS:
        taken = take_vcpu(r, rec, VCPU_STATE_MSRS, err);
        break;
    default:
        return RECORD_NOT_MINE;
    }
    return taken ? RECORD_TAKEN : RECORD_FAILED;
}

/* ---- memory ---------------------------------------------------------- */

static bool populate(struct restore *r, const uint64_t *pfns, size_t nr,
                     struct error *err)
{
    struct pv_restore *pv = r->guest;
    struct host *host = r->request->host;
    uint64_t frames[HOST_BATCH_MAX];
    size_t done;

    if (nr == 0)
        return true;
    if (!host->ops->populate(host, r->request->domid, pfns, nr, HOST_ORDER_4K,
                             frames, &done, err))
        return false;
    for (size_t i = 0; i < done; i++)
        pv->frames[pfns[i]] = frames[i] + 1;
    if (done < nr)
        return error_set(err, ERR_HOST,
                         "memory for pfn %#" PRIx64
                         ": the host has no more for domain %" PRIu32
                         ", expected %zu pages here",
                         pfns[done], r->request->domid, nr);
    return true;
}

static bool pv_allocate(struct restore *r, const uint64_t *pfns, size_t nr,
                        struct error *err)
{
    struct pv_restore *pv = r->guest;
    uint64_t wanted[HOST_BATCH_MAX];
    size_t nr_wanted = 0;

    for (size_t i = 0; i < nr; i++) {
        /* A page table may have asked for it already. */
        if (!pv->frames[pfns[i]])
            wanted[nr_wanted++] = pfns[i];
        if (nr_wanted == HOST_BATCH_MAX) {
            if (!populate(r, wanted, nr_wanted, err))
                return false;
            nr_wanted = 0;
        }
    }
    return populate(r, wanted, nr_wanted, err);
}

static void pv_frames_of(struct restore *r, const uint64_t *pfns, size_t nr,
                         uint64_t *frames)
{
    struct pv_restore *pv = r->guest;

    for (size_t i = 0; i < nr; i++)
        frames[i] = pv->frames[pfns[i]] - 1;
}

static bool pv_needs_localising(unsigned int type)
{
    return frame_type_table_level(type) != 0;
}

/* Give memory to every pfn that the table names and that has none. */
static bool allocate_targets(struct restore *r, const uint64_t *table,
                             struct error *err)
{
    struct pv_restore *pv = r->guest;
    uint64_t wanted[PTE_PER_PAGE];
    size_t nr_wanted = 0;

    for (size_t i = 0; i < PTE_PER_PAGE; i++) {
        uint64_t pfn = pte_frame(table[i]);

        if (!(table[i] & PTE_PRESENT))
            continue;
        if (pfn >= pv->nr_pfns)
            return error_set(err, ERR_FORMAT,
                             "entry %zu of a page table names pfn %#" PRIx64
                             ", expected one below %#" PRIx64,
                             i, pfn, pv->nr_pfns);
        if (pv->frames[pfn])
            continue;
        /* A mark, so that a pfn named twice is asked for once. */
        pv->frames[pfn] = UINT64_MAX;
        wanted[nr_wanted++] = pfn;
    }
    for (size_t i = 0; i < nr_wanted; i++)
        pv->frames[wanted[i]] = 0;
    return populate(r, wanted, nr_wanted, err);
}

static bool pv_localise_page(struct restore *r, uint64_t pfn, unsigned int type,
                             uint8_t *page, struct error *err)
{
    struct pv_restore *pv = r->guest;
    uint64_t *table = (uint64_t *)(void *)page;

    if (!allocate_targets(r, table, err))
        return false;
    for (size_t i = 0; i < PTE_PER_PAGE; i++)
        if (table[i] & PTE_PRESENT)
            table[i] =
                pte_with_frame(table[i], pv->frames[pte_frame(table[i])] - 1);
    return true;
}

static void pv_note_type(struct restore *r, uint64_t pfn, unsigned int type)
{
    struct pv_restore *pv = r->guest;

    pv->types[pfn] = (uint8_t)(type + 1);
}

/* ---- completion ------------------------------------------------------ */

/* The mfn of a pfn that something names; its type must be as expected. */
static bool frame_of(struct restore *r, uint64_t pfn, unsigned int level,
                     const char *what, uint64_t *ret, struct error *err)
{
    struct pv_restore *pv = r->guest;
    unsigned int type = FRAME_XTAB;

    if (pfn < pv->nr_pfns && pv->types[pfn])
        type = pv->types[pfn] - 1u;
    if (type == FRAME_XTAB || !frame_type_has_page(type) ||
        frame_type_table_level(type) != level || !pv->frames[pfn])
        return error_set(err, ERR_FORMAT,
                         "%s names pfn %#" PRIx64
                         " of type %s, expected a page of level %u",
                         what, pfn, frame_type_name(type), level);
    *ret = pv->frames[pfn] - 1;
    return true;
}

static bool map_for_update(struct restore *r, uint64_t mfn, const char *what,
                           struct host_mapping *ret, struct error *err)
{
    struct host *host = r->request->host;
    int map_errno;

    if (!host->ops->map_frames(host, r->request->domid, MAP_WRITE, &mfn, 1,
                               &map_errno, ret, err))
        return false;
    if (!map_errno)
        return true;
    host->ops->unmap_frames(host, ret);
    return error_set_errno(err, ERR_HOST, map_errno,
                           "%s at mfn %#" PRIx64 " cannot be mapped", what,
                           mfn);
}

/* Keep what belongs to the guest; events are lost with the old domain. */
static bool update_shared_info(struct restore *r, struct error *err)
{
    struct pv_restore *pv = r->guest;
    const struct pv_layout *l = pv->layout;
    struct host *host = r->request->host;
    struct host_mapping mapping;
    uint8_t *page;

    if (!map_for_update(r, r->info.shared_info, "shared info", &mapping, err))
        return false;
    page = mapping.pages;
    memcpy(page, pv->shared_info, PV_VCPU_INFOS * PV_VCPU_INFO_SIZE);
    memcpy(page + l->arch, pv->shared_info + l->arch, l->arch_size);
    pv_word_set(l, page, l->frame_list_list, 0);
    memset(page + l->evtchn_pending, 0, l->evtchn_size);
    memset(page + l->evtchn_mask, 0xff, l->evtchn_size);
    for (size_t i = 0; i < PV_VCPU_INFOS; i++)
        pv_word_set(l, page, i * PV_VCPU_INFO_SIZE + l->pending_sel, 0);
    host->ops->unmap_frames(host, &mapping);
    return true;
}

static bool update_start_info(struct restore *r, uint64_t mfn,
                              struct error *err)
{
    struct pv_restore *pv = r->guest;
    const struct pv_layout *l = pv->layout;
    const struct restore_request *q = r->request;
    struct host *host = q->host;
    struct domain_info info;
    struct host_mapping mapping;
    uint8_t *page;
    bool ok;

    if (!host->ops->domain_info(host, q->domid, &info, err) ||
        !map_for_update(r, mfn, "start info", &mapping, err))
        return false;
    page = mapping.pages;
    ok = frame_of(r, pv_word_get(l, page, l->store_mfn), 0,
                  "start info's store ring", &r->store_gfn, err) &&
         frame_of(r, pv_word_get(l, page, l->console_mfn), 0,
                  "start info's console ring", &r->console_gfn, err);
    if (ok) {
        pv_word_set(l, page, l->nr_pages, info.nr_pages);
        pv_word_set(l, page, l->shared_info, info.shared_info << PAGE_SHIFT);
        pv_u32_set(page, l->flags, 0);
        pv_word_set(l, page, l->store_mfn, r->store_gfn);
        pv_u32_set(page, l->store_evtchn, q->store_evtchn);
        pv_word_set(l, page, l->console_mfn, r->console_gfn);
        pv_u32_set(page, l->console_evtchn, q->console_evtchn);
    }
    host->ops->unmap_frames(host, &mapping);
    return ok;
}

static bool localise_context(struct restore *r, uint32_t vcpu, uint8_t *context,
                             struct error *err)
{
    struct pv_restore *pv = r->guest;
    const struct pv_layout *l = pv->layout;
    uint64_t entries = pv_word_get(l, context, l->gdt_ents);
    uint64_t mfn;

    if (vcpu == 0) {
        if (!frame_of(r, pv_word_get(l, context, l->edx), 0, "edx (start info)",
                      &mfn, err) ||
            !update_start_info(r, mfn, err))
            return false;
        pv_word_set(l, context, l->edx, mfn);
    }
    if (entries > PV_GDT_FRAMES * PV_GDT_PER_FRAME)
        return error_set(err, ERR_FORMAT,
                         "GDT of %" PRIu64 " entries, expected at most %d",
                         entries, PV_GDT_FRAMES * PV_GDT_PER_FRAME);
    for (size_t i = 0; i * PV_GDT_PER_FRAME < entries; i++) {
        size_t at = l->gdt_frames + i * l->width;

        if (!frame_of(r, pv_word_get(l, context, at), 0, "GDT", &mfn, err))
            return false;
        pv_word_set(l, context, at, mfn);
    }
    if (!frame_of(r, pv_cr3_to_frame(l, pv_word_get(l, context, l->cr3)),
                  l->levels, "cr3", &mfn, err))
        return false;
    pv_word_set(l, context, l->cr3, pv_frame_to_cr3(l, mfn));
    if (l->cr1 && pv_word_get(l, context, l->cr1) & 1) {
        if (!frame_of(r, pv_word_get(l, context, l->cr1) >> PAGE_SHIFT,
                      l->levels, "cr1", &mfn, err))
            return false;
        pv_word_set(l, context, l->cr1, mfn << PAGE_SHIFT);
    }
    return true;
}

static bool set_vcpu(struct restore *r, uint32_t vcpu, struct error *err)
{
    struct pv_restore *pv = r->guest;
    struct host *host = r->request->host;
    struct buffer *state = pv->vcpus[vcpu].state;

    if (state[VCPU_STATE_BASIC].length == 0) {
        if (vcpu == 0)
            return error_set(err, ERR_FORMAT,
                             "END without the context of vCPU 0");
        return true;
    }
    if (!localise_context(r, vcpu, state[VCPU_STATE_BASIC].bytes, err))
        return error_wrap(err, "vCPU %" PRIu32, vcpu);
    for (int kind = 0; kind < NR_VCPU_KINDS; kind++)
        if (state[kind].length > 0 &&
            !host->ops->vcpu_state_set(
                host, r->request->domid, vcpu, (enum vcpu_state_kind)kind,
                state[kind].bytes, state[kind].length, err))
            return error_wrap(err, "vCPU %" PRIu32, vcpu);
    return true;
}

static bool pin_tables(struct restore *r, struct error *err)
{
    struct pv_restore *pv = r->guest;
    struct host *host = r->request->host;
    struct table_pin pins[HOST_BATCH_MAX];
    size_t nr = 0;

    for (uint64_t pfn = bitmap_next(&r->seen, 0); pfn != BITMAP_END;
         pfn = bitmap_next(&r->seen, pfn + 1)) {
        unsigned int type = pv->types[pfn] - 1u;

        if (!frame_type_table_level(type) || !(type & FRAME_PIN_BIT))
            continue;
        pins[nr++] = (struct table_pin){.level = frame_type_table_level(type),
                                        .mfn = pv->frames[pfn] - 1};
        if (nr < HOST_BATCH_MAX)
            continue;
        if (!host->ops->tables_pin(host, r->request->domid, pins, nr, err))
            return false;
        nr = 0;
    }
    return nr == 0 ||
           host->ops->tables_pin(host, r->request->domid, pins, nr, err);
}

/* Write the guest's own table of frames, in the pages that it has for it. */
static bool update_p2m(struct restore *r, struct error *err)
{
    struct pv_restore *pv = r->guest;
    const struct pv_layout *l = pv->layout;
    struct host *host = r->request->host;
    size_t per_frame = PAGE_SIZE / l->width;

    for (size_t i = 0; i < pv->nr_p2m_pfns; i++) {
        struct host_mapping mapping;
        uint64_t mfn;

        if (pv->p2m_pfns[i] == 0)
            return error_set(err, ERR_FORMAT,
                             "X86_PV_P2M_FRAMES: no frame for pfn %#zx on, "
                             "expected all up to %#" PRIx64,
                             i * per_frame, pv->nr_pfns - 1);
        if (!frame_of(r, pv->p2m_pfns[i] - 1, 0, "X86_PV_P2M_FRAMES", &mfn,
                      err) ||
            !map_for_update(r, mfn, "P2M", &mapping, err))
            return false;
        for (size_t j = 0; j < per_frame; j++) {
            uint64_t pfn = i * per_frame + j;
            uint64_t frame = pfn < pv->nr_pfns ? pv->frames[pfn] : 0;

            /* No frame is all ones. */
            pv_word_set(l, mapping.pages, j * l->width, frame - 1);
        }
        host->ops->unmap_frames(host, &mapping);
    }
    return true;
}

static bool pv_complete(struct restore *r, struct error *err)
{
    struct pv_restore *pv = r->guest;
    const struct restore_request *q = r->request;
    struct host *host = q->host;

    if (!pv->layout || !pv->p2m_pfns || !pv->has_shared_info)
        return error_set(err, ERR_FORMAT, "END without %s",
                         !pv->layout     ? "X86_PV_INFO"
                         : !pv->p2m_pfns ? "X86_PV_P2M_FRAMES"
                                         : "SHARED_INFO");
    if (!update_shared_info(r, err))
        return false;
    for (uint32_t vcpu = 0; vcpu < pv->nr_vcpus; vcpu++)
        if (!set_vcpu(r, vcpu, err))
            return false;
    return pin_tables(r, err) && update_p2m(r, err) &&
           host->ops->grant_table_seed(host, q->domid, GUEST_X86_PV,
                                       r->console_gfn, q->console_domid,
                                       r->store_gfn, q->store_domid, err);
}

static void pv_release(struct restore *r)
{
    struct pv_restore *pv = r->guest;

    if (!pv)
        return;
    for (uint32_t i = 0; pv->vcpus && i < pv->nr_vcpus; i++)
        for (int kind = 0; kind < NR_VCPU_KINDS; kind++)
            buffer_release(&pv->vcpus[i].state[kind]);
    free(pv->vcpus);
    free(pv->frames);
    free(pv->types);
    free(pv->p2m_pfns);
    free(pv);
    r->guest = NULL;
}

const struct restore_hooks restore_x86_pv = {
    .guest_type = "x86 PV",
    .stream_type = XCSTREAM_DOMAIN_PV,
    /* Page tables allocate for others: one batch at a time. */
    .nr_placers = 1,
    .prepare = pv_prepare,
    .take_record = pv_take_record,
    .allocate = pv_allocate,
    .frames_of = pv_frames_of,
    .needs_localising = pv_needs_localising,
    .localise_page = pv_localise_page,
    .note_type = pv_note_type,
    .complete = pv_complete,
    .release = pv_release,
};
