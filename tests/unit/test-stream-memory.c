/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hostile images of hundreds of megabytes, made as they are read: neither
 * inspect nor verify may ever hold more than 64 MiB.
 *
 * Under a sanitizer the process keeps freed memory and is slow: there the
 * streams are shorter, and only the limit is left out.
 */
#include <sys/resource.h>

#include "stream/inspect.h"
#include "stream/verify.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_page_data.h"
#include "unit.h"

#define LIMIT_KIB     (64 * 1024)
#define SANITIZED_MAX ((uint64_t)20 << 20)

#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_IS_MEASURED 0
#else
#define MEMORY_IS_MEASURED 1
#endif

/* Headers, then one record over and over, up to 'left' octets. */
struct hostile {
    struct buffer start;
    size_t at;
    uint8_t head[64]; /* what each record begins with */
    size_t head_length;
    uint64_t body; /* octets after it */
    uint64_t in_record;
    uint64_t left;
    uint64_t counter; /* the body counts, so that every word differs */
};

static bool hostile_read(void *context, void *buffer, size_t length,
                         size_t *ret_got, struct error *err)
{
    struct hostile *h = context;
    uint8_t *out = buffer;
    size_t got = 0;

    while (got < length && h->left > 0) {
        uint8_t octet;

        if (h->at < h->start.length) {
            octet = h->start.bytes[h->at++];
        } else if (h->in_record < h->head_length) {
            octet = h->head[h->in_record++];
        } else {
            size_t n = size_min(length - got, (size_t)(h->head_length +
                                                       h->body - h->in_record));

            /* Frames of type XTAB, spread over all of 2^38. */
            for (size_t i = 0; i < n; i++) {
                uint64_t place = (h->in_record + i - h->head_length) % 8;

                if (place == 0)
                    h->counter += 0x3ffff1;
                out[got + i] = place == 7  ? 0xf0
                               : place < 5 ? (uint8_t)(h->counter >> 8 * place)
                                           : 0;
            }
            got += n;
            h->in_record += n;
            h->left -= n < h->left ? n : h->left;
            if (h->in_record == h->head_length + h->body)
                h->in_record = 0;
            continue;
        }
        out[got++] = octet;
        h->left--;
        if (h->at == h->start.length && h->body == 0 &&
            h->in_record == h->head_length)
            h->in_record = 0;
    }
    *ret_got = got;
    return true;
}

static bool hostile_readv(void *context, struct iovec *iov, int nr_iov,
                          struct error *err)
{
    return error_set(err, ERR_STATE, "not used");
}

static uint64_t hostile_hole(void *context)
{
    return 0;
}

static bool hostile_skip_hole(void *context, uint64_t length, struct error *err)
{
    return length == 0;
}

static bool hostile_skip(void *context, uint64_t length, uint64_t *ret_done,
                         struct error *err)
{
    *ret_done = 0;
    return true;
}

static const struct source_ops hostile_ops = {
    .read_some = hostile_read,
    .readv = hostile_readv,
    .hole_ahead = hostile_hole,
    .skip_hole = hostile_skip_hole,
    .skip = hostile_skip,
};

static void drop_finding(void *context, const struct finding *finding)
{
}

static void assert_memory_bounded(const char *what)
{
    struct rusage usage;

    if (!MEMORY_IS_MEASURED)
        return;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    if (usage.ru_maxrss > LIMIT_KIB)
        fail_msg("%s: %ld KiB, at most %d allowed", what, usage.ru_maxrss,
                 LIMIT_KIB);
}

static void run_hostile(const char *what, uint32_t guest, uint32_t type,
                        uint32_t length, const uint8_t *prefix,
                        size_t prefix_length, uint64_t total)
{
    const struct xcstream_headers headers = {
        .version = 2, .type = guest, .page_shift = PAGE_SHIFT};
    const struct verify_options verify = {.report = drop_finding};
    const struct inspect_options inspect = {.page_contents = true};

    if (!MEMORY_IS_MEASURED && total > SANITIZED_MAX)
        total = SANITIZED_MAX;
    for (int round = 0; round < 2; round++) {
        struct hostile h = {.left = total};
        struct stream_source source = {.ops = &hostile_ops, .context = &h};
        struct field_sink sink = fields_dropped();
        struct verify_result result;
        struct error err;

        xcstream_headers_append(&h.start, &headers);
        record_head_encode(h.head, ORDER_LITTLE, type, length);
        memcpy(h.head + RECORD_HEAD_SIZE, prefix, prefix_length);
        h.head_length = RECORD_HEAD_SIZE + prefix_length;
        h.body = padded_to_8(length) - prefix_length;
        if (round == 0)
            assert_ok(verify_stream(&source, &verify, &result, &err), err);
        else
            assert_false(inspect_stream(&source, &inspect, &sink, &err));
        buffer_release(&h.start);
        assert_memory_bounded(what);
    }
}

static void memory_is_bounded(void **state)
{
    static const uint8_t frames[] = {0xff, 0xff, 0x0f, 0, 0, 0, 0, 0};
    static const uint8_t too_many[] = {0x01, 0x00, 0x10, 0, 0, 0, 0, 0};
    static const uint8_t p2m[] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
    const uint64_t mib = UINT64_C(1) << 20;

    run_hostile("endless optional records", XCSTREAM_DOMAIN_HVM, 0x80000001, 0,
                NULL, 0, 16 * mib);
    run_hostile("long optional records", XCSTREAM_DOMAIN_HVM, 0x80000001,
                RECORD_LENGTH_MAX, NULL, 0, 140 * mib);
    run_hostile("most frames in a record", XCSTREAM_DOMAIN_HVM, XCREC_PAGE_DATA,
                8 + 0xfffff * 8, frames, sizeof(frames), 64 * mib);
    run_hostile("too many frames in a record", XCSTREAM_DOMAIN_HVM,
                XCREC_PAGE_DATA, RECORD_LENGTH_MAX, too_many, sizeof(too_many),
                140 * mib);
    run_hostile("a long context", XCSTREAM_DOMAIN_HVM, XCREC_HVM_CONTEXT,
                RECORD_LENGTH_MAX, NULL, 0, 140 * mib);
    run_hostile("the longest context that is looked at", XCSTREAM_DOMAIN_HVM,
                XCREC_HVM_CONTEXT, VERIFY_BODY_MAX, NULL, 0, 64 * mib);
    run_hostile("a P2M all over the place", XCSTREAM_DOMAIN_PV,
                XCREC_X86_PV_P2M_FRAMES, VERIFY_BODY_MAX, p2m, sizeof(p2m),
                64 * mib);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
