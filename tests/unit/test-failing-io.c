/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each read, write, call on a file and allocation of the codecs that go over
 * whole images fails once: the failure is what comes out, and nothing else
 * goes wrong.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "buffer_file.h"
#include "faults.h"
#include "image_maker.h"
#include "legacy_maker.h"
#include "stream/container/container_read.h"
#include "stream/file_window.h"
#include "stream/image/core_file.h"
#include "stream/image/guest_walk.h"
#include "stream/image/image_convert.h"
#include "stream/image/image_scan.h"
#include "stream/inspect.h"
#include "stream/legacy/legacy_convert.h"
#include "stream/verify.h"
#include "stream/xl/xl_wire.h"
#include "stream/xs/xs_dump.h"
#include "unit.h"

/* Images ------------------------------------------------------------------- */

enum image {
    HVM_XL,
    PV64_LIBXL,
    PV32_LIBXC,
    CHECKPOINTED,
    XENSERVER,
    LIBVIRT,
    LEGACY_HVM,
    LEGACY_PV,
    LEGACY_WITH_TMEM,
    LEGACY_ROUNDS,
    STORE_STREAM,
    STORE_TEXT,
    NR_IMAGES,
};

static const struct image_options made[] = {
    [HVM_XL] = {.guest = IMAGE_HVM,
                .layer = IMAGE_XL,
                .version = 3,
                .emulator = true,
                .physmap = true},
    [PV64_LIBXL] = {.guest = IMAGE_PV64,
                .layer = IMAGE_LIBXL,
                .version = 2,
                .rounds = 1                                                              },
    [PV32_LIBXC] = {.guest = IMAGE_PV32,                  .layer = IMAGE_LIBXC, .version = 3},
    [CHECKPOINTED] = {.guest = IMAGE_HVM,
                .layer = IMAGE_LIBXL,
                .version = 3,
                .checkpoints = 2},
};

static void make(const struct image_options *options, struct buffer *b)
{
    struct buffer image = {0};
    struct error err;

    assert_ok(image_make(options, &image, &err), err);
    buffer_bytes(b, image.bytes, image.length);
    buffer_release(&image);
}

static void xenopsd_record(struct buffer *b, uint64_t type, const char *body)
{
    buffer_u64(b, type);
    buffer_u64(b, strlen(body));
    buffer_text(b, body);
}

/* What XenServer's suspend image has around a libxc one. */
static void make_xenserver(struct buffer *b)
{
    buffer_text(b, "XenSavedDomv2-\n");
    xenopsd_record(b, XENOPSD_XENOPS, "((vm))");
    buffer_u64(b, XENOPSD_LIBXC);
    buffer_u64(b, 0);
    make(&(struct image_options){.version = 3}, b);
    xenopsd_record(b, XENOPSD_DEMU, "other");
    xenopsd_record(b, XENOPSD_QEMU_TRAD, "traditional");
    xenopsd_record(b, XENOPSD_QEMU_XEN, "QEVM");
    xenopsd_record(b, XENOPSD_VARSTORED, "EFI");
    buffer_u64(b, XENOPSD_END);
    buffer_u64(b, 0);
}

static void make_libvirt(struct buffer *b)
{
    buffer_bytes(b, "libvirt-xml\n \0 \r", 16);
    buffer_u32(b, 2);
    buffer_u32(b, 9);
    buffer_zeroes(b, 40);
    buffer_text(b, "<domain/>");
    make(&made[PV64_LIBXL], b);
}

/* Transcendent memory: one pool with a page and one that ends early. */
static void make_legacy_tmem(struct buffer *b)
{
    const struct legacy_shape *s = &legacy_shapes[5];

    legacy_put_head(b, s, 2);
    legacy_put_batch(b, s);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_TMEM);
    buffer_zeroes(b, 8);
    buffer_u32(b, UINT32_MAX);
    buffer_zeroes(b, 12);
    buffer_u32(b, UINT32_MAX);
    for (uint32_t pool = 0; pool < 2; pool++) {
        buffer_u32(b, pool);
        buffer_u32(b, 0);
        buffer_u32(b, 1 + pool); /* pages */
        buffer_zeroes(b, 16);
        buffer_zeroes(b, 24 + 4 + PAGE_SIZE);
    }
    for (size_t i = 0; i < 6; i++)
        buffer_u32(b, UINT32_MAX); /* no object */
    buffer_u32(b, UINT32_MAX);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_TMEM_EXTRA);
    buffer_u32(b, 1);
    buffer_zeroes(b, 24 + 4);
    buffer_u32(b, UINT32_MAX);
    buffer_u32(b, LEGACY_CHUNK_END);
    legacy_put_tail(b, s);
}

/* Two rounds, the second with page compression. */
static void make_legacy_rounds(struct buffer *b)
{
    const struct legacy_shape *s = &legacy_shapes[1];

    legacy_put_head(b, s, 2);
    legacy_put_batch(b, s);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_ENABLE_COMPRESSION);
    buffer_u32(b, LEGACY_CHUNK_END);
    legacy_put_tail(b, s);
    buffer_u32(b, 1);
    legacy_put_ul(b, s, 0);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_COMPRESSED_DATA);
    legacy_put_ul(b, s, 1 + PAGE_SIZE);
    buffer_u8(b, 0x80);
    buffer_zeroes(b, PAGE_SIZE);
    buffer_u32(b, LEGACY_CHUNK_END);
    legacy_put_tail(b, s);
}

static void make_store_stream(struct buffer *b)
{
    const struct xsdump_global global = {0};
    const struct xsdump_watch watch = {
        .connection = 1, .path = "/local", .token = "t"};
    const struct xsdump_perm perm = {.letter = 'r'};
    const struct xsdump_node node = {.path = "/local", .nr_perms = 1};

    xsdump_write_header(b, 1);
    xsdump_write_global(b, &global);
    xsdump_write_watch(b, &watch);
    xsdump_write_node(b, &node, &perm);
    xsdump_end(b, xsdump_begin(b, XSDUMP_END));
}

static void make_image(enum image which, struct buffer *b)
{
    *b = (struct buffer){0};
    switch (which) {
    case HVM_XL:
    case PV64_LIBXL:
    case PV32_LIBXC:
    case CHECKPOINTED:
        make(&made[which], b);
        break;
    case XENSERVER:
        make_xenserver(b);
        break;
    case LIBVIRT:
        make_libvirt(b);
        break;
    case LEGACY_HVM:
        legacy_put_image(b, &legacy_shapes[0]);
        break;
    case LEGACY_PV:
        legacy_put_image(b, &legacy_shapes[5]);
        break;
    case LEGACY_WITH_TMEM:
        make_legacy_tmem(b);
        break;
    case LEGACY_ROUNDS:
        make_legacy_rounds(b);
        break;
    case STORE_STREAM:
        make_store_stream(b);
        break;
    case STORE_TEXT:
        buffer_text(b, "$xenstored-dump-format\nstore,/a,(n0),76616c\n"
                       "watch,1,/a,74\n");
        break;
    case NR_IMAGES:
        break;
    }
    assert_false(b->bad);
}

/* What is done with an image ----------------------------------------------- */

struct task {
    struct stream_source source;
    struct stream_sink sink;
    struct buffer *out;
    int fd;   /* the image as a file */
    int kept; /* as a container */
    int scratch[SCRATCH_MAX];
};

typedef bool work_fn(struct task *t, struct error *err);

static void drop(void *context, const struct finding *finding)
{
}

static bool do_verify(struct task *t, struct error *err)
{
    const struct verify_options options = {.report = drop};
    struct verify_result result;

    return verify_stream(&t->source, &options, &result, err);
}

static bool do_inspect(struct task *t, struct error *err)
{
    const struct inspect_options options = {.page_contents = true};
    struct field_sink fields = fields_dropped();

    return inspect_stream(&t->source, &options, &fields, err);
}

static bool convert(struct task *t, const struct image_convert_options *options,
                    struct error *err)
{
    struct image_convert_result result;
    /* Too large for a stack; the caller's, not what runs out of memory. */
    static struct image_input in;
    bool ok = image_open(&in, &t->source, NULL, err) &&
              image_convert(&in, &t->sink, options, &result, err);

    image_close(&in);
    return ok;
}

static bool do_convert(struct task *t, struct error *err)
{
    const struct image_convert_options options = {.layer = LAYER_LIBXL,
                                                  .find_zeroes = true};

    return convert(t, &options, err);
}

static bool do_unwrap(struct task *t, struct error *err)
{
    const struct image_convert_options options = {.layer = LAYER_LIBXC,
                                                  .version = 2};

    return convert(t, &options, err);
}

static bool do_wrap(struct task *t, struct error *err)
{
    const struct image_convert_options options = {.layer = LAYER_XL,
                                                  .version = 3};

    return convert(t, &options, err);
}

static bool do_checkpoint(struct task *t, struct error *err)
{
    const struct image_convert_options options = {.layer = LAYER_LIBXL,
                                                  .checkpoint = 1};

    return convert(t, &options, err);
}

/* The index by the file itself, through a window. */
static bool do_compact(struct task *t, struct error *err)
{
    static struct file_window window;
    struct page_index index;
    struct image_convert_options options = {
        .layer = LAYER_LIBXC, .pages = &index, .pages_fd = t->fd};
    uint64_t length = (uint64_t)lseek(t->fd, 0, SEEK_END);
    struct stream_source source = source_from_window(&window, t->fd, 0, length);
    bool ok;

    page_index_init(&index, length);
    ok = image_index(&source, 0, &index, err) && convert(t, &options, err);
    page_index_release(&index);
    return ok;
}

static bool do_legacy(struct task *t, struct error *err)
{
    const struct legacy_convert_options options = {
        .image = {.width = 4, .guest = LEGACY_GUEST_HVM},
        .libxl = true,
        .find_zeroes = true,
    };
    struct legacy_convert_result result;

    return legacy_convert(&t->source, &t->sink, &options, &result, err);
}

static bool do_legacy_pv(struct task *t, struct error *err)
{
    const struct legacy_convert_options options = {
        .image = {.width = 8, .guest = LEGACY_GUEST_PV},
    };
    struct legacy_convert_result result;

    return legacy_convert(&t->source, &t->sink, &options, &result, err);
}

static bool do_legacy_rounds(struct task *t, struct error *err)
{
    const struct legacy_convert_options options = {
        .image = {.width = 8, .guest = LEGACY_GUEST_HVM},
        .libxl = true,
        .scratch = t->scratch,
    };
    struct legacy_convert_result result;

    return legacy_convert(&t->source, &t->sink, &options, &result, err);
}

static bool do_keep(struct task *t, struct error *err)
{
    const struct container_file written = file_of(t->out);
    const struct container_write_options options = {.level = 1,
                                                    .written = &written};
    struct container_summary summary;

    return container_write(&t->source, &t->sink, &options, &summary, NULL, err);
}

static bool container_of_file(struct task *t, struct container *c,
                              struct container_fd *fd, struct error *err)
{
    struct container_file file;

    fd->fd = t->kept;
    memset(c, 0, sizeof(*c));
    return container_file_from_fd(fd, &file, err) &&
           container_open(c, &file, err);
}

static bool do_expand(struct task *t, struct error *err)
{
    static struct container c;
    struct container_fd fd;
    struct container_stream stream = {0};
    static uint8_t piece[8192];
    size_t got = 1;
    bool ok = container_of_file(t, &c, &fd, err) &&
              container_stream_init(&stream, &c, true, err);
    struct stream_source source = source_from_container(&stream);

    while (ok && got > 0)
        ok = source_read_some(&source, piece, sizeof(piece), &got, err) &&
             sink_write(&t->sink, piece, got, err);
    container_stream_release(&stream);
    container_close(&c);
    return ok;
}

static bool do_check_container(struct task *t, struct error *err)
{
    static struct container c;
    struct container_fd fd;
    bool ok = container_of_file(t, &c, &fd, err) &&
              container_verify(&c, NULL, NULL, err);

    container_close(&c);
    return ok;
}

/* Every page by its number. */
static bool do_pages(struct task *t, struct error *err)
{
    static struct container c;
    struct container_fd fd;
    uint8_t page[PAGE_SIZE];
    bool ok = container_of_file(t, &c, &fd, err);

    for (uint64_t pfn = 0; ok && pfn < 64; pfn++) {
        enum container_outcome outcome = container_page(&c, pfn, page, err);

        ok = outcome != CONTAINER_FAILED;
        if (outcome == CONTAINER_FOUND)
            ok = sink_write(&t->sink, page, sizeof(page), err);
    }
    container_close(&c);
    return ok;
}

static bool do_index(struct task *t, struct error *err)
{
    struct page_index index;
    bool ok;

    page_index_init(&index, 0);
    ok = image_index(&t->source, 0, &index, err);
    page_index_release(&index);
    return ok;
}

static bool do_scan(struct task *t, struct error *err)
{
    struct image_scan scan;

    return image_scan(&t->source, &scan, err);
}

static bool found(void *context, const struct walk_extent *extent,
                  struct error *err)
{
    return true;
}

static bool core(struct task *t, uint32_t checkpoint, bool by_virtual,
                 struct error *err)
{
    struct core_options options = {.by_virtual = by_virtual,
                                   .find_zeroes = !by_virtual};
    struct guest_registers registers;
    struct core_result result;
    struct guest_image g;
    bool ok =
        guest_image_load(&g, &t->source, t->fd, 0,
                         (uint64_t)lseek(t->fd, 0, SEEK_END), checkpoint, err);

    if (ok && by_virtual && guest_registers_get(&g, 0, &registers))
        ok = guest_walk_all(&g, &registers, found, NULL, err);
    ok = ok && core_write(&g, &t->sink, &options, &result, err);
    guest_image_release(&g);
    return ok;
}

static bool do_core(struct task *t, struct error *err)
{
    return core(t, 0, false, err);
}

static bool do_core_virtual(struct task *t, struct error *err)
{
    return core(t, 0, true, err);
}

static bool do_core_checkpoint(struct task *t, struct error *err)
{
    return core(t, 2, false, err);
}

/* Without memory for it, what is better with it goes on. */
enum memory { MEMORY_NEEDED, MEMORY_HELPS };

#define ON(image) (UINT32_C(1) << (image))
#define GUESTS    (ON(HVM_XL) | ON(PV64_LIBXL) | ON(PV32_LIBXC))
#define WRAPPED   (ON(XENSERVER) | ON(LIBVIRT))
#define LEGACY    (ON(LEGACY_HVM) | ON(LEGACY_PV) | ON(LEGACY_WITH_TMEM))
#define STORES    (ON(STORE_STREAM) | ON(STORE_TEXT))

/* clang-format off */
static const struct work {
    const char *name;
    work_fn *work;
    uint32_t images;
    enum memory memory;
} works[] = {
    {"verify", do_verify,
        GUESTS | ON(CHECKPOINTED) | WRAPPED | LEGACY, MEMORY_HELPS},
    {"inspect", do_inspect,
        GUESTS | WRAPPED | LEGACY | ON(LEGACY_ROUNDS) | STORES, MEMORY_HELPS},
    {"convert", do_convert, GUESTS | WRAPPED, MEMORY_NEEDED},
    {"unwrap", do_unwrap, GUESTS | ON(XENSERVER), MEMORY_NEEDED},
    {"wrap", do_wrap, GUESTS | ON(XENSERVER), MEMORY_NEEDED},
    {"convert a checkpoint", do_checkpoint, ON(CHECKPOINTED), MEMORY_NEEDED},
    {"compact", do_compact, GUESTS, MEMORY_NEEDED},
    {"convert a legacy HVM one", do_legacy, ON(LEGACY_HVM), MEMORY_NEEDED},
    {"convert a legacy PV one", do_legacy_pv, ON(LEGACY_PV) | ON(LEGACY_WITH_TMEM),
        MEMORY_NEEDED},
    {"convert rounds", do_legacy_rounds, ON(LEGACY_ROUNDS), MEMORY_NEEDED},
    {"keep", do_keep, GUESTS | ON(LIBVIRT), MEMORY_HELPS},
    {"expand", do_expand, GUESTS, MEMORY_NEEDED},
    {"check a container", do_check_container, GUESTS, MEMORY_NEEDED},
    {"pages of a container", do_pages, GUESTS, MEMORY_NEEDED},
    {"index", do_index, GUESTS, MEMORY_NEEDED},
    {"scan", do_scan, GUESTS | ON(CHECKPOINTED), MEMORY_NEEDED},
    {"core", do_core, GUESTS, MEMORY_NEEDED},
    {"core by virtual", do_core_virtual, ON(PV64_LIBXL), MEMORY_NEEDED},
    {"core of a checkpoint", do_core_checkpoint, ON(CHECKPOINTED),
        MEMORY_NEEDED},
};
/* clang-format on */

/* Sweeps ------------------------------------------------------------------- */

static int file_with(const struct buffer *b)
{
    int fd = memfd_create("image", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, b->bytes, b->length), b->length);
    return fd;
}

static int container_with(const struct buffer *image)
{
    struct memory_source memory = {image->bytes, image->length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct container_write_options options = {.level = 1};
    struct container_summary summary;
    struct buffer out = {0};
    struct stream_sink sink = sink_to_buffer(&out);
    struct error err;
    int fd;

    assert_ok(container_write(&source, &sink, &options, &summary, NULL, &err),
              err);
    fd = file_with(&out);
    buffer_release(&out);
    return fd;
}

static void scratch_open(int *scratch)
{
    for (size_t i = 0; i < SCRATCH_MAX; i++) {
        scratch[i] = memfd_create("scratch", MFD_CLOEXEC);
        assert_true(scratch[i] >= 0);
    }
}

struct sweep {
    const struct work *work;
    const struct buffer *image;
    int fd, kept;
};

/* Call number 'n' of the kind fails; false where there are not so many. */
static bool attempt(const struct sweep *s, enum fault_kind kind,
                    unsigned long n)
{
    struct faulty_source in;
    struct buffer out = {0};
    struct task t = {.out = &out, .fd = s->fd, .kept = s->kept};
    struct error err = {0};
    bool ok, failed;

    scratch_open(t.scratch);
    t.source = source_with_faults(&in, s->image, n % 2 ? 300 : 0, n % 3 == 1);
    t.sink = sink_with_faults(&out);
    fault_arm(kind, n);
    ok = s->work->work(&t, &err);
    failed = fault_disarm();
    if (!failed) {
        if (!ok)
            fail_msg("%s: %s", s->work->name, err.text);
    } else if (ok) {
        if (kind != FAULT_MEMORY || s->work->memory == MEMORY_NEEDED)
            fail_msg("%s: call %lu of kind %d failed, and was forgotten",
                     s->work->name, n, (int)kind);
    } else if (err.code != fault_code(kind)) {
        fail_msg("%s: call %lu of kind %d: %s (%s)", s->work->name, n,
                 (int)kind, error_code_name(err.code), err.text);
    }
    for (size_t i = 0; i < SCRATCH_MAX; i++)
        close(t.scratch[i]);
    buffer_release(&out);
    return failed;
}

static void sweep(enum fault_kind kind)
{
    for (size_t i = 0; i < NR_IMAGES; i++) {
        struct buffer image;
        struct sweep s = {.image = &image};

        make_image((enum image)i, &image);
        s.fd = file_with(&image);
        s.kept = container_with(&image);
        for (size_t w = 0; w < ARRAY_SIZE(works); w++) {
            unsigned long n = 0;

            s.work = &works[w];
            if (!(works[w].images & ON(i)))
                continue;
            /* Each one near the beginning, then some. */
            while (attempt(&s, kind, n))
                n += n < 200 ? 1 : 7;
        }
        close(s.fd);
        close(s.kept);
        buffer_release(&image);
    }
}

static void every_failing_read_is_told(void **state)
{
    sweep(FAULT_READ);
}

static void every_failing_write_is_told(void **state)
{
    sweep(FAULT_WRITE);
}

static void every_failing_call_on_a_file_is_told(void **state)
{
    sweep(FAULT_FILE);
}

static void every_failing_allocation_is_told(void **state)
{
    sweep(FAULT_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failing_read_is_told),
        cmocka_unit_test(every_failing_write_is_told),
        cmocka_unit_test(every_failing_call_on_a_file_is_told),
        cmocka_unit_test(every_failing_allocation_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
