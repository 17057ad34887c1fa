/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image_maker.h"
#include "stream/stream_reader.h"
#include "stream/xc/xc_records.h"
#include "unit.h"

/* Read all items; their names, one after the other, into 'names'. */
static bool read_names(const uint8_t *bytes, size_t length, size_t chunk,
                       struct buffer *names, struct error *err)
{
    struct memory_source memory = {bytes, length, 0, chunk};
    struct stream_source source = source_from_memory(&memory);
    struct stream_reader reader;
    struct stream_item item;
    bool ok;

    stream_reader_init(&reader, &source);
    buffer_reset(names);
    while ((ok = stream_reader_next(&reader, &item, err))) {
        if (item.kind == ITEM_END)
            break;
        buffer_text(names, stream_item_name(&item));
        buffer_u8(names, ' ');
    }
    stream_reader_release(&reader);
    return ok;
}

static void assert_names(const struct image_options *options, bool ends,
                         const char *expected)
{
    struct buffer image = {0};
    struct buffer names = {0};
    struct error err;

    assert_ok(image_make(options, &image, &err), err);
    /* Any chunking gives the same. */
    for (size_t chunk = 0; chunk < 8; chunk = chunk * 2 + 1) {
        bool ok = read_names(image.bytes, image.length, chunk, &names, &err);

        assert_int_equal(ok, ends);
        buffer_u8(&names, '\0');
        assert_string_equal((const char *)names.bytes, expected);
    }
    buffer_release(&image);
    buffer_release(&names);
}

#define HVM_TAIL "X86_TSC_INFO HVM_CONTEXT HVM_PARAMS "

static void reader_walks_a_plain_libxc_image(void **state)
{
    const struct image_options options = {.guest = IMAGE_HVM, .version = 2};

    assert_names(&options, true, "libxc headers PAGE_DATA " HVM_TAIL "END ");
}

static void reader_walks_all_three_layers(void **state)
{
    for (int big = 0; big < 2; big++) {
        const struct image_options options = {
            .guest = IMAGE_HVM,
            .layer = IMAGE_XL,
            .order = big ? ORDER_BIG : ORDER_LITTLE,
            .version = 3,
            .emulator = true,
            .physmap = true,
        };

        assert_names(&options, true,
                     "xl file header libxl header LIBXC_CONTEXT libxc headers "
                     "X86_CPUID_POLICY X86_MSR_POLICY STATIC_DATA_END "
                     "PAGE_DATA " HVM_TAIL "END EMULATOR_XENSTORE_DATA "
                     "EMULATOR_CONTEXT END ");
    }
}

static void reader_walks_checkpoints(void **state)
{
    struct image_options options = {
        .guest = IMAGE_HVM,
        .layer = IMAGE_LIBXL,
        .version = 2,
        .checkpoints = 2,
        .emulator = true,
    };

    assert_names(&options, false,
                 "libxl header LIBXC_CONTEXT libxc headers PAGE_DATA " HVM_TAIL
                 "CHECKPOINT EMULATOR_CONTEXT CHECKPOINT_END "
                 "PAGE_DATA " HVM_TAIL
                 "CHECKPOINT EMULATOR_CONTEXT CHECKPOINT_END ");
    options.colo = true;
    assert_names(&options, false,
                 "libxl header LIBXC_CONTEXT libxc headers PAGE_DATA " HVM_TAIL
                 "CHECKPOINT EMULATOR_CONTEXT CHECKPOINT_END "
                 "CHECKPOINT_STATE PAGE_DATA " HVM_TAIL
                 "CHECKPOINT EMULATOR_CONTEXT CHECKPOINT_END "
                 "CHECKPOINT_STATE ");
}

static void reader_never_reads_past_the_end(void **state)
{
    const struct image_options options = {.layer = IMAGE_LIBXL};
    struct buffer image = {0};
    struct memory_source memory;
    struct stream_source source;
    struct stream_reader reader;
    struct stream_item item;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    memory = (struct memory_source){image.bytes, image.length, 0, 0};
    source = source_from_memory(&memory);
    buffer_text(&image, "the next reader's");
    memory.bytes = image.bytes;
    memory.length = image.length;
    stream_reader_init(&reader, &source);
    do
        assert_ok(stream_reader_next(&reader, &item, &err), err);
    while (item.kind != ITEM_END);
    assert_int_equal(memory.length - memory.at, strlen("the next reader's"));
    stream_reader_release(&reader);
    buffer_release(&image);
}

static void reader_refuses_every_truncation(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_XL, .emulator = true, .nr_frames = 3};
    struct buffer image = {0};
    struct buffer names = {0};
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    for (size_t length = 0; length < image.length; length++)
        assert_refused(read_names(image.bytes, length, 0, &names, &err), err,
                       ERR_TRUNCATED, "stream ends");
    buffer_release(&image);
    buffer_release(&names);
}

static void reader_says_what_other_data_are(void **state)
{
    static const struct {
        const char *bytes;
        enum error_code code;
        const char *text;
    } others[] = {
        {"",              ERR_TRUNCATED,   "image"       },
        {"x",             ERR_TRUNCATED,   "image"       },
        {"garbage!",      ERR_FORMAT,      "unknown data"},
        {"QEVM1234",      ERR_UNSUPPORTED, "QEMU"        },
        {"xenstore",      ERR_UNSUPPORTED, "xenstore"    },
        {"XenSavedDomv2", ERR_UNSUPPORTED, "XenServer"   },
        {"libvirt-xml",   ERR_UNSUPPORTED, "libvirt"     },
    };

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct buffer names = {0};
        struct error err;

        assert_refused(read_names((const uint8_t *)others[i].bytes,
                                  strlen(others[i].bytes), 0, &names, &err),
                       err, others[i].code, others[i].text);
        buffer_release(&names);
    }
}

static void sniff_tells_legacy_widths(void **state)
{
    /* clang-format off */
    static const uint8_t wide[] = {0x00, 0x10, 0, 0, 0, 0, 0, 0};
    static const uint8_t narrow_pv[] = {0x00, 0x10, 0, 0,
                                        0xff, 0xff, 0xff, 0xff};
    static const uint8_t narrow_hvm[] = {0x00, 0x10, 0, 0,
                                         0x00, 0x04, 0x00, 0x00};
    static const uint8_t zeroes[8];
    /* clang-format on */

    assert_int_equal(sniff(wide), STREAM_LEGACY_64);
    assert_int_equal(sniff(narrow_pv), STREAM_LEGACY_32);
    assert_int_equal(sniff(narrow_hvm), STREAM_LEGACY_32);
    assert_int_equal(sniff(zeroes), STREAM_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_walks_a_plain_libxc_image),
        cmocka_unit_test(reader_walks_all_three_layers),
        cmocka_unit_test(reader_walks_checkpoints),
        cmocka_unit_test(reader_never_reads_past_the_end),
        cmocka_unit_test(reader_refuses_every_truncation),
        cmocka_unit_test(reader_says_what_other_data_are),
        cmocka_unit_test(sniff_tells_legacy_widths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
