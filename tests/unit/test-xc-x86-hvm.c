/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xc/xc_x86_hvm.h"
#include "unit_stream.h"

/* clang-format off */
static const uint8_t params_little[] = {
    0x02, 0x00, 0x00, 0x00, /* count */
    0x00, 0x00, 0x00, 0x00, /* reserved */
    0x01, 0, 0, 0, 0, 0, 0, 0,       /* STORE_PFN */
    0xff, 0xef, 0x0f, 0, 0, 0, 0, 0,
    0x11, 0, 0, 0, 0, 0, 0, 0,       /* CONSOLE_PFN */
    0xfe, 0xef, 0x0f, 0, 0, 0, 0, 0,
};
static const uint8_t params_big[] = {
    0x00, 0x00, 0x00, 0x01, /* count */
    0x00, 0x00, 0x00, 0x07, /* reserved, wrongly not zero */
    0, 0, 0, 0, 0, 0, 0, 0x11,
    0, 0, 0, 0, 0, 0x0f, 0xef, 0xfe,
};
/* clang-format on */

static void hvm_params_decodes_both_byte_orders(void **state)
{
    struct record rec = exact_record(XCREC_HVM_PARAMS, params_little,
                                     sizeof(params_little), ORDER_LITTLE);
    struct record other = exact_record(XCREC_HVM_PARAMS, params_big,
                                       sizeof(params_big), ORDER_BIG);
    struct hvm_params params;
    struct hvm_param copy[2];
    struct buffer b = {0};
    struct error err;

    assert_ok(hvm_params_decode(&rec, &params, &err), err);
    assert_int_equal(params.nr_params, 2);
    for (uint32_t i = 0; i < 2; i++)
        copy[i] = hvm_params_get(&params, i);
    assert_int_equal(copy[0].index, HVM_PARAM_INDEX_STORE_PFN);
    assert_int_equal(copy[0].value, 0xfefff);
    assert_int_equal(copy[1].index, HVM_PARAM_INDEX_CONSOLE_PFN);
    hvm_params_append(&b, copy, 2);
    assert_memory_equal(b.bytes + 8, params_little, sizeof(params_little));
    buffer_release(&b);

    assert_ok(hvm_params_decode(&other, &params, &err), err);
    assert_int_equal(params.nr_params, 1);
    assert_int_equal(params.reserved, 7);
    assert_int_equal(hvm_params_get(&params, 0).value, 0xfeffe);
    exact_record_free(&rec);
    exact_record_free(&other);
}

static void hvm_params_rejects_every_truncation(void **state)
{
    struct hvm_params params;

    assert_truncations_refused(XCREC_HVM_PARAMS, params_little, ORDER_LITTLE,
                               hvm_params_decode(&rec, &params, &err));
}

static void hvm_params_rejects_absurd_counts(void **state)
{
    static const uint32_t counts[] = {0,          1,          3,
                                      0x10000000, 0x10000002, 0xffffffff};

    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        uint8_t body[sizeof(params_little)];
        struct hvm_params params;
        struct record rec;
        struct error err;

        memcpy(body, params_little, sizeof(body));
        memcpy(body, &counts[i], 4);
        rec = exact_record(XCREC_HVM_PARAMS, body, sizeof(body), ORDER_LITTLE);
        assert_refused(hvm_params_decode(&rec, &params, &err), err, ERR_FORMAT,
                       "HVM_PARAMS at offset 40");
        exact_record_free(&rec);
    }
}

static void hvm_params_may_be_empty(void **state)
{
    static const uint8_t empty[8];
    struct record rec =
        exact_record(XCREC_HVM_PARAMS, empty, sizeof(empty), ORDER_LITTLE);
    struct hvm_params params;
    struct error err;

    /* Xen 4.6 to 4.8 wrote such records. */
    assert_ok(hvm_params_decode(&rec, &params, &err), err);
    assert_int_equal(params.nr_params, 0);
    exact_record_free(&rec);
}

static void hvm_params_saved_are_those_of_current_savers(void **state)
{
    static const uint32_t expected[] = {1,  5, 6,  27, 28, 29, 37, 17,
                                        19, 9, 12, 34, 32, 33, 36, 38};
    size_t nr;
    const uint32_t *saved = hvm_params_saved(&nr);

    assert_int_equal(nr, ARRAY_SIZE(expected));
    assert_memory_equal(saved, expected, sizeof(expected));
    assert_string_equal(hvm_param_name(12), "IDENT_PT");
    assert_null(hvm_param_name(3));
    assert_null(hvm_param_name(39));
    assert_null(hvm_param_name(UINT64_MAX));
}

static void hvm_context_may_not_be_empty(void **state)
{
    struct record rec = exact_record(XCREC_HVM_CONTEXT, "x", 0, ORDER_LITTLE);
    const uint8_t *bytes;
    uint32_t length;
    struct error err;

    assert_refused(hvm_context_record_decode(&rec, &bytes, &length, &err), err,
                   ERR_FORMAT, "empty body");
    exact_record_free(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hvm_params_decodes_both_byte_orders),
        cmocka_unit_test(hvm_params_rejects_every_truncation),
        cmocka_unit_test(hvm_params_rejects_absurd_counts),
        cmocka_unit_test(hvm_params_may_be_empty),
        cmocka_unit_test(hvm_params_saved_are_those_of_current_savers),
        cmocka_unit_test(hvm_context_may_not_be_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
