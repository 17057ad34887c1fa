/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two-level ABI: one bit per port in the shared info page, and in each
 * vCPU's info a selector with one bit per 64 ports.
 *
 * A selector bit may stand for ports of another vCPU, so each takes only the
 * ports that are bound to it and leaves the rest pending.
 */
#include "evtchn.h"

#include "shared_info.h"

#define PORTS_PER_WORD 64
#define NR_WORDS       64

static void two_level_init(void)
{
    struct shared_info *s = shared_info();

    for (unsigned int i = 0; i < NR_WORDS; i++)
        WRITE_ONCE(s->evtchn_mask[i], ~UINT64_C(0));
}

static void two_level_init_vcpu(struct vcpu *v)
{
    (void)v;
}

static void scan_word(struct vcpu *v, unsigned int word)
{
    struct shared_info *s = shared_info();
    uint64_t pending =
        READ_ONCE(s->evtchn_pending[word]) & ~READ_ONCE(s->evtchn_mask[word]);

    while (pending) {
        unsigned int bit = (unsigned int)__builtin_ctzl(pending);
        evtchn_port_t port = word * PORTS_PER_WORD + bit;
        uint64_t mask = UINT64_C(1) << bit;

        pending &= ~mask;
        if (!evtchn_belongs(port, v->id))
            continue;
        __atomic_fetch_and(&s->evtchn_pending[word], ~mask, __ATOMIC_SEQ_CST);
        evtchn_deliver(v, port);
    }
}

static void two_level_mask(evtchn_port_t port)
{
    __atomic_fetch_or(&shared_info()->evtchn_mask[port / PORTS_PER_WORD],
                      UINT64_C(1) << port % PORTS_PER_WORD, __ATOMIC_SEQ_CST);
}

static bool two_level_pending(evtchn_port_t port)
{
    return READ_ONCE(shared_info()->evtchn_pending[port / PORTS_PER_WORD]) >>
               port % PORTS_PER_WORD &
           1;
}

/* This ABI knows no priorities. */
static void two_level_raise(evtchn_port_t port)
{
    (void)port;
}

static void two_level_scan(struct vcpu *v)
{
    struct vcpu_info *info = vcpu_info_of(v->id);
    uint64_t words = atomic_swap64(&info->evtchn_pending_sel, 0);

    while (words) {
        unsigned int word = (unsigned int)__builtin_ctzl(words);

        words &= words - 1;
        scan_word(v, word);
    }
}

const struct evtchn_abi evtchn_abi_2l = {
    .name = "2l",
    .init = two_level_init,
    .init_vcpu = two_level_init_vcpu,
    .mask = two_level_mask,
    .pending = two_level_pending,
    .raise = two_level_raise,
    .scan = two_level_scan,
};
