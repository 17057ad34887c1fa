/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "clock.h"

#include "check.h"
#include "shared_info.h"
#include "vcpu.h"

static int64_t clock_offset; /* clock - system time */

static uint64_t scale(uint64_t delta, uint32_t mul, int8_t shift)
{
    if (shift < 0)
        delta >>= -shift;
    else
        delta <<= shift;
    return (uint64_t)((unsigned __int128)delta * mul >> 32);
}

static uint64_t system_time(const struct vcpu_time_info *t)
{
    uint32_t version;
    uint64_t now;

    do {
        do {
            version = READ_ONCE(t->version);
        } while (version & 1);
        xen_rmb();
        now = READ_ONCE(t->system_time) +
              scale(cpu_tsc() - READ_ONCE(t->tsc_timestamp),
                    READ_ONCE(t->tsc_to_system_mul), READ_ONCE(t->tsc_shift));
        xen_rmb();
    } while (READ_ONCE(t->version) != version);
    return now;
}

uint64_t clock_now(void)
{
    bool on = interrupts_save_off();
    struct vcpu *v = vcpu_this();
    uint64_t now =
        system_time(&vcpu_info_of(v->id)->time) + (uint64_t)clock_offset;
    uint64_t last = v->clock_last;

    v->clock_last = now;
    interrupts_restore(on);
    if (now < last)
        check_fail("clock", "backwards", v->id, last, now);
    return now;
}

uint64_t clock_to_system(uint64_t now)
{
    return now - (uint64_t)clock_offset;
}

uint64_t clock_wall(void)
{
    const struct shared_info *s = shared_info();
    uint64_t sec, ns;
    uint32_t version;

    do {
        do {
            version = READ_ONCE(s->wc_version);
        } while (version & 1);
        xen_rmb();
        sec = READ_ONCE(s->wc_sec) | (uint64_t)READ_ONCE(s->wc_sec_hi) << 32;
        ns = READ_ONCE(s->wc_nsec);
        xen_rmb();
    } while (READ_ONCE(s->wc_version) != version);
    return sec * 1000000000 + ns + clock_to_system(clock_now());
}

void clock_continue_at(uint64_t now)
{
    struct vcpu *v = vcpu_this();

    clock_offset = (int64_t)(now - system_time(&vcpu_info_of(v->id)->time));
    for (unsigned int id = 0; id < vcpu_count(); id++)
        vcpu_get(id)->clock_last = now;
}
