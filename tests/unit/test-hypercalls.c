/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "test_machine.h"

static void unknown_calls_stop_the_guest_and_say_what_and_where(void **state)
{
    struct test_machine *t = *state;
    uint64_t argument = 0;

    assert_int_equal(test_call(t, 61, 5, &argument, sizeof(argument)),
                     -XEN_ENOSYS);
    assert_int_equal(t->stops, 1);
    assert_int_equal(t->m.shutdown, SHUTDOWN_crash);
    assert_non_null(strstr(t->m.stop_reason, "hypercall 61(0x5, 0x3000, 0)"));
    assert_non_null(strstr(t->m.stop_reason, "RIP 0x1234"));
}

static void arguments_that_are_no_memory_are_efault(void **state)
{
    struct test_machine *t = *state;
    static const uint64_t calls[][2] = {
        {__HYPERVISOR_memory_op,        XENMEM_add_to_physmap},
        {__HYPERVISOR_event_channel_op, EVTCHNOP_send        },
        {__HYPERVISOR_grant_table_op,   GNTTABOP_get_version },
        {__HYPERVISOR_hvm_op,           HVMOP_get_param      },
        {__HYPERVISOR_sched_op,         SCHEDOP_poll         },
        {__HYPERVISOR_xen_version,      XENVER_get_features  },
    };

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        struct hypercall c = {
            .m = &t->m,
            .v = &t->m.vcpu[0],
            .nr = calls[i][0],
            .arg = {calls[i][1], UINT64_MAX - 4, 1}
        };

        assert_int_equal(hypercall_serve(&c), -XEN_EFAULT);
        c.arg[1] = UINT64_C(0x80000000);
        assert_int_equal(hypercall_serve(&c), -XEN_EFAULT);
    }
    assert_int_equal(t->stops, 0);
}

static void shared_info_and_grant_frames_go_where_the_guest_wants(void **state)
{
    struct test_machine *t = *state;
    struct xen_add_to_physmap op = {
        .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = 0xfe700};
    uint64_t pages = t->m.memory.nr_populated;

    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     0);
    assert_ptr_equal(guest_memory_page(&t->m.memory, 0xfe700),
                     machine_shared_info(&t->m));
    /* Over RAM: the RAM is gone. */
    op.gpfn = 0x100;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     0);
    assert_null(guest_memory_page(&t->m.memory, 0xfe700));
    assert_int_equal(t->m.memory.nr_populated, pages - 1);
    op.space = XENMAPSPACE_grant_table;
    op.idx = GRANT_FRAMES_MAX;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     -XEN_EINVAL);
    op.idx = 2;
    op.gpfn = UINT64_MAX;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     -XEN_EINVAL);
    op.gpfn = 0xfe710;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     0);
    assert_int_equal(t->m.grants.nr_frames, 3);
    op.domid = 8;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op, XENMEM_add_to_physmap,
                               &op, sizeof(op)),
                     -XEN_EPERM);
}

static void memory_goes_and_comes_back_zeroed(void **state)
{
    struct test_machine *t = *state;
    struct xen_memory_reservation op = {.nr_extents = 3, .domid = DOMID_SELF};
    uint64_t *extents = test_ram(t, 0x4000);
    uint64_t pages = t->m.memory.nr_populated;
    uint64_t generation = t->m.memory.generation;

    op.extent_start.p = (xen_pfn_t *)0x4000;
    extents[0] = 0x200;
    extents[1] = 0x201;
    extents[2] = 0x99999; /* no RAM: ends the call */
    memset(test_ram(t, 0x200 * PAGE_SIZE), 0xaa, PAGE_SIZE);
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op,
                               XENMEM_decrease_reservation, &op, sizeof(op)),
                     2);
    assert_int_equal(t->m.memory.nr_populated, pages - 2);
    assert_true(t->m.memory.generation > generation);
    assert_null(guest_memory_page(&t->m.memory, 0x200));
    op.nr_extents = 2;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op,
                               XENMEM_populate_physmap, &op, sizeof(op)),
                     2);
    assert_int_equal(t->m.memory.nr_populated, pages);
    assert_int_equal(*(uint8_t *)test_ram(t, 0x200 * PAGE_SIZE), 0);
    /* No more than it may have. */
    extents[0] = 0xe0000;
    assert_int_equal(test_call(t, __HYPERVISOR_memory_op,
                               XENMEM_populate_physmap, &op, sizeof(op)),
                     0);
}

static int64_t vcpu_call(struct test_machine *t, uint64_t op, uint64_t vcpu,
                         uint64_t argument)
{
    struct hypercall c = {
        .m = &t->m,
        .v = &t->m.vcpu[0],
        .nr = __HYPERVISOR_vcpu_op,
        .arg = {op, vcpu, argument}
    };

    return hypercall_serve(&c);
}

static void vcpu_info_moves_once_with_an_upcall(void **state)
{
    struct test_machine *t = *state;
    struct vcpu_register_vcpu_info *op = test_ram(t, ARGUMENT);

    machine_shared_info(&t->m)->vcpu_info[1].evtchn_upcall_mask = 1;
    *op = (struct vcpu_register_vcpu_info){.mfn = 0x300, .offset = 4090};
    assert_int_equal(vcpu_call(t, VCPUOP_register_vcpu_info, 1, ARGUMENT),
                     -XEN_EINVAL);
    op->offset = 64;
    op->mfn = 0x80000;
    assert_int_equal(vcpu_call(t, VCPUOP_register_vcpu_info, 1, ARGUMENT),
                     -XEN_EINVAL);
    op->mfn = 0x300;
    assert_int_equal(vcpu_call(t, VCPUOP_register_vcpu_info, 2, ARGUMENT),
                     -XEN_ENOENT);
    assert_int_equal(vcpu_call(t, VCPUOP_register_vcpu_info, 1, ARGUMENT), 0);
    assert_ptr_equal(machine_vcpu_info(&t->m, &t->m.vcpu[1]),
                     test_ram(t, 0x300 * PAGE_SIZE + 64));
    assert_int_equal(
        machine_vcpu_info(&t->m, &t->m.vcpu[1])->evtchn_upcall_mask, 1);
    assert_int_equal(
        machine_vcpu_info(&t->m, &t->m.vcpu[1])->evtchn_upcall_pending, 1);
    assert_int_equal(t->wakes[1], 1);
    assert_int_equal(vcpu_call(t, VCPUOP_register_vcpu_info, 1, ARGUMENT),
                     -XEN_EINVAL);
}

static void a_vcpu_starts_only_after_it_was_initialised(void **state)
{
    struct test_machine *t = *state;
    struct vcpu_hvm_context *context = test_ram(t, ARGUMENT);

    assert_int_equal(vcpu_call(t, VCPUOP_is_up, 1, 0), 0);
    assert_int_equal(vcpu_call(t, VCPUOP_up, 1, 0), -XEN_EINVAL);
    *context = (struct vcpu_hvm_context){.mode = VCPU_HVM_MODE_64B};
    assert_int_equal(vcpu_call(t, VCPUOP_initialise, 1, ARGUMENT), -XEN_EINVAL);
    context->cpu_regs.x86_64.rip = 0x100000;
    assert_int_equal(vcpu_call(t, VCPUOP_initialise, 1, ARGUMENT), 0);
    assert_int_equal(vcpu_call(t, VCPUOP_initialise, 1, ARGUMENT), -XEN_EEXIST);
    assert_int_equal(vcpu_call(t, VCPUOP_up, 1, 0), 0);
    assert_int_equal(vcpu_call(t, VCPUOP_is_up, 1, 0), 1);
    assert_int_equal(vcpu_call(t, VCPUOP_down, 1, 0), 0);
    assert_int_equal(vcpu_call(t, VCPUOP_is_up, 1, 0), 0);
}

static void a_singleshot_timer_fires_once(void **state)
{
    struct test_machine *t = *state;
    struct vcpu_set_singleshot_timer *op = test_ram(t, ARGUMENT);
    uint32_t port;

    assert_int_equal(events_bind_virq(&t->m, VIRQ_TIMER, 0, &port), 0);
    guest_time_set(&t->m.time, 1000000000);
    *op = (struct vcpu_set_singleshot_timer){.timeout_abs_ns = 5,
                                             .flags = VCPU_SSHOTTMR_future};
    assert_int_equal(vcpu_call(t, VCPUOP_set_singleshot_timer, 0, ARGUMENT),
                     -XEN_ETIME);
    op->flags = 0;
    assert_int_equal(vcpu_call(t, VCPUOP_set_singleshot_timer, 0, ARGUMENT), 0);
    assert_int_equal(machine_next_timer(&t->m), 5);
    machine_run_timers(&t->m);
    assert_true(events_is_pending(&t->m, port));
    assert_int_equal(machine_next_timer(&t->m), 0);
    op->timeout_abs_ns = UINT64_MAX;
    assert_int_equal(vcpu_call(t, VCPUOP_set_singleshot_timer, 0, ARGUMENT), 0);
    assert_int_equal(guest_time_deadline(&t->m.time, UINT64_MAX), INT64_MAX);
    machine_run_timers(&t->m);
    assert_int_equal(t->m.vcpu[0].singleshot_ns, UINT64_MAX);
    assert_int_equal(vcpu_call(t, VCPUOP_set_singleshot_timer, 1, ARGUMENT),
                     -XEN_EINVAL);
}

static void missed_periods_are_one_tick(void **state)
{
    struct test_machine *t = *state;
    struct vcpu_set_periodic_timer *op = test_ram(t, ARGUMENT);
    uint64_t now;

    op->period_ns = 1;
    assert_int_equal(vcpu_call(t, VCPUOP_set_periodic_timer, 0, ARGUMENT),
                     -XEN_EINVAL);
    op->period_ns = 1000000000;
    assert_int_equal(vcpu_call(t, VCPUOP_set_periodic_timer, 0, ARGUMENT), 0);
    guest_time_set(&t->m.time,
                   t->m.vcpu[0].periodic_next_ns + UINT64_C(3500000000));
    machine_run_timers(&t->m);
    now = guest_time_now(&t->m.time);
    assert_true(t->m.vcpu[0].periodic_next_ns > now);
    assert_true(t->m.vcpu[0].periodic_next_ns - now <= 1000000000);
}

static void poll_waits_for_its_ports_or_its_deadline(void **state)
{
    struct test_machine *t = *state;
    struct sched_poll op = {.nr_ports = 1, .timeout = 0};
    struct vcpu *v = &t->m.vcpu[0];
    uint32_t *ports = test_ram(t, 0x4000);

    op.ports.p = (evtchn_port_t *)0x4000;
    assert_int_equal(events_bind_ipi(&t->m, 0, ports), 0);
    assert_int_equal(
        test_call(t, __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)), 0);
    assert_int_equal(v->wait, VCPU_POLLING);
    vcpu_unblock(&t->m, v);
    assert_int_equal(events_send(&t->m, &t->m, *ports), 0);
    assert_int_equal(
        test_call(t, __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)), 0);
    assert_int_equal(v->wait, VCPU_RUNNABLE);
    event_2l_clear_pending(&t->m, *ports);
    guest_time_set(&t->m.time, 1000);
    op.timeout = UINT64_C(1) << 50;
    assert_int_equal(
        test_call(t, __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)), 0);
    assert_int_equal(machine_next_timer(&t->m), op.timeout);
    guest_time_set(&t->m.time, op.timeout);
    machine_run_timers(&t->m);
    assert_int_equal(v->wait, VCPU_RUNNABLE);
    op.nr_ports = POLL_PORTS_MAX + 1;
    assert_int_equal(
        test_call(t, __HYPERVISOR_sched_op, SCHEDOP_poll, &op, sizeof(op)),
        -XEN_EINVAL);
}

static void an_upcall_vector_is_asserted_once_per_upcall(void **state)
{
    struct test_machine *t = *state;
    struct xen_hvm_evtchn_upcall_vector op = {.vcpu = 1, .vector = 3};
    uint32_t port;

    assert_int_equal(test_call(t, __HYPERVISOR_hvm_op,
                               HVMOP_set_evtchn_upcall_vector, &op, sizeof(op)),
                     -XEN_EINVAL);
    op.vector = 0x40;
    assert_int_equal(test_call(t, __HYPERVISOR_hvm_op,
                               HVMOP_set_evtchn_upcall_vector, &op, sizeof(op)),
                     0);
    assert_int_equal(vcpu_upcall_vector(&t->m, &t->m.vcpu[1]), 0);
    assert_int_equal(events_bind_ipi(&t->m, 1, &port), 0);
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(vcpu_upcall_vector(&t->m, &t->m.vcpu[1]), 0x40);
    t->m.vcpu[1].upcall_requested = false; /* delivered */
    assert_int_equal(vcpu_upcall_vector(&t->m, &t->m.vcpu[1]), 0);
}

static void the_callback_of_the_domain_lasts_while_pending(void **state)
{
    struct test_machine *t = *state;
    struct xen_hvm_param op = {
        .domid = DOMID_SELF,
        .index = HVM_PARAM_CALLBACK_IRQ,
        .value = (uint64_t)HVM_PARAM_CALLBACK_TYPE_VECTOR << 56 | 0x41};
    uint32_t port;

    assert_int_equal(
        test_call(t, __HYPERVISOR_hvm_op, HVMOP_set_param, &op, sizeof(op)), 0);
    op.index = HVM_PARAM_STORE_PFN;
    assert_int_equal(
        test_call(t, __HYPERVISOR_hvm_op, HVMOP_set_param, &op, sizeof(op)),
        -XEN_EPERM);
    assert_int_equal(events_bind_ipi(&t->m, 1, &port), 0);
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(vcpu_upcall_vector(&t->m, &t->m.vcpu[1]), 0x41);
    machine_vcpu_info(&t->m, &t->m.vcpu[1])->evtchn_upcall_pending = 0;
    assert_int_equal(vcpu_upcall_vector(&t->m, &t->m.vcpu[1]), 0);
}

static void a_halted_vcpu_wakes_for_an_upcall(void **state)
{
    struct test_machine *t = *state;
    uint64_t argument = 0;
    uint32_t port;

    assert_int_equal(events_bind_ipi(&t->m, 0, &port), 0);
    assert_int_equal(test_call(t, __HYPERVISOR_sched_op, SCHEDOP_block,
                               &argument, sizeof(argument)),
                     0);
    assert_int_equal(t->m.vcpu[0].wait, VCPU_HALTED);
    assert_int_equal(events_send(&t->m, &t->m, port), 0);
    assert_int_equal(t->m.vcpu[0].wait, VCPU_RUNNABLE);
    assert_int_equal(test_call(t, __HYPERVISOR_sched_op, SCHEDOP_block,
                               &argument, sizeof(argument)),
                     0);
    assert_int_equal(t->m.vcpu[0].wait, VCPU_RUNNABLE);
}

static void grants_are_given_to_the_host_only_as_they_say(void **state)
{
    struct test_machine *t = *state;
    struct grant_entry_v1 *entry;

    assert_null(grants_begin(&t->m, 8, GRANT_READ));
    assert_int_equal(grants_grow(&t->m, 1), 0);
    assert_int_equal(grants_grow(&t->m, GRANT_FRAMES_MAX + 1), -XEN_EINVAL);
    entry = grants_entry(&t->m, 8);
    assert_null(grants_begin(&t->m, 8, GRANT_READ));
    *entry = (struct grant_entry_v1){.flags = GTF_permit_access | GTF_readonly,
                                     .frame = 0x300};
    assert_null(grants_begin(&t->m, 8, GRANT_WRITE));
    assert_ptr_equal(grants_begin(&t->m, 8, GRANT_READ),
                     test_ram(t, 0x300 * PAGE_SIZE));
    assert_true(entry->flags & GTF_reading);
    grants_end(&t->m, 8, GRANT_READ);
    assert_int_equal(entry->flags, GTF_permit_access | GTF_readonly);
    entry->domid = 3;
    assert_null(grants_begin(&t->m, 8, GRANT_READ));
    *entry =
        (struct grant_entry_v1){.flags = GTF_permit_access, .frame = 0x80000};
    assert_null(grants_begin(&t->m, 8, GRANT_READ));
    assert_null(grants_entry(&t->m, UINT32_MAX));
}

static void a_copy_stays_within_pages_and_grants(void **state)
{
    struct test_machine *t = *state;
    struct gnttab_copy op = {
        .len = 16,
        .source = {.u.gmfn = 0x300,      .domid = DOMID_SELF},
        .dest = { .u.gmfn = 0x301, .domid = DOMID_SELF,      .offset = 4080}
    };

    memset(test_ram(t, 0x300 * PAGE_SIZE), 0x55, 16);
    assert_int_equal(grants_copy(&t->m, &t->m, &t->m, &op), GNTST_okay);
    assert_memory_equal(test_ram(t, 0x300 * PAGE_SIZE),
                        test_ram(t, 0x301 * PAGE_SIZE + 4080), 16);
    op.len = 17;
    assert_int_equal(grants_copy(&t->m, &t->m, &t->m, &op), GNTST_bad_copy_arg);
    op.len = 16;
    op.dest.u.gmfn = 0x80000;
    assert_int_equal(grants_copy(&t->m, &t->m, &t->m, &op), GNTST_bad_page);
    op.flags = GNTCOPY_dest_gref;
    op.dest.u.ref = 5;
    assert_int_equal(grants_copy(&t->m, &t->m, &t->m, &op), GNTST_bad_gntref);
}

static void the_clock_goes_on_from_where_it_is_set(void **state)
{
    struct test_machine *t = *state;
    struct vcpu_time_info info = {0};
    uint64_t last = 0;

    guest_time_set(&t->m.time, 123456789);
    assert_true(guest_time_now(&t->m.time) >= 123456789);
    t->m.time.scale = tsc_scale_measure(20);
    for (unsigned int i = 0; i < 1000; i++) {
        uint64_t delta, now;

        guest_time_publish(&t->m.time, &info);
        assert_int_equal(info.version % 2, 0);
        assert_true(info.system_time >= last);
        delta = tsc_now() - info.tsc_timestamp;
        delta = info.tsc_shift < 0 ? delta >> -info.tsc_shift
                                   : delta << info.tsc_shift;
        now =
            info.system_time +
            (uint64_t)((unsigned __int128)delta * info.tsc_to_system_mul >> 32);
        last = now;
    }
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unknown_calls_stop_the_guest_and_say_what_and_where),
        TEST(arguments_that_are_no_memory_are_efault),
        TEST(shared_info_and_grant_frames_go_where_the_guest_wants),
        TEST(memory_goes_and_comes_back_zeroed),
        TEST(vcpu_info_moves_once_with_an_upcall),
        TEST(a_vcpu_starts_only_after_it_was_initialised),
        TEST(a_singleshot_timer_fires_once),
        TEST(missed_periods_are_one_tick),
        TEST(poll_waits_for_its_ports_or_its_deadline),
        TEST(an_upcall_vector_is_asserted_once_per_upcall),
        TEST(the_callback_of_the_domain_lasts_while_pending),
        TEST(a_halted_vcpu_wakes_for_an_upcall),
        TEST(grants_are_given_to_the_host_only_as_they_say),
        TEST(a_copy_stays_within_pages_and_grants),
        TEST(the_clock_goes_on_from_where_it_is_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
