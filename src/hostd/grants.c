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

/* The page that 'domid' may use so, and keep until grants_end(). */
static int16_t begin(struct machine *m, uint32_t ref, uint16_t domid,
                     enum grant_access access, uint8_t **ret_page)
{
    struct grant_entry_v1 *entry = grants_entry(m, ref);
    struct grant_entry_v1 copy;
    struct grant_use *use;
    uint8_t *page;

    if (!entry)
        return GNTST_bad_gntref;
    copy = *(volatile struct grant_entry_v1 *)entry;
    use = &m->grants.use[ref];
    if (use->readers || use->writers) {
        if (use->domid != domid)
            return GNTST_general_error;
        copy.frame = use->frame;
    } else if ((copy.flags & GTF_type_mask) != GTF_permit_access ||
               copy.domid != domid) {
        return GNTST_general_error;
    }
    if (access == GRANT_WRITE && (copy.flags & GTF_readonly))
        return GNTST_general_error;
    page = guest_memory_page(&m->memory, copy.frame);
    if (!page)
        return GNTST_bad_page;
    use->domid = domid;
    use->frame = copy.frame;
    entry->flags |= GTF_reading;
    if (access == GRANT_WRITE) {
        entry->flags |= GTF_writing;
        use->writers++;
    } else {
        use->readers++;
    }
    *ret_page = page;
    return GNTST_okay;
}

uint8_t *grants_begin(struct machine *m, uint32_t ref, enum grant_access access)
{
    uint8_t *page;

    return begin(m, ref, 0, access, &page) == GNTST_okay ? page : NULL;
}

int16_t grants_begin_guest(struct machine *m, uint32_t ref, uint16_t domid,
                           enum grant_access access, uint64_t *ret_gfn)
{
    uint8_t *page;
    int16_t status = begin(m, ref, domid, access, &page);

    if (status == GNTST_okay)
        *ret_gfn = m->grants.use[ref].frame;
    return status;
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
    /* What was written in it counts as written now. */
    (void)guest_memory_page(&m->memory, use->frame);
    if (!use->writers)
        entry->flags &= (uint16_t)~GTF_writing;
    if (!use->writers && !use->readers)
        entry->flags &= (uint16_t)~GTF_reading;
}

bool grants_is_lent(const struct machine *m, uint64_t gfn)
{
    for (uint32_t ref = 0; m->grants.nr_lent && ref < GRANT_ENTRIES_MAX;
         ref++) {
        const struct grant_use *use = &m->grants.use[ref];

        if ((use->readers || use->writers) && use->domid && use->frame == gfn)
            return true;
    }
    return false;
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

/* One side of a copy. */
struct copy_side {
    struct machine *owner;
    bool by_ref;
    uint32_t ref;
    enum grant_access access;
    uint8_t *page; /* NULL: not begun */
};

static int16_t copy_begin(struct copy_side *s, struct machine *m,
                          struct machine *owner, bool by_ref,
                          const struct gnttab_copy_ptr *p, uint16_t length,
                          enum grant_access access)
{
    *s = (struct copy_side){
        .owner = owner, .by_ref = by_ref, .ref = p->u.ref, .access = access};
    if (p->offset > PAGE_SIZE || length > PAGE_SIZE - p->offset)
        return GNTST_bad_copy_arg;
    if (by_ref)
        return begin(owner, p->u.ref, m->domid, access, &s->page);
    if (owner != m)
        return GNTST_permission_denied;
    s->page = guest_memory_page(&m->memory, p->u.gmfn);
    return s->page ? GNTST_okay : GNTST_bad_page;
}

static void copy_end(const struct copy_side *s)
{
    if (s->page && s->by_ref)
        grants_end(s->owner, s->ref, s->access);
}

int16_t grants_copy(struct machine *m, struct machine *from, struct machine *to,
                    const struct gnttab_copy *op)
{
    struct copy_side source, dest = {0};
    int16_t status;

    status = copy_begin(&source, m, from, op->flags & GNTCOPY_source_gref,
                        &op->source, op->len, GRANT_READ);
    if (status == GNTST_okay)
        status = copy_begin(&dest, m, to, op->flags & GNTCOPY_dest_gref,
                            &op->dest, op->len, GRANT_WRITE);
    if (status == GNTST_okay)
        memmove(dest.page + op->dest.offset, source.page + op->source.offset,
                op->len);
    copy_end(&dest);
    copy_end(&source);
    return status;
}
