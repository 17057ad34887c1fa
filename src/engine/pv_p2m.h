/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PV guest's own table from pfn to mfn, as it lies in the guest's memory.
 *
 *   list form   shared_info names page tables (p2m_cr3) and an address in
 *               them (p2m_vaddr) where the table is one array; changes of its
 *               layout change p2m_generation
 *   tree form   shared_info names a frame of mfns, which name frames of mfns,
 *               which name the table's frames
 *
 * The guest wrote all of it: every word is checked before it is followed.
 */
#ifndef ENGINE_PV_P2M_H
#define ENGINE_PV_P2M_H

#include "host/host.h"
#include "stream/xc/pv_layout.h"

struct pv_p2m {
    struct host *host; /* borrowed */
    uint32_t domid;
    const struct pv_layout *layout;
    const uint8_t *shared_info; /* borrowed; a page */
    struct host_m2p m2p;

    uint64_t nr_pfns;
    bool list_form;
    uint64_t generation; /* of the list form, when it was mapped */

    /* The frames that the table is in. */
    size_t nr_leaves;
    uint64_t *leaf_mfns;
    struct host_mapping *mappings; /* HOST_BATCH_MAX leaves each */
};

/*
 * Find and map the table.  'host', 'domid', 'layout' and 'shared_info' are
 * set.  On failure, too, pv_p2m_release() is to be called.
 */
must_check bool pv_p2m_map(struct pv_p2m *p, struct error *err);
void pv_p2m_release(struct pv_p2m *p);

/* Whether the table is still where it was. */
must_check bool pv_p2m_check(struct pv_p2m *p, struct error *err);

/* The mfn of 'pfn' now, or UINT64_MAX where the guest has none. */
uint64_t pv_p2m_frame(const struct pv_p2m *p, uint64_t pfn);

/*
 * The pfn of an mfn that both tables agree to be the guest's, or UINT64_MAX.
 */
uint64_t pv_p2m_pfn(const struct pv_p2m *p, uint64_t mfn);

/* pfns[i] is the pfn of the i-th frame of the table. */
must_check bool pv_p2m_leaf_pfns(const struct pv_p2m *p, uint64_t *pfns,
                                 struct error *err);

#endif
