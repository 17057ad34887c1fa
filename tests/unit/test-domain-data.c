/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/domain_data.h"
#include "store/transaction.h"
#include "stream/xl/xl_xenstore.h"
#include "unit_store.h"

static void introduce(struct store_in_memory *u, uint16_t domid)
{
    assert_int_equal(store_introduce(u->store, domid, 1, 5), STORE_OK);
}

static const struct node *node_at(struct store_in_memory *u, const char *path)
{
    const struct node *n = tree_find(u->store, path, NULL);

    if (!n)
        fail_msg("%s is not there", path);
    return n;
}

static void assert_perms(const struct node *n, const char *wanted, size_t size)
{
    struct buffer text = {0};

    perms_format(n->perms, &text);
    assert_int_equal(text.length, size);
    assert_memory_equal(text.bytes, wanted, size);
    buffer_release(&text);
}

#define PERMS(n, text) assert_perms(n, text, sizeof(text))

static void fill(struct store_in_memory *u, uint16_t domid)
{
    struct connection *c = unit_client(u);
    char home[64], text[128];
    struct connection *g;

    introduce(u, domid);
    snprintf(home, sizeof(home), "/local/domain/%u", domid);
    unit_write(u, c, home, "");
    snprintf(text, sizeof(text), "%s/device/vif/0/state", home);
    unit_write(u, c, text, "4");
    int n = snprintf(text, sizeof(text), "%s/device/vif/0%cn%u%cr0", home, 0,
                     domid, 0);
    assert_int_equal(
        unit_request(u, c, OP_SET_PERMS, 0, text, (size_t)n + 1, NULL),
        OP_SET_PERMS);
    n = snprintf(text, sizeof(text), "%s/binary%ca%cr5", home, 0, 0);
    assert_int_equal(unit_request(u, c, OP_WRITE, 0, text, (size_t)n, NULL),
                     OP_WRITE);
    g = u->store->domains[domid]->connection;
    snprintf(text, sizeof(text), "%s/control", home);
    assert_non_null(
        watch_add(u->store, g, text, "control", "t1", WATCH_DEPTH_ANY));
    assert_non_null(watch_add(u->store, g, text, text, "t2", 3));
    assert_non_null(watch_add(u->store, g, "@releaseDomain", "@releaseDomain",
                              "t3", WATCH_DEPTH_ANY));
}

static void saved_and_loaded_under_another_number(void **state)
{
    struct store_in_memory from, to;
    struct buffer data = {0}, again = {0};
    struct error err = {0};
    struct connection *g;
    const struct node *n;
    struct watch *w;

    unit_store_open(&from);
    unit_store_open(&to);
    fill(&from, 5);
    assert_ok(domain_data_save(from.store, 5, &data, &err), err);
    introduce(&to, 9);
    assert_ok(domain_data_load(to.store, 9, 5, data.bytes, data.length, &err),
              err);
    n = node_at(&to, "/local/domain/9/device/vif/0/state");
    assert_int_equal(n->value_len, 1);
    assert_int_equal(*node_value(n), '4');
    PERMS(node_at(&to, "/local/domain/9/device/vif/0"), "n9\0r0");
    n = node_at(&to, "/local/domain/9/binary");
    assert_int_equal(n->value_len, 4);
    assert_memory_equal(node_value(n), "a\0r5", 4);

    g = to.store->domains[9]->connection;
    assert_int_equal(g->nr_watches, 3);
    w = watch_find(g, "/local/domain/9/control", "t2");
    assert_non_null(w);
    assert_string_equal(watch_path(w), "/local/domain/9/control");
    assert_int_equal(w->depth, 3);
    /* Each new watch fires once; a second load adds none. */
    assert_int_equal(g->nr_output, 3);
    connection_drop_output(g);
    assert_ok(domain_data_load(to.store, 9, 5, data.bytes, data.length, &err),
              err);
    assert_int_equal(g->nr_watches, 3);

    /* The same number again: the same octets. */
    unit_store_close(&to);
    unit_store_open(&to);
    introduce(&to, 5);
    assert_ok(domain_data_load(to.store, 5, 5, data.bytes, data.length, &err),
              err);
    assert_ok(domain_data_save(to.store, 5, &again, &err), err);
    assert_int_equal(again.length, data.length);
    assert_memory_equal(again.bytes, data.bytes, data.length);
    buffer_release(&again);
    buffer_release(&data);
    unit_store_close(&from);
    unit_store_close(&to);
}

static void open_transactions_end_in_conflict(void **state)
{
    struct store_in_memory from, to;
    struct transaction *tx;
    struct connection *c;
    struct buffer data = {0};
    struct error err = {0};
    uint32_t id, other;

    unit_store_open(&from);
    unit_store_open(&to);
    fill(&from, 5);
    c = from.store->domains[5]->connection;
    assert_int_equal(transaction_start(c, &id), STORE_OK);
    assert_int_equal(transaction_start(c, &other), STORE_OK);
    assert_ok(domain_data_save(from.store, 5, &data, &err), err);
    /* Here it is as it was. */
    tx = transaction_find(c, other);
    assert_non_null(tx);
    assert_int_equal(transaction_commit(tx), STORE_OK);

    introduce(&to, 9);
    assert_ok(domain_data_load(to.store, 9, 5, data.bytes, data.length, &err),
              err);
    c = to.store->domains[9]->connection;
    assert_int_equal(c->nr_transactions, 2);
    assert_ok(domain_data_load(to.store, 9, 5, data.bytes, data.length, &err),
              err);
    assert_int_equal(c->nr_transactions, 2);
    tx = transaction_find(c, id);
    assert_non_null(tx);
    assert_int_equal(transaction_commit(tx), STORE_EAGAIN);
    assert_null(transaction_find(c, id));
    /* A new one is not confused with one that came. */
    assert_int_equal(transaction_start(c, &id), STORE_OK);
    assert_int_not_equal(id, other);
    assert_int_equal(transaction_commit(transaction_find(c, id)), STORE_OK);
    assert_int_equal(transaction_commit(transaction_find(c, other)),
                     STORE_EAGAIN);
    buffer_release(&data);
    unit_store_close(&from);
    unit_store_close(&to);
}

static void transactions_without_end_are_refused(void **state)
{
    struct store_in_memory u;
    struct buffer data = {0};
    struct error err = {0};
    struct domain *d;

    unit_store_open(&u);
    introduce(&u, 5);
    d = u.store->domains[5];
    for (uint32_t id = 1; id <= d->quotas.hard[QUOTA_TRANSACTIONS] + 1; id++)
        xenstore_transaction_append(&data, id);
    assert_false(
        domain_data_load(u.store, 5, 5, data.bytes, data.length, &err));
    assert_int_equal(d->connection->nr_transactions, 0);
    buffer_release(&data);
    unit_store_close(&u);
}

static void bad_records_change_nothing(void **state)
{
    struct store_in_memory from, to;
    struct buffer data = {0}, after = {0};
    struct error err = {0};

    unit_store_open(&from);
    fill(&from, 5);
    assert_ok(domain_data_save(from.store, 5, &data, &err), err);
    unit_store_open(&to);
    assert_refused(
        domain_data_load(to.store, 9, 5, data.bytes, data.length, &err), err,
        ERR_STATE, "not in the store");
    introduce(&to, 9);
    /* Cut anywhere but behind a whole record, nothing is taken. */
    for (size_t length = 1; length < data.length; length++) {
        bool whole = false;

        for (size_t at = 0; at <= length;) {
            uint32_t size;

            if (at == length)
                whole = true;
            if (at + 8 > data.length)
                break;
            memcpy(&size, data.bytes + at + 4, 4);
            at += 8 + (size + 7) / 8 * 8;
        }
        if (!whole)
            assert_refused(
                domain_data_load(to.store, 9, 5, data.bytes, length, &err), err,
                ERR_TRUNCATED, "octets left");
    }
    assert_null(tree_find(to.store, "/local/domain/9", NULL));

#define BAD(text)          \
    {                      \
        text, sizeof(text) \
    }
    static const struct {
        const char *strings;
        size_t length;
    } bad[] = {BAD("/abs\0v\0n5"), BAD("a//b\0v\0n5"), BAD("a\0v"),
               BAD("a\0n5"),       BAD("a\0v\0x5"),    BAD("a\0v\0n65535")};

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        buffer_reset(&after);
        size_t begun = record_begin(&after, XLREC_DOMAIN_XENSTORE_DATA);

        buffer_u32(&after, XLSTREAM_XENSTORE_NODES);
        buffer_bytes(&after, bad[i].strings, bad[i].length);
        record_end(&after, begun);
        if (domain_data_load(to.store, 9, 5, after.bytes, after.length, &err))
            fail_msg("bad record %u was taken", i);
        assert_int_equal(err.code, ERR_FORMAT);
    }
    buffer_release(&after);
    buffer_release(&data);
    unit_store_close(&from);
    unit_store_close(&to);
}

/* Neither more watches nor more nodes than the guest could have made. */
static void more_than_the_quotas_is_refused(void **state)
{
    struct store_in_memory u;
    struct buffer data = {0};
    struct error err = {0};
    char path[16];

    unit_store_open(&u);
    introduce(&u, 5);
    for (unsigned int i = 0; i < 129; i++) {
        struct xenstore_watch w = {.path = path, .token = "t", .depth = -1};

        snprintf(path, sizeof(path), "w%u", i);
        xenstore_watch_append(&data, &w);
    }
    assert_refused(
        domain_data_load(u.store, 5, 5, data.bytes, data.length, &err), err,
        ERR_FORMAT, "Watches per domain: number 129, expected at most 128");
    buffer_reset(&data);
    for (unsigned int i = 0; i < 1001; i++) {
        struct xenstore_node n = {.path = path,
                                  .value = (const uint8_t *)"",
                                  .perms = "n5",
                                  .nr_perms = 1};

        snprintf(path, sizeof(path), "n%u", i);
        xenstore_node_append(&data, &n);
    }
    assert_refused(
        domain_data_load(u.store, 5, 5, data.bytes, data.length, &err), err,
        ERR_FORMAT, "Nodes per domain: number 1001, expected at most 1000");
    assert_null(tree_find(u.store, "/local/domain/5", NULL));
    assert_int_equal(u.store->domains[5]->connection->nr_watches, 0);
    buffer_release(&data);
    unit_store_close(&u);
}

static void watches_need_a_ring(void **state)
{
    struct store_in_memory u;
    struct buffer data = {0};
    struct error err = {0};
    struct xenstore_watch w = {.path = "a", .token = "t", .depth = -1};
    struct connection *c;

    unit_store_open(&u);
    c = unit_client(&u);
    unit_write(&u, c, "/local/domain/5", "");
    assert_int_equal(
        unit_request(&u, c, OP_SET_PERMS, 0, "/local/domain/5\0n5", 19, NULL),
        OP_SET_PERMS);
    xenstore_watch_append(&data, &w);
    assert_refused(
        domain_data_load(u.store, 5, 5, data.bytes, data.length, &err), err,
        ERR_STATE, "no ring");
    buffer_release(&data);
    unit_store_close(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(saved_and_loaded_under_another_number),
        cmocka_unit_test(open_transactions_end_in_conflict),
        cmocka_unit_test(transactions_without_end_are_refused),
        cmocka_unit_test(bad_records_change_nothing),
        cmocka_unit_test(more_than_the_quotas_is_refused),
        cmocka_unit_test(watches_need_a_ring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
