/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two-level ABI: bitmaps of pending and masked ports in shared info, and
 * in vcpu_info a word of which each bit stands for a word of the former.
 *
 * A port's bit leads to an upcall once: when the pending bit goes from 0 to
 * 1 while not masked, and the selector bit too.
 */
#include "hostd/events.h"

#define WORD_BITS 64

static bool test_bit(const unsigned long *words, uint32_t bit)
{
    return words[bit / WORD_BITS] >> (bit % WORD_BITS) & 1;
}

static bool test_and_set_bit(unsigned long *words, uint32_t bit)
{
    bool was = test_bit(words, bit);

    words[bit / WORD_BITS] |= 1UL << (bit % WORD_BITS);
    return was;
}

static void clear_bit(unsigned long *words, uint32_t bit)
{
    words[bit / WORD_BITS] &= ~(1UL << (bit % WORD_BITS));
}

static void select_word(struct machine *m, uint32_t port)
{
    struct vcpu *v = &m->vcpu[m->events.port[port].vcpu];
    struct vcpu_info *info = machine_vcpu_info(m, v);

    if (!test_and_set_bit(&info->evtchn_pending_sel, port / WORD_BITS))
        events_mark_pending(m, v);
}

void event_2l_set_pending(struct machine *m, uint32_t port)
{
    struct shared_info *s = machine_shared_info(m);

    if (test_and_set_bit(s->evtchn_pending, port))
        return;
    if (!test_bit(s->evtchn_mask, port))
        select_word(m, port);
    events_wake_pollers(m, port);
}

void event_2l_clear_pending(struct machine *m, uint32_t port)
{
    clear_bit(machine_shared_info(m)->evtchn_pending, port);
}

bool event_2l_is_pending(const struct machine *m, uint32_t port)
{
    return test_bit(machine_shared_info(m)->evtchn_pending, port);
}

bool event_2l_is_masked(const struct machine *m, uint32_t port)
{
    return test_bit(machine_shared_info(m)->evtchn_mask, port);
}

void event_2l_unmask(struct machine *m, uint32_t port)
{
    struct shared_info *s = machine_shared_info(m);

    if (!test_bit(s->evtchn_mask, port))
        return;
    clear_bit(s->evtchn_mask, port);
    if (test_bit(s->evtchn_pending, port))
        select_word(m, port);
}
