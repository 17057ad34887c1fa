/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_grant_table_op, version 1. */
#include "hostd/grants.h"
#include "hostd/hypercall_serve.h"

/* More operations than this in one call would hold the baton for too long. */
#define OPERATIONS_MAX 1024u

static bool names_itself(const struct hypercall *c, domid_t domid)
{
    return domid == DOMID_SELF || domid == c->m->domid;
}

static int16_t setup_table(struct hypercall *c, struct gnttab_setup_table *op)
{
    if (!names_itself(c, op->dom))
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
    if (!names_itself(c, op->dom))
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
    if (!names_itself(c, op.dom))
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

static int64_t copy(struct hypercall *c)
{
    for (uint64_t i = 0; i < c->arg[2]; i++) {
        struct gnttab_copy op;
        uint64_t at = c->arg[1] + i * sizeof(op);

        if (!hypercall_read(c, at, &op, sizeof(op)))
            return -XEN_EFAULT;
        op.status = grants_copy(c->m, &op);
        if (!hypercall_write(c, at, &op, sizeof(op)))
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
        return copy(c);
    default:
        return hypercall_unknown(c);
    }
}
