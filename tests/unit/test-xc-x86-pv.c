/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xc/xc_x86_pv.h"
#include "unit_stream.h"

/* clang-format off */
static const uint8_t pv_info_body[] = {
    0x08,             /* width */
    0x04,             /* levels */
    0, 0, 0, 0, 0, 0, /* reserved */
};
/* 513 to 1024 in a 64-bit guest: two pieces of the P2M. */
static const uint8_t p2m_little[] = {
    0x01, 0x02, 0x00, 0x00, /* first pfn 0x201 */
    0x00, 0x04, 0x00, 0x00, /* last pfn 0x400 */
    0x77, 0, 0, 0, 0, 0, 0, 0,
    0x78, 0, 0, 0, 0, 0, 0, 0,
};
static const uint8_t p2m_big[] = {
    0x00, 0x00, 0x02, 0x01,
    0x00, 0x00, 0x04, 0x00,
    0, 0, 0, 0, 0, 0, 0, 0x77,
    0, 0, 0, 0, 0, 0, 0, 0x78,
};
static const uint8_t msrs_body[] = {
    0x03, 0x00, 0x00, 0x00, /* vCPU */
    0x00, 0x00, 0x00, 0x00, /* reserved */
    0x80, 0x00, 0x00, 0xc0, /* index */
    0x00, 0x00, 0x00, 0x00, /* reserved */
    0x01, 0x05, 0, 0, 0, 0, 0, 0, /* value */
};
/* clang-format on */

static void pv_info_decodes(void **state)
{
    struct record rec = exact_record(XCREC_X86_PV_INFO, pv_info_body,
                                     sizeof(pv_info_body), ORDER_LITTLE);
    struct buffer b = {0};
    struct pv_info info;
    struct error err;

    assert_ok(pv_info_decode(&rec, &info, &err), err);
    assert_int_equal(info.width, 8);
    assert_int_equal(info.levels, 4);
    assert_true(info.reserved_zero && info.exact && pv_info_known(&info));
    pv_info_append(&b, &info);
    assert_memory_equal(b.bytes + 8, pv_info_body, 8);
    buffer_release(&b);
    exact_record_free(&rec);
}

static void pv_info_rejects_every_truncation(void **state)
{
    struct pv_info info;

    assert_truncations_refused(XCREC_X86_PV_INFO, pv_info_body, ORDER_LITTLE,
                               pv_info_decode(&rec, &info, &err));
}

static void pv_info_knows_two_guests(void **state)
{
    for (unsigned int width = 0; width < 12; width++)
        for (unsigned int levels = 0; levels < 6; levels++) {
            struct pv_info info = {(uint8_t)width, (uint8_t)levels, true, true};

            assert_int_equal(pv_info_known(&info),
                             (width == 8 && levels == 4) ||
                                 (width == 4 && levels == 3));
        }
}

static void p2m_frames_decodes_both_byte_orders(void **state)
{
    struct p2m_frames list;
    struct error err;
    struct record rec = exact_record(XCREC_X86_PV_P2M_FRAMES, p2m_little,
                                     sizeof(p2m_little), ORDER_LITTLE);
    struct record other = exact_record(XCREC_X86_PV_P2M_FRAMES, p2m_big,
                                       sizeof(p2m_big), ORDER_BIG);

    assert_ok(p2m_frames_decode(&rec, 8, &list, &err), err);
    assert_int_equal(list.first_pfn, 0x201);
    assert_int_equal(list.last_pfn, 0x400);
    assert_int_equal(list.nr_frames, 2);
    assert_int_equal(p2m_frames_pfn(&list, 1), 0x78);
    assert_ok(p2m_frames_decode(&other, 8, &list, &err), err);
    assert_int_equal(list.last_pfn, 0x400);
    assert_int_equal(p2m_frames_pfn(&list, 0), 0x77);
    exact_record_free(&rec);
    exact_record_free(&other);
}

static void p2m_frames_rejects_every_truncation(void **state)
{
    struct p2m_frames list;

    assert_truncations_refused(XCREC_X86_PV_P2M_FRAMES, p2m_little,
                               ORDER_LITTLE,
                               p2m_frames_decode(&rec, 8, &list, &err));
}

static void p2m_frames_counts_by_width(void **state)
{
    assert_int_equal(p2m_frames_expected(0, 0, 8), 1);
    assert_int_equal(p2m_frames_expected(0, 511, 8), 1);
    assert_int_equal(p2m_frames_expected(0, 512, 8), 2);
    assert_int_equal(p2m_frames_expected(511, 512, 8), 2);
    assert_int_equal(p2m_frames_expected(0, 1023, 4), 1);
    assert_int_equal(p2m_frames_expected(0, UINT32_MAX, 8), 0x800000);
    assert_int_equal(p2m_frames_expected(UINT32_MAX, UINT32_MAX, 4), 1);
}

static void p2m_frames_rejects_wrong_extents(void **state)
{
    struct p2m_frames list;
    struct error err;
    uint8_t body[sizeof(p2m_little)];
    struct record rec;

    /* In a 32-bit guest these two frames are one too many. */
    rec = exact_record(XCREC_X86_PV_P2M_FRAMES, p2m_little, sizeof(p2m_little),
                       ORDER_LITTLE);
    assert_ok(p2m_frames_decode(&rec, 0, &list, &err), err);
    assert_ok(p2m_frames_decode(&rec, 4, &list, &err), err);
    exact_record_free(&rec);

    memcpy(body, p2m_little, sizeof(body));
    body[4] = 0xff; /* last pfn 0x4ff: still within the second piece */
    rec =
        exact_record(XCREC_X86_PV_P2M_FRAMES, body, sizeof(body), ORDER_LITTLE);
    assert_ok(p2m_frames_decode(&rec, 8, &list, &err), err);
    exact_record_free(&rec);

    body[5] = 0x06; /* last pfn 0x6ff: one frame more */
    rec =
        exact_record(XCREC_X86_PV_P2M_FRAMES, body, sizeof(body), ORDER_LITTLE);
    assert_refused(p2m_frames_decode(&rec, 8, &list, &err), err, ERR_FORMAT,
                   "expected 3");
    exact_record_free(&rec);

    memset(body, 0xff, 4); /* first above last */
    rec =
        exact_record(XCREC_X86_PV_P2M_FRAMES, body, sizeof(body), ORDER_LITTLE);
    assert_refused(p2m_frames_decode(&rec, 8, &list, &err), err, ERR_FORMAT,
                   "above last");
    exact_record_free(&rec);
}

static void vcpu_blob_decodes_msrs(void **state)
{
    struct record rec = exact_record(XCREC_X86_PV_VCPU_MSRS, msrs_body,
                                     sizeof(msrs_body), ORDER_LITTLE);
    struct vcpu_blob blob;
    struct vcpu_msr msr;
    struct buffer b = {0};
    struct error err;

    assert_ok(vcpu_blob_decode(&rec, 8, &blob, &err), err);
    assert_int_equal(blob.vcpu, 3);
    assert_int_equal(vcpu_msrs_count(&blob), 1);
    msr = vcpu_msrs_get(&blob, ORDER_LITTLE, 0);
    assert_int_equal(msr.index, 0xc0000080);
    assert_int_equal(msr.value, 0x501);
    vcpu_blob_append(&b, &blob);
    assert_memory_equal(b.bytes + 8, msrs_body, sizeof(msrs_body));
    buffer_release(&b);
    exact_record_free(&rec);
}

static void vcpu_blob_judges_lengths(void **state)
{
    static const struct {
        uint32_t type;
        uint8_t width;
        uint32_t length; /* of the blob */
        bool ok;
    } cases[] = {
        {XCREC_X86_PV_VCPU_BASIC,    8, 5168, true },
        {XCREC_X86_PV_VCPU_BASIC,    4, 5168, false},
        {XCREC_X86_PV_VCPU_BASIC,    4, 2800, true },
        {XCREC_X86_PV_VCPU_BASIC,    8, 2800, false},
        {XCREC_X86_PV_VCPU_BASIC,    0, 2800, true },
        {XCREC_X86_PV_VCPU_BASIC,    0, 2801, false},
        {XCREC_X86_PV_VCPU_BASIC,    8, 0,    true },
        {XCREC_X86_PV_VCPU_EXTENDED, 8, 128,  true },
        {XCREC_X86_PV_VCPU_EXTENDED, 8, 64,   true },
        {XCREC_X86_PV_VCPU_EXTENDED, 8, 129,  false},
        {XCREC_X86_PV_VCPU_XSAVE,    8, 15,   false},
        {XCREC_X86_PV_VCPU_XSAVE,    8, 16,   true },
        {XCREC_X86_PV_VCPU_XSAVE,    8, 0,    true },
        {XCREC_X86_PV_VCPU_MSRS,     8, 24,   false},
        {XCREC_X86_PV_VCPU_MSRS,     8, 32,   true },
    };
    static uint8_t body[8 + 5168];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct record rec = exact_record(cases[i].type, body,
                                         8 + cases[i].length, ORDER_LITTLE);
        struct vcpu_blob blob;
        struct error err = {0};

        if (vcpu_blob_decode(&rec, cases[i].width, &blob, &err) != cases[i].ok)
            fail_msg("case %zu: %s", i, err.text);
        exact_record_free(&rec);
    }
    for (uint32_t length = 0; length < 8; length++) {
        struct record rec =
            exact_record(XCREC_X86_PV_VCPU_BASIC, body, length, ORDER_LITTLE);
        struct vcpu_blob blob;
        struct error err;

        assert_refused(vcpu_blob_decode(&rec, 8, &blob, &err), err, ERR_FORMAT,
                       "at least 8");
        exact_record_free(&rec);
    }
}

static void vcpu_blob_bounds_the_vcpu(void **state)
{
    uint8_t body[24] = {0};
    struct vcpu_blob blob;
    struct record rec;
    struct error err;

    body[1] = 0x20; /* 8192 */
    rec =
        exact_record(XCREC_X86_PV_VCPU_MSRS, body, sizeof(body), ORDER_LITTLE);
    assert_refused(vcpu_blob_decode(&rec, 8, &blob, &err), err, ERR_FORMAT,
                   "vCPU 8192, expected at most 8191");
    exact_record_free(&rec);
}

static void shared_info_is_one_page(void **state)
{
    static uint8_t body[PAGE_SIZE + 1];
    const uint8_t *page;
    struct record rec;
    struct error err;

    for (uint32_t length = PAGE_SIZE - 1; length <= PAGE_SIZE + 1; length++) {
        rec = exact_record(XCREC_SHARED_INFO, body, length, ORDER_LITTLE);
        assert_int_equal(shared_info_decode(&rec, &page, &err),
                         length == PAGE_SIZE);
        exact_record_free(&rec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pv_info_decodes),
        cmocka_unit_test(pv_info_rejects_every_truncation),
        cmocka_unit_test(pv_info_knows_two_guests),
        cmocka_unit_test(p2m_frames_decodes_both_byte_orders),
        cmocka_unit_test(p2m_frames_rejects_every_truncation),
        cmocka_unit_test(p2m_frames_counts_by_width),
        cmocka_unit_test(p2m_frames_rejects_wrong_extents),
        cmocka_unit_test(vcpu_blob_decodes_msrs),
        cmocka_unit_test(vcpu_blob_judges_lengths),
        cmocka_unit_test(vcpu_blob_bounds_the_vcpu),
        cmocka_unit_test(shared_info_is_one_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
