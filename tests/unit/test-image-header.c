/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/buffer.h"
#include "engine/move/image_header.h"
#include "unit.h"

#define JSON "{\"c_info\":{\"name\":\"g1\"}}"

static void read_from(const struct buffer *b, size_t length, bool expected,
                      struct image_header *ret, struct error *err)
{
    struct io io;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], b->bytes, length), length);
    close(fds[1]);
    assert_ok(io_attach(&io, fds[0], false, 5000, -1, err), *err);
    assert_int_equal(image_header_read(&io, ret, err), expected);
    io_release(&io);
    close(fds[0]);
}

static void written_header(struct buffer *ret)
{
    uint8_t bytes[512];
    struct error err;
    struct io io;
    int fds[2];
    ssize_t got;

    assert_int_equal(pipe(fds), 0);
    assert_ok(io_attach(&io, fds[1], true, 5000, -1, &err), err);
    assert_ok(image_header_write(&io, JSON, &err), err);
    got = read(fds[0], bytes, sizeof(bytes));
    assert_true(got > 0);
    buffer_bytes(ret, bytes, (size_t)got);
    io_release(&io);
    close(fds[0]);
    close(fds[1]);
}

/* What xl writes for the same configuration. */
static void the_octets_are_those_of_xl(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};
    static const uint8_t tail[] = {
        0x04, 0x03, 0x02, 0x01, /* byte order */
        0x03, 0x00, 0x00, 0x00, /* JSON, libxl stream */
        0x00, 0x00, 0x00, 0x00, /* optional flags */
        0x1d, 0x00, 0x00, 0x00, /* optional data */
        0x19, 0x00, 0x00, 0x00, /* configuration, with its NUL */
    };

    written_header(&b);
    assert_int_equal(b.length, 48 + 4 + sizeof(JSON));
    assert_memory_equal(b.bytes, "Xen saved domain, xl format\n \0 \r", 32);
    assert_memory_equal(b.bytes + 32, tail, sizeof(tail));
    assert_memory_equal(b.bytes + 52, JSON, sizeof(JSON));
}

static void it_comes_back_and_the_rest_stays(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};
    cleanup(image_header_release) struct image_header h = {0};
    struct error err;

    written_header(&b);
    read_from(&b, b.length, true, &h, &err);
    assert_string_equal(h.config, JSON);
}

static void every_truncation_is_refused(void **state)
{
    cleanup(buffer_release) struct buffer b = {0};

    written_header(&b);
    for (size_t length = 0; length < b.length; length++) {
        struct image_header h = {0};
        struct error err;

        read_from(&b, length, false, &h, &err);
        assert_int_equal(err.code, ERR_TRUNCATED);
        assert_null(h.config);
    }
}

static void what_cannot_be_restored_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        enum error_code code;
        const char *part;
    } cases[] = {
        {0,  'x', ERR_FORMAT,      "magic"           },
        {32, 1,   ERR_FORMAT,      "byte order"      },
        {36, 1,   ERR_UNSUPPORTED, "legacy"          },
        {36, 2,   ERR_UNSUPPORTED, "text"            },
        {36, 7,   ERR_UNSUPPORTED, "mandatory flags" },
        {47, 0xf, ERR_LIMIT,       "optional data"   },
        {48, 200, ERR_FORMAT,      "configuration of"},
        {52, 0,   ERR_FORMAT,      "first NUL"       },
        {76, 'x', ERR_FORMAT,      "first NUL"       },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup(buffer_release) struct buffer b = {0};
        struct image_header h = {0};
        struct error err;

        written_header(&b);
        b.bytes[cases[i].at] = cases[i].value;
        read_from(&b, b.length, false, &h, &err);
        assert_int_equal(err.code, cases[i].code);
        assert_non_null(strstr(err.text, cases[i].part));
    }
}

static const uint8_t good_preamble[IMAGE_PREAMBLE] = {
    'L', 'i', 'b', 'x', 'l', 'F', 'm', 't', /* ident */
    0,   0,   0,   2,                       /* version, big-endian */
    0,   0,   0,   0,                       /* options */
    1,   0,   0,   0,                       /* LIBXC_CONTEXT */
    0,   0,   0,   0,                       /* its length */
};

static bool read_preamble(const uint8_t *bytes, size_t length,
                          struct error *err)
{
    uint8_t preamble[IMAGE_PREAMBLE];
    struct io io;
    int fds[2];
    bool good;

    assert_int_equal(pipe(fds), 0);
    if (length)
        assert_int_equal(write(fds[1], bytes, length), length);
    close(fds[1]);
    assert_ok(io_attach(&io, fds[0], false, 5000, -1, err), *err);
    good = image_preamble_read(&io, preamble, err);
    if (good)
        assert_memory_equal(preamble, bytes, IMAGE_PREAMBLE);
    io_release(&io);
    close(fds[0]);
    return good;
}

static void a_preamble_is_read_and_checked(void **state)
{
    uint8_t bytes[IMAGE_PREAMBLE];
    struct error err;

    assert_true(read_preamble(good_preamble, IMAGE_PREAMBLE, &err));
    for (size_t length = 0; length < IMAGE_PREAMBLE; length++) {
        assert_false(read_preamble(good_preamble, length, &err));
        assert_int_equal(err.code, ERR_TRUNCATED);
    }
    /* Of the options, bit 0 is byte order and the rest is nobody's business. */
    for (size_t at = 0; at < IMAGE_PREAMBLE; at++) {
        if (at >= 12 && at < 15)
            continue;
        memcpy(bytes, good_preamble, sizeof(bytes));
        bytes[at] ^= 1;
        assert_false(read_preamble(bytes, IMAGE_PREAMBLE, &err));
        assert_int_not_equal(err.code, ERR_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_octets_are_those_of_xl),
        cmocka_unit_test(it_comes_back_and_the_rest_stays),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(what_cannot_be_restored_is_refused),
        cmocka_unit_test(a_preamble_is_read_and_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
