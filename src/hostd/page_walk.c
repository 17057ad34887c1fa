/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/page_walk.h"

#include <string.h>

#define ENTRY_PRESENT  (UINT64_C(1) << 0)
#define ENTRY_WRITABLE (UINT64_C(1) << 1)
#define ENTRY_LARGE    (UINT64_C(1) << 7)
#define ENTRY_ADDRESS  UINT64_C(0x000ffffffffff000)

bool page_walk(const struct guest_memory *m, uint64_t cr3, uint64_t address,
               enum access access, uint64_t *ret_gpa)
{
    uint64_t table = cr3 & ENTRY_ADDRESS;
    int64_t high = (int64_t)address >> 47;

    if (cr3 == CR3_NONE) {
        *ret_gpa = address;
        return true;
    }
    if (high != 0 && high != -1)
        return false;
    for (unsigned int shift = 39;; shift -= 9) {
        uint64_t span = (UINT64_C(1) << shift) - 1;
        const uint64_t *entry = guest_memory_at(
            m, table + (address >> shift & 511) * sizeof(*entry),
            sizeof(*entry));

        if (!entry || !(*entry & ENTRY_PRESENT) ||
            (access == ACCESS_WRITE && !(*entry & ENTRY_WRITABLE)))
            return false;
        table = *entry & ENTRY_ADDRESS;
        if (shift == 12 || (shift < 39 && (*entry & ENTRY_LARGE))) {
            *ret_gpa = (table & ~span) | (address & span);
            return true;
        }
    }
}

/* The part of one page that 'address' is in; *length is cut to it. */
static void *page_part(const struct machine *m, uint64_t cr3, uint64_t address,
                       enum access access, size_t *length)
{
    uint64_t gpa;

    *length = size_min(*length, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
    if (!page_walk(&m->memory, cr3, address, access, &gpa))
        return NULL;
    return guest_memory_at(&m->memory, gpa, *length);
}

static bool copy_out(const struct machine *m, uint64_t cr3, uint64_t address,
                     const void *from, size_t length)
{
    while (length) {
        size_t part = length;
        void *there = page_part(m, cr3, address, ACCESS_WRITE, &part);

        if (!there)
            return false;
        memcpy(there, from, part);
        from = (const uint8_t *)from + part;
        address += part;
        length -= part;
    }
    return true;
}

bool guest_read(const struct machine *m, const struct vcpu *v, uint64_t address,
                void *to, size_t length)
{
    while (length) {
        size_t part = length;
        const void *there = page_part(m, v->cr3, address, ACCESS_READ, &part);

        if (!there)
            return false;
        memcpy(to, there, part);
        to = (uint8_t *)to + part;
        address += part;
        length -= part;
    }
    return true;
}

bool guest_write(const struct machine *m, const struct vcpu *v,
                 uint64_t address, const void *from, size_t length)
{
    return copy_out(m, v->cr3, address, from, length);
}

bool guest_area_write(const struct machine *m, const struct guest_area *area,
                      const void *from, size_t length)
{
    return copy_out(m, area->cr3, area->address, from, length);
}
