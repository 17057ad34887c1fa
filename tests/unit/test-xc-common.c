/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xc/xc_common.h"
#include "unit_stream.h"

/* clang-format off */
static const uint8_t tsc_little[] = {
    0x01, 0x00, 0x00, 0x00, /* mode */
    0xa0, 0x25, 0x26, 0x00, /* khz 2500000 */
    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* nsec */
    0x09, 0x00, 0x00, 0x00, /* incarnation */
    0x00, 0x00, 0x00, 0x00, /* reserved */
};
static const uint8_t tsc_big[] = {
    0x00, 0x00, 0x00, 0x01,
    0x00, 0x26, 0x25, 0xa0,
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
    0x00, 0x00, 0x00, 0x09,
    0x00, 0x00, 0x00, 0x00,
};
static const uint8_t cpuid_body[] = {
    0x07, 0x00, 0x00, 0x00, /* leaf */
    0x00, 0x00, 0x00, 0x00, /* subleaf */
    0x01, 0x00, 0x00, 0x00, /* a */
    0x02, 0x00, 0x00, 0x00, /* b */
    0x03, 0x00, 0x00, 0x00, /* c */
    0x04, 0x00, 0x00, 0x00, /* d */
    0x00, 0x00, 0x00, 0x80, /* leaf */
    0xff, 0xff, 0xff, 0xff, /* subleaf: none */
    0x08, 0x00, 0x00, 0x80,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
static const uint8_t msr_body[] = {
    0xce, 0x00, 0x00, 0x00, /* index */
    0x00, 0x00, 0x00, 0x00, /* flags */
    0x00, 0x00, 0x00, 0x80, 0, 0, 0, 0, /* value */
};
/* clang-format on */

static void tsc_info_decodes_both_byte_orders(void **state)
{
    struct record rec = exact_record(XCREC_X86_TSC_INFO, tsc_little,
                                     sizeof(tsc_little), ORDER_LITTLE);
    struct record other =
        exact_record(XCREC_X86_TSC_INFO, tsc_big, sizeof(tsc_big), ORDER_BIG);
    struct tsc_info little;
    struct tsc_info big;
    struct buffer b = {0};
    struct error err;

    assert_ok(tsc_info_decode(&rec, &little, &err), err);
    assert_int_equal(little.mode, 1);
    assert_int_equal(little.khz, 2500000);
    assert_int_equal(little.nsec, 0x0102030405060708);
    assert_int_equal(little.incarnation, 9);
    assert_ok(tsc_info_decode(&other, &big, &err), err);
    assert_memory_equal(&little, &big, sizeof(big));
    tsc_info_append(&b, &little);
    assert_memory_equal(b.bytes + 8, tsc_little, sizeof(tsc_little));
    buffer_release(&b);
    exact_record_free(&rec);
    exact_record_free(&other);
}

static void tsc_info_rejects_every_truncation(void **state)
{
    struct tsc_info info;

    assert_truncations_refused(XCREC_X86_TSC_INFO, tsc_little, ORDER_LITTLE,
                               tsc_info_decode(&rec, &info, &err));
}

static void tsc_info_rejects_a_longer_body(void **state)
{
    static const uint8_t longer[32];
    struct tsc_info info;
    struct record rec;
    struct error err;

    rec =
        exact_record(XCREC_X86_TSC_INFO, longer, sizeof(longer), ORDER_LITTLE);
    assert_refused(tsc_info_decode(&rec, &info, &err), err, ERR_FORMAT,
                   "X86_TSC_INFO at offset 40: body of 32 octets, expected 24");
    exact_record_free(&rec);
}

static void cpuid_policy_decodes(void **state)
{
    struct record rec = exact_record(XCREC_X86_CPUID_POLICY, cpuid_body,
                                     sizeof(cpuid_body), ORDER_LITTLE);
    struct cpuid_policy policy;
    struct cpuid_leaf leaves[2];
    struct buffer b = {0};
    struct error err;

    assert_ok(cpuid_policy_decode(&rec, &policy, &err), err);
    assert_int_equal(policy.nr_leaves, 2);
    leaves[0] = cpuid_policy_get(&policy, 0);
    leaves[1] = cpuid_policy_get(&policy, 1);
    assert_int_equal(leaves[0].leaf, 7);
    assert_int_equal(leaves[0].d, 4);
    assert_int_equal(leaves[1].subleaf, CPUID_NO_SUBLEAF);
    assert_int_equal(leaves[1].a, 0x80000008);
    cpuid_policy_append(&b, leaves, 2);
    assert_memory_equal(b.bytes + 8, cpuid_body, sizeof(cpuid_body));
    buffer_release(&b);
    exact_record_free(&rec);
}

static void policies_reject_partial_entries(void **state)
{
    struct cpuid_policy cpuid;
    struct msr_policy msr;

    for (uint32_t length = 0; length <= sizeof(cpuid_body); length++) {
        struct record rec = exact_record(XCREC_X86_CPUID_POLICY, cpuid_body,
                                         length, ORDER_LITTLE);
        struct error err = {0};

        assert_int_equal(cpuid_policy_decode(&rec, &cpuid, &err),
                         length > 0 && length % 24 == 0);
        assert_int_equal(msr_policy_decode(&rec, &msr, &err),
                         length > 0 && length % 16 == 0);
        exact_record_free(&rec);
    }
}

static void msr_policy_decodes(void **state)
{
    struct record rec = exact_record(XCREC_X86_MSR_POLICY, msr_body,
                                     sizeof(msr_body), ORDER_LITTLE);
    struct msr_policy policy;
    struct msr_entry msr;
    struct buffer b = {0};
    struct error err;

    assert_ok(msr_policy_decode(&rec, &policy, &err), err);
    assert_int_equal(policy.nr_msrs, 1);
    msr = msr_policy_get(&policy, 0);
    assert_int_equal(msr.index, 0xce);
    assert_int_equal(msr.value, 0x80000000);
    msr_policy_append(&b, &msr, 1);
    assert_memory_equal(b.bytes + 8, msr_body, sizeof(msr_body));
    buffer_release(&b);
    exact_record_free(&rec);
}

static void policies_without_entries_are_not_written(void **state)
{
    struct buffer b = {0};

    cpuid_policy_append(&b, NULL, 0);
    msr_policy_append(&b, NULL, 0);
    assert_int_equal(b.length, 0);
}

static void dirty_pfn_list_round_trips(void **state)
{
    const uint64_t pfns[] = {1, 0xfffff};
    struct buffer b = {0};
    struct dirty_pfn_list list;
    struct record rec;
    struct error err;

    dirty_pfn_list_append(&b, pfns, 2);
    rec = exact_record(XCREC_CHECKPOINT_DIRTY_PFN_LIST, b.bytes + 8, 16,
                       ORDER_LITTLE);
    assert_ok(dirty_pfn_list_decode(&rec, &list, &err), err);
    assert_int_equal(list.nr_pfns, 2);
    assert_int_equal(dirty_pfn_list_get(&list, 1), 0xfffff);
    exact_record_free(&rec);
    rec = exact_record(XCREC_CHECKPOINT_DIRTY_PFN_LIST, b.bytes + 8, 15,
                       ORDER_LITTLE);
    assert_refused(dirty_pfn_list_decode(&rec, &list, &err), err, ERR_FORMAT,
                   "a multiple of 8");
    exact_record_free(&rec);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tsc_info_decodes_both_byte_orders),
        cmocka_unit_test(tsc_info_rejects_every_truncation),
        cmocka_unit_test(tsc_info_rejects_a_longer_body),
        cmocka_unit_test(cpuid_policy_decodes),
        cmocka_unit_test(policies_reject_partial_entries),
        cmocka_unit_test(msr_policy_decodes),
        cmocka_unit_test(policies_without_entries_are_not_written),
        cmocka_unit_test(dirty_pfn_list_round_trips),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
