/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_machine.h"

#define WORDS_GFN   16u
#define CONTROL_GFN 17u

static struct vcpu_info *info_of(struct test_machine *t, unsigned int vcpu)
{
    return machine_vcpu_info(&t->m, &t->m.vcpu[vcpu]);
}

static void note(void *context)
{
    ++*(unsigned int *)context;
}

/* As a guest does it: all control blocks, then one array page, all masked. */
static void use_fifo(struct test_machine *t)
{
    uint32_t *words = test_ram(t, WORDS_GFN * PAGE_SIZE);

    for (unsigned int i = 0; i < EVENT_WORDS_PER_PAGE; i++)
        words[i] = 1u << EVTCHN_FIFO_MASKED;
    for (unsigned int i = 0; i < 2; i++) {
        struct evtchn_init_control op = {.control_gfn = CONTROL_GFN + i,
                                         .vcpu = i};

        assert_int_equal(events_init_control(&t->m, &op), 0);
        assert_int_equal(op.link_bits, EVTCHN_FIFO_LINK_BITS);
    }
    assert_int_equal(events_expand_array(&t->m, WORDS_GFN), 0);
}

static uint32_t *word_of(struct test_machine *t, uint32_t port)
{
    return (uint32_t *)test_ram(t, WORDS_GFN * PAGE_SIZE) + port;
}

static struct evtchn_fifo_control_block *control_of(struct test_machine *t,
                                                    unsigned int vcpu)
{
    return test_ram(t, (CONTROL_GFN + vcpu) * PAGE_SIZE);
}

/* The guest's side: the first port of a queue, taken off; 0: empty. */
static uint32_t take(struct test_machine *t, unsigned int vcpu,
                     unsigned int priority, uint32_t *head)
{
    struct evtchn_fifo_control_block *c = control_of(t, vcpu);
    uint32_t port = *head ? *head : c->head[priority];
    uint32_t *word;

    if (!port)
        return 0;
    word = word_of(t, port);
    *head = *word & EVTCHN_FIFO_LINK_MASK;
    *word &= ~(1u << EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK |
               1u << EVTCHN_FIFO_PENDING);
    if (!*head) {
        c->ready &= ~(1u << priority);
        c->head[priority] = 0;
    }
    return port;
}

static void ports_are_given_out_from_one_up_and_again_after_close(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    for (uint32_t i = 1; i <= 3; i++) {
        assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
        assert_int_equal(port, i);
    }
    assert_int_equal(events_close(&t->m, &t->m, 2), 0);
    assert_int_equal(events_close(&t->m, &t->m, 2), -XEN_EINVAL);
    assert_int_equal(events_bind_ipi(&t->m, 1, &port), 0);
    assert_int_equal(port, 2);
}

static void there_is_an_end_of_ports(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    for (uint32_t i = 1; i < EVENT_PORTS_MAX; i++)
        assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    assert_int_equal(events_bind_ipi(&t->m, 0, &port), -XEN_ENOSPC);
}

static void hostile_numbers_are_refused(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    assert_int_equal(events_bind_virq(&t->m, EVENT_NR_VIRQS, 0, &port),
                     -XEN_EINVAL);
    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 2, &port),
                     -XEN_ENOENT);
    assert_int_equal(events_bind_ipi(&t->m, UINT32_MAX, &port), -XEN_ENOENT);
    assert_int_equal(events_send(&t->m, &t->m, 0), -XEN_EINVAL);
    assert_int_equal(events_send(&t->m, &t->m, UINT32_MAX), -XEN_EINVAL);
    assert_int_equal(events_unmask(&t->m, EVENT_PORTS_MAX), -XEN_EINVAL);
    assert_int_equal(events_bind_interdomain(&t->m, &t->m, 0, &port),
                     -XEN_EINVAL);
    assert_int_equal(events_set_priority(&t->m, 1, 0), -XEN_EOPNOTSUPP);
}

static void a_virq_is_bound_once_for_each_vcpu(void **state)
{
    struct test_machine *t = *state;
    uint32_t a, b, c;

    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 0, &a), 0);
    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 1, &b), 0);
    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 1, &c), -XEN_EEXIST);
    assert_int_equal(events_bind_vcpu(&t->m, a, 1), -XEN_EINVAL);
    assert_int_equal(events_close(&t->m, &t->m, b), 0);
    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 1, &c), 0);
}

static void two_level_raises_one_upcall_for_many_events(void **state)
{
    struct test_machine *t = *state;
    struct shared_info *s = machine_shared_info(&t->m);
    uint32_t a, b;

    assert_int_equal(events_bind_ipi(&t->m, 1, &a), 0);
    assert_int_equal(events_bind_ipi(&t->m, 1, &b), 0);
    assert_int_equal(events_send(&t->m, &t->m, a), 0);
    assert_int_equal(t->wakes[1], 1);
    assert_int_equal(info_of(t, 1)->evtchn_upcall_pending, 1);
    assert_int_equal(info_of(t, 1)->evtchn_pending_sel, 1);
    assert_int_equal(s->evtchn_pending[0], 1ul << a);
    assert_int_equal(events_send(&t->m, &t->m, b), 0);
    assert_int_equal(events_send(&t->m, &t->m, a), 0);
    assert_int_equal(t->wakes[1], 1);
    assert_int_equal(t->wakes[0], 0);
    assert_int_equal(s->evtchn_pending[0], 1ul << a | 1ul << b);
}

static void two_level_mask_holds_an_event_back_until_unmask(void **state)
{
    struct test_machine *t = *state;
    struct shared_info *s = machine_shared_info(&t->m);
    uint32_t port;

    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    s->evtchn_mask[0] = 1ul << port;
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(info_of(t, 0)->evtchn_upcall_pending, 0);
    assert_true(events_is_pending(&t->m, port));
    assert_int_equal(events_unmask(&t->m, port), 0);
    assert_int_equal(info_of(t, 0)->evtchn_upcall_pending, 1);
    assert_int_equal(s->evtchn_mask[0], 0);
}

static void fifo_keeps_the_order_of_events(void **state)
{
    struct test_machine *t = *state;
    uint32_t port[4], head = 0;
    static const unsigned int order[] = {2, 0, 3, 1};

    use_fifo(t);
    for (unsigned int i = 0; i < 4; i++) {
        assert_int_equal(events_bind_ipi(&t->m, 1, &port[i]), 0);
        assert_int_equal(events_unmask(&t->m, port[i]), 0);
    }
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(events_send(&t->m, &t->m, port[order[i]]), 0);
    assert_int_equal(t->wakes[1], 1);
    assert_int_equal(control_of(t, 1)->ready, 1u << EVENT_PRIORITY_USUAL);
    for (unsigned int i = 0; i < 4; i++)
        assert_int_equal(take(t, 1, EVENT_PRIORITY_USUAL, &head),
                         port[order[i]]);
    assert_int_equal(head, 0);
    /* The tail was taken off: the queue begins anew. */
    assert_int_equal(events_send(&t->m, &t->m, port[1]), 0);
    assert_int_equal(take(t, 1, EVENT_PRIORITY_USUAL, &head), port[1]);
}

static void fifo_links_a_port_once_and_appends_behind_a_live_tail(void **state)
{
    struct test_machine *t = *state;
    uint32_t a, b, head = 0;

    use_fifo(t);
    assert_int_equal(events_bind_ipi(&t->m, 0, &a), 0);
    assert_int_equal(events_bind_ipi(&t->m, 0, &b), 0);
    assert_int_equal(events_unmask(&t->m, a), 0);
    assert_int_equal(events_unmask(&t->m, b), 0);
    assert_int_equal(events_send(&t->m, &t->m, a), 0);
    assert_int_equal(events_send(&t->m, &t->m, a), 0);
    assert_int_equal(take(t, 0, EVENT_PRIORITY_USUAL, &head), a);
    assert_int_equal(head, 0);
    assert_int_equal(events_send(&t->m, &t->m, b), 0);
    assert_int_equal(events_send(&t->m, &t->m, a), 0);
    assert_int_equal(take(t, 0, EVENT_PRIORITY_USUAL, &head), b);
    assert_int_equal(head, a);
}

static void fifo_mask_and_priority(void **state)
{
    struct test_machine *t = *state;
    uint32_t port, head = 0;

    use_fifo(t);
    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    assert_int_equal(events_set_priority(&t->m, port, 16), -XEN_EINVAL);
    assert_int_equal(events_set_priority(&t->m, port, 0), 0);
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(control_of(t, 0)->ready, 0);
    assert_true(events_is_masked(&t->m, port));
    assert_int_equal(events_unmask(&t->m, port), 0);
    assert_int_equal(control_of(t, 0)->ready, 1);
    assert_int_equal(take(t, 0, 0, &head), port);
}

/* Moved while linked: it stays in its queue, the next event goes to the new. */
static void fifo_port_that_moves_leaves_its_old_queue_usable(void **state)
{
    struct test_machine *t = *state;
    struct event_sink sink = {.notify = note, .context = &t->stops};
    uint32_t moving, other, head0 = 0, head1 = 0;

    use_fifo(t);
    assert_int_equal(events_alloc_unbound(&t->m, 0, &moving), 0);
    assert_int_equal(events_attach_host(&t->m, moving, &sink), 0);
    assert_int_equal(events_bind_ipi(&t->m, 0, &other), 0);
    assert_int_equal(events_unmask(&t->m, moving), 0);
    assert_int_equal(events_unmask(&t->m, other), 0);
    events_notify_guest(&t->m, moving);
    assert_int_equal(events_bind_vcpu(&t->m, moving, 1), 0);
    assert_int_equal(take(t, 0, EVENT_PRIORITY_USUAL, &head0), moving);
    events_notify_guest(&t->m, moving);
    assert_int_equal(events_send(&t->m, &t->m, other), 0);
    assert_int_equal(take(t, 1, EVENT_PRIORITY_USUAL, &head1), moving);
    assert_int_equal(take(t, 0, EVENT_PRIORITY_USUAL, &head0), other);
}

static void fifo_takes_over_what_was_pending_before(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    use_fifo(t);
    assert_true(events_is_pending(&t->m, port));
    assert_int_equal(events_unmask(&t->m, port), 0);
    assert_int_equal(control_of(t, 0)->head[EVENT_PRIORITY_USUAL], port);
}

static void fifo_places_that_are_no_memory_are_refused(void **state)
{
    struct test_machine *t = *state;
    struct evtchn_init_control op = {.control_gfn = 0x80000};

    assert_int_equal(events_expand_array(&t->m, WORDS_GFN), -XEN_EOPNOTSUPP);
    assert_int_equal(events_init_control(&t->m, &op), -XEN_EINVAL);
    op.control_gfn = CONTROL_GFN;
    op.offset = 4;
    assert_int_equal(events_init_control(&t->m, &op), -XEN_EINVAL);
    op.offset = PAGE_SIZE - 8;
    assert_int_equal(events_init_control(&t->m, &op), -XEN_EINVAL);
    assert_int_equal(t->m.events.abi, EVENT_ABI_2L);
    op.offset = 64;
    assert_int_equal(events_init_control(&t->m, &op), 0);
    assert_int_equal(events_init_control(&t->m, &op), -XEN_EINVAL);
    assert_int_equal(events_expand_array(&t->m, 0x80000), -XEN_EINVAL);
}

/* Links that the guest makes up reach no memory but its own. */
static void fifo_survives_a_guest_that_takes_its_pages_away(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    use_fifo(t);
    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    assert_int_equal(events_unmask(&t->m, port), 0);
    assert_true(guest_memory_give_back(&t->m.memory, CONTROL_GFN));
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_true(guest_memory_give_back(&t->m.memory, WORDS_GFN));
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(events_close(&t->m, &t->m, port), 0);
}

static void loopback_raises_the_other_end_and_outlives_it(void **state)
{
    struct test_machine *t = *state;
    uint32_t a, b;

    assert_int_equal(events_alloc_unbound(&t->m, DOMID_SELF, &a), 0);
    assert_int_equal(events_bind_interdomain(&t->m, &t->m, a, &b), 0);
    assert_true(events_is_pending(&t->m, b));
    assert_int_equal(events_send(&t->m, &t->m, b), 0);
    assert_true(events_is_pending(&t->m, a));
    assert_int_equal(events_close(&t->m, &t->m, a), 0);
    assert_int_equal(t->m.events.port[b].state, PORT_UNBOUND);
    assert_int_equal(events_send(&t->m, &t->m, b), 0);
}

static void the_host_attaches_to_ports_meant_for_it_only(void **state)
{
    struct test_machine *t = *state;
    unsigned int calls = 0;
    struct event_sink sink = {.notify = note, .context = &calls};
    uint32_t ours, own;

    assert_int_equal(events_alloc_unbound(&t->m, 0, &ours), 0);
    assert_int_equal(events_alloc_unbound(&t->m, DOMID_SELF, &own), 0);
    assert_int_equal(events_attach_host(&t->m, own, &sink), -XEN_EINVAL);
    assert_int_equal(events_attach_host(&t->m, 0, &sink), -XEN_EINVAL);
    assert_int_equal(events_attach_host(&t->m, ours, &sink), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(events_attach_host(&t->m, ours, &sink), -XEN_EINVAL);
    assert_int_equal(events_send(&t->m, &t->m, ours), 0);
    assert_int_equal(calls, 2);
    events_notify_guest(&t->m, ours);
    assert_true(events_is_pending(&t->m, ours));
    events_detach_host(&t->m, ours);
    assert_int_equal(t->m.events.port[ours].state, PORT_UNBOUND);
    assert_int_equal(events_send(&t->m, &t->m, ours), 0);
    assert_int_equal(calls, 2);
}

static void a_poll_ends_with_its_port_even_if_masked(void **state)
{
    struct test_machine *t = *state;
    struct vcpu *v = &t->m.vcpu[1];
    uint32_t port;

    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    machine_shared_info(&t->m)->evtchn_mask[0] = 1ul << port;
    v->wait = VCPU_POLLING;
    v->poll = (struct poll_state){.nr_ports = 1, .port = {port}};
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(v->wait, VCPU_RUNNABLE);
    assert_int_equal(v->poll.nr_ports, 0);
}

static void reset_closes_everything(void **state)
{
    struct test_machine *t = *state;
    uint32_t port;

    use_fifo(t);
    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 0, &port), 0);
    assert_int_equal(events_reset(&t->m), 0);
    assert_int_equal(t->m.events.abi, EVENT_ABI_2L);
    assert_int_equal(t->m.events.port[port].state, PORT_FREE);
    assert_int_equal(t->m.vcpu[0].virq_port[VIRQ_TIMER], 0);
    use_fifo(t);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ports_are_given_out_from_one_up_and_again_after_close),
        TEST(there_is_an_end_of_ports),
        TEST(hostile_numbers_are_refused),
        TEST(a_virq_is_bound_once_for_each_vcpu),
        TEST(two_level_raises_one_upcall_for_many_events),
        TEST(two_level_mask_holds_an_event_back_until_unmask),
        TEST(fifo_keeps_the_order_of_events),
        TEST(fifo_links_a_port_once_and_appends_behind_a_live_tail),
        TEST(fifo_mask_and_priority),
        TEST(fifo_port_that_moves_leaves_its_old_queue_usable),
        TEST(fifo_takes_over_what_was_pending_before),
        TEST(fifo_places_that_are_no_memory_are_refused),
        TEST(fifo_survives_a_guest_that_takes_its_pages_away),
        TEST(loopback_raises_the_other_end_and_outlives_it),
        TEST(the_host_attaches_to_ports_meant_for_it_only),
        TEST(a_poll_ends_with_its_port_even_if_masked),
        TEST(reset_closes_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
