/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hypercall.h"

#include "layout.h"
#include "panic.h"

#define CPUID_XEN_FIRST 0x40000000
#define CPUID_XEN_LAST  0x40010000

extern uint8_t hypercall_page[PAGE_SIZE];

static bool page_from_host;

/* Xen's leaves move up by 0x100 where it also shows viridian ones. */
static uint32_t xen_cpuid_base(void)
{
    for (uint32_t base = CPUID_XEN_FIRST; base < CPUID_XEN_LAST;
         base += 0x100) {
        struct cpuid id = cpu_id(base);

        /* "XenVMMXenVMM" */
        if (id.b == 0x566e6558 && id.c == 0x65584d4d && id.d == 0x4d4d566e)
            return base;
    }
    return 0;
}

void hypercall_reinit(void)
{
    uint32_t base;

    if (page_from_host)
        return;
    base = xen_cpuid_base();
    if (!base)
        panic("no Xen leaves in CPUID", 0, 0);
    cpu_msr_write(cpu_id(base + 2).b, (uintptr_t)hypercall_page);
}

void hypercall_init(bool filled_by_host)
{
    page_from_host = filled_by_host;
    hypercall_reinit();
}

long hypercall(unsigned int nr, uint64_t a1, uint64_t a2, uint64_t a3)
{
    long ret;

    __asm__ volatile("call *%[entry]"
                     : "=a"(ret), "+D"(a1), "+S"(a2), "+d"(a3)
                     : [entry] "r"(hypercall_page + nr * 32UL)
                     : "memory", "rcx", "r8", "r9", "r10", "r11");
    return ret;
}

uint64_t hvm_param(unsigned int index)
{
    struct xen_hvm_param param = {.domid = DOMID_SELF, .index = index};
    long ret = hvm_op(HVMOP_get_param, &param);

    if (ret)
        panic("HVMOP_get_param", index, (uint64_t)ret);
    return param.value;
}

void map_xen_page(unsigned int space, uint64_t index, uint64_t gfn)
{
    struct xen_add_to_physmap map = {
        .domid = DOMID_SELF, .space = space, .idx = index, .gpfn = gfn};
    long ret = memory_op(XENMEM_add_to_physmap, &map);

    if (ret)
        panic("XENMEM_add_to_physmap", gfn, (uint64_t)ret);
}
