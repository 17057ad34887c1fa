/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A guest without processors: what the tests of its state machines share. */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include "unit.h"

#include "hostd/events.h"
#include "hostd/grants.h"
#include "hostd/guest_machine.h"
#include "hostd/hypercall_serve.h"
#include "hostd/kernel_image.h"

#define TEST_DOMID 7
#define TEST_PAGES 4096u
/* Where tests put arguments of hypercalls. */
#define ARGUMENT 0x3000u

struct test_machine {
    struct machine m;
    unsigned int wakes[MACHINE_VCPUS_MAX];
    unsigned int stops;
};

static struct test_machine *test_of(struct machine *m)
{
    return container_of(m, struct test_machine, m);
}

static void test_wake(struct machine *m, struct vcpu *v)
{
    test_of(m)->wakes[v->id]++;
}

static void test_timers_changed(struct machine *m)
{
    (void)m;
}

static bool test_start(struct machine *m, struct vcpu *v,
                       const struct vcpu_hvm_context *context)
{
    (void)m;
    (void)v;
    return context->cpu_regs.x86_64.rip != 0;
}

static void test_stopped(struct machine *m)
{
    test_of(m)->stops++;
}

static void test_text(struct machine *m, const char *text, size_t length)
{
    (void)m;
    (void)text;
    (void)length;
}

static const struct machine_ops test_ops = {.vcpu_wake = test_wake,
                                            .timers_changed =
                                                test_timers_changed,
                                            .vcpu_start = test_start,
                                            .stopped = test_stopped,
                                            .debug_text = test_text};

/* Two vCPUs, 16 MiB, paging off. */
static int machine_setup(void **state)
{
    struct test_machine *t = calloc(1, sizeof(*t));
    struct error err;

    assert_non_null(t);
    assert_ok(machine_init(&t->m, TEST_DOMID, 2, kernel_image_gfns(TEST_PAGES),
                           &test_ops, &err),
              err);
    assert_ok(kernel_image_populate(&t->m, TEST_PAGES, &err), err);
    t->m.time.scale = tsc_scale_from_khz(2000000);
    for (unsigned int i = 0; i < MACHINE_VCPUS_MAX; i++)
        t->m.vcpu[i].cr3 = CR3_NONE;
    *state = t;
    return 0;
}

static int machine_teardown(void **state)
{
    struct test_machine *t = *state;

    machine_release(&t->m);
    free(t);
    return 0;
}

static inline void *test_ram(struct test_machine *t, uint64_t gpa)
{
    return t->m.memory.ram + gpa;
}

/* A hypercall of vCPU 0 with 'argument' at ARGUMENT, which it may change. */
static inline int64_t test_call(struct test_machine *t, uint64_t nr,
                                uint64_t op, void *argument, size_t length)
{
    struct hypercall c = {
        .m = &t->m,
        .v = &t->m.vcpu[0],
        .rip = 0x1234,
        .nr = nr,
        .arg = {op, ARGUMENT, 0}
    };
    int64_t rc;

    memcpy(test_ram(t, ARGUMENT), argument, length);
    rc = hypercall_serve(&c);
    memcpy(argument, test_ram(t, ARGUMENT), length);
    return rc;
}

#endif
