/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libxenferry as a program outside the tree sees it. */
#include <sys/mman.h>
#include <xenferry/xenferry.h>

#include "../stream/image_maker.h"
#include "../unit/unit.h"
#include "stream/container/container_write.h"

static const struct image_options all[] = {
    {.guest = IMAGE_HVM,  .layer = IMAGE_XL,    .version = 3,    .emulator = true                },
    {.guest = IMAGE_PV64, .layer = IMAGE_LIBXC, .version = 2,    .rounds = 1                     },
    {.guest = IMAGE_HVM,  .layer = IMAGE_LIBXL, .version = 3,    .checkpoints = 2                },
    {.guest = IMAGE_HVM,
     .layer = IMAGE_LIBXL,
     .version = 3,
     .checkpoints = 2,
     .colo = true},
    {.guest = IMAGE_PV32,                   .layer = IMAGE_XL,                     .version = 3, .order = ORDER_BIG},
};

static void make(const struct image_options *options, struct buffer *image)
{
    struct error err;

    *image = (struct buffer){0};
    assert_ok(image_make(options, image, &err), err);
}

static void add_item(struct buffer *log, const struct xenferry_item *item)
{
    buffer_format(log, "\n%u %#x %llu %u %u %s ", item->kind, item->type,
                  (unsigned long long)item->offset, item->length,
                  item->big_endian, item->name);
}

/* What was pulled, the octets of bodies summed up; returns the last status. */
static int pull(const struct buffer *image, size_t length, struct buffer *log)
{
    struct xenferry_source *s = xenferry_source_memory(image->bytes, length);
    struct xenferry_reader *r = xenferry_reader_new(s);
    struct xenferry_item item;
    struct xenferry_error err;
    uint8_t bytes[1000];
    size_t got;
    int status;

    while ((status = xenferry_reader_next(r, &item, &err)) == XENFERRY_OK) {
        uint32_t sum = 0;

        add_item(log, &item);
        while ((status = xenferry_reader_body(r, bytes, sizeof(bytes), &got,
                                              &err)) == XENFERRY_OK)
            for (size_t i = 0; i < got; i++)
                sum = sum * 31 + bytes[i];
        buffer_format(log, "%u", sum);
        if (status == XENFERRY_FAILED)
            break;
    }
    if (status == XENFERRY_END)
        assert_int_equal(xenferry_reader_next(r, &item, &err), XENFERRY_END);
    xenferry_reader_free(r);
    xenferry_source_free(s);
    return status;
}

struct pushed {
    struct buffer *log;
    bool some;
    uint32_t sum;
};

static void pushed_sum(struct pushed *p)
{
    if (p->some)
        buffer_format(p->log, "%u", p->sum);
    p->sum = 0;
}

static void pushed_item(void *context, const struct xenferry_item *item)
{
    struct pushed *p = context;

    pushed_sum(p);
    p->some = true;
    add_item(p->log, item);
}

static void pushed_body(void *context, const void *bytes, size_t length)
{
    struct pushed *p = context;

    for (size_t i = 0; i < length; i++)
        p->sum = p->sum * 31 + ((const uint8_t *)bytes)[i];
}

static int push(const struct buffer *image, size_t length, size_t piece,
                struct buffer *log)
{
    struct pushed pushed = {.log = log};
    const struct xenferry_push_calls calls = {.size = sizeof(calls),
                                              .context = &pushed,
                                              .item = pushed_item,
                                              .body = pushed_body};
    struct xenferry_pusher *p = xenferry_pusher_new(&calls);
    struct xenferry_error err = {0};
    int status = XENFERRY_OK;

    for (size_t at = 0; at < length && status == XENFERRY_OK; at += piece) {
        size_t n = size_min(piece, length - at);
        /* With not an octet to spare. */
        uint8_t *copy = malloc(n);

        assert_non_null(copy);
        memcpy(copy, image->bytes + at, n);
        status = xenferry_push(p, copy, n, &err);
        free(copy);
    }
    if (status == XENFERRY_OK)
        status = xenferry_push_end(p, &err);
    else if (status == XENFERRY_END)
        status = xenferry_push_end(p, &err);
    pushed_sum(&pushed);
    xenferry_pusher_free(p);
    return status;
}

static void pushing_gives_what_pulling_gives(void **state)
{
    static const size_t pieces[] = {1, 7, 4096, 1000000};

    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct buffer image, pulled = {0};

        /* Those of checkpoints have no END. */
        make(&all[i], &image);
        assert_int_equal(pull(&image, image.length, &pulled),
                         all[i].checkpoints ? XENFERRY_FAILED : XENFERRY_END);
        for (size_t k = 0; k < ARRAY_SIZE(pieces); k++) {
            struct buffer pushed = {0};

            assert_int_equal(push(&image, image.length, pieces[k], &pushed),
                             all[i].checkpoints ? XENFERRY_FAILED
                                                : XENFERRY_OK);
            assert_int_equal(pushed.length, pulled.length);
            assert_memory_equal(pushed.bytes, pulled.bytes, pulled.length);
            buffer_release(&pushed);
        }
        buffer_release(&pulled);
        buffer_release(&image);
    }
}

static void a_cut_image_fails_both_ways(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_XL, .version = 3, .nr_frames = 4};
    struct buffer image;

    make(&options, &image);
    for (size_t length = 0; length < image.length; length += 13) {
        struct buffer log = {0};

        assert_int_equal(pull(&image, length, &log), XENFERRY_FAILED);
        assert_int_equal(push(&image, length, 100, &log), XENFERRY_FAILED);
        buffer_release(&log);
    }
    buffer_release(&image);
}

static int64_t read_seven(void *context, void *buffer, size_t length)
{
    struct memory_source *m = context;
    size_t n = size_min(size_min(length, 7), m->length - m->at);

    memcpy(buffer, m->bytes + m->at, n);
    m->at += n;
    return (int64_t)n;
}

static int64_t read_broken(void *context, void *buffer, size_t length)
{
    return -5;
}

static void count_finding(void *context, const struct xenferry_finding *finding)
{
    unsigned int *nr = context;

    assert_non_null(finding->id);
    assert_non_null(finding->expected);
    ++*nr;
}

static void verify_tells_and_calls(void **state)
{
    struct buffer image;
    struct xenferry_verdict v;
    struct xenferry_error err;
    struct xenferry_source *s;
    struct memory_source memory;
    unsigned int nr = 0;

    make(&all[0], &image);
    memory = (struct memory_source){image.bytes, image.length, 0, 0};
    s = xenferry_source_callback(read_seven, &memory);
    assert_int_equal(xenferry_verify(s, 0, count_finding, &nr, &v, &err),
                     XENFERRY_OK);
    assert_int_equal(v.errors + v.warnings + v.refused, 0);
    assert_int_equal(v.octets, image.length);
    xenferry_source_free(s);
    s = xenferry_source_memory(image.bytes, image.length / 2);
    assert_int_equal(xenferry_verify(s, 17, count_finding, &nr, &v, &err),
                     XENFERRY_OK);
    assert_true(v.errors > 0 && v.refused > 0 && nr > 0);
    assert_int_equal(xenferry_verify(s, 99, NULL, NULL, &v, &err),
                     XENFERRY_FAILED);
    assert_string_equal(xenferry_error_name(err.code), "usage");
    xenferry_source_free(s);
    s = xenferry_source_callback(read_broken, NULL);
    assert_int_equal(xenferry_verify(s, 0, NULL, NULL, &v, NULL),
                     XENFERRY_FAILED);
    xenferry_source_free(s);
    buffer_release(&image);
}

static void append_text(void *context, const char *text, size_t length)
{
    buffer_bytes(context, text, length);
}

static void inspect_writes_json(void **state)
{
    struct buffer image, json = {0};
    struct xenferry_error err;
    struct xenferry_source *s;

    make(&all[0], &image);
    s = xenferry_source_memory(image.bytes, image.length);
    assert_int_equal(xenferry_inspect_json(s, XENFERRY_INSPECT_SUMMARY,
                                           append_text, &json, &err),
                     XENFERRY_OK);
    xenferry_source_free(s);
    buffer_u8(&json, '\0');
    assert_true(json.bytes[0] == '{');
    assert_non_null(strstr((char *)json.bytes, "\"guest\":\"x86 HVM\""));
    buffer_reset(&json);
    s = xenferry_source_memory(image.bytes, 100);
    assert_int_equal(xenferry_inspect_json(s, 0, append_text, &json, &err),
                     XENFERRY_FAILED);
    xenferry_source_free(s);
    buffer_u8(&json, '\0');
    assert_non_null(strstr((char *)json.bytes, "\"code\":\"truncated\""));
    buffer_release(&json);
    buffer_release(&image);
}

static int make_container(const struct buffer *image)
{
    const struct container_write_options options = {.level = 1};
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    struct buffer file = {0};
    struct stream_sink sink = sink_to_buffer(&file);
    struct container_summary summary;
    struct error err;
    int fd = memfd_create("container", MFD_CLOEXEC);

    assert_ok(container_write(&source, &sink, &options, &summary, NULL, &err),
              err);
    assert_int_equal(pwrite(fd, file.bytes, file.length, 0), file.length);
    buffer_release(&file);
    return fd;
}

static void a_container_gives_pages_and_the_image(void **state)
{
    struct buffer image, direct = {0}, kept = {0};
    struct xenferry_container *c = NULL;
    struct xenferry_container_info info;
    struct xenferry_frame frame = {0};
    struct xenferry_error err;
    struct xenferry_source *s;
    uint8_t page[XENFERRY_PAGE_SIZE];
    uint64_t nr = 0;
    int fd;

    make(&all[0], &image);
    fd = make_container(&image);
    assert_int_equal(xenferry_container_open(fd, &c, &err), XENFERRY_OK);
    assert_int_equal(xenferry_container_info(c, &info), XENFERRY_OK);
    assert_int_equal(info.image_octets, image.length);
    assert_int_equal(info.whole, 1);
    for (uint64_t pfn = 0;
         xenferry_container_frame(c, pfn, &frame, &err) == XENFERRY_OK;
         pfn = frame.pfn + 1) {
        assert_int_equal(xenferry_container_page(c, frame.pfn, page, &err),
                         frame.contents ? XENFERRY_OK : XENFERRY_ABSENT);
        nr++;
    }
    assert_int_equal(nr, info.frames);
    assert_int_equal(xenferry_container_page(c, 1u << 30, page, &err),
                     XENFERRY_ABSENT);
    assert_int_equal(xenferry_container_verify(c, &err), XENFERRY_OK);
    s = xenferry_container_source(c);
    assert_int_equal(xenferry_inspect_json(s, 0, append_text, &kept, &err),
                     XENFERRY_OK);
    xenferry_source_free(s);
    s = xenferry_source_memory(image.bytes, image.length);
    assert_int_equal(xenferry_inspect_json(s, 0, append_text, &direct, &err),
                     XENFERRY_OK);
    xenferry_source_free(s);
    assert_int_equal(direct.length, kept.length);
    assert_memory_equal(direct.bytes, kept.bytes, kept.length);
    xenferry_container_close(c);
    assert_int_equal(ftruncate(fd, 100), 0);
    assert_int_equal(xenferry_container_open(fd, &c, NULL), XENFERRY_FAILED);
    close(fd);
    buffer_release(&direct);
    buffer_release(&kept);
    buffer_release(&image);
}

static void names_are_known(void **state)
{
    assert_string_equal(xenferry_kind("LibxlFmt", 8), "libxl stream");
    assert_string_equal(xenferry_kind("Lib", 3), "unknown data");
    assert_non_null(xenferry_version());
    assert_null(xenferry_source_fd(-1));
    xenferry_source_free(NULL);
    xenferry_reader_free(NULL);
    xenferry_pusher_free(NULL);
    xenferry_container_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pushing_gives_what_pulling_gives),
        cmocka_unit_test(a_cut_image_fails_both_ways),
        cmocka_unit_test(verify_tells_and_calls),
        cmocka_unit_test(inspect_writes_json),
        cmocka_unit_test(a_container_gives_pages_and_the_image),
        cmocka_unit_test(names_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
