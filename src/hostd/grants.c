/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/grants.h"

#include <inttypes.h>
#include <string.h>

struct grant_entry_v1 *grants_entry(const struct machine *m, uint32_t ref)
{
    if (ref >= m->grants.nr_frames * GRANT_ENTRIES_PER_FRAME)
        return NULL;
    return (struct grant_entry_v1 *)(m->memory.xen_pages +
                                     XEN_PAGE_GRANT_FIRST * PAGE_SIZE) +
           ref;
}

int grants_grow(struct machine *m, uint32_t nr)
{
    if (nr > GRANT_FRAMES_MAX)
        return -XEN_EINVAL;
    if (nr > m->grants.nr_frames)
        m->grants.nr_frames = nr;
    return 0;
}

uint8_t *grants_begin(struct machine *m, uint32_t ref, enum grant_access access)
{
    struct grant_entry_v1 *entry = grants_entry(m, ref);
    struct grant_entry_v1 copy;
    uint8_t *page;

    if (!entry)
        return NULL;
    copy = *(volatile struct grant_entry_v1 *)entry;
    if ((copy.flags & GTF_type_mask) != GTF_permit_access || copy.domid != 0 ||
        (access == GRANT_WRITE && (copy.flags & GTF_readonly)))
        return NULL;
    page = guest_memory_page(&m->memory, copy.frame);
    if (!page)
        return NULL;
    entry->flags |= GTF_reading;
    if (access == GRANT_WRITE) {
        entry->flags |= GTF_writing;
        m->grants.use[ref].writers++;
    } else {
        m->grants.use[ref].readers++;
    }
    return page;
}

void grants_end(struct machine *m, uint32_t ref, enum grant_access access)
{
    struct grant_entry_v1 *entry = grants_entry(m, ref);
    struct grant_use *use = &m->grants.use[ref];

    if (access == GRANT_WRITE)
        use->writers--;
    else
        use->readers--;
    if (!entry)
        return;
    /* What we wrote in it counts as written now. */
    (void)guest_memory_page(&m->memory, entry->frame);
    if (!use->writers)
        entry->flags &= (uint16_t)~GTF_writing;
    if (!use->writers && !use->readers)
        entry->flags &= (uint16_t)~GTF_reading;
}

bool grants_seed(struct machine *m, uint32_t ref, uint64_t gfn,
                 struct error *err)
{
    struct grant_entry_v1 *entry;

    if (grants_grow(m, ref / GRANT_ENTRIES_PER_FRAME + 1) || gfn > UINT32_MAX ||
        !(entry = grants_entry(m, ref)))
        return error_set(err, ERR_LIMIT,
                         "grant %u of gfn %#" PRIx64 ": beyond the table", ref,
                         gfn);
    *entry = (struct grant_entry_v1){
        .flags = GTF_permit_access, .domid = 0, .frame = (uint32_t)gfn};
    return true;
}

/* One side of a copy: its octets, or NULL and a status. */
static uint8_t *copy_side(struct machine *m, bool by_ref, domid_t domid,
                          uint64_t frame, uint16_t offset, uint16_t length,
                          enum grant_access access, int16_t *ret_status)
{
    uint8_t *page;

    if (domid != DOMID_SELF && domid != m->domid) {
        *ret_status = GNTST_bad_domain;
        return NULL;
    }
    if (by_ref) {
        const struct grant_entry_v1 *entry = grants_entry(m, (uint32_t)frame);

        if (!entry || (entry->flags & GTF_type_mask) != GTF_permit_access ||
            entry->domid != m->domid) {
            *ret_status = GNTST_bad_gntref;
            return NULL;
        }
        if (access == GRANT_WRITE && (entry->flags & GTF_readonly)) {
            *ret_status = GNTST_permission_denied;
            return NULL;
        }
        frame = entry->frame;
    }
    if (offset > PAGE_SIZE || length > PAGE_SIZE - offset) {
        *ret_status = GNTST_bad_copy_arg;
        return NULL;
    }
    page = guest_memory_page(&m->memory, frame);
    if (!page) {
        *ret_status = GNTST_bad_page;
        return NULL;
    }
    return page + offset;
}

int16_t grants_copy(struct machine *m, const struct gnttab_copy *op)
{
    bool from_ref = op->flags & GNTCOPY_source_gref;
    bool to_ref = op->flags & GNTCOPY_dest_gref;
    int16_t status = GNTST_okay;
    uint8_t *from, *to;

    from = copy_side(m, from_ref, op->source.domid,
                     from_ref ? op->source.u.ref : op->source.u.gmfn,
                     op->source.offset, op->len, GRANT_READ, &status);
    if (!from)
        return status;
    to = copy_side(m, to_ref, op->dest.domid,
                   to_ref ? op->dest.u.ref : op->dest.u.gmfn, op->dest.offset,
                   op->len, GRANT_WRITE, &status);
    if (!to)
        return status;
    memmove(to, from, op->len);
    return GNTST_okay;
}
