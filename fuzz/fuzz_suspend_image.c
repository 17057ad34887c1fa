/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libvirt and XenServer wrap around an image.  The first octet chooses the
 * beginning that is put in front: 0 libvirt's, 1 XenServer's, 2 XenServer's
 * older one.
 *
 * Properties: octets that come in other pieces are explained and converted
 * alike; what is converted is an image that the reader takes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_convert.h"
#include "stream/inspect.h"
#include "stream/stream_reader.h"
#include "stream/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX ((size_t)8 << 20)

static void drop_finding(void *context, const struct finding *finding)
{
}

static bool look(const struct buffer *b, size_t chunk, uint64_t *ret_findings)
{
    struct memory_source memory = {b->bytes, b->length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    const struct verify_options verify = {.report = drop_finding};
    const struct inspect_options inspect = {.page_contents = true};
    struct field_sink sink = fields_dropped();
    struct verify_result result;
    struct error err = {0};

    assert(verify_stream(&source, &verify, &result, &err));
    *ret_findings = result.nr_by_severity[SEVERITY_ERROR] +
                    result.nr_by_severity[SEVERITY_WARNING];
    memory.at = 0;
    source = source_from_memory(&memory);
    return inspect_stream(&source, &inspect, &sink, &err);
}

static void check_output(const struct buffer *out)
{
    struct memory_source memory = {out->bytes, out->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct stream_reader reader;
    struct stream_item item = {0};
    struct error err;

    stream_reader_init(&reader, &source);
    do
        assert(stream_reader_next(&reader, &item, &err));
    while (item.kind != ITEM_END);
    stream_reader_release(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct image_convert_options options = {.layer = LAYER_LIBXL};
    struct buffer b = {0};
    struct buffer whole = {.cap = OUTPUT_MAX};
    struct buffer pieces = {.cap = OUTPUT_MAX};
    uint64_t findings, again;
    bool ok;

    if (size < 1)
        return 0;
    switch (data[0] % 3) {
    case 0:
        buffer_bytes(&b, "libvirt-xml\n \0 \r", 16);
        break;
    case 1:
        buffer_bytes(&b, "XenSavedDomv2-\n", 15);
        break;
    default:
        buffer_bytes(&b, "XenSavedDomain\n", 15);
        break;
    }
    buffer_bytes(&b, data + 1, size - 1);
    ok = look(&b, 0, &findings);
    assert(look(&b, 61, &again) == ok && again == findings);
    ok = convert(b.bytes, b.length, 0, &options, &whole);
    assert(convert(b.bytes, b.length, 61, &options, &pieces) == ok);
    if (ok) {
        assert(whole.length == pieces.length);
        assert(memcmp(whole.bytes, pieces.bytes, whole.length) == 0);
        check_output(&whole);
    }
    buffer_release(&b);
    buffer_release(&whole);
    buffer_release(&pieces);
    return 0;
}
