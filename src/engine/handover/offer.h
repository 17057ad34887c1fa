/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the source tells about itself and its guest before anything changes, and
 * whether the guest can be at the target.  Every refusal names its cure.
 */
#ifndef ENGINE_HANDOVER_OFFER_H
#define ENGINE_HANDOVER_OFFER_H

#include "engine/handover/journal.h"
#include "engine/handover/message.h"
#include "host/keeper.h"

#define OFFER_PROTOCOL 2u
/* What the target has to understand, blank-separated. */
#define OFFER_FEATURES "non-cooperative-1"

struct move_offer {
    uint64_t protocol;
    char move[MOVE_ID_MAX];
    char version[48];
    char host[128]; /* identity */
    char features[128];
    uint64_t tsc_khz;
    uint64_t wall_ms; /* since 1970 */
    struct keeper_guest guest;
    uint64_t disk_octets;
    bool paused; /* leave it paused */
};

/* The disk is looked at; the rest is taken as it is. */
must_check bool offer_make(struct move_offer *ret, const char *move,
                           const struct keeper_host *host,
                           const struct keeper_guest *guest, struct error *err);

struct json_object *offer_to_message(const struct move_offer *o);
must_check bool offer_from_message(struct json_object *m,
                                   struct move_offer *ret, struct error *err);

/*
 * On the target.  'now_ms' is its wall clock.
 */
must_check bool offer_check(const struct move_offer *o, struct keeper *keeper,
                            uint64_t now_ms, struct error *err);

uint64_t wall_clock_ms(void);

#endif
