/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/memory_map.h"

#include <string.h>

static void fold(struct memory_map *map)
{
    for (unsigned int i = 0; i < MEMORY_MAP_CELLS / 2; i++)
        for (unsigned int k = 0; k < MEMORY_CLASSES; k++)
            map->cells[i][k] = map->cells[2 * i][k] + map->cells[2 * i + 1][k];
    memset(map->cells[MEMORY_MAP_CELLS / 2], 0, sizeof(map->cells) / 2);
    map->shift++;
}

void memory_map_add(struct memory_map *map, uint64_t pfn,
                    enum memory_class class)
{
    if (pfn >= MEMORY_MAP_LIMIT) {
        map->nr_beyond++;
        return;
    }
    while (pfn >> map->shift >= MEMORY_MAP_CELLS)
        fold(map);
    map->cells[pfn >> map->shift][class]++;
    if (pfn >= map->end)
        map->end = pfn + 1;
}

unsigned int memory_map_length(const struct memory_map *map)
{
    return map->end ? (unsigned int)((map->end - 1) >> map->shift) + 1 : 0;
}

enum memory_class memory_map_class(const struct memory_map *map,
                                   unsigned int cell)
{
    enum memory_class most = MEMORY_CLASSES;
    uint64_t nr = 0;

    for (unsigned int k = 0; k < MEMORY_REPEAT; k++) {
        if (map->cells[cell][k] > nr) {
            nr = map->cells[cell][k];
            most = (enum memory_class)k;
        }
    }
    return most;
}
