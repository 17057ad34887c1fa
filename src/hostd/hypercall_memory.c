/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HYPERVISOR_memory_op: Xen's pages in the guest's view, and ballooning.
 * The guest can name itself only.
 */
#include "hostd/grants.h"
#include "hostd/hypercall_serve.h"

/* More extents than this in one call would hold the baton for too long. */
#define EXTENTS_MAX 65536u

static int64_t add_to_physmap(struct hypercall *c)
{
    struct xen_add_to_physmap op;
    struct error err;
    unsigned int page;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, op.domid))
        return -XEN_EPERM;
    switch (op.space) {
    case XENMAPSPACE_shared_info:
        if (op.idx != 0)
            return -XEN_EINVAL;
        page = XEN_PAGE_SHARED_INFO;
        break;
    case XENMAPSPACE_grant_table:
        if (op.idx >= GRANT_FRAMES_MAX ||
            grants_grow(c->m, (uint32_t)op.idx + 1))
            return -XEN_EINVAL;
        page = XEN_PAGE_GRANT_FIRST + (unsigned int)op.idx;
        break;
    default:
        return hypercall_unknown(c);
    }
    if (grants_is_lent(c->m, op.gpfn))
        return -XEN_EBUSY;
    return guest_memory_place(&c->m->memory, page, op.gpfn, &err) ? 0
                                                                  : -XEN_EINVAL;
}

static int64_t remove_from_physmap(struct hypercall *c)
{
    struct xen_remove_from_physmap op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, op.domid))
        return -XEN_EPERM;
    if (grants_is_lent(c->m, op.gpfn))
        return -XEN_EBUSY;
    if (guest_memory_displace(&c->m->memory, op.gpfn) ||
        guest_memory_give_back(&c->m->memory, op.gpfn))
        return 0;
    return -XEN_ENOENT;
}

static bool read_reservation(struct hypercall *c,
                             struct xen_memory_reservation *ret)
{
    return hypercall_read(c, c->arg[1], ret, sizeof(*ret));
}

/* The i-th extent of the caller's array. */
static bool read_extent(struct hypercall *c,
                        const struct xen_memory_reservation *r, uint64_t i,
                        uint64_t *ret)
{
    xen_pfn_t gfn;

    if (!hypercall_read(c, (uintptr_t)r->extent_start.p + i * sizeof(gfn), &gfn,
                        sizeof(gfn)))
        return false;
    *ret = gfn;
    return true;
}

/* As Xen: the number of extents done, whatever ended it. */
static int64_t decrease_reservation(struct hypercall *c)
{
    struct xen_memory_reservation r;
    uint64_t done;

    if (!read_reservation(c, &r))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, r.domid))
        return -XEN_EPERM;
    for (done = 0; done < r.nr_extents && done < EXTENTS_MAX; done++) {
        uint64_t gfn;

        if (r.extent_order != 0 || !read_extent(c, &r, done, &gfn) ||
            grants_is_lent(c->m, gfn) ||
            !guest_memory_give_back(&c->m->memory, gfn))
            break;
    }
    return (int64_t)done;
}

static int64_t populate_physmap(struct hypercall *c)
{
    struct xen_memory_reservation r;
    struct guest_memory *memory = &c->m->memory;
    struct error err;
    uint64_t done;

    if (!read_reservation(c, &r))
        return -XEN_EFAULT;
    if (!hypercall_means_self(c, r.domid))
        return -XEN_EPERM;
    for (done = 0; done < r.nr_extents && done < EXTENTS_MAX; done++) {
        uint64_t gfn;

        if (r.extent_order != 0 || !read_extent(c, &r, done, &gfn) ||
            memory->nr_populated >= c->m->max_pages ||
            !guest_memory_populate(memory, gfn, 1, &err))
            break;
    }
    return (int64_t)done;
}

static int64_t reservation_size(struct hypercall *c, uint64_t pages)
{
    struct xen_memory_domain op;

    if (!hypercall_read(c, c->arg[1], &op, sizeof(op)))
        return -XEN_EFAULT;
    return hypercall_means_self(c, op.domid) ? (int64_t)pages : -XEN_EPERM;
}

static int64_t maximum_gpfn(struct hypercall *c)
{
    uint64_t highest = 0;
    struct memory_run run;

    for (uint64_t gfn = 0; guest_memory_next_run(&c->m->memory, gfn, &run);
         gfn = run.gfn + run.nr)
        highest = run.gfn + run.nr - 1;
    return reservation_size(c, highest);
}

int64_t hypercall_memory_op(struct hypercall *c)
{
    switch (c->arg[0]) {
    case XENMEM_add_to_physmap:
        return add_to_physmap(c);
    case XENMEM_remove_from_physmap:
        return remove_from_physmap(c);
    case XENMEM_decrease_reservation:
        return decrease_reservation(c);
    case XENMEM_populate_physmap:
        return populate_physmap(c);
    case XENMEM_current_reservation:
        return reservation_size(c, c->m->memory.nr_populated);
    case XENMEM_maximum_reservation:
        return reservation_size(c, c->m->max_pages);
    case XENMEM_maximum_gpfn:
        return maximum_gpfn(c);
    default:
        return hypercall_unknown(c);
    }
}
