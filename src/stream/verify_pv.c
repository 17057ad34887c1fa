/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a PV guest's pages and registers say of its memory.  Where a running
 * guest has mfns an image has pfns, and a restore looks each of them up:
 *
 *    who names a frame                which                      judged
 *    entry of a page table            any within the P2M         as it comes
 *    X86_PV_P2M_FRAMES                a page                     }
 *    start info (edx of vCPU 0), GDT  a page                     } at the end
 *    cr3, cr1                         a table of the top level   } of a round
 *    start info: store, console       a page                     at END
 *
 * Which page start info is in its vCPU says, after all pages: it is read again,
 * where the source has a way back.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stream/verify_private.h"
#include "stream/xc/xc_records.h"

/* Page tables -------------------------------------------------------------- */

static void verify_table(struct verify *v, uint64_t pfn, const uint8_t *page)
{
    for (size_t i = 0; i < PTE_PER_PAGE; i++) {
        uint64_t entry = layout_integer(page, i * 8, 8, ORDER_LITTLE);

        if (!(entry & PTE_PRESENT) || pte_frame(entry) <= v->max_pfn)
            continue;
        verify_found(v, RULE_PV_TABLE,
                     "table at pfn %#" PRIx64 ", entry %zu: pfn %#" PRIx64
                     ", P2M to %#" PRIx64,
                     pfn, i, pte_frame(entry), v->max_pfn);
        return;
    }
}

bool verify_pv_pages(struct verify *v, const uint64_t *frames,
                     uint32_t nr_frames, struct error *err)
{
    uint8_t page[PAGE_SIZE];
    uint64_t passed = 0; /* pages not yet moved past */

    for (uint32_t i = 0; i < nr_frames; i++) {
        unsigned int type = frame_type(frames[i]);

        if (!frame_type_has_page(type))
            continue;
        if (frame_type_table_level(type) == 0 || !v->have_p2m) {
            passed++;
            continue;
        }
        if (!source_skip(v->reader.source, passed * PAGE_SIZE, "PAGE_DATA",
                         err) ||
            !source_read(v->reader.source, page, PAGE_SIZE, "PAGE_DATA", err))
            return false;
        passed = 0;
        verify_table(v, frame_pfn(frames[i]), page);
    }
    return source_skip(v->reader.source, passed * PAGE_SIZE, "PAGE_DATA", err);
}

/* What names frames -------------------------------------------------------- */

void verify_pv_p2m(struct verify *v, uint64_t index, uint64_t pfn)
{
    uint64_t nr = v->nr_p2m_pfns ? v->nr_p2m_pfns : 512;
    uint64_t *pfns = v->p2m_pfns;

    v->p2m_offset = v->offset;
    while (nr <= index)
        nr *= 2;
    if (nr > v->nr_p2m_pfns) {
        pfns = realloc(pfns, (size_t)nr * sizeof(*pfns));
        if (!pfns)
            return;
        memset(pfns + v->nr_p2m_pfns, 0,
               ((size_t)nr - v->nr_p2m_pfns) * sizeof(*pfns));
        v->p2m_pfns = pfns;
        v->nr_p2m_pfns = (size_t)nr;
    }
    pfns[index] = pfn + 1;
}

void verify_pv_context(struct verify *v, const struct vcpu_blob *basic)
{
    const struct pv_layout *l = pv_layout_of(v->width);
    uint64_t entries = pv_word_get(l, basic->bytes, l->gdt_ents);
    struct vcpu_frames *f;

    if (!v->vcpu_frames)
        v->vcpu_frames = calloc(XCSTREAM_PV_VCPUS_MAX, sizeof(*f));
    if (!v->vcpu_frames)
        return;
    if (basic->vcpu >= v->nr_vcpu_frames)
        v->nr_vcpu_frames = basic->vcpu + 1;
    f = &v->vcpu_frames[basic->vcpu];
    *f = (struct vcpu_frames){
        .offset = v->offset,
        .start_info = pv_word_get(l, basic->bytes, l->edx),
        .cr3 = pv_cr3_to_frame(l, pv_word_get(l, basic->bytes, l->cr3)),
    };
    if (l->cr1) {
        uint64_t cr1 = pv_word_get(l, basic->bytes, l->cr1);

        f->has_cr1 = cr1 & 1;
        f->cr1 = cr1 >> PAGE_SHIFT;
    }
    if (entries > PV_GDT_FRAMES * PV_GDT_PER_FRAME) {
        verify_found(v, RULE_VCPU_GDT, "vCPU %" PRIu32 ": %" PRIu64 " entries",
                     basic->vcpu, entries);
        return;
    }
    f->nr_gdt = (uint32_t)((entries + PV_GDT_PER_FRAME - 1) / PV_GDT_PER_FRAME);
    for (uint32_t i = 0; i < f->nr_gdt; i++)
        f->gdt[i] = pv_word_get(l, basic->bytes, l->gdt_frames + i * l->width);
}

/* At the end of a round ---------------------------------------------------- */

static void expect_frame(struct verify *v, uint32_t vcpu, uint64_t pfn,
                         bool top, const char *what)
{
    if (top ? verify_memory_has_top(v, pfn) : verify_memory_has(v, pfn))
        return;
    verify_found(v, RULE_VCPU_FRAME,
                 "vCPU %" PRIu32 ": %s names pfn %#" PRIx64
                 ", which was not sent as a %s",
                 vcpu, what, pfn, top ? "top-level page table" : "plain page");
}

static void verify_vcpu_frames(struct verify *v, uint32_t vcpu,
                               const struct vcpu_frames *f)
{
    v->offset = f->offset;
    v->where = v->legacy ? "vCPU" : "X86_PV_VCPU_BASIC";
    if (vcpu == 0)
        expect_frame(v, vcpu, f->start_info, false, "edx (start info)");
    for (uint32_t i = 0; i < f->nr_gdt; i++)
        expect_frame(v, vcpu, f->gdt[i], false, "the GDT");
    expect_frame(v, vcpu, f->cr3, true, "cr3");
    if (f->has_cr1)
        expect_frame(v, vcpu, f->cr1, true, "cr1");
}

static void verify_p2m_pages(struct verify *v)
{
    uint32_t per_frame = p2m_entries_per_frame(v->width);
    uint64_t nr = v->max_pfn / per_frame + 1;

    v->offset = v->p2m_offset;
    v->where = v->legacy ? "P2M frame list" : "X86_PV_P2M_FRAMES";
    for (size_t i = 0; i < v->nr_p2m_pfns && i < nr; i++) {
        uint64_t pfn = v->p2m_pfns[i] - 1;

        if (v->p2m_pfns[i] == 0)
            verify_found(v, RULE_P2M_GAP, "no frame for pfn %#" PRIx64 " on",
                         (uint64_t)i * per_frame);
        else if (pfn > v->max_pfn)
            verify_found(v, RULE_P2M_BEYOND,
                         "pfn %#" PRIx64 ", P2M to %#" PRIx64, pfn, v->max_pfn);
        else if (!verify_memory_has(v, pfn))
            verify_found(v, RULE_P2M_PAGE,
                         "pfn %#" PRIx64 ", which was not sent as a plain page",
                         pfn);
    }
}

/* Start info --------------------------------------------------------------- */

/* A second look at the records of the image. */
struct page_search {
    struct verify *v;
    uint64_t pfn;
    uint64_t at;    /* of the next record */
    uint64_t found; /* where the page was last sent; 0: nowhere */
    bool able;      /* the source has a way back */
};

static bool again(struct page_search *s, uint64_t offset, void *buffer,
                  size_t length, struct error *err)
{
    return source_read_again(s->v->outside, offset, buffer, length, &s->able,
                             err);
}

/* The frames of a PAGE_DATA record. */
static bool search_frames(struct page_search *s, uint32_t nr_frames,
                          struct error *err)
{
    uint64_t frames = s->at + PAGE_DATA_HEAD_SIZE(0);
    uint64_t page = frames + (uint64_t)nr_frames * 8;
    uint8_t words[256 * 8];
    uint32_t part;

    for (uint32_t done = 0; done < nr_frames; done += part) {
        part = (uint32_t)size_min(nr_frames - done, sizeof(words) / 8);
        if (!again(s, frames + (uint64_t)done * 8, words, (size_t)part * 8,
                   err))
            return false;
        if (!s->able)
            return true;
        for (uint32_t i = 0; i < part; i++) {
            uint64_t word =
                layout_integer(words, i * 8, 8, s->v->headers.order);

            if (!frame_type_has_page(frame_type(word)))
                continue;
            if (frame_pfn(word) == s->pfn)
                s->found = page;
            page += PAGE_SIZE;
        }
    }
    return true;
}

/* All that a restore places, up to the record at hand, which is END. */
static bool search_records(struct page_search *s, struct error *err)
{
    enum byte_order order = s->v->headers.order;
    uint8_t bytes[PAGE_DATA_HEAD_SIZE(0)];

    while (s->at < s->v->offset) {
        struct record_head head;

        /* Of a shorter record these are octets of the next. */
        if (!again(s, s->at, bytes, sizeof(bytes), err))
            return false;
        if (!s->able)
            return true;
        head = record_head_decode(bytes, order, s->at);
        /* Pages that follow are compared, and not the guest's. */
        if (head.type == XCREC_VERIFY)
            return true;
        if (head.type == XCREC_PAGE_DATA &&
            !search_frames(
                s, (uint32_t)layout_integer(bytes, RECORD_HEAD_SIZE, 4, order),
                err))
            return false;
        s->at += record_size(head.length);
    }
    return true;
}

static bool verify_start_info(struct verify *v, struct error *err)
{
    const struct pv_layout *l = pv_layout_of(v->width);
    const struct {
        const char *what;
        size_t at;
    } rings[] = {
        {"store",   l->store_mfn  },
        {"console", l->console_mfn},
    };
    struct page_search s = {
        .v = v, .pfn = v->vcpu_frames[0].start_info, .at = v->pages_offset};
    uint8_t page[PAGE_SIZE];

    /* What a legacy image has is judged when it has been converted. */
    if ((!v->legacy && !search_records(&s, err)) ||
        (s.found && !again(&s, s.found, page, sizeof(page), err)))
        return false;
    if (!s.found || !s.able) {
        verify_found(v, RULE_START_INFO_UNREAD, "pfn %#" PRIx64, s.pfn);
        return true;
    }
    v->offset = s.found;
    v->where = "PAGE_DATA";
    for (size_t i = 0; i < ARRAY_SIZE(rings); i++) {
        uint64_t pfn = pv_word_get(l, page, rings[i].at);

        if (!verify_memory_has(v, pfn))
            verify_found(v, RULE_START_INFO_RING,
                         "the %s's ring at pfn %#" PRIx64
                         ", which was not sent as a plain page",
                         rings[i].what, pfn);
    }
    return true;
}

/* Once: at the END of a plain image, if vCPU 0 names a page. */
static bool start_info_is_due(const struct verify *v, bool end)
{
    return end && v->nr_checkpoints == 0 && v->nr_vcpu_frames > 0 &&
           v->vcpu_frames[0].offset != 0 &&
           verify_memory_has(v, v->vcpu_frames[0].start_info);
}

bool verify_pv_round_end(struct verify *v, bool end, struct error *err)
{
    const char *where = v->where;
    uint64_t offset = v->offset;
    bool due = start_info_is_due(v, end);
    bool ok;

    for (uint32_t vcpu = 0; vcpu < v->nr_vcpu_frames; vcpu++)
        if (v->vcpu_frames[vcpu].offset != 0)
            verify_vcpu_frames(v, vcpu, &v->vcpu_frames[vcpu]);
    /* A long list, which many a CHECKPOINT with nothing else is not worth. */
    if (v->have_p2m && v->width != 0 && (end || v->nr_vcpu_frames > 0))
        verify_p2m_pages(v);
    v->where = where;
    v->offset = offset;
    ok = !due || verify_start_info(v, err);
    v->where = where;
    v->offset = offset;
    if (v->nr_vcpu_frames > 0)
        memset(v->vcpu_frames, 0, v->nr_vcpu_frames * sizeof(*v->vcpu_frames));
    v->nr_vcpu_frames = 0;
    return ok;
}
