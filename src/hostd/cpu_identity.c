/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/cpu_identity.h"

#define LEAF_BASIC    0x00000000u
#define LEAF_XEN      0x40000000u
#define LEAF_EXTENDED 0x80000000u

/* FPU TSC MSR PAE CX8 SEP CMOV PAT CLFLUSH MMX FXSR SSE SSE2 */
#define FEATURES_1D 0x07898931u
/* SSE3 CX16, and that there is a hypervisor */
#define FEATURES_1C 0x80002001u
/* SYSCALL LM */
#define FEATURES_80000001D 0x20000800u

#define ADDRESS_BITS 0x3028u /* 48 virtual, 40 physical */

#define XEN_VERSION        (4u << 16 | 17u)
#define XEN_HYPERCALL_MSR  0x40000000u
#define XEN_HVM_VCPU_ID    (1u << 3)
#define XEN_HVM_DOMID      (1u << 4)
#define XEN_LEAVES_HIGHEST (LEAF_XEN + 4)

static void set(uint32_t regs[4], uint32_t a, uint32_t b, uint32_t c,
                uint32_t d)
{
    regs[0] = a;
    regs[1] = b;
    regs[2] = c;
    regs[3] = d;
}

void cpu_identity(uint32_t leaf, uint32_t subleaf, uint16_t domid,
                  unsigned int vcpu, uint32_t regs[4])
{
    (void)subleaf;
    set(regs, 0, 0, 0, 0);
    switch (leaf) {
    case LEAF_BASIC:
        /* "AuthenticAMD" */
        set(regs, 1, 0x68747541, 0x444d4163, 0x69746e65);
        break;
    case LEAF_BASIC + 1:
        set(regs, 0x00100f00, vcpu << 25 | 8 << 8, FEATURES_1C, FEATURES_1D);
        break;
    case LEAF_EXTENDED:
        set(regs, LEAF_EXTENDED + 8, 0, 0, 0);
        break;
    case LEAF_EXTENDED + 1:
        set(regs, 0x00100f00, 0, 0, FEATURES_80000001D);
        break;
    case LEAF_EXTENDED + 8:
        set(regs, ADDRESS_BITS, 0, 0, 0);
        break;
    case LEAF_XEN:
        /* "XenVMMXenVMM" */
        set(regs, XEN_LEAVES_HIGHEST, 0x566e6558, 0x65584d4d, 0x4d4d566e);
        break;
    case LEAF_XEN + 1:
        set(regs, XEN_VERSION, 0, 0, 0);
        break;
    case LEAF_XEN + 2:
        set(regs, 1, XEN_HYPERCALL_MSR, 0, 0);
        break;
    case LEAF_XEN + 4:
        set(regs, XEN_HVM_VCPU_ID | XEN_HVM_DOMID, vcpu, domid, 0);
        break;
    default:
        break;
    }
}
