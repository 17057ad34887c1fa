/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/pv_p2m.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* 16 TiB: the stream gives the last pfn 32 bits. */
#define NR_PFNS_MAX (UINT64_C(1) << 32)

/* Addresses that are Xen's, not the guest's. */
#define XEN_64_FIRST UINT64_C(0xffff800000000000)
#define XEN_64_LAST  UINT64_C(0xffff87ffffffffff)
#define XEN_32_FIRST UINT64_C(0xf5800000)

static size_t entries_per_frame(const struct pv_p2m *p)
{
    return PAGE_SIZE / p->layout->width;
}

static uint64_t shared_word(const struct pv_p2m *p, size_t offset)
{
    return pv_word_get(p->layout, p->shared_info, offset);
}

/* Copy a frame of the guest's into 'page'. */
static bool read_frame(const struct pv_p2m *p, uint64_t mfn, const char *what,
                       uint8_t *page, struct error *err)
{
    struct host_mapping mapping = {0};
    int map_errno;

    if (!p->host->ops->map_frames(p->host, p->domid, MAP_READ, &mfn, 1,
                                  &map_errno, &mapping, err))
        return false;
    if (!map_errno)
        memcpy(page, mapping.pages, PAGE_SIZE);
    p->host->ops->unmap_frames(p->host, &mapping);
    if (map_errno)
        return error_set_errno(err, ERR_GUEST, map_errno,
                               "P2M: %s at mfn %#" PRIx64 " cannot be mapped",
                               what, mfn);
    return true;
}

/*
 * A walker over page tables that keeps the last table of each level: leaves
 * that follow each other share all but the last.
 */
struct walker {
    const struct pv_p2m *p;
    uint64_t mfn[5]; /* of the table held for level 1..4; UINT64_MAX: none */
    uint64_t table[5][PTE_PER_PAGE];
};

static bool walk_to(struct walker *w, uint64_t address, uint64_t *ret_mfn,
                    struct error *err)
{
    const struct pv_layout *l = w->p->layout;
    uint64_t mfn = pv_cr3_to_frame(l, shared_word(w->p, l->p2m_cr3));

    for (uint32_t level = l->levels; level > 0; level--) {
        unsigned int shift =
            PAGE_SHIFT + PTE_INDEX_BITS * (unsigned int)(level - 1);
        size_t index = (size_t)(address >> shift) % PTE_PER_PAGE;
        uint64_t pte;

        if (w->mfn[level] != mfn) {
            if (!read_frame(w->p, mfn, "page table", (uint8_t *)w->table[level],
                            err))
                return false;
            w->mfn[level] = mfn;
        }
        pte = w->table[level][index];
        if (!(pte & PTE_PRESENT) || (level > 1 && pte & PTE_PSE))
            return error_set(err, ERR_GUEST,
                             "P2M: level %" PRIu32 " entry %#" PRIx64
                             " for address %#" PRIx64
                             ", expected one that is present and no superpage",
                             level, pte, address);
        mfn = pte_frame(pte);
    }
    *ret_mfn = mfn;
    return true;
}

static bool check_list_range(const struct pv_p2m *p, uint64_t first,
                             uint64_t size, struct error *err)
{
    uint64_t last = first + size - 1;
    bool good = first % PAGE_SIZE == 0 && last >= first;

    if (p->layout->width == 8) {
        /* Canonical, one half, and outside Xen's part of the upper one. */
        bool low = last <= UINT64_C(0x00007fffffffffff);
        bool high = first >= UINT64_C(0xffff800000000000);

        good = good && (low || high) &&
               (last < XEN_64_FIRST || first > XEN_64_LAST);
    } else {
        good = good && last < XEN_32_FIRST;
    }
    if (!good)
        return error_set(err, ERR_GUEST,
                         "P2M: list at %#" PRIx64 " to %#" PRIx64
                         ", expected a page-aligned range of the guest's own",
                         first, last);
    return true;
}

static bool locate_list(struct pv_p2m *p, uint64_t *mfns, size_t nr,
                        struct error *err)
{
    cleanup_free struct walker *w = calloc(1, sizeof(*w));
    uint64_t first = shared_word(p, p->layout->p2m_vaddr);

    if (!w)
        return error_set(err, ERR_NO_MEMORY, "P2M: walker");
    if (!check_list_range(p, first, nr * PAGE_SIZE, err))
        return false;
    w->p = p;
    memset(w->mfn, 0xff, sizeof(w->mfn));
    for (size_t i = 0; i < nr; i++)
        if (!walk_to(w, first + i * PAGE_SIZE, &mfns[i], err))
            return false;
    return true;
}

static bool locate_tree(struct pv_p2m *p, uint64_t *mfns, size_t nr,
                        struct error *err)
{
    size_t fpp = entries_per_frame(p);
    uint8_t top[PAGE_SIZE], middle[PAGE_SIZE];
    uint64_t top_mfn = shared_word(p, p->layout->frame_list_list);

    if (top_mfn == 0 || nr > fpp * fpp)
        return error_set(err, ERR_GUEST,
                         "P2M: tree of %zu frames at mfn %#" PRIx64
                         ", expected at most %zu and a frame",
                         nr, top_mfn, fpp * fpp);
    if (!read_frame(p, top_mfn, "top frame", top, err))
        return false;
    for (size_t i = 0; i < nr; i++) {
        if (i % fpp == 0 &&
            !read_frame(p,
                        pv_word_get(p->layout, top, i / fpp * p->layout->width),
                        "middle frame", middle, err))
            return false;
        mfns[i] = pv_word_get(p->layout, middle, i % fpp * p->layout->width);
    }
    return true;
}

static bool locate(struct pv_p2m *p, uint64_t *mfns, size_t nr,
                   struct error *err)
{
    return p->list_form ? locate_list(p, mfns, nr, err)
                        : locate_tree(p, mfns, nr, err);
}

/*
 * Guests that can grow describe far more pfns than they have: the table ends
 * in one frame without entries, again and again.  Keep one of it.
 */
static void trim_leaves(struct pv_p2m *p)
{
    size_t fpp = entries_per_frame(p);

    while (p->nr_leaves > 1 &&
           p->leaf_mfns[p->nr_leaves - 1] == p->leaf_mfns[p->nr_leaves - 2])
        p->nr_leaves--;
    if (p->nr_pfns > p->nr_leaves * fpp)
        p->nr_pfns = p->nr_leaves * fpp;
}

static bool map_leaves(struct pv_p2m *p, struct error *err)
{
    size_t nr_mappings = (p->nr_leaves + HOST_BATCH_MAX - 1) / HOST_BATCH_MAX;
    int errors[HOST_BATCH_MAX];

    p->mappings = calloc(nr_mappings, sizeof(*p->mappings));
    if (!p->mappings)
        return error_set(err, ERR_NO_MEMORY, "P2M: mappings");
    for (size_t i = 0; i < nr_mappings; i++) {
        size_t first = i * HOST_BATCH_MAX;
        size_t nr = size_min(HOST_BATCH_MAX, p->nr_leaves - first);

        if (!p->host->ops->map_frames(p->host, p->domid, MAP_READ,
                                      p->leaf_mfns + first, nr, errors,
                                      &p->mappings[i], err))
            return false;
        for (size_t j = 0; j < nr; j++)
            if (errors[j])
                return error_set_errno(err, ERR_GUEST, errors[j],
                                       "P2M: frame %zu at mfn %#" PRIx64
                                       " cannot be mapped",
                                       first + j, p->leaf_mfns[first + j]);
    }
    return true;
}

bool pv_p2m_map(struct pv_p2m *p, struct error *err)
{
    const struct pv_layout *l = p->layout;
    size_t fpp = entries_per_frame(p);

    p->nr_pfns = shared_word(p, l->max_pfn); /* named max, but a count */
    p->list_form = shared_word(p, l->p2m_cr3) != 0;
    p->generation = shared_word(p, l->p2m_generation);
    if (p->nr_pfns == 0 || p->nr_pfns > NR_PFNS_MAX)
        return error_set(err, ERR_GUEST,
                         "P2M: %" PRIu64 " pfns, expected 1 to %" PRIu64,
                         p->nr_pfns, NR_PFNS_MAX);
    if (!p->host->ops->m2p_map(p->host, &p->m2p, err))
        return false;
    p->nr_leaves = (size_t)((p->nr_pfns + fpp - 1) / fpp);
    p->leaf_mfns = calloc(p->nr_leaves, sizeof(*p->leaf_mfns));
    if (!p->leaf_mfns)
        return error_set(err, ERR_NO_MEMORY, "P2M: %zu frames", p->nr_leaves);
    if (!locate(p, p->leaf_mfns, p->nr_leaves, err))
        return false;
    trim_leaves(p);
    return map_leaves(p, err) && pv_p2m_check(p, err);
}

void pv_p2m_release(struct pv_p2m *p)
{
    size_t nr_mappings = (p->nr_leaves + HOST_BATCH_MAX - 1) / HOST_BATCH_MAX;

    for (size_t i = 0; p->mappings && i < nr_mappings; i++)
        p->host->ops->unmap_frames(p->host, &p->mappings[i]);
    free(p->mappings);
    free(p->leaf_mfns);
    if (p->m2p.mapping.pages)
        p->host->ops->m2p_unmap(p->host, &p->m2p);
    p->mappings = NULL;
    p->leaf_mfns = NULL;
    p->nr_leaves = 0;
}

bool pv_p2m_check(struct pv_p2m *p, struct error *err)
{
    cleanup_free uint64_t *now = NULL;

    if (p->list_form) {
        uint64_t generation = shared_word(p, p->layout->p2m_generation);

        if (generation != p->generation || generation % 2)
            return error_set(err, ERR_GUEST,
                             "P2M: the guest rearranged it during the move: "
                             "generation %" PRIu64 ", expected %" PRIu64,
                             generation, p->generation);
        return true;
    }
    /* A tree has no generation: look whether its frames are the same. */
    now = calloc(p->nr_leaves, sizeof(*now));
    if (!now)
        return error_set(err, ERR_NO_MEMORY, "P2M: %zu frames", p->nr_leaves);
    if (!locate(p, now, p->nr_leaves, err))
        return false;
    for (size_t i = 0; i < p->nr_leaves; i++)
        if (now[i] != p->leaf_mfns[i])
            return error_set(err, ERR_GUEST,
                             "P2M: the guest rearranged it during the move: "
                             "frame %zu is mfn %#" PRIx64
                             ", expected %#" PRIx64,
                             i, now[i], p->leaf_mfns[i]);
    return true;
}

uint64_t pv_p2m_frame(const struct pv_p2m *p, uint64_t pfn)
{
    size_t fpp = entries_per_frame(p);
    size_t leaf = (size_t)(pfn / fpp);
    const uint8_t *page = p->mappings[leaf / HOST_BATCH_MAX].pages +
                          leaf % HOST_BATCH_MAX * PAGE_SIZE;
    uint64_t mfn =
        pv_word_get(p->layout, page, (size_t)(pfn % fpp) * p->layout->width);

    /* Also what the guest marks in high bits: foreign, identity. */
    return mfn < p->m2p.nr_mfns ? mfn : UINT64_MAX;
}

uint64_t pv_p2m_pfn(const struct pv_p2m *p, uint64_t mfn)
{
    uint64_t pfn;

    if (mfn >= p->m2p.nr_mfns)
        return UINT64_MAX;
    pfn = p->m2p.pfn_of[mfn];
    if (pfn >= p->nr_pfns || pv_p2m_frame(p, pfn) != mfn)
        return UINT64_MAX;
    return pfn;
}

bool pv_p2m_leaf_pfns(const struct pv_p2m *p, uint64_t *pfns, struct error *err)
{
    for (size_t i = 0; i < p->nr_leaves; i++) {
        pfns[i] = pv_p2m_pfn(p, p->leaf_mfns[i]);
        if (pfns[i] == UINT64_MAX)
            return error_set(err, ERR_GUEST,
                             "P2M: frame %zu at mfn %#" PRIx64
                             " is not one of the guest's own",
                             i, p->leaf_mfns[i]);
    }
    return true;
}
