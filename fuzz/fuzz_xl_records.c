/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each record of the libxl layer by itself.  The first octet chooses the
 * record, the second the byte order; the rest is the body.
 *
 * Properties: what is decoded encodes to the octets it came from; of xenstore
 * content, which can be written in more than one way, what is written again
 * decodes and encodes to itself.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_record.h"
#include "stream/xl/xl_records.h"
#include "stream/xl/xl_xenstore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void assert_same(const struct record *rec, const struct buffer *again)
{
    assert(!again->bad && again->length == record_size(rec->length));
    assert(memcmp(again->bytes + RECORD_HEAD_SIZE, rec->body, rec->length) ==
           0);
}

static void try_emulator(const struct record *rec)
{
    struct buffer again = {.order = rec->order};
    struct emulator_data data;
    const char *key;
    const char *value;
    struct cursor c;
    struct error err;

    if (!emulator_data_decode(rec, &data, &err))
        return;
    emulator_data_append(&again, rec->type, &data);
    assert_same(rec, &again);
    c = cursor_over(data.bytes, data.length, rec->order);
    while (xenstore_pair_next(&c, &key, &value))
        assert(strlen(key) + strlen(value) < rec->length);
    buffer_release(&again);
}

static void try_domain_xenstore(const struct record *rec)
{
    struct buffer again = {.order = rec->order};
    struct domain_xenstore_data data;
    size_t length = 0;
    struct cursor c;
    struct error err;

    if (!domain_xenstore_data_decode(rec, &data, &err))
        return;
    domain_xenstore_data_append(&again, &data);
    assert_same(rec, &again);
    buffer_release(&again);
    c = cursor_over(data.strings, data.length, rec->order);
    while (cursor_left(&c) > 0 && !c.bad) {
        const char *text = cursor_string(&c);

        length += text ? strlen(text) + 1 : 0;
    }
    assert(length <= data.length);
}

static void try_checkpoint(const struct record *rec)
{
    struct buffer again = {.order = rec->order};
    struct error err;
    uint32_t id;

    if (!checkpoint_state_decode(rec, &id, &err))
        return;
    checkpoint_state_append(&again, id);
    /* What follows the number is padding that a writer has counted in. */
    assert(!again.bad && rec->length >= 4);
    assert(memcmp(again.bytes + RECORD_HEAD_SIZE, rec->body, 4) == 0);
    buffer_release(&again);
}

/* What the record says, written by us; false if it says nothing. */
static bool write_content(const struct record *rec, struct buffer *ret)
{
    struct xenstore_watch watch;
    struct xenstore_node node;
    struct error err;
    uint32_t id;

    if (xenstore_node_decode(rec, &node, &err))
        xenstore_node_append(ret, &node);
    else if (xenstore_watch_decode(rec, &watch, &err))
        xenstore_watch_append(ret, &watch);
    else if (xenstore_transaction_decode(rec, &id, &err))
        xenstore_transaction_append(ret, id);
    else
        return false;
    return true;
}

static void try_content(const struct record *rec)
{
    struct buffer once = {.order = rec->order};
    struct buffer twice = {.order = rec->order};
    struct record_head head;
    struct record ours;

    if (write_content(rec, &once)) {
        assert(!once.bad);
        head = record_head_decode(once.bytes, rec->order, 0);
        ours = record_over(head.type, once.bytes + RECORD_HEAD_SIZE,
                           head.length, rec->order);
        assert(write_content(&ours, &twice));
        assert(!twice.bad && twice.length == once.length);
        assert(memcmp(twice.bytes, once.bytes, once.length) == 0);
    }
    buffer_release(&once);
    buffer_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record rec;
    uint8_t *body;

    if (size < 2 || size > RECORD_LENGTH_MAX)
        return 0;
    body = record_of_input(data, size, 8, &rec);
    try_emulator(&rec);
    try_domain_xenstore(&rec);
    try_checkpoint(&rec);
    try_content(&rec);
    free(body);
    return 0;
}
