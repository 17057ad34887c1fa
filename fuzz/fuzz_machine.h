/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest without processors: what the machine asks for is not done. */
#ifndef FUZZ_MACHINE_H
#define FUZZ_MACHINE_H

#include "hostd/guest_machine.h"

static inline void fuzz_no_wake(struct machine *m, struct vcpu *v)
{
    (void)m;
    (void)v;
}

static inline void fuzz_nothing(struct machine *m)
{
    (void)m;
}

static inline bool fuzz_no_start(struct machine *m, struct vcpu *v,
                                 const struct vcpu_hvm_context *context)
{
    (void)m;
    (void)v;
    (void)context;
    return true;
}

static inline void fuzz_no_text(struct machine *m, const char *text,
                                size_t length)
{
    (void)m;
    (void)text;
    (void)length;
}

static const struct machine_ops fuzz_machine_ops = {
    .vcpu_wake = fuzz_no_wake,
    .timers_changed = fuzz_nothing,
    .vcpu_start = fuzz_no_start,
    .stopped = fuzz_nothing,
    .debug_text = fuzz_no_text,
};

#endif
