/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "stream/xl/xl_file.h"
#include "unit.h"

/* clang-format off */
static const uint8_t file_little[] = {
    'X', 'e', 'n', ' ', 's', 'a', 'v', 'e', 'd', ' ', 'd', 'o', 'm', 'a', 'i',
    'n', ',', ' ', 'x', 'l', ' ', 'f', 'o', 'r', 'm', 'a', 't',
    '\n', ' ', '\0', ' ', '\r', /* magic */
    0x04, 0x03, 0x02, 0x01, /* byte order */
    0x03, 0x00, 0x00, 0x00, /* mandatory: JSON, libxl stream */
    0x00, 0x00, 0x00, 0x00, /* optional */
    0x07, 0x00, 0x00, 0x00, /* octets of optional data */
    0x03, 0x00, 0x00, 0x00, /* configuration */
    '{', '}', '\0',
};
/* clang-format on */

static bool read_all(const uint8_t *bytes, size_t length, struct buffer *b,
                     struct xlfile_header *h, struct xlfile_config *config,
                     struct error *err)
{
    struct memory_source memory = {bytes, length, 0, 1};
    struct stream_source source = source_from_memory(&memory);
    uint8_t head[XLFILE_HEADER_SIZE];

    return source_read(&source, head, sizeof(head), "xl header", err) &&
           xlfile_header_decode(head, 0, h, err) &&
           xlfile_config_read(&source, h, b, config, err);
}

static void xlfile_reads_its_own_writing(void **state)
{
    struct buffer written = {0};
    struct buffer b = {0};
    struct xlfile_header h;
    struct xlfile_config config;
    struct error err;

    xlfile_append(&written, "{}", 2);
    assert_int_equal(written.length, sizeof(file_little));
    assert_memory_equal(written.bytes, file_little, sizeof(file_little));

    assert_ok(read_all(file_little, sizeof(file_little), &b, &h, &config, &err),
              err);
    assert_ok(xlfile_header_check(&h, &err), err);
    assert_true(config.present);
    assert_int_equal(config.length, 3);
    assert_string_equal(config.text, "{}");

    /* The other byte order, and no configuration. */
    buffer_reset(&written);
    written.order = ORDER_BIG;
    xlfile_append(&written, NULL, 0);
    assert_ok(read_all(written.bytes, written.length, &b, &h, &config, &err),
              err);
    assert_int_equal(h.order, ORDER_BIG);
    assert_int_equal(h.mandatory_flags, XLFILE_MANDATORY_STREAM2);
    assert_false(config.present);
    buffer_release(&written);
    buffer_release(&b);
}

static void xlfile_refuses_every_truncation(void **state)
{
    for (size_t length = 0; length < sizeof(file_little); length++) {
        struct buffer b = {0};
        struct xlfile_header h;
        struct xlfile_config config;
        struct error err;

        assert_refused(read_all(file_little, length, &b, &h, &config, &err),
                       err, ERR_TRUNCATED, "xl header");
        buffer_release(&b);
    }
}

static void xlfile_refuses_each_wrong_field(void **state)
{
    static const struct {
        size_t offset;
        uint8_t value;
        enum error_code code;
        const char *text;
    } wrong[] = {
        {0,  'x',  ERR_FORMAT,      "magic"              },
        {31, '\n', ERR_FORMAT,      "magic"              },
        {32, 0x05, ERR_FORMAT,      "byte order"         },
        {36, 0x07, ERR_UNSUPPORTED, "mandatory flags 0x7"},
        {36, 0x01, ERR_UNSUPPORTED, "legacy"             },
        {47, 0xff, ERR_LIMIT,       "optional data"      },
        {44, 0x03, ERR_FORMAT,      "configuration"      },
        {51, 0xff, ERR_FORMAT,      "configuration of"   },
        {48, 0x04, ERR_FORMAT,      "configuration of 4" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        uint8_t bytes[sizeof(file_little)];
        struct buffer b = {0};
        struct xlfile_header h;
        struct xlfile_config config;
        struct error err;

        memcpy(bytes, file_little, sizeof(bytes));
        bytes[wrong[i].offset] = wrong[i].value;
        assert_refused(read_all(bytes, sizeof(bytes), &b, &h, &config, &err) &&
                           xlfile_header_check(&h, &err),
                       err, wrong[i].code, wrong[i].text);
        buffer_release(&b);
    }
}

static void xlfile_ignores_data_behind_the_configuration(void **state)
{
    uint8_t bytes[sizeof(file_little)];
    struct buffer b = {0};
    struct xlfile_header h;
    struct xlfile_config config;
    struct error err;

    memcpy(bytes, file_little, sizeof(bytes));
    bytes[48] = 1;
    assert_ok(read_all(bytes, sizeof(bytes), &b, &h, &config, &err), err);
    assert_int_equal(config.length, 1);
    assert_int_equal(config.ignored, 2);
    buffer_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xlfile_reads_its_own_writing),
        cmocka_unit_test(xlfile_refuses_every_truncation),
        cmocka_unit_test(xlfile_refuses_each_wrong_field),
        cmocka_unit_test(xlfile_ignores_data_behind_the_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
