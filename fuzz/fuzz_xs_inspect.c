/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The xenstore state stream of both versions and oxenstored's dump, explained.
 * The first octet chooses the beginning that is put in front: 0 to 1 a stream
 * of that version plus one, 2 a dump.
 *
 * Property: octets that come in other pieces are explained alike.
 */
#include <assert.h>
#include <string.h>

#include "stream/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_key(void *context, const char *key, enum fields_kind kind)
{
    ++*(uint64_t *)context;
}

static void count_end(void *context)
{
    ++*(uint64_t *)context;
}

static void count_number(void *context, const char *key, uint64_t value)
{
    *(uint64_t *)context += value;
}

static void count_flag(void *context, const char *key, bool value)
{
    *(uint64_t *)context += value;
}

static void count_text(void *context, const char *key, const char *text,
                       size_t length)
{
    uint64_t sum = length;

    for (size_t i = 0; i < length; i++)
        sum = sum * 31 + (unsigned char)text[i];
    *(uint64_t *)context += sum;
}

static const struct field_ops count_ops = {
    .begin = count_key,
    .end = count_end,
    .number = count_number,
    .hex = count_number,
    .flag = count_flag,
    .text = count_text,
};

static bool explain(const struct buffer *b, size_t chunk, uint64_t *ret)
{
    struct memory_source memory = {b->bytes, b->length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    struct field_sink sink = {.ops = &count_ops, .context = ret};
    struct error err = {0};

    *ret = 0;
    return inspect_stream(&source, &options, &sink, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer b = {.order = ORDER_BIG};
    uint64_t whole, pieces;
    bool ok;

    if (size < 1)
        return 0;
    if (data[0] % 3 == 2) {
        buffer_text(&b, "$xenstored-dump-format\n");
    } else {
        buffer_bytes(&b, "xenstore", 8);
        buffer_u32(&b, data[0] % 3 + 1u);
        buffer_u32(&b, 0);
    }
    buffer_bytes(&b, data + 1, size - 1);
    ok = explain(&b, 0, &whole);
    assert(explain(&b, 13, &pieces) == ok);
    assert(whole == pieces);
    buffer_release(&b);
    return 0;
}
