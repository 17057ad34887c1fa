/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which frames of a guest's RAM were written since somebody last asked.
 *
 *   method         how                                       needs
 *   write-protect  userfaultfd, asynchronous mode: the       Linux 6.7
 *                  kernel notes the first write to a page,
 *                  by whomever; PAGEMAP_SCAN takes the notes
 *                  and protects again in one step
 *   engine hooks   the emulator reports every store; pages   -
 *                  that the host looked up count as written
 *
 * I1  A frame that was written after a collect is in the next one.  It may be
 *     in it without having been written.
 * I2  A frame that became RAM since the start is always in it.
 *
 * Why not the soft-dirty bits of older kernels: docs/decisions/008.
 */
#ifndef HOSTD_DIRTY_TRACK_H
#define HOSTD_DIRTY_TRACK_H

#include "hostd/guest_machine.h"

enum dirty_method { DIRTY_WRITE_PROTECT, DIRTY_ENGINE_HOOKS };

struct dirty_tracker {
    enum dirty_method method;
    struct machine *m;     /* NULL: not started */
    int uffd;              /* owned, or -1 */
    int pagemap;           /* owned, or -1 */
    struct bitmap covered; /* frames that were RAM at the start */
    struct bitmap written; /* collected, not yet cleared */
};

const char *dirty_method_name(enum dirty_method method);

/* The best that works here: found out by writing pages and looking. */
enum dirty_method dirty_method_probe(void);

/* With the baton held; all frames start clean. */
must_check bool dirty_start(struct dirty_tracker *t, struct machine *m,
                            enum dirty_method method, struct error *err);
/* Harmless when not started.  With the baton held. */
void dirty_stop(struct dirty_tracker *t);

/*
 * Add what was written since the last time to t->written.  With the baton
 * held, unless the method is DIRTY_WRITE_PROTECT.
 */
must_check bool dirty_collect(struct dirty_tracker *t, struct error *err);

/* DIRTY_ENGINE_HOOKS: a store of the guest. */
void dirty_mark(struct dirty_tracker *t, uint64_t gpa, size_t length);

#endif
