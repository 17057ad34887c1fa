/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FIFO ABI: one word per port in the guest's array pages, and per vCPU a
 * control block with the heads of 16 queues, one per priority.
 *
 *     31      30     29     28   27        17 16       0
 *    +-------+------+------+----+------------+----------+
 *    |PENDING|MASKED|LINKED|BUSY| (zero)     | LINK     |
 *    +-------+------+------+----+------------+----------+
 *
 * The tail of each queue is ours alone.  An event that comes in is appended:
 * its number goes into the LINK of the tail's word if the guest has not taken
 * that off the queue yet (LINKED still set), else into head[], and the
 * queue's ready bit is set.
 *
 * I1  A port is on at most one queue: LINKED is set when it is put on one,
 *     and only the guest clears it.
 * I2  A tail that the guest has taken off is no tail: a port that is linked
 *     anew is first forgotten as the tail of wherever it was.
 */
#include "hostd/events.h"

#define WORD_PENDING (UINT32_C(1) << EVTCHN_FIFO_PENDING)
#define WORD_MASKED  (UINT32_C(1) << EVTCHN_FIFO_MASKED)
#define WORD_LINKED  (UINT32_C(1) << EVTCHN_FIFO_LINKED)

event_word_t *event_fifo_word(const struct machine *m, uint32_t port)
{
    uint32_t page = port / EVENT_WORDS_PER_PAGE;

    if (page >= m->events.nr_array_pages)
        return NULL;
    return guest_memory_at(&m->memory,
                           m->events.array_gfn[page] * PAGE_SIZE +
                               port % EVENT_WORDS_PER_PAGE *
                                   sizeof(event_word_t),
                           sizeof(event_word_t));
}

static struct evtchn_fifo_control_block *control_of(const struct machine *m,
                                                    const struct vcpu *v)
{
    if (v->fifo_control_gfn == GFN_NONE)
        return NULL;
    return guest_memory_at(
        &m->memory, v->fifo_control_gfn * PAGE_SIZE + v->fifo_control_offset,
        sizeof(struct evtchn_fifo_control_block));
}

/* Put 'port' behind the tail.  False if the guest has taken the tail off. */
static bool append(struct machine *m, uint32_t tail, uint32_t port)
{
    event_word_t *word = tail ? event_fifo_word(m, tail) : NULL;

    if (!word || !(*word & WORD_LINKED))
        return false;
    *word = (*word & ~(event_word_t)EVTCHN_FIFO_LINK_MASK) | port;
    return true;
}

static void forget_tail(struct machine *m, const struct event_port *p,
                        uint32_t port)
{
    struct fifo_queue_state *queue =
        &m->vcpu[p->last_vcpu].fifo[p->last_priority];

    if (queue->tail == port)
        queue->tail = 0;
}

static void link_port(struct machine *m, uint32_t port, event_word_t *word)
{
    struct event_port *p = &m->events.port[port];
    struct vcpu *v = &m->vcpu[p->vcpu];
    struct evtchn_fifo_control_block *control = control_of(m, v);
    struct fifo_queue_state *queue = &v->fifo[p->priority];
    bool appended;

    if (!control || (*word & WORD_LINKED))
        return;
    forget_tail(m, p, port);
    *word = (*word & ~(event_word_t)EVTCHN_FIFO_LINK_MASK) | WORD_LINKED;
    p->last_vcpu = v->id;
    p->last_priority = p->priority;

    appended = append(m, queue->tail, port);
    if (!appended)
        control->head[p->priority] = port;
    queue->tail = port;
    if (appended || (control->ready & UINT32_C(1) << p->priority))
        return;
    control->ready |= UINT32_C(1) << p->priority;
    events_mark_pending(m, v);
}

void event_fifo_set_pending(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);
    bool was_pending;

    if (!word) {
        m->events.port[port].pending_early = true;
        return;
    }
    was_pending = *word & WORD_PENDING;
    *word |= WORD_PENDING;
    if (!(*word & WORD_MASKED))
        link_port(m, port, word);
    if (!was_pending)
        events_wake_pollers(m, port);
}

void event_fifo_clear_pending(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);

    m->events.port[port].pending_early = false;
    if (word)
        *word &= ~WORD_PENDING;
}

bool event_fifo_is_pending(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);

    return word ? *word & WORD_PENDING : m->events.port[port].pending_early;
}

bool event_fifo_is_masked(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);

    return !word || (*word & WORD_MASKED);
}

bool event_fifo_is_busy(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);

    return word && (*word & WORD_LINKED);
}

void event_fifo_unmask(struct machine *m, uint32_t port)
{
    event_word_t *word = event_fifo_word(m, port);

    if (!word)
        return;
    *word &= ~WORD_MASKED;
    if (*word & WORD_PENDING)
        link_port(m, port, word);
}

/* The first control block of all turns the guest to this ABI. */
static void switch_abi(struct machine *m)
{
    m->events.abi = EVENT_ABI_FIFO;
    for (uint32_t port = 1; port < EVENT_PORTS_MAX; port++) {
        struct event_port *p = &m->events.port[port];

        p->pending_early = event_2l_is_pending(m, port);
        p->priority = EVENT_PRIORITY_USUAL;
    }
}

int event_fifo_init_control(struct machine *m, struct vcpu *v, uint64_t gfn,
                            uint32_t offset)
{
    if (offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) ||
        offset % 8)
        return -XEN_EINVAL;
    if (v->fifo_control_gfn != GFN_NONE)
        return -XEN_EINVAL;
    if (!guest_memory_page(&m->memory, gfn))
        return -XEN_EINVAL;
    if (m->events.abi != EVENT_ABI_FIFO)
        switch_abi(m);
    v->fifo_control_gfn = gfn;
    v->fifo_control_offset = offset;
    return 0;
}

int event_fifo_expand_array(struct machine *m, uint64_t gfn)
{
    uint32_t first = m->events.nr_array_pages * EVENT_WORDS_PER_PAGE;

    if (m->events.abi != EVENT_ABI_FIFO)
        return -XEN_EOPNOTSUPP;
    if (m->events.nr_array_pages == EVENT_ARRAY_PAGES)
        return -XEN_ENOSPC;
    if (!guest_memory_page(&m->memory, gfn))
        return -XEN_EINVAL;
    m->events.array_gfn[m->events.nr_array_pages++] = gfn;
    for (uint32_t port = first; port < first + EVENT_WORDS_PER_PAGE; port++) {
        if (port && m->events.port[port].pending_early) {
            m->events.port[port].pending_early = false;
            event_fifo_set_pending(m, port);
        }
    }
    return 0;
}
