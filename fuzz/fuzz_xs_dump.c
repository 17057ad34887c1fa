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
