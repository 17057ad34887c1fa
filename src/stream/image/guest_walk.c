/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/guest_walk.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "stream/layout.h"

#define ENTRY_PRESENT UINT64_C(0x1)
#define ENTRY_LARGE   UINT64_C(0x80)
#define ENTRY_FRAME   UINT64_C(0x000ffffffffff000)

#define LEVELS_MAX 5

/* How a kind of paging looks. */
struct paging_shape {
    unsigned int levels;
    unsigned int entry_size;
    unsigned int index_bits; /* of all but the top level */
    unsigned int top_index_bits;
    unsigned int largest; /* the highest level at which a page may be large */
    uint64_t cr3_mask;
};

static const struct paging_shape *paging_shape(enum guest_paging paging)
{
    static const struct paging_shape shapes[] = {
        [PAGING_32] = {2, 4, 10, 10, 2, UINT64_C(0xfffff000)        },
        [PAGING_PAE] = {3, 8, 9,  2,  2, UINT64_C(0x000fffffffffffe0)},
        [PAGING_4] = {4, 8, 9,  9,  3, ENTRY_FRAME                 },
        [PAGING_5] = {5, 8, 9,  9,  3, ENTRY_FRAME                 },
    };

    return paging == PAGING_NONE ? NULL : &shapes[paging];
}

static unsigned int level_shift(const struct paging_shape *s,
                                unsigned int level)
{
    return PAGE_SHIFT + (level - 1) * s->index_bits;
}

static unsigned int level_entries(const struct paging_shape *s,
                                  unsigned int level)
{
    return 1U << (level == s->levels ? s->top_index_bits : s->index_bits);
}

/* Upper bits repeat the highest one that is translated. */
static uint64_t canonical(const struct paging_shape *s, uint64_t address)
{
    unsigned int bits = level_shift(s, s->levels) + s->top_index_bits;

    if (bits <= 32 || !(address >> (bits - 1) & 1))
        return address;
    return address | ~((UINT64_C(1) << bits) - 1);
}

static bool entry_is_leaf(const struct paging_shape *s, unsigned int level,
                          uint64_t entry)
{
    return level == 1 || (level <= s->largest && (entry & ENTRY_LARGE));
}

static uint64_t leaf_frame(const struct paging_shape *s, unsigned int level,
                           uint64_t entry)
{
    uint64_t frame =
        entry & ENTRY_FRAME & ~((UINT64_C(1) << level_shift(s, level)) - 1);

    /* PSE-36: bits 39 to 32 of the frame are in 20 to 13. */
    if (s->entry_size == 4 && level == 2)
        frame = (entry & UINT64_C(0xffc00000)) | (entry >> 13 & 0xff) << 32;
    return frame;
}

enum walk_outcome guest_walk(const struct guest_image *g,
                             const struct guest_registers *r, uint64_t address,
                             struct walk_result *ret, struct error *err)
{
    const struct paging_shape *s = paging_shape(r->paging);
    uint64_t table;
    uint8_t page[PAGE_SIZE];

    if (!s) {
        *ret =
            (struct walk_result){.physical = address, .page_size = PAGE_SIZE};
        return WALK_MAPPED;
    }
    if (canonical(s, address & ((UINT64_C(1) << (level_shift(s, s->levels) +
                                                 s->top_index_bits)) -
                                1)) != address)
        return WALK_NOT_MAPPED;
    table = r->cr3 & s->cr3_mask;
    for (unsigned int level = s->levels; level > 0; level--) {
        unsigned int shift = level_shift(s, level);
        uint64_t i = address >> shift & (level_entries(s, level) - 1);
        uint64_t entry, mask = (UINT64_C(1) << shift) - 1;

        ret->level = level;
        ret->entry = 0;
        switch (guest_image_page(g, table >> PAGE_SHIFT, page, err)) {
        case GUEST_PAGE_FAILED:
            return WALK_FAILED;
        case GUEST_PAGE_ABSENT:
            return WALK_TABLE_MISSING;
        case GUEST_PAGE_HERE:
            break;
        }
        entry = layout_integer(
            page,
            (size_t)((table & (PAGE_SIZE - 1)) + i * s->entry_size) &
                (PAGE_SIZE - 1),
            s->entry_size, ORDER_LITTLE);
        ret->entry = entry;
        if (!(entry & ENTRY_PRESENT))
            return WALK_NOT_MAPPED;
        if (entry_is_leaf(s, level, entry)) {
            ret->page_size = mask + 1;
            ret->physical = leaf_frame(s, level, entry) | (address & mask);
            return WALK_MAPPED;
        }
        table = entry & ENTRY_FRAME;
    }
    return WALK_NOT_MAPPED;
}

/* All of it ---------------------------------------------------------------- */

struct walk_all {
    const struct guest_image *g;
    const struct paging_shape *s;
    bool (*found)(void *context, const struct walk_extent *extent,
                  struct error *err);
    void *context;
    struct walk_extent pending; /* grows as long as it is one stretch */
    uint32_t nr_tables;
    /* One table per level, the path from the top to where the walk is. */
    struct walk_level {
        uint8_t page[PAGE_SIZE];
        size_t start; /* of the table in the page */
        uint64_t address;
        unsigned int next;
    } path[LEVELS_MAX + 1];
};

static bool flush_extent(struct walk_all *w, struct error *err)
{
    struct walk_extent extent = w->pending;

    w->pending.length = 0;
    return extent.length == 0 || w->found(w->context, &extent, err);
}

static bool add_leaf(struct walk_all *w, uint64_t address, uint64_t physical,
                     uint64_t length, struct error *err)
{
    struct walk_extent *p = &w->pending;

    if (p->length > 0 && p->address + p->length == address &&
        p->physical + p->length == physical) {
        p->length += length;
        return true;
    }
    if (!flush_extent(w, err))
        return false;
    *p = (struct walk_extent){address, physical, length};
    return true;
}

/* A table the image does not have maps nothing. */
static bool open_table(struct walk_all *w, unsigned int level, uint64_t table,
                       uint64_t address, bool *ret_open, struct error *err)
{
    struct walk_level *l = &w->path[level];

    if (w->nr_tables++ == WALK_TABLES_MAX)
        return error_set(err, ERR_LIMIT,
                         "page tables: more than %" PRIu32
                         " of them, expected fewer (do they form a loop?)",
                         WALK_TABLES_MAX);
    l->next = 0;
    l->address = address;
    l->start = (size_t)(table & (PAGE_SIZE - 1));
    switch (guest_image_page(w->g, table >> PAGE_SHIFT, l->page, err)) {
    case GUEST_PAGE_FAILED:
        return false;
    case GUEST_PAGE_ABSENT:
        *ret_open = false;
        return true;
    case GUEST_PAGE_HERE:
        break;
    }
    *ret_open = true;
    return true;
}

static bool walk_tables(struct walk_all *w, uint64_t cr3, struct error *err)
{
    const struct paging_shape *s = w->s;
    unsigned int level = s->levels;
    bool open = false;

    if (!open_table(w, level, cr3 & s->cr3_mask, 0, &open, err))
        return false;
    if (!open)
        return error_set(err, ERR_FORMAT,
                         "page tables: nothing in the image at %#" PRIx64
                         ", expected the top table",
                         cr3);
    while (level <= s->levels) {
        struct walk_level *l = &w->path[level];
        unsigned int i = l->next++;
        uint64_t entry, address;

        if (i == level_entries(s, level)) {
            level++; /* this table is done: back to the one above */
            continue;
        }
        entry = layout_integer(l->page,
                               (l->start + i * s->entry_size) & (PAGE_SIZE - 1),
                               s->entry_size, ORDER_LITTLE);
        if (!(entry & ENTRY_PRESENT))
            continue;
        address =
            canonical(s, l->address | (uint64_t)i << level_shift(s, level));
        if (entry_is_leaf(s, level, entry)) {
            if (!add_leaf(w, address, leaf_frame(s, level, entry),
                          UINT64_C(1) << level_shift(s, level), err))
                return false;
            continue;
        }
        if (!open_table(w, level - 1, entry & ENTRY_FRAME, address, &open, err))
            return false;
        if (open)
            level--;
    }
    return flush_extent(w, err);
}

bool guest_walk_all(const struct guest_image *g,
                    const struct guest_registers *r,
                    bool (*found)(void *context,
                                  const struct walk_extent *extent,
                                  struct error *err),
                    void *context, struct error *err)
{
    cleanup_free struct walk_all *w = calloc(1, sizeof(*w));

    if (!w)
        return error_set(err, ERR_NO_MEMORY, "page tables: no memory");
    w->g = g;
    w->s = paging_shape(r->paging);
    w->found = found;
    w->context = context;
    if (!w->s)
        return error_set(err, ERR_UNSUPPORTED,
                         "page tables: vCPU %" PRIu32 " has paging off",
                         r->vcpu);
    return walk_tables(w, r->cr3, err);
}
