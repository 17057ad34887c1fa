/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest virtual addresses, through the guest's own four-level page tables.
 */
#ifndef HOSTD_PAGE_WALK_H
#define HOSTD_PAGE_WALK_H

#include "hostd/guest_machine.h"

enum access { ACCESS_READ, ACCESS_WRITE };

/* Where 'address' is in guest memory.  False: not mapped, or not writable. */
bool page_walk(const struct guest_memory *m, uint64_t cr3, uint64_t address,
               enum access access, uint64_t *ret_gpa);

/*
 * Copy between the guest, as its vCPU 'v' addresses it, and us.  False if any
 * part is not there; what comes before that part may have been copied.
 */
bool guest_read(const struct machine *m, const struct vcpu *v, uint64_t address,
                void *to, size_t length);
bool guest_write(const struct machine *m, const struct vcpu *v,
                 uint64_t address, const void *from, size_t length);

/* As guest_write(), to an area that was named under other page tables. */
bool guest_area_write(const struct machine *m, const struct guest_area *area,
                      const void *from, size_t length);

#endif
