/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state stream: every record by its decoder, and the whole as a store.
 *
 * Property: a store that was loaded is sound, and its own dump loads again.
 */
#include "fuzz_store.h"
#include "stream/xs/xs_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t decode(const struct xsdump_record *rec)
{
    struct xsdump_global global;
    struct xsdump_connection connection;
    struct xsdump_watch watch;
    struct xsdump_transaction transaction;
    struct xsdump_node node;
    struct xsdump_quotas quotas;
    struct error err = {0};
    size_t sum = 0;

    if (xsdump_global_decode(rec, &global, &err))
        sum += (size_t)global.listen_fd;
    if (xsdump_connection_decode(rec, &connection, &err))
        for (uint32_t i = 0; i < connection.in_length; i++)
            sum += connection.in[i];
    if (xsdump_watch_decode(rec, &watch, &err))
        sum += strlen(watch.path) + strlen(watch.token);
    if (xsdump_transaction_decode(rec, &transaction, &err))
        sum += transaction.id;
    if (xsdump_node_decode(rec, &node, &err)) {
        for (uint32_t i = 0; i < node.nr_perms; i++)
            sum += xsdump_node_perm(&node, i).domid;
        for (uint32_t i = 0; i < node.value_length; i++)
            sum += node.value[i];
        sum += strlen(node.path);
    }
    if (xsdump_quotas_decode(rec, &quotas, &err)) {
        const char *name = quotas.names;

        for (uint32_t i = 0; i < quotas.nr; i++) {
            sum += xsdump_quota_value(&quotas, i);
            name += strlen(name) + 1;
        }
    }
    return sum;
}

static void write_node(const struct xsdump_node *node, struct buffer *ret)
{
    struct xsdump_perm *perms =
        calloc((size_t)node->nr_perms + 1, sizeof(*perms));

    assert(perms);
    for (uint32_t i = 0; i < node->nr_perms; i++)
        perms[i] = xsdump_node_perm(node, i);
    xsdump_write_node(ret, node, perms);
    free(perms);
}

static void write_quotas(uint32_t type, const struct xsdump_quotas *q,
                         struct buffer *ret)
{
    uint32_t *values = calloc((size_t)q->nr + 1, sizeof(*values));
    const char **names = calloc((size_t)q->nr + 1, sizeof(*names));
    const char *name = q->names;

    assert(values && names);
    for (uint32_t i = 0; i < q->nr; i++) {
        values[i] = xsdump_quota_value(q, i);
        names[i] = name;
        name += strlen(name) + 1;
    }
    xsdump_write_quotas(ret, type, q, values, names);
    free(values);
    free(names);
}

/* What the record says, written by us; false if it says nothing. */
static bool write_again(const struct xsdump_record *rec, struct buffer *ret)
{
    struct xsdump_global global;
    struct xsdump_connection connection;
    struct xsdump_watch watch;
    struct xsdump_transaction transaction;
    struct xsdump_node node;
    struct xsdump_quotas quotas;
    struct error err = {0};

    if (rec->type == XSDUMP_GLOBAL && xsdump_global_decode(rec, &global, &err))
        xsdump_write_global(ret, &global);
    else if (rec->type == XSDUMP_CONNECTION &&
             xsdump_connection_decode(rec, &connection, &err))
        xsdump_write_connection(ret, &connection);
    else if ((rec->type == XSDUMP_WATCH ||
              rec->type == XSDUMP_WATCH_EXTENDED) &&
             xsdump_watch_decode(rec, &watch, &err))
        xsdump_write_watch(ret, &watch);
    else if (rec->type == XSDUMP_TRANSACTION &&
             xsdump_transaction_decode(rec, &transaction, &err))
        xsdump_write_transaction(ret, &transaction);
    else if (rec->type == XSDUMP_NODE && xsdump_node_decode(rec, &node, &err))
        write_node(&node, ret);
    else if ((rec->type == XSDUMP_QUOTA || rec->type == XSDUMP_DOMAIN) &&
             xsdump_quotas_decode(rec, &quotas, &err))
        write_quotas(rec->type, &quotas, ret);
    else
        return false;
    return true;
}

/*
 * Writers differ in whether padding counts, and in fields that mean nothing:
 * what we write of a record decodes, and encodes to itself.
 */
static void assert_identity(const struct xsdump_record *rec)
{
    struct buffer once = {.order = rec->order, .cap = SIZE_MAX};
    struct buffer twice = {.order = rec->order, .cap = SIZE_MAX};
    struct xsdump_record ours = *rec;
    struct cursor c;

    if (write_again(rec, &once)) {
        assert(!once.bad);
        c = cursor_over(once.bytes, once.length, rec->order);
        ours.type = cursor_u32(&c);
        ours.length = cursor_u32(&c);
        ours.body = c.at;
        assert(cursor_left(&c) == ours.length);
        assert(write_again(&ours, &twice));
        assert(!twice.bad && twice.length == once.length);
        assert(memcmp(twice.bytes, once.bytes, once.length) == 0);
    }
    buffer_release(&once);
    buffer_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct store_load_hooks hooks = {.socket = fuzz_socket};
    struct xsdump_reader reader;
    struct xsdump_record rec;
    struct error err = {0};
    struct store_in_memory *f;
    size_t sum = 0;

    if (xsdump_open(&reader, data, size, &err))
        while (xsdump_next(&reader, &rec, &err)) {
            sum += decode(&rec);
            assert_identity(&rec);
            if (rec.type == XSDUMP_END)
                break;
        }
    __asm__ volatile("" : : "r"(sum));

    f = malloc(sizeof(*f));
    assert(f);
    fuzz_store_open(f);
    store_replay_begin(f->store);
    if (store_load(f->store, data, size, &hooks, &err)) {
        fuzz_assert_sound(f->store);
        fuzz_assert_survives(f->store);
        while (store_turn(f->store))
            ;
        fuzz_assert_sound(f->store);
    }
    store_close(f->store);
    free(f);
    return 0;
}
