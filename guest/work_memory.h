/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory workload: pages that are verified and rewritten in turn.
 *
 * Every vCPU has its own run of pages.  A ledger, at the start of the area,
 * has the generation that each page must hold; each visit checks the whole
 * page against it and writes the next generation.
 */
#ifndef GUEST_WORK_MEMORY_H
#define GUEST_WORK_MEMORY_H

#include "vcpu.h"

/* Lay out 'bytes' of RAM from WORK_BASE up; 'ram_end' bounds it. */
void work_memory_init(uint64_t bytes, uint64_t ram_end, unsigned int nr_vcpus);

/* Visit up to 'pages' pages of the calling vCPU. */
void work_memory_step(uint64_t pages);

/* Page visits so far, of all vCPUs, and the pages there are. */
uint64_t work_memory_generation(void);
uint64_t work_memory_pages(void);

#endif
