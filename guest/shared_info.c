/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "shared_info.h"

#include "hypercall.h"
#include "layout.h"

void shared_info_map(void)
{
    map_xen_page(XENMAPSPACE_shared_info, 0, SHARED_INFO_GFN);
}

struct shared_info *shared_info(void)
{
    return (struct shared_info *)((uintptr_t)SHARED_INFO_GFN << PAGE_SHIFT);
}
