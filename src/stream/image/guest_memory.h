/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory of the guest in an image file, by guest-physical address and, by
 * way of the guest's own page tables, by virtual address.
 *
 * Tables of a PV guest name pfns in an image, as those of an HVM guest do:
 * one walk serves both.
 */
#ifndef STREAM_IMAGE_GUEST_MEMORY_H
#define STREAM_IMAGE_GUEST_MEMORY_H

#include "stream/image/guest_state.h"
#include "stream/image/page_index.h"

struct guest_memory {
    const struct page_index *index;
    int fd;        /* of the image */
    uint64_t base; /* octet of the file where the index's offset 0 is */
};

/* Whether the image has contents for the frame. */
bool guest_memory_has(const struct guest_memory *m, uint64_t pfn);

/* One page; a frame without contents is ERR_STATE. */
must_check bool guest_memory_page(const struct guest_memory *m, uint64_t pfn,
                                  uint8_t page[PAGE_SIZE], struct error *err);

/* What a virtual address range of one table entry maps to. */
struct guest_mapping {
    uint64_t virtual_address;
    uint64_t physical_address;
    uint64_t size; /* 4 KiB, 2 or 4 MiB, 1 GiB */
};

enum walk_outcome { WALK_MAPPED, WALK_NOT_MAPPED, WALK_FAILED };

/* The mapping that 'address' lies in. */
enum walk_outcome guest_memory_walk(const struct guest_memory *m,
                                    const struct guest_registers *regs,
                                    uint64_t address, struct guest_mapping *ret,
                                    struct error *err);

/*
 * Every mapping, in order of their virtual addresses as the tables have them.
 * 'visit' returns false, with 'err' set, to stop.  Tables that the image does
 * not have are left out; more tables than the guest has frames are ERR_LIMIT,
 * for tables may form a circle.
 */
must_check bool guest_memory_mappings(
    const struct guest_memory *m, const struct guest_registers *regs,
    bool (*visit)(void *context, const struct guest_mapping *mapping,
                  struct error *err),
    void *context, struct error *err);

#endif
