/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's state out of one machine and into another: every part comes back
 * as it was, and what does not fit the guest's memory or this host is refused,
 * whatever passed before.
 */
#include "hostd/machine_state.h"
#include "test_machine.h"

#define WORDS_GFN   16u
#define CONTROL_GFN 17u
#define INFO_GFN    20u
/* No RAM there. */
#define SHARED_GFN 0xf0000u
#define GRANT_GFN  0xf0001u

static void hear(void *context)
{
    (void)context;
}

static const struct event_sink sink = {.notify = hear};

static uint32_t *word_of(struct test_machine *t, uint32_t port)
{
    return (uint32_t *)test_ram(t, WORDS_GFN * PAGE_SIZE) + port;
}

static struct evtchn_fifo_control_block *control_of(struct test_machine *t,
                                                    unsigned int vcpu)
{
    return test_ram(t, (CONTROL_GFN + vcpu) * PAGE_SIZE);
}

static void use_fifo(struct test_machine *t)
{
    for (unsigned int i = 0; i < EVENT_WORDS_PER_PAGE; i++)
        *word_of(t, i) = 1u << EVTCHN_FIFO_MASKED;
    for (unsigned int i = 0; i < 2; i++) {
        struct evtchn_init_control op = {.control_gfn = CONTROL_GFN + i,
                                         .vcpu = i};

        assert_int_equal(events_init_control(&t->m, &op), 0);
    }
    assert_int_equal(events_expand_array(&t->m, WORDS_GFN), 0);
}

/* Something of every kind; several ports wait on queues. */
static void use_ports(struct test_machine *t, bool fifo)
{
    struct machine *m = &t->m;
    uint32_t store, console, timer, ipi[3], one, other;

    assert_int_equal(events_alloc_unbound(m, 0, &store), 0);
    assert_int_equal(events_alloc_unbound(m, 0, &console), 0);
    m->hvm_param[HVM_PARAM_STORE_EVTCHN] = store;
    m->hvm_param[HVM_PARAM_CONSOLE_EVTCHN] = console;
    assert_int_equal(events_attach_host(m, console, &sink), 0);
    assert_int_equal(events_attach_host(m, store, &sink), 0);
    assert_int_equal(events_bind_virq(m, VIRQ_TIMER, 1, &timer), 0);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(events_bind_ipi(m, 1, &ipi[i]), 0);
    assert_int_equal(events_alloc_unbound(m, TEST_DOMID, &one), 0);
    assert_int_equal(events_bind_interdomain(m, m, one, &other), 0);
    if (fifo)
        assert_int_equal(events_set_priority(m, timer, 0), 0);
    for (uint32_t port = 1; port <= other; port++)
        assert_int_equal(events_unmask(m, port), 0);
    assert_int_equal(events_send(m, m, ipi[2]), 0);
    assert_int_equal(events_send(m, m, ipi[0]), 0);
    events_raise_virq(m, &m->vcpu[1], VIRQ_TIMER);
    assert_int_equal(events_send(m, m, one), 0);
    events_notify_guest(m, console);
    assert_int_equal(events_close(m, m, ipi[2]), 0); /* still on its queue */
}

static void use_vcpus(struct machine *m)
{
    struct vcpu *v = &m->vcpu[1];

    v->initialised = v->up = true;
    v->wait = VCPU_POLLING;
    v->poll = (struct poll_state){
        .nr_ports = 3, .port = {1, 4, 5},
             .deadline = 99
    };
    v->vcpu_info_gpa = INFO_GFN * PAGE_SIZE + 128;
    v->runstate_area = (struct guest_area){0x1000, 0x2000};
    v->time_area = (struct guest_area){0x3000, CR3_NONE};
    v->cr3 = 0x2000;
    v->upcall_vector = 0xf3;
    v->upcall_requested = true;
    v->singleshot_ns = 12345;
    v->periodic_ns = 10000000;
    v->periodic_next_ns = 20000000;
    v->runstate.state = RUNSTATE_blocked;
    v->runstate.state_entry_time = 7;
    for (unsigned int i = 0; i < 4; i++)
        v->runstate.time[i] = 100 + i;
    machine_vcpu_info(m, v)->evtchn_pending_sel = 3;
    machine_vcpu_info(m, &m->vcpu[0])->evtchn_upcall_mask = 1;
    machine_vcpu_info(m, &m->vcpu[0])->evtchn_pending_sel = 5;
}

static void fill(struct test_machine *t, bool fifo)
{
    struct machine *m = &t->m;
    struct error err;

    memset(m->handle, 0xab, sizeof(m->handle));
    m->vm_assist = 8;
    m->hvm_param[HVM_PARAM_CALLBACK_IRQ] = UINT64_C(2) << 56 | 0xf3;
    assert_ok(
        guest_memory_place(&m->memory, XEN_PAGE_SHARED_INFO, SHARED_GFN, &err),
        err);
    assert_int_equal(grants_grow(m, 2), 0);
    assert_ok(guest_memory_place(&m->memory, XEN_PAGE_GRANT_FIRST + 1,
                                 GRANT_GFN, &err),
              err);
    assert_ok(grants_seed(m, 9, 0x30, &err), err);
    assert_ok(grants_seed(m, 700, 0x31, &err), err);
    assert_non_null(grants_begin(m, 700, GRANT_WRITE));
    guest_time_set(&m->time, 5000000000);
    if (fifo)
        use_fifo(t);
    use_ports(t, fifo);
    use_vcpus(m);
}

static struct guest_state state_of(struct test_machine *t)
{
    struct guest_state s = {0};
    struct error err;

    for (unsigned int part = 0; part < STATE_STORE; part++)
        assert_ok(machine_state_get(&t->m, part, &s, &err), err);
    assert_ok(guest_state_check(&s, &err), err);
    return s;
}

/* An empty machine with the memory of 't', as a restore makes it. */
static struct test_machine *receiver(struct test_machine *t)
{
    void *copy;

    machine_setup(&copy);
    memcpy(test_ram(copy, 0), test_ram(t, 0), TEST_PAGES * PAGE_SIZE);
    ((struct test_machine *)copy)->m.vcpu[1].initialised = true;
    return copy;
}

static void encode(struct guest_state *s, enum state_part part,
                   struct buffer *ret)
{
    buffer_reset(ret);
    guest_state_encode(s, part, ret);
    assert_false(ret->bad);
}

static void comes_back(struct test_machine *t, bool fifo)
{
    struct test_machine *to = receiver(t);
    struct guest_state before, after;
    struct buffer one = {0}, two = {0};
    struct error err;

    fill(t, fifo);
    memcpy(test_ram(to, 0), test_ram(t, 0), TEST_PAGES * PAGE_SIZE);
    before = state_of(t);
    for (unsigned int part = 0; part < STATE_STORE; part++)
        assert_ok(machine_state_set(&to->m, part, &before, &err), err);
    /* As backends do. */
    for (unsigned int i = 1; i <= 2; i++)
        assert_int_equal(events_attach_host(&to->m, i, &sink), 0);
    after = state_of(to);
    assert_true(after.clock.now_ns >= before.clock.now_ns);
    after.clock = before.clock;
    for (unsigned int part = 0; part < STATE_STORE; part++) {
        encode(&before, part, &one);
        encode(&after, part, &two);
        if (one.length != two.length ||
            memcmp(one.bytes, two.bytes, one.length))
            fail_msg("%s: not what it was", state_part_name(part));
    }
    /* Nobody has mapped what somebody had mapped there. */
    assert_int_equal(grants_entry(&t->m, 700)->flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(grants_entry(&to->m, 700)->flags, GTF_permit_access);
    buffer_release(&one);
    buffer_release(&two);
    guest_state_release(&before);
    guest_state_release(&after);
    machine_teardown((void **)&to);
}

static void every_part_comes_back_with_fifo(void **state)
{
    comes_back(*state, true);
}

static void every_part_comes_back_with_2_level(void **state)
{
    comes_back(*state, false);
}

/* What waited on a queue is taken off in the order in which it came. */
static void queues_keep_their_order(void **state)
{
    struct test_machine *t = *state, *to;
    struct guest_state s;
    struct error err;
    uint32_t port, order[8];
    unsigned int nr = 0, priority = EVENT_PRIORITY_USUAL;

    fill(t, true);
    to = receiver(t);
    s = state_of(t);
    for (unsigned int part = 0; part < STATE_STORE; part++)
        assert_ok(machine_state_set(&to->m, part, &s, &err), err);
    /* One more behind them. */
    assert_int_equal(events_send(&to->m, &to->m, 5), 0);
    for (port = control_of(to, 1)->head[priority]; port && nr < 8;
         port = *word_of(to, port) & EVTCHN_FIFO_LINK_MASK)
        order[nr++] = port;
    assert_int_equal(nr, 3);
    assert_int_equal(order[0], 6); /* closed since, still there */
    assert_int_equal(order[1], 4);
    assert_int_equal(order[2], 5);
    assert_int_equal(to->m.events.port[3].priority, 0);
    assert_int_equal(control_of(to, 1)->head[0], 3);
    guest_state_release(&s);
    machine_teardown((void **)&to);
}

/* Timers and polls fall due by the guest's clock, which goes on. */
static void timers_fall_due_by_the_clock_that_came_along(void **state)
{
    struct test_machine *t = *state, *to;
    uint64_t now = UINT64_C(9000000000), late = now + UINT64_C(60000000000);
    struct guest_state s;
    struct error err;

    fill(t, true);
    to = receiver(t);
    s = state_of(t);
    s.clock.now_ns = now;
    s.vcpus.vcpu[1].singleshot_ns = late;
    s.vcpus.vcpu[1].periodic_ns = 0;
    s.vcpus.vcpu[1].poll_deadline_ns = now - 1;
    for (unsigned int part = 0; part < STATE_STORE; part++)
        assert_ok(machine_state_set(&to->m, part, &s, &err), err);
    assert_true(guest_time_now(&to->m.time) >= now);
    assert_int_equal(machine_next_timer(&to->m), now - 1);
    machine_run_timers(&to->m);
    assert_int_equal(to->m.vcpu[1].wait, VCPU_RUNNABLE);
    assert_int_equal(to->m.vcpu[1].singleshot_ns, late);
    assert_int_equal(machine_next_timer(&to->m), late);
    guest_state_release(&s);
    machine_teardown((void **)&to);
}

/* ---- what is refused --------------------------------------------------- */

struct hostile {
    struct test_machine *to;
    struct guest_state s;
};

static struct hostile begin(void **state)
{
    struct hostile h;

    fill(*state, true);
    h.to = receiver(*state);
    h.s = state_of(*state);
    return h;
}

/* Parts are taken up to the last, which is refused. */
static void refused(struct hostile *h, enum state_part last,
                    enum error_code code, const char *why)
{
    struct error err;

    for (unsigned int part = 0; part < last; part++)
        assert_ok(machine_state_set(&h->to->m, part, &h->s, &err), err);
    assert_refused(machine_state_set(&h->to->m, last, &h->s, &err), err, code,
                   why);
    guest_state_release(&h->s);
    machine_teardown((void **)&h->to);
}

static void a_domid_that_lies_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.identity.domid++;
    refused(&h, STATE_IDENTITY, ERR_FORMAT, "domid 8, expected 7");
}

static void other_vcpus_than_the_domains_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.identity.nr_vcpus = 3;
    refused(&h, STATE_IDENTITY, ERR_FORMAT, "3 vCPUs, the domain was made");
    machine_teardown(state);
    machine_setup(state);
    h = begin(state);
    h.s.vcpus.vcpu[1].initialised = 0;
    h.s.vcpus.vcpu[1].up = 0;
    refused(&h, STATE_VCPUS, ERR_FORMAT, "its context says");
}

static void xens_pages_over_memory_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.shared_info.gfn = WORDS_GFN;
    refused(&h, STATE_SHARED_INFO, ERR_FORMAT,
            "guest's memory too, expected one owner");
}

static void grant_frames_over_memory_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.grant_frames.gfn[0] = CONTROL_GFN;
    refused(&h, STATE_GRANT_FRAMES, ERR_FORMAT, "expected one owner");
}

static void two_of_xens_pages_at_one_place_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.grant_frames.gfn[0] = SHARED_GFN;
    refused(&h, STATE_GRANT_FRAMES, ERR_FORMAT, "another page of Xen's");
}

static void pages_beyond_the_guest_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.shared_info.gfn = UINT64_MAX / PAGE_SIZE;
    refused(&h, STATE_SHARED_INFO, ERR_LIMIT, "the guest has gfns below");
}

static void more_frames_than_this_host_has_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.grant_frames.nr_frames = GRANT_FRAMES_MAX + 1;
    refused(&h, STATE_GRANT_FRAMES, ERR_LIMIT, "at most 32");
}

static void event_words_outside_memory_are_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.events.array_gfn[0] = SHARED_GFN;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "words at gfn 0xf0000");
}

static void a_control_block_outside_memory_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.events.control_gfn[1] = GRANT_GFN;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "control block at gfn 0xf0001");
}

static void links_in_a_circle_are_refused(void **state)
{
    struct hostile h = begin(state);

    /* 6 -> 4 is there; 4 -> 6 closes it. */
    *word_of(h.to, 4) |= 6;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "runs in a circle");
}

static void a_port_linked_to_itself_is_refused(void **state)
{
    struct hostile h = begin(state);

    *word_of(h.to, 4) |= 4;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "runs in a circle");
}

static void a_link_to_a_port_without_a_word_is_refused(void **state)
{
    struct hostile h = begin(state);

    *word_of(h.to, 4) |= 1024;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "goes on with port 1024");
}

static void a_head_beyond_all_ports_is_refused(void **state)
{
    struct hostile h = begin(state);

    control_of(h.to, 0)->head[15] = UINT32_MAX;
    refused(&h, STATE_EVENTS, ERR_FORMAT, "goes on with port 4294967295");
}

static void a_port_beyond_this_host_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.events.port[h.s.events.nr_ports - 1].port = EVENT_PORTS_MAX;
    refused(&h, STATE_EVENTS, ERR_LIMIT, "port 4096, this host has 4096");
}

static void a_channel_to_another_guest_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.events.port[0].remote = 99;
    refused(&h, STATE_EVENTS, ERR_UNSUPPORTED, "another guest does not move");
}

static void a_poll_beyond_this_host_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.vcpus.vcpu[1].polled[2] = EVENT_PORTS_MAX;
    refused(&h, STATE_VCPUS, ERR_LIMIT, "polls port 4096");
}

static void a_vcpu_info_outside_memory_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.vcpus.vcpu[1].info_gpa = (uint64_t)SHARED_GFN * PAGE_SIZE;
    refused(&h, STATE_VCPUS, ERR_FORMAT, "vcpu_info at 0xf0000000");
}

static void a_grant_beyond_the_table_is_refused(void **state)
{
    struct hostile h = begin(state);

    h.s.grants.grant[1].ref = 2 * GRANT_ENTRIES_PER_FRAME;
    refused(&h, STATE_GRANTS, ERR_FORMAT, "grant 1024 in a table of 2 frames");
}

#define TEST(function) \
    cmocka_unit_test_setup_teardown(function, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_part_comes_back_with_fifo),
        TEST(every_part_comes_back_with_2_level),
        TEST(queues_keep_their_order),
        TEST(timers_fall_due_by_the_clock_that_came_along),
        TEST(a_domid_that_lies_is_refused),
        TEST(other_vcpus_than_the_domains_are_refused),
        TEST(xens_pages_over_memory_are_refused),
        TEST(grant_frames_over_memory_are_refused),
        TEST(two_of_xens_pages_at_one_place_are_refused),
        TEST(pages_beyond_the_guest_are_refused),
        TEST(more_frames_than_this_host_has_are_refused),
        TEST(event_words_outside_memory_are_refused),
        TEST(a_control_block_outside_memory_is_refused),
        TEST(links_in_a_circle_are_refused),
        TEST(a_port_linked_to_itself_is_refused),
        TEST(a_link_to_a_port_without_a_word_is_refused),
        TEST(a_head_beyond_all_ports_is_refused),
        TEST(a_port_beyond_this_host_is_refused),
        TEST(a_channel_to_another_guest_is_refused),
        TEST(a_poll_beyond_this_host_is_refused),
        TEST(a_vcpu_info_outside_memory_is_refused),
        TEST(a_grant_beyond_the_table_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
