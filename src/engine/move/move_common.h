/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the four kinds of move share. */
#ifndef ENGINE_MOVE_MOVE_COMMON_H
#define ENGINE_MOVE_MOVE_COMMON_H

#include "base/buffer.h"
#include "engine/move/guest_lock.h"
#include "engine/move/move.h"

void move_tell(const struct move_options *o, enum move_step step,
               const struct toolstack_guest *guest);

/* What to give the toolstack's long operations. */
struct toolstack_work move_work(const struct move_options *o);

/* A guest that is to leave, and how far it has got. */
struct departure {
    const struct move_options *options;
    struct toolstack_guest guest;
    struct guest_lock lock;
    struct buffer config;
    bool suspended;                /* we had it suspended */
    char away[TOOLSTACK_NAME_MAX]; /* "" or the name it was given */
};

/*
 * Find the guest, lock it, check that it can be asked to suspend, and fetch
 * its configuration.  Nothing changes for the guest.
 */
must_check bool departure_begin(struct departure *d,
                                const struct move_options *options,
                                const char *guest, bool keep_domid,
                                struct error *err);
void departure_release(struct departure *d);

/*
 * The save helper's part.  False leaves it to departure_abandon() to take the
 * guest back, except where '*ret' says that there is none any more.
 */
must_check bool departure_save(struct departure *d, int fd, unsigned int flags,
                               enum move_outcome *ret, struct error *err);

/*
 * The one way back: undo the renaming, have the guest run on here.  To be
 * called only while no other host may have started it.  The first error stays
 * in '*err'; what goes wrong here is added.
 */
enum move_outcome departure_abandon(struct departure *d, struct error *err);

#endif
