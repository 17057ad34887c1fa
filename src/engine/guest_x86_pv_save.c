/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saving a PV guest: its page tables hold machine frames, which mean nothing
 * elsewhere.  Every table goes into the stream with pfns in their place, and
 * so do the frames in vCPU contexts.
 *
 * While the guest runs, a table can name a frame that is not the guest's at
 * this moment: such a table goes again when the guest stands still, and what
 * is wrong then is an error.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/pv_p2m.h"
#include "engine/save.h"
#include "stream/xc/xc_x86_pv.h"

struct pv_save {
    const struct pv_layout *layout;
    struct host_mapping shared_info;
    struct pv_p2m p2m;
};

static bool map_shared_info(struct save *s, struct pv_save *pv,
                            struct error *err)
{
    struct host *host = s->request->host;
    int map_errno;

    if (!host->ops->map_frames(host, s->request->domid, MAP_READ,
                               &s->info.shared_info, 1, &map_errno,
                               &pv->shared_info, err))
        return false;
    if (map_errno)
        return error_set_errno(err, ERR_HOST, map_errno,
                               "shared info at mfn %#" PRIx64
                               " cannot be mapped",
                               s->info.shared_info);
    return true;
}

static bool pv_prepare(struct save *s, struct error *err)
{
    struct pv_save *pv = calloc(1, sizeof(*pv));

    if (!pv)
        return error_set(err, ERR_NO_MEMORY, "PV guest");
    s->guest = pv;
    if (s->info.guest_width != 4 && s->info.guest_width != 8)
        return error_set(err, ERR_UNSUPPORTED,
                         "PV guest with words of %" PRIu32
                         " octets, expected 4 or 8",
                         s->info.guest_width);
    pv->layout = pv_layout_of(s->info.guest_width);
    if (!map_shared_info(s, pv, err))
        return false;
    pv->p2m = (struct pv_p2m){.host = s->request->host,
                              .domid = s->request->domid,
                              .layout = pv->layout,
                              .shared_info = pv->shared_info.pages};
    if (!pv_p2m_map(&pv->p2m, err))
        return false;
    s->nr_pfns = pv->p2m.nr_pfns;
    return true;
}

static bool pv_write_static(struct save *s, struct buffer *out,
                            struct error *err)
{
    const struct pv_save *pv = s->guest;

    pv_info_append(out,
                   &(struct pv_info){.width = (uint8_t)pv->layout->width,
                                     .levels = (uint8_t)pv->layout->levels});
    return true;
}

static bool pv_write_memory_map(struct save *s, struct buffer *out,
                                struct error *err)
{
    const struct pv_save *pv = s->guest;
    size_t nr = pv->p2m.nr_leaves;
    cleanup_free uint64_t *pfns = calloc(nr, sizeof(*pfns));

    if (!pfns)
        return error_set(err, ERR_NO_MEMORY, "P2M: %zu frames", nr);
    if (!pv_p2m_leaf_pfns(&pv->p2m, pfns, err))
        return false;
    p2m_frames_append(out, 0, (uint32_t)(s->nr_pfns - 1), pfns, nr);
    return true;
}

/* Pages that the guest does not have now may come back before it stops. */
static bool pv_list_pfns(struct save *s, struct bitmap *pfns, struct error *err)
{
    const struct pv_save *pv = s->guest;

    for (uint64_t pfn = 0; pfn < s->nr_pfns; pfn++) {
        if (pv_p2m_frame(&pv->p2m, pfn) != UINT64_MAX)
            bitmap_set(pfns, pfn);
        else
            bitmap_set(&s->deferred, pfn);
    }
    return true;
}

static bool pv_list_latecomers(struct save *s, struct bitmap *pfns,
                               struct error *err)
{
    return true;
}

static void pv_frames_of(struct save *s, const uint64_t *pfns, size_t nr,
                         uint64_t *frames)
{
    const struct pv_save *pv = s->guest;

    for (size_t i = 0; i < nr; i++)
        frames[i] = pv_p2m_frame(&pv->p2m, pfns[i]);
}

/* Entries that Xen put there for itself: from ... up to but not including. */
static void xen_entries(const struct pv_save *pv, unsigned int level,
                        const uint64_t *table, size_t *from, size_t *upto)
{
    *from = *upto = 0;
    if (pv->layout->width == 8) {
        if (level == 4) {
            *from = 256;
            *upto = 272;
        }
        return;
    }
    if (level == 3) {
        *from = 4;
        *upto = PTE_PER_PAGE;
    } else if (level == 2) {
        /* Only in the table that covers Xen's part of the address space. */
        uint64_t pte = table[428];

        if (pte & PTE_PRESENT && pte_frame(pte) == pv->p2m.m2p.compat_first) {
            *from = 428;
            *upto = PTE_PER_PAGE;
        }
    }
}

static enum page_outcome normalise_entry(struct save *s, uint64_t pfn,
                                         unsigned int level, size_t i,
                                         uint64_t *pte, struct error *err)
{
    const struct pv_save *pv = s->guest;
    uint64_t target;

    if (!(*pte & PTE_PRESENT))
        return PAGE_READY;
    if (level > 1 && *pte & PTE_PSE) {
        error_set(
            err, ERR_UNSUPPORTED,
            "pfn %#" PRIx64 ": entry %zu of this level %u page table is a "
            "superpage (%#" PRIx64 "), which a PV guest's image cannot carry",
            pfn, i, level, *pte);
        return PAGE_FAILED;
    }
    target = pv_p2m_pfn(&pv->p2m, pte_frame(*pte));
    if (target != UINT64_MAX) {
        *pte = pte_with_frame(*pte, target);
        return PAGE_READY;
    }
    if (!s->suspended)
        return PAGE_RETRY_LATER;
    error_set(err, ERR_GUEST,
              "pfn %#" PRIx64 ": entry %zu of this level %u page table names "
              "mfn %#" PRIx64 ", expected a frame of the guest's own",
              pfn, i, level, pte_frame(*pte));
    return PAGE_FAILED;
}

static enum page_outcome pv_normalise_page(struct save *s, uint64_t pfn,
                                           unsigned int type,
                                           const uint8_t **page,
                                           uint8_t *scratch, struct error *err)
{
    const struct pv_save *pv = s->guest;
    unsigned int level = frame_type_table_level(type);
    uint64_t *table = (uint64_t *)(void *)scratch;
    size_t from, upto;

    if (level == 0)
        return PAGE_READY;
    memcpy(table, *page, PAGE_SIZE);
    xen_entries(pv, level, table, &from, &upto);
    for (size_t i = 0; i < PTE_PER_PAGE; i++) {
        enum page_outcome outcome;

        if (i >= from && i < upto) {
            table[i] = 0;
            continue;
        }
        outcome = normalise_entry(s, pfn, level, i, &table[i], err);
        if (outcome != PAGE_READY)
            return outcome;
    }
    *page = scratch;
    return PAGE_READY;
}

static bool pv_check_round(struct save *s, struct error *err)
{
    struct pv_save *pv = s->guest;

    return pv_p2m_check(&pv->p2m, err);
}

/* ---- vCPUs ----------------------------------------------------------- */

static bool frame_to_pfn(const struct pv_save *pv, uint64_t mfn, uint32_t vcpu,
                         const char *what, uint64_t *ret, struct error *err)
{
    uint64_t pfn = pv_p2m_pfn(&pv->p2m, mfn);

    if (pfn == UINT64_MAX)
        return error_set(err, ERR_GUEST,
                         "vCPU %" PRIu32 ": %s names mfn %#" PRIx64
                         ", expected a frame of the guest's own",
                         vcpu, what, mfn);
    *ret = pfn;
    return true;
}

static bool normalise_gdt(const struct pv_save *pv, uint32_t vcpu,
                          uint8_t *context, struct error *err)
{
    const struct pv_layout *l = pv->layout;
    uint64_t entries = pv_word_get(l, context, l->gdt_ents);

    for (size_t i = 0; i < PV_GDT_FRAMES && i * PV_GDT_PER_FRAME < entries;
         i++) {
        size_t at = l->gdt_frames + i * l->width;
        uint64_t pfn;

        if (!frame_to_pfn(pv, pv_word_get(l, context, at), vcpu, "GDT", &pfn,
                          err))
            return false;
        pv_word_set(l, context, at, pfn);
    }
    return true;
}

static bool normalise_context(const struct pv_save *pv, uint32_t vcpu,
                              uint8_t *context, struct error *err)
{
    const struct pv_layout *l = pv->layout;
    uint64_t cr3 = pv_word_get(l, context, l->cr3);
    uint64_t pfn = 0;

    /* The first vCPU suspends with start_info's frame in edx. */
    if (vcpu == 0) {
        if (!frame_to_pfn(pv, pv_word_get(l, context, l->edx), vcpu,
                          "edx (start info)", &pfn, err))
            return false;
        pv_word_set(l, context, l->edx, pfn);
    }
    if (!normalise_gdt(pv, vcpu, context, err))
        return false;
    if (!frame_to_pfn(pv, pv_cr3_to_frame(l, cr3), vcpu, "cr3", &pfn, err))
        return false;
    pv_word_set(l, context, l->cr3, pv_frame_to_cr3(l, pfn));
    if (l->cr1) {
        uint64_t cr1 = pv_word_get(l, context, l->cr1);

        if (cr1 == 0)
            return true;
        if (!frame_to_pfn(pv, cr1 >> PAGE_SHIFT, vcpu, "cr1", &pfn, err))
            return false;
        /* Bit 0 says that there is one. */
        pv_word_set(l, context, l->cr1, pfn << PAGE_SHIFT | 1);
    }
    return true;
}

static bool append_vcpu_state(struct save *s, uint32_t vcpu,
                              enum vcpu_state_kind kind, uint32_t record_type,
                              struct buffer *out, struct error *err)
{
    const struct pv_save *pv = s->guest;
    struct host *host = s->request->host;
    cleanup(buffer_release) struct buffer state = {0};

    if (!host->ops->vcpu_state_get(host, s->request->domid, vcpu, kind, &state,
                                   err))
        return error_wrap(err, "vCPU %" PRIu32, vcpu);
    if (kind == VCPU_STATE_BASIC) {
        if (state.length != pv->layout->context_size)
            return error_set(err, ERR_HOST,
                             "vCPU %" PRIu32 ": context of %zu octets, "
                             "expected %u",
                             vcpu, state.length, pv->layout->context_size);
        if (!normalise_context(pv, vcpu, state.bytes, err))
            return false;
    }
    if (state.length > 0)
        vcpu_blob_append(out,
                         &(struct vcpu_blob){.type = record_type,
                                             .vcpu = vcpu,
                                             .bytes = state.bytes,
                                             .length = (uint32_t)state.length});
    return true;
}

static bool append_vcpu(struct save *s, uint32_t vcpu, struct buffer *out,
                        struct error *err)
{
    return append_vcpu_state(s, vcpu, VCPU_STATE_BASIC, XCREC_X86_PV_VCPU_BASIC,
                             out, err) &&
           append_vcpu_state(s, vcpu, VCPU_STATE_EXTENDED,
                             XCREC_X86_PV_VCPU_EXTENDED, out, err) &&
           append_vcpu_state(s, vcpu, VCPU_STATE_XSAVE, XCREC_X86_PV_VCPU_XSAVE,
                             out, err) &&
           append_vcpu_state(s, vcpu, VCPU_STATE_MSRS, XCREC_X86_PV_VCPU_MSRS,
                             out, err);
}

static bool pv_write_state(struct save *s, struct buffer *out,
                           struct error *err)
{
    const struct pv_save *pv = s->guest;
    struct host *host = s->request->host;

    shared_info_append(out, pv->shared_info.pages);
    for (uint32_t vcpu = 0; vcpu <= s->info.max_vcpu_id; vcpu++) {
        bool online;

        if (!host->ops->vcpu_online(host, s->request->domid, vcpu, &online,
                                    err))
            return false;
        if (online && !append_vcpu(s, vcpu, out, err))
            return false;
    }
    return true;
}

static void pv_release(struct save *s)
{
    struct pv_save *pv = s->guest;
    struct host *host = s->request->host;

    if (!pv)
        return;
    if (pv->p2m.host)
        pv_p2m_release(&pv->p2m);
    host->ops->unmap_frames(host, &pv->shared_info);
    free(pv);
    s->guest = NULL;
}

const struct save_hooks save_x86_pv = {
    .guest_type = "x86 PV",
    .stream_type = XCSTREAM_DOMAIN_PV,
    .normalises = true,
    .lists_ordinary = false,
    .prepare = pv_prepare,
    .write_static = pv_write_static,
    .write_memory_map = pv_write_memory_map,
    .list_pfns = pv_list_pfns,
    .list_latecomers = pv_list_latecomers,
    .frames_of = pv_frames_of,
    .normalise_page = pv_normalise_page,
    .check_round = pv_check_round,
    .write_state = pv_write_state,
    .release = pv_release,
};
