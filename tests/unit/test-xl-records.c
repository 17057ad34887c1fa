/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xl/xl_records.h"
#include "unit_stream.h"

/* clang-format off */
static const uint8_t header[] = {
    0x4c, 0x69, 0x62, 0x78, 0x6c, 0x46, 0x6d, 0x74, /* "LibxlFmt" */
    0x00, 0x00, 0x00, 0x02, /* version */
    0x00, 0x00, 0x00, 0x02, /* options: converted from legacy */
};
static const uint8_t emulator_body[] = {
    0x02, 0x00, 0x00, 0x00, /* emulator: qemu */
    0x00, 0x00, 0x00, 0x00, /* index */
    'p', '/', '1', 0, 'v', 0, 'k', 0, 0, /* two pairs */
};
/* clang-format on */

static void header_round_trips(void **state)
{
    struct xlstream_header h = xlstream_header_decode(header, 0);
    struct buffer b = {0};
    struct error err;

    assert_ok(xlstream_header_check(&h, &err), err);
    assert_int_equal(h.order, ORDER_LITTLE);
    assert_true(h.options & XLSTREAM_OPTION_LEGACY);
    xlstream_header_append(&b, true);
    assert_int_equal(b.length, sizeof(header));
    assert_memory_equal(b.bytes, header, sizeof(header));
    buffer_release(&b);

    b.order = ORDER_BIG;
    xlstream_header_append(&b, false);
    h = xlstream_header_decode(b.bytes, 0);
    assert_int_equal(h.order, ORDER_BIG);
    buffer_release(&b);
}

static void header_refuses_other_streams(void **state)
{
    struct xlstream_header h = xlstream_header_decode(header, 0);
    struct error err;

    h.version = 1;
    assert_refused(xlstream_header_check(&h, &err), err, ERR_UNSUPPORTED,
                   "version 1, expected 2");
    h = xlstream_header_decode(header, 0);
    h.ident ^= 1;
    assert_refused(xlstream_header_check(&h, &err), err, ERR_FORMAT, "ident");
}

static void emulator_data_walks_pairs(void **state)
{
    struct record rec =
        exact_record(XLREC_EMULATOR_XENSTORE_DATA, emulator_body,
                     sizeof(emulator_body), ORDER_LITTLE);
    struct emulator_data data;
    struct cursor c;
    const char *key;
    const char *value;
    struct buffer b = {0};
    struct error err;

    assert_ok(emulator_data_decode(&rec, &data, &err), err);
    assert_int_equal(data.emulator, XLSTREAM_EMULATOR_QEMU);
    c = cursor_over(data.bytes, data.length, ORDER_LITTLE);
    assert_true(xenstore_pair_next(&c, &key, &value));
    assert_string_equal(key, "p/1");
    assert_string_equal(value, "v");
    assert_true(xenstore_pair_next(&c, &key, &value));
    assert_string_equal(key, "k");
    assert_string_equal(value, "");
    assert_false(xenstore_pair_next(&c, &key, &value));
    assert_false(c.bad);
    emulator_data_append(&b, XLREC_EMULATOR_XENSTORE_DATA, &data);
    assert_memory_equal(b.bytes + 8, emulator_body, sizeof(emulator_body));
    buffer_release(&b);
    exact_record_free(&rec);
}

static void emulator_data_survives_every_truncation(void **state)
{
    for (uint32_t length = 0; length < sizeof(emulator_body); length++) {
        struct record rec = exact_record(XLREC_EMULATOR_XENSTORE_DATA,
                                         emulator_body, length, ORDER_LITTLE);
        struct emulator_data data;
        struct error err = {0};
        bool ok = emulator_data_decode(&rec, &data, &err);

        assert_int_equal(ok, length >= 8);
        if (ok) {
            struct cursor c =
                cursor_over(data.bytes, data.length, ORDER_LITTLE);
            const char *key;
            const char *value;

            while (xenstore_pair_next(&c, &key, &value))
                ;
            /* Whole after the header, and after the first pair. */
            assert_int_equal(c.bad, length != 8 && length != 14);
        }
        exact_record_free(&rec);
    }
}

static void checkpoint_state_takes_both_lengths(void **state)
{
    static const uint8_t body[] = {2, 0, 0, 0, 0, 0, 0, 0, 0};

    for (uint32_t length = 0; length <= sizeof(body); length++) {
        struct record rec =
            exact_record(XLREC_CHECKPOINT_STATE, body, length, ORDER_LITTLE);
        struct error err = {0};
        uint32_t id = 99;
        bool ok = checkpoint_state_decode(&rec, &id, &err);

        assert_int_equal(ok, length >= 4 && length <= 8);
        assert_int_equal(id, ok ? 2 : 99);
        exact_record_free(&rec);
    }
    assert_string_equal(checkpoint_state_name(2), "SVM_READY");
    assert_string_equal(checkpoint_state_name(4), "unknown");
}

static void checkpoint_state_is_written_as_libxl_does(void **state)
{
    /* clang-format off */
    static const uint8_t expected[] = {
        0x05, 0x00, 0x00, 0x00, /* type */
        0x04, 0x00, 0x00, 0x00, /* length */
        0x00, 0x00, 0x00, 0x00, /* NEW */
        0x00, 0x00, 0x00, 0x00, /* padding */
    };
    /* clang-format on */
    struct buffer b = {0};

    checkpoint_state_append(&b, XLSTREAM_CHECKPOINT_NEW);
    assert_int_equal(b.length, sizeof(expected));
    assert_memory_equal(b.bytes, expected, sizeof(expected));
    buffer_release(&b);
}

static void domain_xenstore_data_needs_whole_strings(void **state)
{
    static const uint8_t good[] = {1, 0, 0, 0, 'a', 0, 'b', 0, 'n', '0', 0};
    struct domain_xenstore_data data;
    struct record rec;
    struct error err;

    rec = exact_record(XLREC_DOMAIN_XENSTORE_DATA, good, sizeof(good),
                       ORDER_LITTLE);
    assert_ok(domain_xenstore_data_decode(&rec, &data, &err), err);
    assert_int_equal(data.type, XLSTREAM_XENSTORE_NODES);
    assert_int_equal(data.length, 7);
    exact_record_free(&rec);
    rec = exact_record(XLREC_DOMAIN_XENSTORE_DATA, good, sizeof(good) - 1,
                       ORDER_LITTLE);
    assert_refused(domain_xenstore_data_decode(&rec, &data, &err), err,
                   ERR_FORMAT, "no NUL");
    exact_record_free(&rec);
    rec = exact_record(XLREC_DOMAIN_XENSTORE_DATA, good, 3, ORDER_LITTLE);
    assert_refused(domain_xenstore_data_decode(&rec, &data, &err), err,
                   ERR_FORMAT, "expected 1 (nodes)");
    exact_record_free(&rec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_round_trips),
        cmocka_unit_test(header_refuses_other_streams),
        cmocka_unit_test(emulator_data_walks_pairs),
        cmocka_unit_test(emulator_data_survives_every_truncation),
        cmocka_unit_test(checkpoint_state_takes_both_lengths),
        cmocka_unit_test(checkpoint_state_is_written_as_libxl_does),
        cmocka_unit_test(domain_xenstore_data_needs_whole_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
