/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each read and each write of the codecs that go over whole images fails once:
 * the failure is what comes out, and nothing else goes wrong.
 */
#include <limits.h>

#include "image_maker.h"
#include "stream/container/container_read.h"
#include "stream/image/image_convert.h"
#include "stream/image/image_scan.h"
#include "stream/inspect.h"
#include "stream/verify.h"
#include "unit.h"

struct failing {
    struct stream_source memory_source;
    struct memory_source memory;
    struct buffer *out;
    unsigned long left; /* operations before the one that fails */
    bool failed;
};

static bool tick(struct failing *f, struct error *err)
{
    if (f->left-- > 0)
        return true;
    f->failed = true;
    return error_set(err, ERR_IO, "the test's failure");
}

static bool read_some(void *context, void *buffer, size_t length,
                      size_t *ret_got, struct error *err)
{
    struct failing *f = context;

    return tick(f, err) &&
           source_read_some(&f->memory_source, buffer, length, ret_got, err);
}

static bool read_vector(void *context, struct iovec *iov, int nr_iov,
                        struct error *err)
{
    struct failing *f = context;

    return tick(f, err) &&
           source_readv(&f->memory_source, iov, nr_iov, "test", err);
}

static uint64_t no_hole(void *context)
{
    return 0;
}

static bool skip_no_hole(void *context, uint64_t length, struct error *err)
{
    return length == 0;
}

/* Half of what is asked for, so that both ways are taken. */
static bool skip_half(void *context, uint64_t length, uint64_t *ret_done,
                      struct error *err)
{
    struct failing *f = context;
    uint64_t there = f->memory.length - f->memory.at;

    if (!tick(f, err))
        return false;
    *ret_done = length / 2 < there ? length / 2 : there;
    return source_skip(&f->memory_source, *ret_done, "test", err);
}

static const struct source_ops failing_source_ops = {
    .read_some = read_some,
    .readv = read_vector,
    .hole_ahead = no_hole,
    .skip_hole = skip_no_hole,
    .skip = skip_half,
};

static bool write_vector(void *context, struct iovec *iov, int nr_iov,
                         struct error *err)
{
    struct failing *f = context;

    if (!tick(f, err))
        return false;
    for (int i = 0; i < nr_iov; i++)
        buffer_bytes(f->out, iov[i].iov_base, iov[i].iov_len);
    return true;
}

static bool write_zeroes(void *context, uint64_t length, struct error *err)
{
    struct failing *f = context;

    if (!tick(f, err))
        return false;
    buffer_zeroes(f->out, length);
    return true;
}

static const struct sink_ops failing_sink_ops = {
    .writev = write_vector,
    .write_zeroes = write_zeroes,
};

/* What is done with an image; false with 'err' where it failed. */
typedef bool work_fn(struct stream_source *source, struct stream_sink *sink,
                     struct error *err);

static void drop(void *context, const struct finding *finding)
{
}

static bool do_verify(struct stream_source *source, struct stream_sink *sink,
                      struct error *err)
{
    const struct verify_options options = {.report = drop};
    struct verify_result result;

    return verify_stream(source, &options, &result, err);
}

static bool do_inspect(struct stream_source *source, struct stream_sink *sink,
                       struct error *err)
{
    const struct inspect_options options = {.page_contents = true};
    struct field_sink fields = fields_dropped();

    return inspect_stream(source, &options, &fields, err);
}

static bool do_convert(struct stream_source *source, struct stream_sink *sink,
                       struct error *err)
{
    const struct image_convert_options options = {.layer = LAYER_LIBXL,
                                                  .find_zeroes = true};
    struct image_convert_result result;
    struct image_input *in = calloc(1, sizeof(*in));
    bool ok;

    assert_non_null(in);
    ok = image_open(in, source, NULL, err) &&
         image_convert(in, sink, &options, &result, err);
    image_close(in);
    free(in);
    return ok;
}

static bool do_keep(struct stream_source *source, struct stream_sink *sink,
                    struct error *err)
{
    const struct container_write_options options = {.level = 1};
    struct container_summary summary;

    return container_write(source, sink, &options, &summary, NULL, err);
}

static bool do_index(struct stream_source *source, struct stream_sink *sink,
                     struct error *err)
{
    struct page_index index;
    bool ok;

    page_index_init(&index, 0);
    ok = image_index(source, 0, &index, err);
    page_index_release(&index);
    return ok;
}

static work_fn *const works[] = {do_verify, do_inspect, do_convert, do_keep,
                                 do_index};

static const struct image_options images[] = {
    {.guest = IMAGE_HVM,
     .layer = IMAGE_XL,
     .version = 3,
     .emulator = true,
     .physmap = true},
    {.guest = IMAGE_PV64,                  .layer = IMAGE_LIBXL, .version = 2, .rounds = 1},
};

/* Fails operation number 'n' of the source, or of the sink. */
static bool attempt(work_fn *work, const struct buffer *image, bool sink_fails,
                    unsigned long n)
{
    struct buffer out = {0};
    struct failing in = {
        .memory = {image->bytes, image->length, 0, 300},
        .left = sink_fails ? ULONG_MAX : n
    };
    struct failing to = {.out = &out, .left = sink_fails ? n : ULONG_MAX};
    struct stream_source source = {.ops = &failing_source_ops, .context = &in};
    struct stream_sink sink = {.ops = &failing_sink_ops, .context = &to};
    struct error err = {0};
    bool ok;

    in.memory_source = source_from_memory(&in.memory);
    ok = work(&source, &sink, &err);
    if (in.failed || to.failed) {
        assert_false(ok);
        assert_int_equal(err.code, ERR_IO);
        assert_non_null(strstr(err.text, "the test's failure"));
    } else {
        assert_ok(ok, err);
    }
    buffer_release(&out);
    return in.failed || to.failed;
}

static void sweep(bool sink_fails)
{
    for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
        struct buffer image = {0};
        struct error err;

        assert_ok(image_make(&images[i], &image, &err), err);
        for (size_t w = 0; w < ARRAY_SIZE(works); w++) {
            unsigned long n = 0;

            /* Each one near the beginning, then some. */
            while (attempt(works[w], &image, sink_fails, n))
                n += n < 200 ? 1 : 7;
            assert_true(n > 0 || sink_fails);
        }
        buffer_release(&image);
    }
}

static void every_failing_read_is_told(void **state)
{
    sweep(false);
}

static void every_failing_write_is_told(void **state)
{
    sweep(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_read_is_told),
        cmocka_unit_test(every_failing_write_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
