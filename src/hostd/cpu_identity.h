/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's CPUID says: the same on every machine that runs this host,
 * so that a guest can move between any two of them.
 */
#ifndef HOSTD_CPU_IDENTITY_H
#define HOSTD_CPU_IDENTITY_H

#include <stdint.h>

/* regs: EAX, EBX, ECX, EDX. */
void cpu_identity(uint32_t leaf, uint32_t subleaf, uint16_t domid,
                  unsigned int vcpu, uint32_t regs[4]);

#endif
