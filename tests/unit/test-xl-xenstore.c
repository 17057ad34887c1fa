/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xl/xl_xenstore.h"
#include "unit_stream.h"

static void node_returns(const char *path, const char *value, size_t length,
                         uint32_t nr_perms, const char *perms,
                         uint32_t wanted_type)
{
    struct xenstore_node node = {.path = path,
                                 .value = (const uint8_t *)value,
                                 .value_length = (uint32_t)length,
                                 .nr_perms = nr_perms,
                                 .perms = perms};
    struct xenstore_node got;
    struct buffer out = {0};
    struct error err = {0};
    struct record_head head;
    struct record rec;
    uint32_t type;

    xenstore_node_append(&out, &node);
    assert_ok(buffer_check(&out, "record", &err), err);
    head = record_head_decode(out.bytes, ORDER_LITTLE, 0);
    memcpy(&type, out.bytes + RECORD_HEAD_SIZE, sizeof(type));
    assert_int_equal(type, wanted_type);
    rec = exact_record(head.type, out.bytes + RECORD_HEAD_SIZE, head.length,
                       ORDER_LITTLE);
    assert_ok(xenstore_node_decode(&rec, &got, &err), err);
    assert_string_equal(got.path, path);
    assert_int_equal(got.value_length, length);
    assert_memory_equal(got.value, value, length);
    assert_int_equal(got.nr_perms, nr_perms);
    assert_string_equal(got.perms, perms);
    exact_record_free(&rec);
    buffer_release(&out);
}

static void nodes_round_trip(void **state)
{
    node_returns("", "", 0, 1, "n5", XLSTREAM_XENSTORE_NODES);
    node_returns("a/b", "value", 5, 2, "n5\0r0", XLSTREAM_XENSTORE_NODES);
    node_returns("a", "r5", 2, 1, "n5", XLSTREAM_XENSTORE_NODES);
    node_returns("a", "\0\0", 2, 1, "b32751", XLSTREAM_XENSTORE_NODES);
    node_returns("a", "x\0r5\0", 5, 1, "n5", XLSTREAM_XENSTORE_NODES);
    node_returns("a", "x\0r5", 4, 1, "n5", XLSTREAM_XENSTORE_COUNTED);
    node_returns("a", "\0longer than a permission", 24, 1, "n5",
                 XLSTREAM_XENSTORE_NODES);
    node_returns("a", "x\0r5", 4, 3, "n5\0r0\0w1", XLSTREAM_XENSTORE_COUNTED);
    node_returns("a", "\0n0", 3, 1, "n5", XLSTREAM_XENSTORE_COUNTED);
}

static void as_the_design_draws_it(void **state)
{
    /* clang-format off */
    static const uint8_t body[] = {
        0x01, 0x00, 0x00, 0x00, /* node data */
        'd', '/', 'x', 0, '4', 0, 'n', '5', 0,
    };
    static const uint8_t watch[] = {
        0x02, 0x00, 0x00, 0x00, /* watch data */
        'd', 0, 't', 0,
    };
    /* clang-format on */
    struct xenstore_watch w = {.path = "d", .token = "t", .depth = -1};
    struct xenstore_node node = {.path = "d/x",
                                 .value = (const uint8_t *)"4",
                                 .value_length = 1,
                                 .nr_perms = 1,
                                 .perms = "n5"};
    struct buffer out = {0};

    xenstore_node_append(&out, &node);
    assert_int_equal(out.length, 8 + 16);
    assert_memory_equal(out.bytes + 8, body, sizeof(body));
    buffer_reset(&out);
    xenstore_watch_append(&out, &w);
    assert_int_equal(out.length, 8 + 8);
    assert_memory_equal(out.bytes + 8, watch, sizeof(watch));
    buffer_release(&out);
}

static void watches_round_trip(void **state)
{
    struct xenstore_watch w = {
        .path = "@releaseDomain", .token = "", .depth = 0};
    struct xenstore_watch got;
    struct buffer out = {0};
    struct error err = {0};
    struct record rec;
    uint32_t length;

    xenstore_watch_append(&out, &w);
    memcpy(&length, out.bytes + 4, sizeof(length));
    rec = exact_record(7, out.bytes + 8, length, ORDER_LITTLE);
    assert_ok(xenstore_watch_decode(&rec, &got, &err), err);
    assert_string_equal(got.path, w.path);
    assert_string_equal(got.token, "");
    assert_int_equal(got.depth, 0);
    exact_record_free(&rec);
    buffer_release(&out);
}

/* Bodies after the type; a string's own NUL ends each. */
#define BODY(text) text, sizeof(text)

static struct record xenstore_record(uint32_t type, const char *text,
                                     size_t length)
{
    uint8_t bytes[128];

    memcpy(bytes, &type, sizeof(type));
    memcpy(bytes + 4, text, length);
    return exact_record(XLREC_DOMAIN_XENSTORE_DATA, bytes, (uint32_t)length + 4,
                        ORDER_LITTLE);
}

static void refuses_what_is_no_node(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
        size_t length;
    } bad[] = {
        {XLSTREAM_XENSTORE_NODES,        BODY("a")                                           },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value")                                    },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value\0")                                  },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value\0x5")                                },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value\0n")                                 },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value\0n123456")                           },
        {XLSTREAM_XENSTORE_NODES,        BODY("a\0value\0n5x")                               },
        {XLSTREAM_XENSTORE_NODES,        BODY("/a\0value\0n5")                               },
        {XLSTREAM_XENSTORE_WATCHES,      BODY("a\0value\0n5")                                },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("a\0value\0n5")                                },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a")                                           },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0")                                         },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0x\0n5\0v")                                 },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "0\0n5\0v")      },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "0/\0n5\0v")     },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "9999999\0n5\0v")},
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "999\0n5\0v")    },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "2\0n5\0v")      },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "2\0n5")         },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("a\0"
                                         "1\0n5")         },
        {XLSTREAM_XENSTORE_COUNTED,      BODY("/a\0"
                                         "1\0n5\0v")      },
        {9,                              BODY("a\0value\0n5")                                },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct record rec =
            xenstore_record(bad[i].type, bad[i].text, bad[i].length);
        struct xenstore_node node;
        struct error err = {0};

        if (xenstore_node_decode(&rec, &node, &err))
            fail_msg("case %zu was accepted", i);
        assert_int_equal(err.code, ERR_FORMAT);
        assert_int_equal(err.offset, TEST_OFFSET);
        exact_record_free(&rec);
    }
}

static void refuses_what_is_no_watch(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
        size_t length;
    } bad[] = {
        {XLSTREAM_XENSTORE_WATCHES, BODY("a")                                       },
        {XLSTREAM_XENSTORE_WATCHES, BODY("")                                        },
        {XLSTREAM_XENSTORE_WATCHES, BODY("\0t")                                     },
        {XLSTREAM_XENSTORE_NODES,   BODY("a\0t")                                    },
        {XLSTREAM_XENSTORE_WATCHES, BODY("a\0t\0")                                  },
        {XLSTREAM_XENSTORE_WATCHES, BODY("a\0t\0x")                                 },
        {XLSTREAM_XENSTORE_WATCHES, BODY("a\0t\0"
                                         "-1")   },
        {XLSTREAM_XENSTORE_WATCHES, BODY("a\0t\0"
                                         "32768")},
        {XLSTREAM_XENSTORE_WATCHES, BODY("a\0t\0"
                                         "1\0"
                                         "2")    },
        {9,                         BODY("a\0t")                                    },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct record rec =
            xenstore_record(bad[i].type, bad[i].text, bad[i].length);
        struct xenstore_watch watch;
        struct error err = {0};

        if (xenstore_watch_decode(&rec, &watch, &err))
            fail_msg("case %zu was accepted", i);
        assert_int_equal(err.code, ERR_FORMAT);
        exact_record_free(&rec);
    }
}

static void transactions_round_trip(void **state)
{
    static const struct {
        uint32_t type;
        const char *text;
        size_t length;
    } bad[] = {
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("")                                         },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("0")                                        },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("-1")                                       },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("4294967296")                               },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("00000000001")                              },
        {XLSTREAM_XENSTORE_TRANSACTIONS, BODY("1\0"
                                              "2")},
        {XLSTREAM_XENSTORE_WATCHES,      BODY("1")                                        },
    };
    const uint32_t ids[] = {1, 77, UINT32_MAX};
    struct error err = {0};

    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        struct buffer out = {0};
        struct record_head head;
        struct record rec;
        uint32_t got;

        xenstore_transaction_append(&out, ids[i]);
        head = record_head_decode(out.bytes, ORDER_LITTLE, 0);
        rec = record_over(head.type, out.bytes + RECORD_HEAD_SIZE, head.length,
                          ORDER_LITTLE);
        assert_ok(xenstore_transaction_decode(&rec, &got, &err), err);
        assert_int_equal(got, ids[i]);
        buffer_release(&out);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct record rec =
            xenstore_record(bad[i].type, bad[i].text, bad[i].length);
        uint32_t got;

        if (xenstore_transaction_decode(&rec, &got, &err))
            fail_msg("case %zu was accepted", i);
        assert_int_equal(err.code, ERR_FORMAT);
        exact_record_free(&rec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_round_trip),
        cmocka_unit_test(as_the_design_draws_it),
        cmocka_unit_test(watches_round_trip),
        cmocka_unit_test(refuses_what_is_no_node),
        cmocka_unit_test(refuses_what_is_no_watch),
        cmocka_unit_test(transactions_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
