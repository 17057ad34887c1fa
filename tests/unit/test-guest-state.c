/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdlib.h>

#include "state/guest_state.h"
#include "unit.h"

/* A guest of two vCPUs with something of everything. */
static struct guest_state sample(void)
{
    struct guest_state s = {.present = (1u << STATE_NR_PARTS) - 1};

    s.identity = (struct state_identity){.domid = 7, .nr_vcpus = 2};
    s.identity.nr_params = 1;
    s.identity.param[0] = (struct state_param){.index = 2, .value = 2};
    s.clock.now_ns = 12345;
    s.shared_info.gfn = 0x100;
    s.grant_frames = (struct state_grant_frames){
        .version = 1, .nr_frames = 1, .gfn = {0x101}};
    s.events.abi = STATE_EVENTS_FIFO;
    s.events.nr_array_pages = 1;
    s.events.array_gfn[0] = 0x50;
    for (unsigned int i = 0; i < STATE_VCPUS_MAX; i++)
        s.events.control_gfn[i] = STATE_GFN_NONE;
    s.events.control_gfn[1] = 0x51;
    s.events.control_offset[1] = 64;
    s.events.nr_queues = 1;
    s.events.queue = calloc(1, sizeof(*s.events.queue));
    s.events.queue[0] =
        (struct state_queue){.vcpu = 1, .priority = 7, .tail = 2};
    s.events.nr_ports = 3;
    s.events.port = calloc(3, sizeof(*s.events.port));
    s.events.port[0] = (struct state_port){
        .port = 1, .kind = STATE_PORT_VIRQ, .virq = 0, .vcpu = 1};
    s.events.port[1] = (struct state_port){.port = 2,
                                           .kind = STATE_PORT_INTERDOMAIN,
                                           .remote_port = 9,
                                           .last_vcpu = 1,
                                           .last_priority = 7};
    s.events.port[2] = (struct state_port){.port = 5, .kind = STATE_PORT_IPI};
    s.vcpus.nr = 2;
    s.vcpus.vcpu = calloc(2, sizeof(*s.vcpus.vcpu));
    s.vcpus.vcpu[0] = (struct state_vcpu){.initialised = 1,
                                          .up = 1,
                                          .wait = STATE_POLLING,
                                          .nr_polled = 1,
                                          .polled = {2}};
    s.grants.nr = 1;
    s.grants.grant = calloc(1, sizeof(*s.grants.grant));
    s.grants.grant[0] =
        (struct state_grant){.ref = 8, .flags = 1, .frame = 0x60};
    buffer_text(&s.store.data, "12345678");
    buffer_text(&s.store.out, "reply");
    s.store.out_partial = 2;
    return s;
}

static void encode(struct guest_state *s, enum state_part part,
                   struct buffer *ret)
{
    buffer_reset(ret);
    guest_state_encode(s, part, ret);
    assert_false(ret->bad);
}

static void every_part_survives_the_round_trip(void **state)
{
    struct guest_state s = sample(), back = {0};
    struct buffer one = {0}, two = {0};
    struct error err;

    for (unsigned int part = 0; part < STATE_NR_PARTS; part++) {
        encode(&s, part, &one);
        assert_true(guest_state_decode(&back, part, one.bytes, one.length,
                                       ORDER_LITTLE, 0, &err));
        encode(&back, part, &two);
        assert_int_equal(one.length, two.length);
        assert_memory_equal(one.bytes, two.bytes, one.length);
    }
    assert_true(guest_state_check_whole(&back, &err));
    buffer_release(&one);
    buffer_release(&two);
    guest_state_release(&s);
    guest_state_release(&back);
}

static void every_truncation_is_refused(void **state)
{
    struct guest_state s = sample();
    struct buffer one = {0};
    struct error err;

    for (unsigned int part = 0; part < STATE_NR_PARTS; part++) {
        encode(&s, part, &one);
        for (size_t length = 0; length < one.length; length++) {
            struct guest_state back = {0};
            uint8_t *exact = malloc(length ? length : 1);

            memcpy(exact, one.bytes, length);
            assert_false(guest_state_decode(&back, part, exact, length,
                                            ORDER_LITTLE, 0, &err));
            guest_state_release(&back);
            free(exact);
        }
    }
    buffer_release(&one);
    guest_state_release(&s);
}

static void what_is_left_over_is_refused(void **state)
{
    struct guest_state s = sample(), back = {0};
    struct buffer one = {0};
    struct error err;

    encode(&s, STATE_EVENTS, &one);
    buffer_u8(&one, 0);
    assert_false(guest_state_decode(&back, STATE_EVENTS, one.bytes, one.length,
                                    ORDER_LITTLE, 0, &err));
    buffer_release(&one);
    guest_state_release(&s);
    guest_state_release(&back);
}

static void another_version_is_refused(void **state)
{
    struct guest_state s = sample(), back = {0};
    struct buffer one = {0};
    struct error err;

    encode(&s, STATE_CLOCK, &one);
    buffer_patch_u32(&one, 0, STATE_VERSION + 1);
    assert_false(guest_state_decode(&back, STATE_CLOCK, one.bytes, one.length,
                                    ORDER_LITTLE, 0, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    buffer_release(&one);
    guest_state_release(&s);
}

/* 's' was changed: it must be refused with a word of 'why'. */
static void refused(struct guest_state *s, const char *why)
{
    struct error err = {0};

    assert_false(guest_state_check_whole(s, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    if (!strstr(err.text, why))
        fail_msg("\"%s\" does not say \"%s\"", err.text, why);
    guest_state_release(s);
}

static void a_missing_part_is_refused(void **state)
{
    struct guest_state s = sample();

    s.present &= ~(1u << STATE_GRANTS);
    refused(&s, "grant entries: missing");
}

static void a_port_out_of_range_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[2].port = STATE_PORTS_MAX;
    refused(&s, "port 131072");
    s = sample();
    s.events.port[0].port = 0;
    refused(&s, "port 0");
    s = sample();
    s.events.port[0].vcpu = 2;
    refused(&s, "the guest has 2");
}

static void a_port_that_contradicts_itself_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[2].virq = 3;
    refused(&s, "do not go together");
    s = sample();
    s.events.port[2].remote = 1;
    refused(&s, "do not go together");
    s = sample();
    s.events.port[1].remote_port = 0;
    refused(&s, "do not go together");
    s = sample();
    s.events.port[1].remote = STATE_DOMIDS;
    refused(&s, "other end in domain 32752");
    s = sample();
    s.events.port[0].early = 1;
    refused(&s, "but it is");
    s = sample();
    s.events.port[2].kind = STATE_PORT_FREE;
    refused(&s, "nothing left");
    s = sample();
    s.events.port[2].kind = STATE_PORT_KINDS;
    refused(&s, "beyond what there is");
}

static void the_other_end_of_two_ports_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[2].kind = STATE_PORT_INTERDOMAIN;
    s.events.port[2].remote_port = 9;
    refused(&s, "other end of two ports");
}

static void a_ring_without_its_port_is_refused(void **state)
{
    struct guest_state s = sample();

    s.identity.param[0].value = 3;
    refused(&s, "not there");
    s = sample();
    s.identity.param[0].value = 5;
    refused(&s, "is ipi");
    s = sample();
    s.identity.param[0] =
        (struct state_param){.index = 18, .value = UINT64_MAX};
    refused(&s, "the console's");
}

static void parameters_out_of_order_are_refused(void **state)
{
    struct guest_state s = sample();

    s.identity.nr_params = 2;
    s.identity.param[1] = s.identity.param[0];
    refused(&s, "HVM parameter 2 after 2");
    s = sample();
    s.identity.param[0].value = 0;
    refused(&s, "HVM parameter 2 is 0");
}

static void a_time_beyond_reason_is_refused(void **state)
{
    struct guest_state s = sample();

    s.clock.now_ns = STATE_TIME_MAX + 1;
    refused(&s, "expected at most 4611686018427387904");
    s = sample();
    s.vcpus.vcpu[0].periodic_ns = 1;
    refused(&s, "a tick each 1 ns");
    s = sample();
    s.vcpus.vcpu[0].runstate_entry_ns = UINT64_MAX;
    refused(&s, "in its run state since");
}

static void a_port_twice_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[2].port = 2;
    refused(&s, "ascend");
}

static void a_virq_with_two_ports_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[2].kind = STATE_PORT_VIRQ;
    s.events.port[2].vcpu = 1;
    refused(&s, "two ports");
}

static void a_one_sided_channel_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.port[1].remote = 7;
    refused(&s, "not bound to it");
}

static void a_queue_beyond_the_guest_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.queue[0].vcpu = 2;
    refused(&s, "queue of vCPU 2");
    s = sample();
    s.events.control_gfn[5] = 0x70;
    refused(&s, "control block for vCPU 5");
    s = sample();
    s.events.control_offset[1] = 4;
    refused(&s, "control block of vCPU 1 at offset 0x4");
    s = sample();
    s.events.control_offset[1] = 4032;
    refused(&s, "control block of vCPU 1 at offset 0xfc0");
}

static void a_tail_that_lies_is_refused(void **state)
{
    struct guest_state s = sample();

    s.events.queue[0].tail = 5;
    refused(&s, "was put on 0 and 0 last");
    s = sample();
    s.events.queue[0].tail = 1024;
    refused(&s, "which has no event word");
    s = sample();
    s.events.queue[0].tail = STATE_PORTS_MAX;
    refused(&s, "beyond what there is");
}

static void a_grant_beyond_the_frames_is_refused(void **state)
{
    struct guest_state s = sample();

    s.grants.grant[0].ref = STATE_GRANTS_PER_FRAME;
    refused(&s, "grant 512 in a table of 1 frames");
    s = sample();
    s.grants.grant[0].flags |= 0x10;
    refused(&s, "expected it unused");
    s = sample();
    s.grants.grant[0] = (struct state_grant){.ref = 8};
    refused(&s, "grant 8 is empty");
}

static void two_owners_of_a_page_are_refused(void **state)
{
    struct guest_state s = sample();

    s.grant_frames.gfn[0] = s.shared_info.gfn;
    refused(&s, "one owner");
    s = sample();
    s.events.array_gfn[0] = s.grant_frames.gfn[0];
    refused(&s, "one owner");
    s = sample();
    s.events.control_gfn[1] = s.events.array_gfn[0];
    refused(&s, "one owner");
    s = sample();
    s.events.control_gfn[0] = s.events.control_gfn[1];
    refused(&s, "one owner");
    s = sample();
    s.vcpus.vcpu[0].info_gpa = 0x5000;
    s.vcpus.vcpu[1].info_gpa = 0x5038;
    refused(&s, "one owner");
}

static void a_domid_that_cannot_be_is_refused(void **state)
{
    struct guest_state s = sample();

    s.identity.domid = 0;
    refused(&s, "domid 0");
    s = sample();
    s.identity.domid = STATE_DOMIDS;
    refused(&s, "domid 32752");
}

static void a_vcpu_that_cannot_be_is_refused(void **state)
{
    struct guest_state s = sample();

    s.vcpus.vcpu[1].up = 1;
    refused(&s, "not a state that there is");
    s = sample();
    s.vcpus.vcpu[0].wait = STATE_HALTED;
    refused(&s, "does not wait");
    s = sample();
    s.vcpus.vcpu[1].upcall_vector = 0xe;
    refused(&s, "upcall vector 0xe");
    s = sample();
    s.vcpus.vcpu[1].upcall_requested = 1;
    refused(&s, "requested 1");
    s = sample();
    s.vcpus.vcpu[0].polled[0] = STATE_PORTS_MAX;
    refused(&s, "polls port 131072");
    s = sample();
    s.vcpus.vcpu[0].info_gpa = 0x5fc8;
    refused(&s, "expected it within a page");
}

static void more_of_a_message_than_there_is_is_refused(void **state)
{
    struct guest_state s = sample();

    s.store.out_partial = 6;
    refused(&s, "in 5 queued");
}

/* A count of four thousand millions needs neither memory nor time. */
static void an_absurd_count_is_refused(void **state)
{
    struct guest_state s = sample(), back = {0};
    struct buffer one = {0};
    struct error err;

    encode(&s, STATE_EVENTS, &one);
    buffer_patch_u32(&one, 12, UINT32_MAX);
    assert_false(guest_state_decode(&back, STATE_EVENTS, one.bytes, one.length,
                                    ORDER_LITTLE, 0, &err));
    guest_state_release(&back);
    encode(&s, STATE_STORE, &one);
    buffer_patch_u32(&one, 20, UINT32_MAX);
    assert_false(guest_state_decode(&back, STATE_STORE, one.bytes, one.length,
                                    ORDER_LITTLE, 0, &err));
    buffer_release(&one);
    guest_state_release(&s);
    guest_state_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_survives_the_round_trip),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_is_left_over_is_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(a_missing_part_is_refused),
        cmocka_unit_test(a_port_out_of_range_is_refused),
        cmocka_unit_test(a_port_that_contradicts_itself_is_refused),
        cmocka_unit_test(the_other_end_of_two_ports_is_refused),
        cmocka_unit_test(a_ring_without_its_port_is_refused),
        cmocka_unit_test(parameters_out_of_order_are_refused),
        cmocka_unit_test(a_time_beyond_reason_is_refused),
        cmocka_unit_test(a_tail_that_lies_is_refused),
        cmocka_unit_test(a_port_twice_is_refused),
        cmocka_unit_test(a_virq_with_two_ports_is_refused),
        cmocka_unit_test(a_one_sided_channel_is_refused),
        cmocka_unit_test(a_queue_beyond_the_guest_is_refused),
        cmocka_unit_test(a_grant_beyond_the_frames_is_refused),
        cmocka_unit_test(two_owners_of_a_page_are_refused),
        cmocka_unit_test(a_domid_that_cannot_be_is_refused),
        cmocka_unit_test(a_vcpu_that_cannot_be_is_refused),
        cmocka_unit_test(more_of_a_message_than_there_is_is_refused),
        cmocka_unit_test(an_absurd_count_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
