/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registers of a vCPU, the same for PV and HVM guests.
 *
 * Of a PV guest cr3 is the table that was in use (the kernel's or the user's),
 * as an address in the guest's own frame numbers.
 */
#ifndef STREAM_IMAGE_GUEST_REGISTERS_H
#define STREAM_IMAGE_GUEST_REGISTERS_H

#include "stream/image/guest_image.h"

/* Nobody has more. */
#define GUEST_VCPUS_MAX 8192

enum guest_paging {
    PAGING_NONE,
    PAGING_32,  /* two levels */
    PAGING_PAE, /* three */
    PAGING_4,
    PAGING_5,
};

/* X(field) for each 64-bit register. */
/* clang-format off */
#define GUEST_REGISTERS(X)                                       \
    X(rax) X(rbx) X(rcx) X(rdx) X(rsi) X(rdi) X(rbp) X(rsp)      \
    X(r8) X(r9) X(r10) X(r11) X(r12) X(r13) X(r14) X(r15)        \
    X(rip) X(rflags) X(cs) X(ds) X(es) X(fs) X(gs) X(ss)         \
    X(fs_base) X(gs_base) X(cr0) X(cr2) X(cr3) X(cr4) X(efer)
/* clang-format on */

struct guest_registers {
    uint32_t vcpu;
    bool wide; /* the guest is a 64-bit one: PV, or HVM in long mode */
    bool online;
    enum guest_paging paging;
#define X(name) uint64_t name;
    GUEST_REGISTERS(X)
#undef X
};

/* The i-th vCPU of the image; false where there is none. */
bool guest_registers_get(const struct guest_image *g, size_t i,
                         struct guest_registers *ret);

#endif
