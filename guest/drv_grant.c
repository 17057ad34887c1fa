/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drv_grant.h"

#include "hypercall.h"
#include "layout.h"
#include "panic.h"

static struct grant_entry_v1 *table(void)
{
    return (struct grant_entry_v1 *)((uintptr_t)GRANT_TABLE_GFN << PAGE_SHIFT);
}

void grant_init(void)
{
    struct gnttab_set_version version = {.version = 1};
    long ret = hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_set_version,
                         (uintptr_t)&version, 1);

    /* A hypervisor without version 2 need not know the call either. */
    if (ret && ret != -38)
        panic("GNTTABOP_set_version", 1, (uint64_t)ret);
    map_xen_page(XENMAPSPACE_grant_table, 0, GRANT_TABLE_GFN);
}

void grant_access(grant_ref_t ref, domid_t domid, const void *page,
                  bool readonly)
{
    struct grant_entry_v1 *entry = &table()[ref];

    entry->frame = (uint32_t)((uintptr_t)page >> PAGE_SHIFT);
    entry->domid = domid;
    xen_wmb();
    WRITE_ONCE(entry->flags,
               (uint16_t)(GTF_permit_access | (readonly ? GTF_readonly : 0)));
}

bool grant_end(grant_ref_t ref)
{
    uint16_t *flags = &table()[ref].flags;
    uint16_t old = READ_ONCE(*flags);

    do {
        if (old & (GTF_reading | GTF_writing))
            return false;
    } while (!__atomic_compare_exchange_n(flags, &old, 0, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

const struct grant_entry_v1 *grant_entry(grant_ref_t ref)
{
    return &table()[ref];
}
