/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/guest_time.h"

#include <time.h>

#include "base/clock.h"

uint64_t tsc_now(void)
{
#ifdef __x86_64__
    return __builtin_ia32_rdtsc();
#else
    /* What the emulator gives its guests where there is no such counter. */
    return (uint64_t)clock_now_ns();
#endif
}

struct tsc_scale tsc_scale_from_khz(uint32_t khz)
{
    struct tsc_scale s = {.khz = khz};
    uint64_t hz = (uint64_t)khz * 1000;
    /* ns per tick, 32.32 fixed point, then normalised into 32 bits. */
    unsigned __int128 m = ((unsigned __int128)NS_PER_S << 32) / hz;

    m -= m * PVCLOCK_SLACK_PPM / 1000000;
    while (m > UINT32_MAX) {
        m >>= 1;
        s.shift++;
    }
    while (!(m & UINT64_C(0x80000000))) {
        m <<= 1;
        s.shift--;
    }
    s.multiplier = (uint32_t)m;
    return s;
}

struct sample {
    int64_t ns;
    uint64_t ticks;
};

/* Both clocks at one moment: the closest of several tries. */
static struct sample sample_take(void)
{
    struct sample best = {0};
    uint64_t least = UINT64_MAX;

    for (unsigned int i = 0; i < 16; i++) {
        uint64_t before = tsc_now();
        int64_t ns = clock_now_ns();
        uint64_t after = tsc_now();

        if (after - before < least) {
            least = after - before;
            best = (struct sample){.ns = ns, .ticks = before + least / 2};
        }
    }
    return best;
}

struct tsc_scale tsc_scale_measure(unsigned int ms)
{
    struct timespec nap = {.tv_nsec = ms * NS_PER_MS};
    struct sample first = sample_take();
    struct sample last;

    nanosleep(&nap, NULL);
    last = sample_take();
    return tsc_scale_from_khz(
        (uint32_t)((unsigned __int128)(last.ticks - first.ticks) * 1000000 /
                   (uint64_t)(last.ns - first.ns)));
}

uint64_t guest_time_now(const struct guest_time *t)
{
    return (uint64_t)(clock_now_ns() + t->offset_ns);
}

void guest_time_set(struct guest_time *t, uint64_t ns)
{
    t->offset_ns = (int64_t)ns - clock_now_ns();
    t->anchor_tsc = 0;
}

int64_t guest_time_deadline(const struct guest_time *t, uint64_t ns)
{
    int64_t deadline;

    if (ns > INT64_MAX ||
        __builtin_sub_overflow((int64_t)ns, t->offset_ns, &deadline))
        return DEADLINE_NONE;
    return deadline;
}

/* What the last anchor says at 'tsc'. */
static uint64_t anchored(const struct guest_time *t, uint64_t tsc)
{
    uint64_t ticks = tsc - t->anchor_tsc;

    ticks =
        t->scale.shift < 0 ? ticks >> -t->scale.shift : ticks << t->scale.shift;
    return t->anchor_ns +
           (uint64_t)((unsigned __int128)ticks * t->scale.multiplier >> 32);
}

static void renew_anchor(struct guest_time *t)
{
    uint64_t ns = guest_time_now(t);
    uint64_t tsc = tsc_now();

    /* An interruption between the two makes the clock late, not early. */
    if (t->anchor_tsc && anchored(t, tsc) > ns)
        ns = anchored(t, tsc);
    t->anchor_tsc = tsc;
    t->anchor_ns = ns;
}

void guest_time_publish(struct guest_time *t, struct vcpu_time_info *info)
{
    renew_anchor(t);
    info->version |= 1;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->tsc_timestamp = t->anchor_tsc;
    info->system_time = t->anchor_ns;
    info->tsc_to_system_mul = t->scale.multiplier;
    info->tsc_shift = t->scale.shift;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->version++;
}

void guest_time_publish_wallclock(const struct guest_time *t,
                                  struct shared_info *info)
{
    struct timespec now;
    uint64_t ns;

    clock_gettime(CLOCK_REALTIME, &now);
    ns = (uint64_t)now.tv_sec * (uint64_t)NS_PER_S + (uint64_t)now.tv_nsec -
         guest_time_now(t);
    info->wc_version |= 1;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->wc_sec = (uint32_t)(ns / (uint64_t)NS_PER_S);
    info->wc_sec_hi = (uint32_t)(ns / (uint64_t)NS_PER_S >> 32);
    info->wc_nsec = (uint32_t)(ns % (uint64_t)NS_PER_S);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    info->wc_version++;
}
