/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's page tables, walked in the image.
 *
 * Tables of PV guests hold pfns in an image, so that both kinds of guest are
 * walked alike.  Entries of reserved bits and permissions are not judged.
 */
#ifndef STREAM_IMAGE_GUEST_WALK_H
#define STREAM_IMAGE_GUEST_WALK_H

#include "stream/image/guest_registers.h"

enum walk_outcome {
    WALK_MAPPED,
    WALK_NOT_MAPPED,    /* an entry is not present, or not canonical */
    WALK_TABLE_MISSING, /* the image has no contents for a table */
    WALK_FAILED,        /* the file cannot be read; see the error */
};

struct walk_result {
    uint64_t physical;  /* that the address maps to */
    uint64_t page_size; /* 4 KiB, 2 or 4 MiB, 1 GiB */
    unsigned int level; /* where the walk stopped, 1 is the last */
    uint64_t entry;     /* there */
};

enum walk_outcome guest_walk(const struct guest_image *g,
                             const struct guest_registers *r, uint64_t address,
                             struct walk_result *ret, struct error *err);

/* A stretch of addresses that map to frames one after the other. */
struct walk_extent {
    uint64_t address;
    uint64_t physical;
    uint64_t length;
};

/* Tables that guest_walk_all() reads at most; a table may be in a loop. */
#define WALK_TABLES_MAX (UINT32_C(1) << 20)

/*
 * All that the tables map, upwards; 'found' is called for each stretch and may
 * end the walk by returning false.
 */
must_check bool
guest_walk_all(const struct guest_image *g, const struct guest_registers *r,
               bool (*found)(void *context, const struct walk_extent *extent,
                             struct error *err),
               void *context, struct error *err);

#endif
