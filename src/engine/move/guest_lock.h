/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One move of a guest at a time.
 *
 * The lock is a file in the lock folder, locked as long as its descriptor is
 * open, so it goes with its process however that ends.  The file is removed by
 * its last holder.
 */
#ifndef ENGINE_MOVE_GUEST_LOCK_H
#define ENGINE_MOVE_GUEST_LOCK_H

#include "base/error.h"

struct guest_lock {
    int fd; /* owned; 0 or -1: none */
    char path[256];
};

/* ERR_STATE when somebody holds it, with that process' number. */
must_check bool guest_lock_take(struct guest_lock *ret, const char *folder,
                                uint32_t domid, struct error *err);
/* Accepts {0}. */
void guest_lock_release(struct guest_lock *lock);

#endif
