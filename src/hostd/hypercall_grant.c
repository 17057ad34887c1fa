/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_grant_table_op, version 1. */
#include "hostd/grant_maps.h"
#include "hostd/grants.h"
#include "hostd/hypercall_serve.h"

/* More operations than this in one call would hold the baton for too long. */
#define OPERATIONS_MAX 1024u

static int16_t setup_table(struct hypercall *c, struct gnttab_setup_table *op)
{
    if (!hypercall_means_self(c, op->dom))
        return GNTST_permission_denied;
    if (grants_grow(c->m, op->nr_frames))
        return GNTST_general_error;
    for (uint32_t i = 0; i < op->nr_frames; i++) {
        xen_pfn_t gfn = c->m->memory.xen_gfn[XEN_PAGE_GRANT_FIRST + i];

        if (!hypercall_write(c, (uintptr_t)op->frame_list.p + i * sizeof(gfn),
                             &gfn, sizeof(gfn)))
            return GNTST_bad_virt_addr;
    }
    return GNTST_okay;
}

static int16_t query_size(struct hypercall *c, struct gnttab_query_size *op)
{
    if (!hypercall_means_self(c, op->dom))
        return GNTST_permission_denied;
    op->nr_frames = c->m->grants.nr_frames;
    op->max_nr_frames = GRANT_FRAMES_MAX;
    return GNTST_okay;
}

static int64_t setup_tables(struct hypercall *c)
{
    struct gnttab_setup_table op;

    if (c->arg[2] != 1)
        return -XEN_EINVAL;
    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    op.status = setup_table(c, &op);
    return hypercall_write(c, c->arg[1], &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t query_sizes(struct hypercall *c)
{
    struct gnttab_query_size op;

    if (c->arg[2] != 1)
        return -XEN_EINVAL;
    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    op.status = query_size(c, &op);
    return hypercall_write(c, c->arg[1], &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t get_version(struct hypercall *c)
{
    struct gnttab_get_version op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, op.dom))
        return -XEN_EPERM;
    op.version = 1;
    return hypercall_write(c, c->arg[1], &op, sizeof(op)) ? 0 : -XEN_EFAULT;
}

static int64_t set_version(struct hypercall *c)
{
    struct gnttab_set_version op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    return op.version == 1 ? 0 : -XEN_EINVAL;
}

/* ---- operations that other guests may have to stand still for ----------- */

static int16_t copy_one(struct hypercall *c, const struct gnttab_copy *op)
{
    struct machine *from, *to;

    if (!hypercall_means_self(c, op->source.domid) &&
        !hypercall_means_self(c, op->dest.domid) &&
        op->source.domid != op->dest.domid) {
        (void)hypercall_unknown(c);
        return GNTST_general_error;
    }
    if (!hypercall_guest(c, op->source.domid, &from) ||
        !hypercall_guest(c, op->dest.domid, &to))
        return GNTST_general_error;
    return from && to ? grants_copy(c->m, from, to, op) : GNTST_bad_domain;
}

static void copy(struct hypercall *c, void *argument)
{
    struct gnttab_copy *op = argument;

    op->status = copy_one(c, op);
}

static void map(struct hypercall *c, void *argument)
{
    struct gnttab_map_grant_ref *op = argument;
    struct machine *granter;

    if (!hypercall_guest(c, op->dom, &granter))
        return;
    op->status = GNTST_bad_domain;
    if (granter)
        grant_maps_map(c->m, granter, op);
}

static void unmap(struct hypercall *c, void *argument)
{
    struct gnttab_unmap_grant_ref *op = argument;
    struct machine *granter;

    if (hypercall_guest(c, grant_maps_granter(c->m, op->handle), &granter))
        grant_maps_unmap(c->m, granter, op);
}

/* Each of the array's; if one has to be put off, it and those behind it. */
static int64_t each(struct hypercall *c, size_t size,
                    void (*serve)(struct hypercall *c, void *argument))
{
    union {
        struct gnttab_copy copy;
        struct gnttab_map_grant_ref map;
        struct gnttab_unmap_grant_ref unmap;
    } op;

    for (; c->arg[2]; c->arg[1] += size, c->arg[2]--) {
        if (!hypercall_read(c, c->arg[1], &op, size))
            return -XEN_EFAULT;
        serve(c, &op);
        if (c->put_off)
            return 0;
        if (!hypercall_write(c, c->arg[1], &op, size))
            return -XEN_EFAULT;
    }
    return 0;
}

int64_t hypercall_grant_table_op(struct hypercall *c)
{
    if (c->arg[2] > OPERATIONS_MAX)
        return -XEN_EINVAL;
    switch (c->arg[0]) {
    case GNTTABOP_setup_table:
        return setup_tables(c);
    case GNTTABOP_query_size:
        return query_sizes(c);
    case GNTTABOP_get_version:
        return get_version(c);
    case GNTTABOP_set_version:
        return set_version(c);
    case GNTTABOP_copy:
        return each(c, sizeof(struct gnttab_copy), copy);
    case GNTTABOP_map_grant_ref:
        return each(c, sizeof(struct gnttab_map_grant_ref), map);
    case GNTTABOP_unmap_grant_ref:
        return each(c, sizeof(struct gnttab_unmap_grant_ref), unmap);
    default:
        return hypercall_unknown(c);
    }
}
