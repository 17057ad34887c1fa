/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's memory from far away: what an image sends of each part of it.
 *
 * The map has a fixed number of cells.  They begin with one frame each; when a
 * frame is beyond the last, two cells become one until it fits.
 */
#ifndef STREAM_MEMORY_MAP_H
#define STREAM_MEMORY_MAP_H

#include "base/macros.h"

#define MEMORY_MAP_CELLS 2048u

/* Frames from here on are not drawn: 16 TiB. */
#define MEMORY_MAP_LIMIT (UINT64_C(1) << 32)

enum memory_class {
    MEMORY_DATA,
    MEMORY_ZERO,   /* pages of zeroes */
    MEMORY_TABLE,  /* a PV guest's page tables */
    MEMORY_EMPTY,  /* frames that exist without contents */
    MEMORY_REPEAT, /* sent before */
    MEMORY_CLASSES,
};

struct memory_map {
    unsigned int shift; /* of a pfn, to its cell */
    uint64_t end;       /* one past the highest pfn */
    uint64_t nr_beyond; /* frames that are not drawn */
    uint64_t cells[MEMORY_MAP_CELLS][MEMORY_CLASSES];
};

/* {0} is an empty map. */
void memory_map_add(struct memory_map *map, uint64_t pfn,
                    enum memory_class class);

/* Cells in use. */
unsigned int memory_map_length(const struct memory_map *map);

/* What a cell has most of, repeats aside; MEMORY_CLASSES: nothing. */
enum memory_class memory_map_class(const struct memory_map *map,
                                   unsigned int cell);

#endif
