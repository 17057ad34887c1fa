/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xc/xc_headers.h"
#include "unit.h"

/* clang-format off */
static const uint8_t hvm_v3[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* marker */
    0x58, 0x45, 0x4e, 0x46, /* id */
    0x00, 0x00, 0x00, 0x03, /* version */
    0x00, 0x00,             /* options */
    0, 0, 0, 0, 0, 0,       /* reserved */
    0x02, 0x00, 0x00, 0x00, /* type: HVM */
    0x0c, 0x00,             /* page shift */
    0x00, 0x00,             /* reserved */
    0x04, 0x00, 0x00, 0x00, /* xen major */
    0x11, 0x00, 0x00, 0x00, /* xen minor */
};
static const uint8_t pv_v2_big[] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /* marker */
    0x58, 0x45, 0x4e, 0x46, /* id */
    0x00, 0x00, 0x00, 0x02, /* version */
    0x00, 0x01,             /* options: big-endian */
    0, 0, 0, 0, 0, 0,       /* reserved */
    0x00, 0x00, 0x00, 0x01, /* type: PV */
    0x00, 0x0c,             /* page shift */
    0x00, 0x00,             /* reserved */
    0x00, 0x00, 0x00, 0x04, /* xen major */
    0x00, 0x00, 0x00, 0x06, /* xen minor */
};
/* clang-format on */

static bool read_from(const uint8_t *bytes, size_t length,
                      struct xcstream_headers *ret, struct error *err)
{
    struct memory_source memory = {bytes, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);

    return xcstream_headers_read(&source, ret, err);
}

static void headers_read_both_byte_orders(void **state)
{
    struct xcstream_headers h;
    struct error err;

    assert_ok(read_from(hvm_v3, sizeof(hvm_v3), &h, &err), err);
    assert_int_equal(h.version, 3);
    assert_int_equal(h.order, ORDER_LITTLE);
    assert_int_equal(h.type, XCSTREAM_DOMAIN_HVM);
    assert_int_equal(h.page_shift, 12);
    assert_int_equal(h.xen_major, 4);
    assert_int_equal(h.xen_minor, 17);

    assert_ok(read_from(pv_v2_big, sizeof(pv_v2_big), &h, &err), err);
    assert_int_equal(h.version, 2);
    assert_int_equal(h.order, ORDER_BIG);
    assert_int_equal(h.type, XCSTREAM_DOMAIN_PV);
    assert_int_equal(h.xen_minor, 6);
}

static void headers_refuse_every_truncation(void **state)
{
    for (size_t length = 0; length < sizeof(hvm_v3); length++) {
        struct xcstream_headers h;
        struct error err;

        assert_refused(read_from(hvm_v3, length, &h, &err), err, ERR_TRUNCATED,
                       "image and domain header");
    }
}

static void headers_refuse_each_wrong_field(void **state)
{
    static const struct {
        size_t offset;
        uint8_t value;
        enum error_code code;
        const char *text;
    } wrong[] = {
        {3,  0x00, ERR_FORMAT,      "marker"        },
        {8,  0x59, ERR_FORMAT,      "id"            },
        {15, 0x01, ERR_UNSUPPORTED, "version 1"     },
        {15, 0x04, ERR_UNSUPPORTED, "version 4"     },
        {24, 0x00, ERR_UNSUPPORTED, "type 0"        },
        {24, 0x03, ERR_UNSUPPORTED, "type 3"        },
        {28, 0x0d, ERR_UNSUPPORTED, "page shift 13" },
        {28, 0x20, ERR_UNSUPPORTED, "page shift 32" },
        {28, 0xff, ERR_UNSUPPORTED, "page shift 255"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        uint8_t bytes[sizeof(hvm_v3)];
        struct xcstream_headers h;
        struct error err;

        memcpy(bytes, hvm_v3, sizeof(bytes));
        bytes[wrong[i].offset] = wrong[i].value;
        assert_refused(read_from(bytes, sizeof(bytes), &h, &err), err,
                       wrong[i].code, wrong[i].text);
    }
}

static void headers_ignore_reserved_fields(void **state)
{
    uint8_t bytes[sizeof(hvm_v3)];
    struct xcstream_headers h;
    struct error err;

    memcpy(bytes, hvm_v3, sizeof(bytes));
    bytes[23] = 1;
    bytes[31] = 1;
    assert_ok(read_from(bytes, sizeof(bytes), &h, &err), err);
    assert_int_equal(h.image_reserved, 1);
    assert_int_equal(h.domain_reserved, 0x100);
}

static void headers_encode_what_they_decode(void **state)
{
    struct buffer b = {0};
    struct xcstream_headers h;

    h = xcstream_headers_decode(hvm_v3, 0);
    xcstream_headers_append(&b, &h);
    assert_int_equal(b.length, sizeof(hvm_v3));
    assert_memory_equal(b.bytes, hvm_v3, sizeof(hvm_v3));

    buffer_reset(&b);
    b.order = ORDER_BIG;
    h = xcstream_headers_decode(pv_v2_big, 0);
    xcstream_headers_append(&b, &h);
    assert_memory_equal(b.bytes, pv_v2_big, sizeof(pv_v2_big));
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_read_both_byte_orders),
        cmocka_unit_test(headers_refuse_every_truncation),
        cmocka_unit_test(headers_refuse_each_wrong_field),
        cmocka_unit_test(headers_ignore_reserved_fields),
        cmocka_unit_test(headers_encode_what_they_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
