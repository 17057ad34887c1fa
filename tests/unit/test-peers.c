/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Two guests of one host: what they may do to each other, and what stays. */
#include "test_machine.h"

#include "hostd/dirty_track.h"
#include "hostd/grant_maps.h"
#include "hostd/machine_state.h"

#define OTHER_DOMID 8
#define NOBODY      9
#define PLACE       0x900u /* a gfn of the mapper */
#define LENT        0x700u /* a gfn of the granter */
#define REF         20u

struct pair {
    struct test_machine *a, *b;
};

static int setup(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    machine_setup((void **)&p->a);
    machine_setup((void **)&p->b);
    p->b->m.domid = OTHER_DOMID;
    assert_int_equal(grants_grow(&p->a->m, 1), 0);
    assert_int_equal(grants_grow(&p->b->m, 1), 0);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;

    machine_teardown((void **)&p->a);
    if (p->b)
        machine_teardown((void **)&p->b);
    free(p);
    return 0;
}

/* As the processor's thread makes it: again, once the other stands still. */
static int64_t call(struct pair *p, uint64_t nr, uint64_t op, void *argument,
                    size_t length, uint64_t count)
{
    struct hypercall c = {
        .m = &p->a->m,
        .v = &p->a->m.vcpu[0],
        .nr = nr,
        .arg = {op, ARGUMENT, count}
    };
    int64_t rc;

    memcpy(test_ram(p->a, ARGUMENT), argument, length);
    rc = hypercall_serve(&c);
    while (c.put_off) {
        c.put_off = false;
        c.other = (struct other_guest){
            .sought = true,
            .domid = c.needs,
            .m = p->b && c.needs == OTHER_DOMID ? &p->b->m : NULL};
        rc = hypercall_serve(&c);
    }
    memcpy(argument, test_ram(p->a, ARGUMENT), length);
    return rc;
}

static int64_t event_call(struct pair *p, uint64_t op, void *argument,
                          size_t length)
{
    return call(p, __HYPERVISOR_event_channel_op, op, argument, length, 0);
}

static void grant(struct test_machine *t, uint32_t ref, uint16_t flags,
                  uint16_t domid, uint32_t frame)
{
    *grants_entry(&t->m, ref) =
        (struct grant_entry_v1){.flags = flags, .domid = domid, .frame = frame};
}

static struct gnttab_map_grant_ref map_of(uint32_t ref, uint64_t gfn,
                                          uint32_t flags)
{
    return (struct gnttab_map_grant_ref){.host_addr = gfn * PAGE_SIZE,
                                         .flags = GNTMAP_host_map | flags,
                                         .ref = ref,
                                         .dom = OTHER_DOMID};
}

static int16_t map(struct pair *p, struct gnttab_map_grant_ref *op)
{
    assert_int_equal(call(p, __HYPERVISOR_grant_table_op,
                          GNTTABOP_map_grant_ref, op, sizeof(*op), 1),
                     0);
    return op->status;
}

static int16_t unmap(struct pair *p, const struct gnttab_map_grant_ref *mapped)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = mapped->host_addr,
                                        .handle = mapped->handle};

    assert_int_equal(call(p, __HYPERVISOR_grant_table_op,
                          GNTTABOP_unmap_grant_ref, &op, sizeof(op), 1),
                     0);
    return op.status;
}

/* The octets that the mapper's processors see at a gfn, and whether so only. */
static uint8_t *seen_at(struct test_machine *t, uint64_t gfn,
                        bool *ret_read_only)
{
    struct memory_run run;

    if (!guest_memory_next_run(&t->m.memory, gfn, &run) || run.gfn != gfn)
        return NULL;
    *ret_read_only = run.read_only;
    return run.host;
}

/* ---- events ------------------------------------------------------------ */

static uint32_t offer(struct pair *p)
{
    uint32_t port;

    assert_int_equal(events_bind_ipi(&p->b->m, 0, &port), 0); /* not 1 */
    assert_int_equal(events_alloc_unbound(&p->b->m, TEST_DOMID, &port), 0);
    return port;
}

static uint32_t bind(struct pair *p, uint32_t port)
{
    struct evtchn_bind_interdomain op = {.remote_dom = OTHER_DOMID,
                                         .remote_port = port};

    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     0);
    return op.local_port;
}

static void
a_call_about_another_guest_waits_until_that_stands_still(void **state)
{
    struct pair *p = *state;
    struct evtchn_bind_interdomain op = {.remote_dom = OTHER_DOMID,
                                         .remote_port = offer(p)};
    struct hypercall c = {
        .m = &p->a->m,
        .v = &p->a->m.vcpu[0],
        .nr = __HYPERVISOR_event_channel_op,
        .arg = {EVTCHNOP_bind_interdomain, ARGUMENT, 5}
    };

    memcpy(test_ram(p->a, ARGUMENT), &op, sizeof(op));
    (void)hypercall_serve(&c);
    assert_true(c.put_off);
    assert_int_equal(c.needs, OTHER_DOMID);
    assert_int_equal(c.arg[1], ARGUMENT);
    assert_int_equal(c.arg[2], 5);
    assert_int_equal(events_port(&p->b->m, op.remote_port)->state,
                     PORT_UNBOUND);
    assert_int_equal(events_port(&p->a->m, 1)->state, PORT_FREE);
}

static void ports_of_two_guests_reach_each_other(void **state)
{
    struct pair *p = *state;
    uint32_t there = offer(p), here = bind(p, there);
    struct evtchn_send send = {.port = here};

    assert_true(events_is_pending(&p->a->m, here)); /* to be sure */
    assert_false(events_is_pending(&p->b->m, there));
    assert_int_equal(event_call(p, EVTCHNOP_send, &send, sizeof(send)), 0);
    assert_true(events_is_pending(&p->b->m, there));
    assert_int_equal(events_remote(&p->b->m, there), TEST_DOMID);
    event_2l_clear_pending(&p->a->m, here);
    assert_int_equal(events_send(&p->b->m, &p->a->m, there), 0);
    assert_true(events_is_pending(&p->a->m, here));
}

static void only_who_it_waits_for_may_bind_a_port(void **state)
{
    struct pair *p = *state;
    struct evtchn_bind_interdomain op = {.remote_dom = OTHER_DOMID};
    uint32_t port;

    assert_int_equal(events_alloc_unbound(&p->b->m, NOBODY, &port), 0);
    op.remote_port = port;
    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     -XEN_EINVAL);
    op.remote_port = UINT32_MAX;
    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     -XEN_EINVAL);
    op.remote_port = offer(p);
    (void)bind(p, op.remote_port);
    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     -XEN_EINVAL);
    op.remote_dom = NOBODY;
    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     -XEN_ESRCH);
    op.remote_dom = 0;
    assert_int_equal(event_call(p, EVTCHNOP_bind_interdomain, &op, sizeof(op)),
                     -XEN_EINVAL);
    assert_int_equal(p->a->stops, 0);
}

static void the_other_end_of_a_closed_port_waits_again(void **state)
{
    struct pair *p = *state;
    uint32_t there = offer(p);
    struct evtchn_close close = {.port = bind(p, there)};

    assert_int_equal(event_call(p, EVTCHNOP_close, &close, sizeof(close)), 0);
    assert_int_equal(events_port(&p->b->m, there)->state, PORT_UNBOUND);
    assert_int_equal(events_port(&p->a->m, close.port)->state, PORT_FREE);
    assert_int_equal(bind(p, there), close.port);
    /* The same when the guest has no ports any more, or is no more. */
    {
        struct evtchn_reset reset = {.dom = DOMID_SELF};

        assert_int_equal(event_call(p, EVTCHNOP_reset, &reset, sizeof(reset)),
                         0);
    }
    assert_int_equal(events_port(&p->b->m, there)->state, PORT_UNBOUND);
    (void)bind(p, there);
    events_forget_guest(&p->b->m, TEST_DOMID);
    assert_int_equal(events_port(&p->b->m, there)->state, PORT_UNBOUND);
    assert_int_equal(events_port(&p->b->m, there)->remote_domid, TEST_DOMID);
    assert_int_equal(events_send(&p->b->m, &p->b->m, there), 0);
}

/* ---- grants ------------------------------------------------------------ */

static void a_mapped_page_is_the_granters(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    const struct grant_entry_v1 *entry = grants_entry(&p->b->m, REF);
    uint64_t ram = p->a->m.memory.nr_populated;
    bool read_only;
    uint8_t *page;

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_int_equal(entry->flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    page = seen_at(p->a, PLACE, &read_only);
    assert_non_null(page);
    assert_false(read_only);
    page[17] = 0x5a;
    assert_int_equal(*((uint8_t *)test_ram(p->b, LENT * PAGE_SIZE) + 17), 0x5a);
    assert_null(guest_memory_page(&p->a->m.memory, PLACE));
    assert_int_equal(p->a->m.memory.nr_populated, ram - 1);

    assert_int_equal(unmap(p, &op), GNTST_okay);
    assert_int_equal(entry->flags, GTF_permit_access);
    assert_null(seen_at(p->a, PLACE, &read_only));
    assert_int_equal(p->b->m.grants.nr_lent, 0);
    assert_int_equal(unmap(p, &op), GNTST_bad_handle);
}

static void a_page_can_be_granted_for_reading_only(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    bool read_only;

    grant(p->b, REF, GTF_permit_access | GTF_readonly, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_general_error);
    op = map_of(REF, PLACE, GNTMAP_readonly);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_non_null(seen_at(p->a, PLACE, &read_only));
    assert_true(read_only);
    assert_int_equal(grants_entry(&p->b->m, REF)->flags,
                     GTF_permit_access | GTF_readonly | GTF_reading);
    assert_int_equal(unmap(p, &op), GNTST_okay);
}

static void what_is_not_granted_is_not_mapped(void **state)
{
    struct pair *p = *state;
    uint64_t generation = p->a->m.memory.generation;
    struct gnttab_map_grant_ref op;

    op = map_of(UINT32_MAX, PLACE, 0);
    assert_int_equal(map(p, &op), GNTST_bad_gntref);
    op = map_of(REF, PLACE, 0);
    assert_int_equal(map(p, &op), GNTST_general_error); /* not granted */
    grant(p->b, REF, GTF_permit_access, NOBODY, LENT);
    assert_int_equal(map(p, &op), GNTST_general_error); /* to another */
    grant(p->b, REF, GTF_permit_access, TEST_DOMID, 0xfffff);
    assert_int_equal(map(p, &op), GNTST_bad_page);
    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    op = map_of(REF, PLACE, GNTMAP_device_map);
    assert_int_equal(map(p, &op), GNTST_general_error);
    op = map_of(REF, PLACE, 0);
    op.host_addr += 8;
    assert_int_equal(map(p, &op), GNTST_general_error);
    op = map_of(REF, UINT64_MAX / PAGE_SIZE, 0);
    assert_int_equal(map(p, &op), GNTST_general_error);
    op = map_of(REF, PLACE, 0);
    op.dom = NOBODY;
    assert_int_equal(map(p, &op), GNTST_bad_domain);
    op.dom = 0;
    assert_int_equal(map(p, &op), GNTST_bad_domain);
    assert_int_equal(grants_entry(&p->b->m, REF)->flags, GTF_permit_access);
    assert_int_equal(p->b->m.grants.nr_lent, 0);
    assert_int_equal(p->a->m.memory.generation, generation);
}

static void a_page_of_xens_is_not_lent(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    struct error err;

    assert_ok(guest_memory_place(&p->b->m.memory, XEN_PAGE_SHARED_INFO, 0xfe700,
                                 &err),
              err);
    grant(p->b, REF, GTF_permit_access, TEST_DOMID, 0xfe700);
    assert_int_equal(map(p, &op), GNTST_bad_page);
}

static void a_guest_can_map_its_own_page_but_not_over_itself(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, LENT, 0);

    op.dom = DOMID_SELF;
    grant(p->a, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_general_error);
    assert_true(guest_memory_is_ram(&p->a->m.memory, LENT));
    op.host_addr = PLACE * PAGE_SIZE;
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_int_equal(unmap(p, &op), GNTST_okay);
    assert_int_equal(p->a->m.grants.nr_lent, 0);
}

static void handles_come_to_an_end_and_back(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op, last;

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    for (uint32_t i = 0; i < FOREIGN_PAGES_MAX; i++) {
        last = map_of(REF, PLACE + i, 0);
        assert_int_equal(map(p, &last), GNTST_okay);
    }
    op = map_of(REF, PLACE + FOREIGN_PAGES_MAX, 0);
    assert_int_equal(map(p, &op), GNTST_no_device_space);
    assert_int_equal(unmap(p, &last), GNTST_okay);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_int_equal(op.handle, last.handle);
}

static void a_lent_frame_is_not_given_back(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    struct {
        struct xen_memory_reservation r;
        xen_pfn_t gfn;
    } argument = {
        .r = {.nr_extents = 1, .domid = DOMID_SELF},
          .gfn = LENT
    };

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_okay);
    argument.r.extent_start.p =
        (xen_pfn_t *)(uintptr_t)(ARGUMENT +
                                 offsetof(__typeof__(argument), gfn));
    assert_int_equal(test_call(p->b, __HYPERVISOR_memory_op,
                               XENMEM_decrease_reservation, &argument,
                               sizeof(argument)),
                     0);
    /* Nor can another frame be slipped in under the use of this one. */
    grants_entry(&p->b->m, REF)->frame = LENT + 1;
    assert_int_equal(unmap(p, &op), GNTST_okay);
    assert_int_equal(test_call(p->b, __HYPERVISOR_memory_op,
                               XENMEM_decrease_reservation, &argument,
                               sizeof(argument)),
                     1);
}

static void nothing_takes_a_foreign_pages_place(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0), again = op;
    struct error err;

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_int_equal(map(p, &again), GNTST_general_error);
    assert_refused(guest_memory_populate(&p->a->m.memory, PLACE, 1, &err), err,
                   ERR_STATE, "a page of another guest is mapped there");
    assert_refused(
        guest_memory_place(&p->a->m.memory, XEN_PAGE_SHARED_INFO, PLACE, &err),
        err, ERR_STATE, "a page of another guest is mapped there");
    assert_int_equal(p->b->m.grants.nr_lent, 1);
    op.host_addr += PAGE_SIZE;
    assert_int_equal(unmap(p, &op), GNTST_general_error);
}

static void a_page_outlives_its_granter(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    bool read_only;

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    memset(test_ram(p->b, LENT * PAGE_SIZE), 0x77, PAGE_SIZE);
    assert_int_equal(map(p, &op), GNTST_okay);
    grant_maps_forget_guest(&p->a->m, OTHER_DOMID);
    machine_teardown((void **)&p->b);
    p->b = NULL;
    assert_int_equal(seen_at(p->a, PLACE, &read_only)[99], 0x77);
    assert_int_equal(unmap(p, &op), GNTST_okay);
}

static void a_mapper_that_ends_gives_all_back(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(map(p, &op), GNTST_okay);
    grant_maps_end(&p->a->m, &p->b->m);
    assert_int_equal(grants_entry(&p->b->m, REF)->flags, GTF_permit_access);
    assert_int_equal(p->b->m.grants.nr_lent, 0);
}

static void an_array_that_is_put_off_goes_on_where_it_was(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op[3] = {map_of(REF, PLACE, 0),
                                         map_of(REF, PLACE + 1, 0),
                                         map_of(REF, PLACE + 2, 0)};

    op[0].dom = DOMID_SELF;
    op[1].dom = NOBODY;
    grant(p->a, REF, GTF_permit_access, TEST_DOMID, LENT);
    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_int_equal(call(p, __HYPERVISOR_grant_table_op,
                          GNTTABOP_map_grant_ref, op, sizeof(op), 3),
                     0);
    assert_int_equal(op[0].status, GNTST_okay);
    assert_int_equal(op[1].status, GNTST_bad_domain);
    assert_int_equal(op[2].status, GNTST_okay);
    assert_int_equal(op[0].handle, 0);
    assert_int_equal(op[2].handle, 1);
    assert_int_equal(p->a->m.grants.nr_lent, 1);
    assert_int_equal(p->b->m.grants.nr_lent, 1);
}

static void octets_are_copied_from_and_to_another_guest(void **state)
{
    struct pair *p = *state;
    struct gnttab_copy op = {
        .len = 16,
        .flags = GNTCOPY_source_gref,
        .source = {.u.ref = REF, .domid = OTHER_DOMID, .offset = 8},
        .dest = {.u.gmfn = PLACE,            .domid = DOMID_SELF                 }
    };
    uint8_t *theirs = test_ram(p->b, LENT * PAGE_SIZE);
    uint8_t *ours = test_ram(p->a, PLACE * PAGE_SIZE);

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    memset(theirs, 0x33, 64);
    assert_int_equal(
        call(p, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &op, sizeof(op), 1),
        0);
    assert_int_equal(op.status, GNTST_okay);
    assert_memory_equal(ours, theirs, 16);
    assert_int_equal(ours[16], 0);

    memset(ours, 0x44, 16);
    op = (struct gnttab_copy){
        .len = 16,
        .flags = GNTCOPY_dest_gref,
        .source = {.u.gmfn = PLACE, .domid = DOMID_SELF },
        .dest = {.u.ref = REF,    .domid = OTHER_DOMID}
    };
    (void)call(p, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &op, sizeof(op),
               1);
    assert_int_equal(op.status, GNTST_okay);
    assert_memory_equal(ours, theirs, 16);
    assert_int_equal(theirs[16], 0x33);
    assert_int_equal(grants_entry(&p->b->m, REF)->flags, GTF_permit_access);

    /* Not without a grant, however it is named. */
    op.flags = 0;
    op.dest.u.gmfn = LENT;
    (void)call(p, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &op, sizeof(op),
               1);
    assert_int_equal(op.status, GNTST_permission_denied);
    op.flags = GNTCOPY_dest_gref;
    op.dest.domid = NOBODY;
    (void)call(p, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &op, sizeof(op),
               1);
    assert_int_equal(op.status, GNTST_bad_domain);
    assert_int_equal(p->a->stops, 0);
    /* From one guest to another is what this host does not have. */
    op.source.domid = OTHER_DOMID;
    (void)call(p, __HYPERVISOR_grant_table_op, GNTTABOP_copy, &op, sizeof(op),
               1);
    assert_int_equal(p->a->stops, 1);
}

/* ---- moves ------------------------------------------------------------- */

static void who_shares_ports_or_pages_stays(void **state)
{
    struct pair *p = *state;
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    struct guest_state s = {0};
    struct evtchn_close close;
    struct error err;

    assert_ok(machine_state_can_leave(&p->a->m, &err), err);
    close.port = bind(p, offer(p));
    assert_refused(machine_state_can_leave(&p->a->m, &err), err, ERR_STATE,
                   "its port 1 is bound to port 2 of domain 8");
    assert_refused(machine_state_can_leave(&p->b->m, &err), err, ERR_STATE,
                   "its port 2 is bound to port 1 of domain 7");
    assert_int_equal(event_call(p, EVTCHNOP_close, &close, sizeof(close)), 0);
    assert_ok(machine_state_can_leave(&p->a->m, &err), err);
    assert_ok(machine_state_can_leave(&p->b->m, &err), err);

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_ok(machine_state_can_leave(&p->b->m, &err), err);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_refused(machine_state_can_leave(&p->a->m, &err), err, ERR_STATE,
                   "it has grant 20 of domain 8 mapped at gfn 0x900");
    assert_refused(machine_state_can_leave(&p->b->m, &err), err, ERR_STATE,
                   "domain 7 has its grant 20 mapped");
    assert_refused(machine_state_get(&p->b->m, STATE_IDENTITY, &s, &err), err,
                   ERR_STATE, "domain 8 cannot leave");
    guest_state_release(&s);
}

static void check_written(struct pair *p, enum dirty_method method)
{
    struct gnttab_map_grant_ref op = map_of(REF, PLACE, 0);
    struct dirty_tracker t = {.uffd = -1, .pagemap = -1};
    struct error err;

    grant(p->b, REF, GTF_permit_access, TEST_DOMID, LENT);
    assert_ok(dirty_start(&t, &p->b->m, method, &err), err);
    assert_int_equal(map(p, &op), GNTST_okay);
    assert_ok(dirty_collect(&t, &err), err);
    bitmap_empty(&t.written);
    p->a->m.memory.foreign[op.handle * PAGE_SIZE] = 1;
    assert_ok(dirty_collect(&t, &err), err);
    assert_true(bitmap_test(&t.written, LENT));
    assert_false(bitmap_test(&t.written, LENT + 1));

    /* Mapped when it starts, written later, not mapped when it is asked. */
    dirty_stop(&t);
    assert_ok(dirty_start(&t, &p->b->m, method, &err), err);
    assert_ok(dirty_collect(&t, &err), err);
    bitmap_empty(&t.written);
    p->a->m.memory.foreign[op.handle * PAGE_SIZE] = 2;
    assert_int_equal(unmap(p, &op), GNTST_okay);
    assert_ok(dirty_collect(&t, &err), err);
    assert_true(bitmap_test(&t.written, LENT));
    dirty_stop(&t);
}

static void what_another_guest_writes_counts_as_written(void **state)
{
    check_written(*state, DIRTY_ENGINE_HOOKS);
}

static void the_same_where_the_kernel_notes_it(void **state)
{
    if (dirty_method_probe() != DIRTY_WRITE_PROTECT)
        skip();
    check_written(*state, DIRTY_WRITE_PROTECT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_call_about_another_guest_waits_until_that_stands_still),
        CASE(ports_of_two_guests_reach_each_other),
        CASE(only_who_it_waits_for_may_bind_a_port),
        CASE(the_other_end_of_a_closed_port_waits_again),
        CASE(a_mapped_page_is_the_granters),
        CASE(a_page_can_be_granted_for_reading_only),
        CASE(what_is_not_granted_is_not_mapped),
        CASE(a_page_of_xens_is_not_lent),
        CASE(a_guest_can_map_its_own_page_but_not_over_itself),
        CASE(handles_come_to_an_end_and_back),
        CASE(a_lent_frame_is_not_given_back),
        CASE(nothing_takes_a_foreign_pages_place),
        CASE(a_page_outlives_its_granter),
        CASE(a_mapper_that_ends_gives_all_back),
        CASE(an_array_that_is_put_off_goes_on_where_it_was),
        CASE(octets_are_copied_from_and_to_another_guest),
        CASE(who_shares_ports_or_pages_stays),
        CASE(what_another_guest_writes_counts_as_written),
        CASE(the_same_where_the_kernel_notes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
