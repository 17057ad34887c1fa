/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/guest_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "stream/image/image_scan.h"
#include "stream/layout.h"
#include "stream/xc/xc_page_data.h"

#define PTE_PRESENT UINT64_C(1)
#define PTE_LARGE   (UINT64_C(1) << 7)
#define PTE_ADDRESS UINT64_C(0x000ffffffffff000)
#define LEVELS_MAX  5

/* How the entries of a guest's tables look. */
struct paging {
    unsigned int levels;
    unsigned int entry_size;
    unsigned int bits; /* of the address that a level takes */
};

static struct paging paging_of(const struct guest_registers *regs)
{
    bool narrow = regs->levels == 2;

    return (struct paging){
        .levels = regs->levels,
        .entry_size = narrow ? 4 : 8,
        .bits = narrow ? 10 : 9,
    };
}

bool guest_memory_has(const struct guest_memory *m, uint64_t pfn)
{
    struct page_place place = page_index_get(m->index, pfn);

    return place.known && frame_type_has_page(place.type);
}

bool guest_memory_page(const struct guest_memory *m, uint64_t pfn,
                       uint8_t page[PAGE_SIZE], struct error *err)
{
    struct page_place place = page_index_get(m->index, pfn);

    if (!place.known || !frame_type_has_page(place.type))
        return error_set(err, ERR_STATE, "pfn %#" PRIx64 ": %s", pfn,
                         place.known ? "no contents in the image"
                                     : "not in the image");
    return image_read_page(m->fd, m->base, &place, page, err);
}

/* Octets that one entry of a level maps; level 1 is the last. */
static uint64_t span_of(const struct paging *p, unsigned int level)
{
    return UINT64_C(1) << (PAGE_SHIFT + p->bits * (level - 1));
}

static unsigned int index_of(const struct paging *p, unsigned int level,
                             uint64_t address)
{
    /* The top table of three levels has only four entries. */
    uint64_t mask =
        p->levels == 3 && level == 3 ? 3 : (UINT64_C(1) << p->bits) - 1;

    return (unsigned int)(address / span_of(p, level) & mask);
}

static uint64_t entry_of(const struct paging *p, const uint8_t *table,
                         unsigned int i)
{
    return layout_integer(table, (size_t)i * p->entry_size, p->entry_size,
                          ORDER_LITTLE);
}

static bool is_leaf(unsigned int level, uint64_t entry)
{
    return level == 1 || (level <= 3 && (entry & PTE_LARGE));
}

static uint64_t address_in(const struct paging *p, uint64_t entry)
{
    return entry & (p->entry_size == 4 ? UINT64_C(0xfffff000) : PTE_ADDRESS);
}

/* Addresses of 4 and 5 levels repeat their highest bit. */
static uint64_t canonical(const struct paging *p, uint64_t address)
{
    unsigned int bits = PAGE_SHIFT + p->bits * p->levels;

    if (p->levels < 4 || !(address >> (bits - 1) & 1))
        return address;
    return address | ~((UINT64_C(1) << bits) - 1);
}

/* The table that CR3 names: of three levels, 32 octets inside a page. */
static uint64_t top_table(const struct guest_registers *regs)
{
    return regs->value[REG_CR3] & PTE_ADDRESS;
}

/* Of the page of the top table, where the table begins. */
static size_t top_offset(const struct guest_registers *regs)
{
    return regs->levels == 3 ? regs->value[REG_CR3] & 0xfe0 : 0;
}

enum walk_outcome guest_memory_walk(const struct guest_memory *m,
                                    const struct guest_registers *regs,
                                    uint64_t address, struct guest_mapping *ret,
                                    struct error *err)
{
    const struct paging p = paging_of(regs);
    uint64_t table = top_table(regs);
    uint8_t page[PAGE_SIZE];

    if (p.levels == 0) {
        *ret = (struct guest_mapping){address & ~(uint64_t)(PAGE_SIZE - 1),
                                      address & ~(uint64_t)(PAGE_SIZE - 1),
                                      PAGE_SIZE};
        return WALK_MAPPED;
    }
    for (unsigned int level = p.levels; level > 0; level--) {
        size_t offset = level == p.levels ? top_offset(regs) : 0;
        uint64_t entry;
        uint64_t size = span_of(&p, level);

        if (!guest_memory_page(m, table >> PAGE_SHIFT, page, err)) {
            error_wrap(err, "page table of level %u for %#" PRIx64, level,
                       address);
            return WALK_FAILED;
        }
        entry = entry_of(&p, page + offset, index_of(&p, level, address));
        if (!(entry & PTE_PRESENT))
            return WALK_NOT_MAPPED;
        if (is_leaf(level, entry)) {
            *ret = (struct guest_mapping){
                .virtual_address = address & ~(size - 1),
                .physical_address = address_in(&p, entry) & ~(size - 1),
                .size = size,
            };
            return WALK_MAPPED;
        }
        table = address_in(&p, entry);
    }
    return WALK_NOT_MAPPED; /* level 1 is always a leaf */
}

/* A table on the way down, and how far it has been read. */
struct walk_level {
    uint8_t table[PAGE_SIZE];
    unsigned int next;
    unsigned int entries;
    uint64_t address; /* that its first entry maps */
};

/* Load a table; one that the image does not have counts as empty. */
static bool descend(const struct guest_memory *m, const struct paging *p,
                    struct walk_level *at, uint64_t table, size_t offset,
                    unsigned int level, uint64_t address, struct error *err)
{
    at->next = 0;
    at->address = address;
    at->entries = p->levels == 3 && level == 3 ? 4 : 1U << p->bits;
    if (!guest_memory_has(m, table >> PAGE_SHIFT)) {
        at->entries = 0;
        return true;
    }
    if (!guest_memory_page(m, table >> PAGE_SHIFT, at->table, err))
        return false;
    if (offset > 0)
        memmove(at->table, at->table + offset, 32);
    return true;
}

bool guest_memory_mappings(const struct guest_memory *m,
                           const struct guest_registers *regs,
                           bool (*visit)(void *context,
                                         const struct guest_mapping *mapping,
                                         struct error *err),
                           void *context, struct error *err)
{
    const struct paging p = paging_of(regs);
    cleanup_free struct walk_level *stack = NULL;
    uint64_t tables_left = m->index->nr_frames + 1024;
    unsigned int level = p.levels;

    if (p.levels == 0)
        return true;
    stack = calloc(LEVELS_MAX + 1, sizeof(*stack));
    if (!stack)
        return error_set(err, ERR_NO_MEMORY, "page tables");
    if (!descend(m, &p, &stack[level], top_table(regs), top_offset(regs), level,
                 0, err))
        return false;
    while (level <= p.levels) {
        struct walk_level *at = &stack[level];
        uint64_t entry;
        uint64_t address;
        uint64_t size = span_of(&p, level);

        if (at->next == at->entries) {
            level++;
            continue;
        }
        address = at->address + at->next * size;
        entry = entry_of(&p, at->table, at->next++);
        if (!(entry & PTE_PRESENT))
            continue;
        if (is_leaf(level, entry)) {
            const struct guest_mapping mapping = {
                .virtual_address = canonical(&p, address),
                .physical_address = address_in(&p, entry) & ~(size - 1),
                .size = size,
            };

            if (!visit(context, &mapping, err))
                return false;
            continue;
        }
        if (tables_left-- == 0)
            return error_set(err, ERR_LIMIT,
                             "page tables: more than the guest's %" PRIu64
                             " frames",
                             m->index->nr_frames);
        level--;
        if (!descend(m, &p, &stack[level], address_in(&p, entry), 0, level,
                     address, err))
            return false;
    }
    return true;
}
