/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Records of a xenstore state stream: each rule that a decoder knows. */
#include "stream/inspect.h"
#include "stream/xs/xs_dump.h"
#include "unit.h"

static const enum byte_order orders[] = {ORDER_LITTLE, ORDER_BIG};

/* The record whose body was put into 'b'. */
static struct xsdump_record over(const struct buffer *b, uint32_t type)
{
    assert_false(b->bad);
    return (struct xsdump_record){.type = type,
                                  .length = (uint32_t)b->length,
                                  .body = b->bytes,
                                  .order = b->order,
                                  .version = 2};
}

/* A connection of this kind, as a writer writes it. */
static void put_connection(struct buffer *b, uint32_t id, uint16_t kind,
                           uint16_t fields, uint16_t rest)
{
    buffer_u32(b, id);
    buffer_u16(b, kind);
    buffer_u16(b, fields);
    buffer_u32(b, 3); /* domid and target, or a descriptor */
    buffer_u32(b, 0);
    buffer_u16(b, 1);
    buffer_u16(b, rest);
    buffer_u32(b, 2);
    buffer_text(b, "io!");
}

static void connections_have_rules(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        static const struct {
            uint32_t id;
            uint16_t kind, rest;
            const char *part;
        } wrong[] = {
            {0, 1, 0, "id 0"         },
            {1, 2, 0, "kind 2"       },
            {1, 1, 3, "3 octets, all"},
        };
        struct xsdump_connection c;
        struct xsdump_record rec;
        struct error err;
        struct buffer b = {.order = orders[i]};

        for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
            buffer_reset(&b);
            put_connection(&b, wrong[k].id, wrong[k].kind, 0, wrong[k].rest);
            rec = over(&b, XSDUMP_CONNECTION);
            assert_refused(xsdump_connection_decode(&rec, &c, &err), err,
                           ERR_FORMAT, wrong[k].part);
        }

        /* With its own number, after octets that are no multiple of 8. */
        buffer_reset(&b);
        put_connection(&b, 1, XSDUMP_CONNECTION_SOCKET, XSDUMP_FIELD_UNIQUE_ID,
                       2);
        buffer_align(&b, 8);
        buffer_u64(&b, 77);
        rec = over(&b, XSDUMP_CONNECTION);
        assert_ok(xsdump_connection_decode(&rec, &c, &err), err);
        assert_true(c.has_unique_id);
        assert_int_equal(c.unique_id, 77);
        assert_int_equal(c.fd, 3);
        /* The first version has none. */
        rec.version = 1;
        assert_false(xsdump_connection_decode(&rec, &c, &err));
        rec.version = 2;
        for (; rec.length > 0; rec.length--)
            if (xsdump_connection_decode(&rec, &c, &err))
                assert_int_equal(rec.length, b.length);
        buffer_release(&b);
    }
}

static void a_connections_number_is_written(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
        for (uint32_t octets = 0; octets < 9; octets++) {
            const struct xsdump_connection written = {
                .id = 1,
                .kind = XSDUMP_CONNECTION_SOCKET,
                .fd = 5,
                .in = (const uint8_t *)"12345678",
                .in_length = octets,
                .has_unique_id = true,
                .unique_id = UINT64_MAX - 7,
            };
            struct buffer b = {.order = orders[i]};
            struct xsdump_reader reader;
            struct xsdump_record rec;
            struct xsdump_connection c;
            struct error err;

            xsdump_write_header(&b, 2);
            xsdump_write_connection(&b, &written);
            xsdump_end(&b, xsdump_begin(&b, XSDUMP_END));
            assert_ok(xsdump_open(&reader, b.bytes, b.length, &err), err);
            assert_ok(xsdump_next(&reader, &rec, &err), err);
            assert_ok(xsdump_connection_decode(&rec, &c, &err), err);
            assert_int_equal(c.in_length, octets);
            assert_memory_equal(c.in, written.in, octets);
            assert_true(c.has_unique_id);
            assert_int_equal(c.unique_id, written.unique_id);
            buffer_release(&b);
        }
    }
}

static void transactions_are_somebodys(void **state)
{
    for (uint32_t which = 0; which < 4; which++) {
        struct buffer b = {0};
        struct xsdump_transaction t;
        struct xsdump_record rec;
        struct error err = {0};

        buffer_u32(&b, which & 1);
        buffer_u32(&b, which >> 1);
        rec = over(&b, XSDUMP_TRANSACTION);
        if (which == 3)
            assert_ok(xsdump_transaction_decode(&rec, &t, &err), err);
        else
            assert_refused(xsdump_transaction_decode(&rec, &t, &err), err,
                           ERR_FORMAT, "neither may be 0");
        buffer_release(&b);
    }
}

/* With the document's padding and without; with a depth and without. */
static void watches_have_two_forms(void **state)
{
    for (int form = 0; form < 4; form++) {
        struct buffer b = {0};
        struct xsdump_watch w;
        struct xsdump_record rec;
        struct error err = {0};

        buffer_u32(&b, 4);
        buffer_u16(&b, 3);
        buffer_u16(&b, 2);
        buffer_u16(&b, form & 1 ? XSDUMP_NO_DEPTH : 6);
        if (form & 2)
            buffer_u16(&b, 0);
        buffer_bytes(&b, "/a\0t", 5);
        rec = over(&b, XSDUMP_WATCH_EXTENDED);
        assert_ok(xsdump_watch_decode(&rec, &w, &err), err);
        assert_string_equal(w.path, "/a");
        assert_string_equal(w.token, "t");
        assert_int_equal(w.depth, form & 1 ? -1 : 6);
        b.bytes[0] = 0;
        assert_refused(xsdump_watch_decode(&rec, &w, &err), err, ERR_FORMAT,
                       "connection 0");
        b.bytes[b.length - 1] = 'x'; /* no NUL */
        assert_false(xsdump_watch_decode(&rec, &w, &err));
        buffer_release(&b);
    }
}

static void a_node_has_an_owner(void **state)
{
    for (uint32_t connection = 0; connection < 2; connection++) {
        struct buffer b = {0};
        struct xsdump_node n;
        struct xsdump_record rec;
        struct error err = {0};

        buffer_u32(&b, connection);
        buffer_u32(&b, connection);
        buffer_u16(&b, 3);
        buffer_u16(&b, 0);
        buffer_u16(&b, XSDUMP_ACCESS_DELETED);
        buffer_u16(&b, 0);
        buffer_bytes(&b, "/a", 3);
        rec = over(&b, XSDUMP_NODE);
        if (connection)
            assert_ok(xsdump_node_decode(&rec, &n, &err), err);
        else
            assert_false(xsdump_node_decode(&rec, &n, &err));
        buffer_release(&b);
    }
}

static void quotas_have_limits(void **state)
{
    struct buffer b = {0};
    struct xsdump_quotas q;
    struct xsdump_record rec;
    struct error err = {0};

    buffer_u16(&b, 0xffff);
    buffer_u16(&b, 1);
    rec = over(&b, XSDUMP_QUOTA);
    assert_false(xsdump_quotas_decode(&rec, &q, &err));
    assert_int_equal(err.code, ERR_FORMAT);
    buffer_release(&b);
}

static bool inspects(const struct buffer *b, size_t chunk, struct error *err)
{
    struct memory_source memory = {b->bytes, b->length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    struct field_sink none = fields_dropped();

    return inspect_stream(&source, &options, &none, err);
}

/* Whole streams: odd records are explained, the rest of the stream as well. */
static void a_stream_is_explained_past_them(void **state)
{
    const struct xsdump_connection named = {.id = 1,
                                            .kind = XSDUMP_CONNECTION_SOCKET,
                                            .fd = 5,
                                            .has_unique_id = true,
                                            .unique_id = 9};
    struct buffer b = {0};
    struct error err;
    size_t begun;

    xsdump_write_header(&b, 2);
    xsdump_write_connection(&b, &named);
    begun = xsdump_begin(&b, XSDUMP_TRANSACTION);
    buffer_zeroes(&b, 8);
    xsdump_end(&b, begun);
    xsdump_end(&b, xsdump_begin(&b, XSDUMP_END));
    assert_ok(inspects(&b, 0, &err), err);
    assert_ok(inspects(&b, 1, &err), err);
    buffer_reset(&b);
    xsdump_write_header(&b, 99);
    assert_false(inspects(&b, 0, &err));
    buffer_release(&b);
}

static void a_dump_is_explained_line_by_line(void **state)
{
    struct buffer b = {0};
    struct error err;

    buffer_text(&b, "$xenstored-dump-format\n"
                    "\n"
                    "socket,3\n"
                    "evtchn-dev,4,5,and more\n"
                    "store,2F6C,6E30,5a:\n"
                    "store,2/6c,6G30\n"
                    "dom,1,2,3,4,5\n"
                    "watch\n");
    assert_ok(inspects(&b, 0, &err), err);
    assert_ok(inspects(&b, 7, &err), err);
    /* Lines as from another system are no dump. */
    buffer_reset(&b);
    buffer_text(&b, "$xenstored-dump-format\r\nsocket,3\r\n");
    assert_refused(inspects(&b, 0, &err), err, ERR_FORMAT,
                   "another first line");
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_have_rules),
        cmocka_unit_test(a_connections_number_is_written),
        cmocka_unit_test(transactions_are_somebodys),
        cmocka_unit_test(watches_have_two_forms),
        cmocka_unit_test(a_node_has_an_owner),
        cmocka_unit_test(quotas_have_limits),
        cmocka_unit_test(a_stream_is_explained_past_them),
        cmocka_unit_test(a_dump_is_explained_line_by_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
