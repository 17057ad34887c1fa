/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each record of the libxl layer by itself.  The first octet chooses the
 * record, the second the byte order; the rest is the body.
 *
 * Property: what is decoded encodes to the octets it came from.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_record.h"
#include "stream/xl/xl_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    assert(!again.bad && again.length == record_size(rec->length));
    assert(memcmp(again.bytes + RECORD_HEAD_SIZE, rec->body, rec->length) == 0);
    c = cursor_over(data.bytes, data.length, rec->order);
    while (xenstore_pair_next(&c, &key, &value))
        assert(strlen(key) + strlen(value) < rec->length);
    buffer_release(&again);
}

static void try_domain_xenstore(const struct record *rec)
{
    struct domain_xenstore_data data;
    size_t length = 0;
    struct cursor c;
    struct error err;

    if (!domain_xenstore_data_decode(rec, &data, &err))
        return;
    c = cursor_over(data.strings, data.length, rec->order);
    while (cursor_left(&c) > 0 && !c.bad) {
        const char *text = cursor_string(&c);

        length += text ? strlen(text) + 1 : 0;
    }
    assert(length <= data.length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct record rec;
    struct error err;
    uint8_t *body;
    uint32_t id;

    if (size < 2 || size > RECORD_LENGTH_MAX)
        return 0;
    body = record_of_input(data, size, 8, &rec);
    try_emulator(&rec);
    try_domain_xenstore(&rec);
    if (checkpoint_state_decode(&rec, &id, &err))
        assert(rec.length >= 4);
    free(body);
    return 0;
}
