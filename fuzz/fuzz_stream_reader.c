/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole image through inspect and verify.
 *
 * Properties: no crash, no leak; any chunking of the input gives the same
 * findings; what verify calls clean, inspect reads to its end.
 */
#include <assert.h>
#include <string.h>

#include "stream/inspect.h"
#include "stream/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A digest of everything that was said. */
static void mix(uint64_t *digest, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < length; i++)
        *digest = (*digest ^ at[i]) * UINT64_C(0x100000001b3);
}

static void mix_finding(void *context, const struct finding *finding)
{
    mix(context, finding->id, strlen(finding->id));
    mix(context, finding->found, strlen(finding->found));
    mix(context, &finding->offset, sizeof(finding->offset));
}

static void mix_begin(void *context, const char *key, enum fields_kind kind)
{
    mix(context, &kind, sizeof(kind));
}

static void mix_end(void *context)
{
    mix(context, "}", 1);
}

static void mix_number(void *context, const char *key, uint64_t value)
{
    if (key) /* none inside a list */
        mix(context, key, strlen(key));
    mix(context, &value, sizeof(value));
}

static void mix_flag(void *context, const char *key, bool value)
{
    mix_number(context, key, value);
}

static void mix_text(void *context, const char *key, const char *text,
                     size_t length)
{
    mix(context, text, length);
}

static const struct field_ops mix_ops = {
    .begin = mix_begin,
    .end = mix_end,
    .number = mix_number,
    .hex = mix_number,
    .flag = mix_flag,
    .text = mix_text,
};

static uint64_t run_verify(const uint8_t *data, size_t size, size_t chunk,
                           struct verify_result *result)
{
    struct memory_source memory = {data, size, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    const struct verify_options options = {
        .release = 13, .report = mix_finding, .context = &digest};
    struct error err;
    bool ok = verify_stream(&source, &options, result, &err);

    assert(ok);
    return digest;
}

static uint64_t run_inspect(const uint8_t *data, size_t size, size_t chunk,
                            bool *ret_ok)
{
    struct memory_source memory = {data, size, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    struct field_sink sink = {.ops = &mix_ops, .context = &digest};
    struct error err;

    *ret_ok = inspect_stream(&source, &options, &sink, &err);
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct verify_result whole;
    struct verify_result pieces;
    bool whole_ok;
    bool pieces_ok;
    size_t piece = size < 512 ? 7 : 61;
    uint64_t digest = run_verify(data, size, 0, &whole);

    assert(run_verify(data, size, piece, &pieces) == digest);
    assert(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    digest = run_inspect(data, size, 0, &whole_ok);
    assert(run_inspect(data, size, piece, &pieces_ok) == digest);
    assert(whole_ok == pieces_ok);
    if (whole.nr_by_severity[SEVERITY_ERROR] == 0 &&
        whole.nr_by_severity[SEVERITY_NOTE] == 0)
        assert(whole_ok);
    return 0;
}
