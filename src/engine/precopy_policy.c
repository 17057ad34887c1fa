/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/precopy_policy.h"

/* Sending so few pages takes less time than asking for another set. */
#define FEW_PAGES 50

/* Rounds without progress after which more of them will not help. */
#define PATIENCE 2

#define NS_PER_MS 1000000

struct precopy_limits precopy_limits_default(void)
{
    return (struct precopy_limits){
        .downtime_ms = PRECOPY_DEFAULT_DOWNTIME_MS,
        .max_rounds = PRECOPY_DEFAULT_MAX_ROUNDS,
        .fallback = PRECOPY_STOP_ANYWAY,
    };
}

int64_t precopy_predict_downtime_ms(const struct precopy_limits *limits,
                                    const struct precopy_measurement *m)
{
    double ns_per_page;
    double predicted;

    if (limits->bandwidth > 0)
        ns_per_page = 1e9 * (double)PAGE_SIZE / (double)limits->bandwidth;
    else if (m->round_pages > 0 && m->round_ns > 0)
        ns_per_page = (double)m->round_ns / (double)m->round_pages;
    else
        return INT64_MAX;
    predicted = ns_per_page * (double)m->dirty_pages / NS_PER_MS;
    return predicted < 1e15 ? (int64_t)(predicted + 0.5) : INT64_MAX;
}

enum precopy_decision precopy_decide(const struct precopy_limits *limits,
                                     const struct precopy_measurement *m)
{
    bool settled = false;

    if (m->dirty_pages < FEW_PAGES ||
        precopy_predict_downtime_ms(limits, m) <= limits->downtime_ms)
        return PRECOPY_STOP;
    if (m->not_shrinking >= PATIENCE)
        settled = limits->fallback != PRECOPY_KEEP_TRYING;
    if (m->round >= limits->max_rounds)
        settled = true;
    if (!settled)
        return PRECOPY_CONTINUE;
    return limits->fallback == PRECOPY_CANCEL ? PRECOPY_GIVE_UP : PRECOPY_STOP;
}
