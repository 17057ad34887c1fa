/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When to stop a live move's rounds: a pure function of measurements.
 *
 * Stopping the guest now costs (pages left) / (pages a second), and the state's
 * fixed cost.  Another round costs time and makes the set smaller only while
 * the guest dirties slower than we send.  So:
 *
 *   few pages left                             -> stop, nothing to gain
 *   predicted downtime within the target       -> stop
 *   rounds used up                             -> as asked
 *   the set has not shrunk for some rounds     -> as asked
 *   else                                       -> another round
 */
#ifndef ENGINE_PRECOPY_POLICY_H
#define ENGINE_PRECOPY_POLICY_H

#include "base/macros.h"

/* What to do with a guest whose memory does not settle. */
enum precopy_fallback {
    PRECOPY_STOP_ANYWAY, /* accept a longer downtime */
    PRECOPY_CANCEL,      /* give up; the guest runs on */
    PRECOPY_KEEP_TRYING, /* until max_rounds, then stop anyway */
};

struct precopy_limits {
    int64_t downtime_ms;     /* target */
    unsigned int max_rounds; /* including the first */
    uint64_t bandwidth;      /* octets a second to plan with; 0: measured */
    enum precopy_fallback fallback;
};

#define PRECOPY_DEFAULT_DOWNTIME_MS 50
#define PRECOPY_DEFAULT_MAX_ROUNDS  10

struct precopy_limits precopy_limits_default(void);

struct precopy_measurement {
    unsigned int round;         /* rounds sent, from 1 */
    uint64_t dirty_pages;       /* left to send */
    uint64_t fewest_dirty;      /* least 'dirty_pages' of the earlier rounds */
    unsigned int not_shrinking; /* rounds since 'fewest_dirty' fell by 1/8 */
    uint64_t round_pages;       /* sent in the last round */
    int64_t round_ns;           /* and the time that took */
};

enum precopy_decision { PRECOPY_CONTINUE, PRECOPY_STOP, PRECOPY_GIVE_UP };

/* INT64_MAX where nothing was measured yet. */
int64_t precopy_predict_downtime_ms(const struct precopy_limits *limits,
                                    const struct precopy_measurement *m);

enum precopy_decision precopy_decide(const struct precopy_limits *limits,
                                     const struct precopy_measurement *m);

#endif
