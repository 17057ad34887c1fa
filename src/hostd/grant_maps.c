/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/grant_maps.h"

#include "hostd/grants.h"

static uint32_t free_handle(const struct machine *m)
{
    uint32_t handle = 0;

    while (handle < FOREIGN_PAGES_MAX && m->grants.map[handle].used)
        handle++;
    return handle;
}

static struct grant_map *used_map(struct machine *m, uint32_t handle)
{
    return handle < FOREIGN_PAGES_MAX && m->grants.map[handle].used
               ? &m->grants.map[handle]
               : NULL;
}

static enum grant_access access_of(const struct grant_map *map)
{
    return map->writable ? GRANT_WRITE : GRANT_READ;
}

static void lend(struct machine *granter, uint64_t gfn, bool writable)
{
    granter->grants.nr_lent++;
    /* The mapper's stores go past whatever notes the granter's. */
    if (writable && granter->memory.covered)
        bitmap_clear(granter->memory.covered, gfn);
}

static void take_back(struct machine *granter, const struct grant_map *map)
{
    granter->grants.nr_lent--;
    grants_end(granter, map->ref, access_of(map));
}

/* The granter's page 'from' at 'gfn', as 'handle'. */
static int16_t place(struct machine *m, uint32_t handle, uint64_t gfn,
                     const struct machine *granter, uint64_t from,
                     bool writable)
{
    struct error err;

    /* Of its own pages a guest gives none up that others have. */
    if (grants_is_lent(m, gfn))
        return GNTST_general_error;
    /* Xen's pages are granted to the host only. */
    if (!guest_memory_is_ram(&granter->memory, from))
        return GNTST_bad_page;
    return guest_memory_borrow(&m->memory, handle, gfn, &granter->memory, from,
                               writable, &err)
               ? GNTST_okay
               : GNTST_general_error;
}

static int16_t map_page(struct machine *m, struct machine *granter,
                        struct gnttab_map_grant_ref *op)
{
    bool writable = !(op->flags & GNTMAP_readonly);
    struct grant_map map = {.used = true,
                            .writable = writable,
                            .granter = granter->domid,
                            .ref = op->ref};
    uint32_t handle = free_handle(m);
    uint64_t from;
    int16_t status;

    /* A guest with translated addresses names a place in its memory. */
    if ((op->flags & ~(uint32_t)GNTMAP_readonly) != GNTMAP_host_map ||
        op->host_addr % PAGE_SIZE)
        return GNTST_general_error;
    if (handle == FOREIGN_PAGES_MAX)
        return GNTST_no_device_space;
    status =
        grants_begin_guest(granter, op->ref, m->domid, access_of(&map), &from);
    if (status != GNTST_okay)
        return status;
    lend(granter, from, writable);
    status =
        place(m, handle, op->host_addr >> PAGE_SHIFT, granter, from, writable);
    if (status != GNTST_okay) {
        take_back(granter, &map);
        return status;
    }
    m->grants.map[handle] = map;
    op->handle = handle;
    op->dev_bus_addr = op->host_addr;
    return GNTST_okay;
}

void grant_maps_map(struct machine *m, struct machine *granter,
                    struct gnttab_map_grant_ref *op)
{
    op->status = map_page(m, granter, op);
}

uint16_t grant_maps_granter(const struct machine *m, uint32_t handle)
{
    const struct grant_map *map =
        handle < FOREIGN_PAGES_MAX ? &m->grants.map[handle] : NULL;

    return map && map->used && !map->granter_gone ? map->granter : m->domid;
}

void grant_maps_unmap(struct machine *m, struct machine *granter,
                      struct gnttab_unmap_grant_ref *op)
{
    struct grant_map *map = used_map(m, op->handle);

    if (!map) {
        op->status = GNTST_bad_handle;
        return;
    }
    if (op->host_addr != m->memory.foreign_gfn[op->handle] << PAGE_SHIFT) {
        op->status = GNTST_general_error;
        return;
    }
    guest_memory_return(&m->memory, op->handle);
    if (!map->granter_gone && granter)
        take_back(granter, map);
    *map = (struct grant_map){0};
    op->status = GNTST_okay;
}

void grant_maps_forget_guest(struct machine *m, uint16_t domid)
{
    for (uint32_t handle = 0; handle < FOREIGN_PAGES_MAX; handle++) {
        struct grant_map *map = used_map(m, handle);

        if (map && map->granter == domid)
            map->granter_gone = true;
    }
}

void grant_maps_end(struct machine *m, struct machine *granter)
{
    for (uint32_t handle = 0; handle < FOREIGN_PAGES_MAX; handle++) {
        struct grant_map *map = used_map(m, handle);

        if (!map || map->granter != granter->domid || map->granter_gone)
            continue;
        take_back(granter, map);
        map->granter_gone = true;
    }
}
