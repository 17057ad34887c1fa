/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the frames of an image are, as their last records have it, and whether
 * those are there that an HVM guest's parameters name.
 *
 *    guest   frame                         'memory'   'top_tables'
 *    HVM     with a page, or to allocate   yes        -
 *    PV      with a page, no page table    yes        no
 *            page table of the top level   no         yes
 *    both    anything else                 no         no
 */
#include <inttypes.h>
#include <string.h>

#include "stream/verify_private.h"
#include "stream/xc/xc_x86_hvm.h"

static void keep(struct verify *v, struct pfn_set *set, uint64_t pfn,
                 uint32_t nr, bool in)
{
    if (!in)
        pfn_set_clear_run(set, pfn, nr);
    else if (!pfn_set_add_run(set, pfn, nr, false))
        v->memory_partial = true;
}

void verify_memory_note(struct verify *v, uint64_t pfn, uint32_t nr,
                        unsigned int type)
{
    unsigned int level = frame_type_table_level(type);

    if (v->order.guest == GUEST_HVM) {
        keep(v, &v->memory, pfn, nr, frame_type_needs_memory(type));
        return;
    }
    keep(v, &v->memory, pfn, nr, frame_type_has_page(type) && level == 0);
    keep(v, &v->top_tables, pfn, nr,
         v->width != 0 && level == pv_layout_of(v->width)->levels);
}

bool verify_memory_has(const struct verify *v, uint64_t pfn)
{
    return v->memory_partial || pfn_set_has(&v->memory, pfn);
}

bool verify_memory_has_top(const struct verify *v, uint64_t pfn)
{
    return v->memory_partial || pfn_set_has(&v->top_tables, pfn);
}

/* Rings of an HVM guest ---------------------------------------------------- */

static const uint32_t ring_params[RING_PARAMS] = {
    HVM_PARAM_INDEX_STORE_PFN,
    HVM_PARAM_INDEX_CONSOLE_PFN,
    HVM_PARAM_INDEX_IOREQ_PFN,
    HVM_PARAM_INDEX_BUFIOREQ_PFN,
};

void verify_ring(struct verify *v, uint64_t index, uint64_t gfn)
{
    for (size_t i = 0; i < RING_PARAMS; i++)
        if (index == ring_params[i])
            v->rings[i] = (struct ring_param){true, gfn, v->offset, v->where};
}

void verify_rings_round_end(struct verify *v)
{
    const char *where = v->where;
    uint64_t offset = v->offset;

    for (size_t i = 0; i < RING_PARAMS && !v->state.present; i++) {
        const struct ring_param *ring = &v->rings[i];

        if (!ring->given || verify_memory_has(v, ring->gfn))
            continue;
        v->where = ring->where;
        v->offset = ring->offset;
        verify_found(v, RULE_PARAMS_FRAME, "%s: frame %#" PRIx64,
                     hvm_param_name(ring_params[i]), ring->gfn);
    }
    v->where = where;
    v->offset = offset;
    memset(v->rings, 0, sizeof(v->rings));
}
