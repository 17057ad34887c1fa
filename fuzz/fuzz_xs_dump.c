/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state stream: every record by its decoder, and the whole as a store.
 *
 * Properties: a record that was read is written again the same; a store that
 * was loaded is sound, and its own dump loads again.
 */
#include "fuzz_store.h"
#include "stream/xs/xs_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each decodes a record, of whatever type, and writes what it says, if any. */

static bool again_global(const struct xsdump_record *rec, struct buffer *ret)
{
    struct xsdump_global global;
    struct error err = {0};

    if (!xsdump_global_decode(rec, &global, &err))
        return false;
    xsdump_write_global(ret, &global);
    return true;
}

static bool again_connection(const struct xsdump_record *rec,
                             struct buffer *ret)
{
    struct xsdump_connection connection;
    struct error err = {0};

    if (!xsdump_connection_decode(rec, &connection, &err))
        return false;
    xsdump_write_connection(ret, &connection);
    return true;
}

static bool again_watch(const struct xsdump_record *rec, struct buffer *ret)
{
    struct xsdump_watch watch;
    struct error err = {0};

    if (!xsdump_watch_decode(rec, &watch, &err))
        return false;
    xsdump_write_watch(ret, &watch);
    return true;
}

static bool again_transaction(const struct xsdump_record *rec,
                              struct buffer *ret)
{
    struct xsdump_transaction transaction;
    struct error err = {0};

    if (!xsdump_transaction_decode(rec, &transaction, &err))
        return false;
    xsdump_write_transaction(ret, &transaction);
    return true;
}

static bool again_node(const struct xsdump_record *rec, struct buffer *ret)
{
    struct xsdump_node node;
    struct xsdump_perm *perms;
    struct error err = {0};

    if (!xsdump_node_decode(rec, &node, &err))
        return false;
    perms = calloc((size_t)node.nr_perms + 1, sizeof(*perms));
    assert(perms);
    for (uint32_t i = 0; i < node.nr_perms; i++)
        perms[i] = xsdump_node_perm(&node, i);
    xsdump_write_node(ret, &node, perms);
    free(perms);
    return true;
}

static bool again_quotas(const struct xsdump_record *rec, struct buffer *ret)
{
    struct xsdump_quotas q;
    struct error err = {0};
    const char **names;
    const char *name;
    uint32_t *values;

    if (!xsdump_quotas_decode(rec, &q, &err))
        return false;
    values = calloc((size_t)q.nr + 1, sizeof(*values));
    names = calloc((size_t)q.nr + 1, sizeof(*names));
    assert(values && names);
    name = q.names;
    for (uint32_t i = 0; i < q.nr; i++) {
        values[i] = xsdump_quota_value(&q, i);
        names[i] = name;
        name += strlen(name) + 1;
    }
    xsdump_write_quotas(ret, rec->type, &q, values, names);
    free(values);
    free(names);
    return true;
}

typedef bool again_fn(const struct xsdump_record *rec, struct buffer *ret);

static again_fn *const codecs[] = {again_global, again_connection,
                                   again_watch,  again_transaction,
                                   again_node,   again_quotas};

/*
 * Writers differ in whether padding counts, and in fields that mean nothing:
 * what we write of a record decodes, and encodes to itself.
 */
static void assert_identity(const struct xsdump_record *rec, again_fn *again)
{
    struct buffer once = {.order = rec->order, .cap = SIZE_MAX};
    struct buffer twice = {.order = rec->order, .cap = SIZE_MAX};
    struct xsdump_record ours = *rec;
    struct cursor c;

    if (again(rec, &once)) {
        assert(!once.bad);
        c = cursor_over(once.bytes, once.length, rec->order);
        ours.type = cursor_u32(&c);
        ours.length = cursor_u32(&c);
        ours.body = c.at;
        assert(cursor_left(&c) == ours.length);
        assert(again(&ours, &twice));
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

    if (xsdump_open(&reader, data, size, &err))
        while (xsdump_next(&reader, &rec, &err)) {
            for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
                assert_identity(&rec, codecs[i]);
            if (rec.type == XSDUMP_END)
                break;
        }

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
