/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xc/xc_order.h"
#include "unit.h"

#define END_OF_LIST UINT32_MAX

static struct xcstream_order start(uint32_t version, uint32_t type,
                                   bool checkpointed)
{
    struct xcstream_headers h = {.version = version, .type = type};
    struct xcstream_order o;

    xcstream_order_init(&o, &h, checkpointed);
    return o;
}

/*
 * Take the records, all but the last of which must be clean; return the first
 * rule that the last one breaks.
 */
static const struct order_rule *last_breaks(struct xcstream_order *o,
                                            const uint32_t *types)
{
    const struct order_rule *rule = NULL;

    for (; *types != END_OF_LIST; types++) {
        size_t at = 0;

        if (rule)
            fail_msg("record before %#x: %s", *types, rule->id);
        rule = xcstream_order_violation(o, *types, &at);
        xcstream_order_advance(o, *types);
    }
    return rule;
}

#define assert_clean(version, guest, checkpointed, ...)                \
    do {                                                               \
        struct xcstream_order o = start(version, guest, checkpointed); \
        const uint32_t types[] = {__VA_ARGS__, END_OF_LIST};           \
        const struct order_rule *rule = last_breaks(&o, types);        \
                                                                       \
        if (rule)                                                      \
            fail_msg("%s", rule->id);                                  \
    } while (0)

#define assert_breaks(wanted, refuses, version, guest, ...)     \
    do {                                                        \
        struct xcstream_order o = start(version, guest, false); \
        const uint32_t types[] = {__VA_ARGS__, END_OF_LIST};    \
        const struct order_rule *rule = last_breaks(&o, types); \
                                                                \
        assert_non_null(rule);                                  \
        assert_string_equal(rule->id, wanted);                  \
        assert_int_equal(rule->restore_refuses, refuses);       \
    } while (0)

#define PV  XCSTREAM_DOMAIN_PV
#define HVM XCSTREAM_DOMAIN_HVM

/* What real savers write. */
static void order_accepts_real_streams(void **state)
{
    assert_clean(3, PV, false, XCREC_X86_PV_INFO, XCREC_X86_CPUID_POLICY,
                 XCREC_X86_MSR_POLICY, XCREC_STATIC_DATA_END,
                 XCREC_X86_PV_P2M_FRAMES, XCREC_PAGE_DATA, XCREC_PAGE_DATA,
                 XCREC_X86_TSC_INFO, XCREC_SHARED_INFO, XCREC_X86_PV_VCPU_BASIC,
                 XCREC_X86_PV_VCPU_EXTENDED, XCREC_X86_PV_VCPU_XSAVE,
                 XCREC_X86_PV_VCPU_MSRS, XCREC_END);
    assert_clean(2, PV, false, XCREC_X86_PV_INFO, XCREC_X86_PV_P2M_FRAMES,
                 XCREC_PAGE_DATA, XCREC_X86_TSC_INFO, XCREC_SHARED_INFO,
                 XCREC_X86_PV_VCPU_BASIC, XCREC_END);
    assert_clean(3, HVM, false, XCREC_X86_CPUID_POLICY, XCREC_STATIC_DATA_END,
                 XCREC_PAGE_DATA, XCREC_VERIFY, XCREC_PAGE_DATA,
                 XCREC_X86_TSC_INFO, XCREC_HVM_CONTEXT, XCREC_HVM_PARAMS,
                 XCREC_END);
    /* The legacy converter: TSC between the pages' end and the rest, PARAMS
     * first. */
    assert_clean(3, HVM, false, XCREC_STATIC_DATA_END, XCREC_PAGE_DATA,
                 XCREC_X86_TSC_INFO, XCREC_HVM_PARAMS, XCREC_HVM_CONTEXT,
                 XCREC_END);
    assert_clean(2, HVM, true, XCREC_PAGE_DATA, XCREC_X86_TSC_INFO,
                 XCREC_HVM_CONTEXT, XCREC_HVM_PARAMS, XCREC_CHECKPOINT,
                 XCREC_PAGE_DATA, XCREC_X86_TSC_INFO, XCREC_HVM_CONTEXT,
                 XCREC_HVM_PARAMS, XCREC_CHECKPOINT);
}

static void order_finds_what_restorers_refuse(void **state)
{
    assert_breaks("xc-record-unknown", true, 3, HVM, 0x13);
    assert_breaks("xc-record-unknown", true, 3, HVM, 0x7fffffff);
    assert_breaks("xc-record-retired", true, 3, HVM, XCREC_TOOLSTACK);
    assert_breaks("xc-record-back-channel", true, 3, HVM,
                  XCREC_CHECKPOINT_DIRTY_PFN_LIST);
    assert_breaks("xc-record-guest-type", true, 3, HVM, XCREC_X86_PV_INFO);
    assert_breaks("xc-record-guest-type", true, 3, PV, XCREC_HVM_PARAMS);
    assert_breaks("xc-order-pv-info-once", true, 3, PV, XCREC_X86_PV_INFO,
                  XCREC_X86_PV_INFO);
    assert_breaks("xc-order-static-data-end", true, 3, HVM, XCREC_PAGE_DATA);
    assert_breaks("xc-order-static-data-end-once", true, 3, HVM,
                  XCREC_STATIC_DATA_END, XCREC_STATIC_DATA_END);
    assert_breaks("xc-order-needs-pv-info", true, 2, PV, XCREC_SHARED_INFO);
    assert_breaks("xc-order-needs-p2m", true, 3, PV, XCREC_X86_PV_INFO,
                  XCREC_STATIC_DATA_END, XCREC_PAGE_DATA);
    assert_breaks("xc-end-no-vcpu", true, 2, PV, XCREC_X86_PV_INFO,
                  XCREC_X86_PV_P2M_FRAMES, XCREC_PAGE_DATA, XCREC_X86_TSC_INFO,
                  XCREC_SHARED_INFO, XCREC_END);
    assert_breaks("xc-end-no-hvm-context", true, 2, HVM, XCREC_PAGE_DATA,
                  XCREC_X86_TSC_INFO, XCREC_HVM_PARAMS, XCREC_END);
    assert_breaks("xc-checkpoint-unexpected", true, 2, HVM, XCREC_PAGE_DATA,
                  XCREC_X86_TSC_INFO, XCREC_HVM_CONTEXT, XCREC_HVM_PARAMS,
                  XCREC_CHECKPOINT);
}

static void order_finds_what_restorers_let_pass(void **state)
{
    assert_breaks("xc-record-optional", false, 3, HVM, 0x80000001);
    assert_breaks("xc-record-version", false, 2, HVM, XCREC_STATIC_DATA_END);
    assert_breaks("xc-order-policy-late", false, 3, HVM, XCREC_STATIC_DATA_END,
                  XCREC_X86_CPUID_POLICY);
    assert_breaks("xc-order-policy-once", false, 3, HVM, XCREC_X86_MSR_POLICY,
                  XCREC_X86_MSR_POLICY);
    assert_breaks("xc-order-pages-after-state", false, 2, HVM, XCREC_PAGE_DATA,
                  XCREC_HVM_CONTEXT, XCREC_PAGE_DATA);
    assert_breaks("xc-order-vcpu-needs-pages", false, 2, PV, XCREC_X86_PV_INFO,
                  XCREC_X86_PV_P2M_FRAMES, XCREC_X86_PV_VCPU_BASIC);
    assert_breaks("xc-order-verify-needs-pages", false, 2, HVM, XCREC_VERIFY);
    assert_breaks("xc-order-tsc-once", false, 2, HVM, XCREC_PAGE_DATA,
                  XCREC_X86_TSC_INFO, XCREC_X86_TSC_INFO);
}

static void order_tells_the_end_of_static_data_once(void **state)
{
    struct xcstream_order v2 = start(2, PV, false);
    struct xcstream_order v3 = start(3, HVM, false);

    assert_false(xcstream_order_advance(&v2, XCREC_X86_PV_INFO));
    assert_true(xcstream_order_advance(&v2, XCREC_X86_PV_P2M_FRAMES));
    assert_false(xcstream_order_advance(&v2, XCREC_PAGE_DATA));
    assert_true(v2.static_data_done);

    assert_false(xcstream_order_advance(&v3, XCREC_PAGE_DATA));
    assert_true(xcstream_order_advance(&v3, XCREC_STATIC_DATA_END));
}

static void order_check_names_record_and_offset(void **state)
{
    struct xcstream_order o = start(3, HVM, false);
    struct record_head head = {.type = XCREC_PAGE_DATA, .offset = 0x28};
    struct record_head optional = {.type = 0xc0000000, .offset = 0x28};
    struct error err;

    assert_refused(xcstream_order_check(&o, &head, &err), err, ERR_FORMAT,
                   "PAGE_DATA (type 0x1) at offset 40: STATIC_DATA_END");
    assert_ok(xcstream_order_check(&o, &optional, &err), err);
}

static void order_rules_have_unique_names(void **state)
{
    for (size_t i = 0; xcstream_order_rule(i); i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(xcstream_order_rule(i)->id,
                                    xcstream_order_rule(j)->id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_accepts_real_streams),
        cmocka_unit_test(order_finds_what_restorers_refuse),
        cmocka_unit_test(order_finds_what_restorers_let_pass),
        cmocka_unit_test(order_tells_the_end_of_static_data_once),
        cmocka_unit_test(order_check_names_record_and_offset),
        cmocka_unit_test(order_rules_have_unique_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
