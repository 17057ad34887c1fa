/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's clock: nanoseconds that never jump, whatever host it is on.
 *
 *     guest time = CLOCK_MONOTONIC + offset of the domain
 *
 * A guest reads it as Xen's pvclock, from the time stamp counter and a scale.
 * The scale is a little slow on purpose (PVCLOCK_SLACK_PPM), the anchor is
 * renewed whenever a vCPU starts to run, and a new one never says less than
 * the last one would: the clock does not go back on any vCPU.
 */
#ifndef HOSTD_GUEST_TIME_H
#define HOSTD_GUEST_TIME_H

#include "hostd/xen_abi.h"

#define PVCLOCK_SLACK_PPM 200

struct tsc_scale {
    uint32_t multiplier; /* ns = (ticks << shift) * multiplier >> 32 */
    int8_t shift;
    uint32_t khz;
};

struct guest_time {
    struct tsc_scale scale;
    int64_t offset_ns;
    uint64_t anchor_tsc; /* of the last anchor; 0: none since the clock */
    uint64_t anchor_ns;  /* was set */
};

uint64_t tsc_now(void);

/* Compare the counter with the clock for 'ms'. */
struct tsc_scale tsc_scale_measure(unsigned int ms);
struct tsc_scale tsc_scale_from_khz(uint32_t khz);

uint64_t guest_time_now(const struct guest_time *t);

/* From now on guest_time_now() goes on from 'ns'. */
void guest_time_set(struct guest_time *t, uint64_t ns);

/* When guest time 'ns' comes, on CLOCK_MONOTONIC. */
int64_t guest_time_deadline(const struct guest_time *t, uint64_t ns);

/* A new anchor into a vcpu_time_info that no vCPU reads meanwhile. */
void guest_time_publish(struct guest_time *t, struct vcpu_time_info *info);

/* The wall clock at guest time 0, into shared info. */
void guest_time_publish_wallclock(const struct guest_time *t,
                                  struct shared_info *info);

#endif
