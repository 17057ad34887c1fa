/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "flat_fields.h"
#include "image_maker.h"
#include "state/guest_state.h"
#include "stream/inspect.h"
#include "stream/inspect_noncoop.h"
#include "stream/xc/xc_wire.h"
#include "stream/xl/xl_xenstore.h"
#include "stream/xs/xs_dump.h"
#include "unit.h"

static const char *inspect_bytes(const uint8_t *bytes, size_t length,
                                 struct buffer *out, bool expected_ok)
{
    struct memory_source memory = {bytes, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct inspect_options options = {.page_contents = true};
    struct field_sink sink = {.ops = &flat_ops, .context = out};
    struct error err = {0};
    bool ok;

    buffer_reset(out);
    ok = inspect_stream(&source, &options, &sink, &err);
    if (ok != expected_ok)
        fail_msg("%s", err.text);
    buffer_u8(out, '\0');
    assert_false(out->bad);
    return (const char *)out->bytes;
}

static void assert_explains(const struct image_options *options,
                            const char *const *parts)
{
    struct buffer image = {0};
    struct buffer out = {0};
    const char *text;
    struct error err;

    assert_ok(image_make(options, &image, &err), err);
    text = inspect_bytes(image.bytes, image.length, &out, true);
    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("no \"%s\" in: %s", *parts, text);
    buffer_release(&image);
    buffer_release(&out);
}

static void inspect_explains_an_hvm_image(void **state)
{
    const struct image_options options = {.layer = IMAGE_XL,
                                          .version = 3,
                                          .emulator = true,
                                          .physmap = true,
                                          .nr_vcpus = 2,
                                          .nr_frames = 100};

    assert_explains(&options, (const char *const[]){
                                  "name=file header;",
                                  "form=JSON;",
                                  "text={\"c_info\"",
                                  "type=2 (x86 HVM);",
                                  "writer=Xen 4.17;",
                                  "leaf=0x7;subleaf=0;eax=0;ebx=0x209;",
                                  "index=0xce;flags=0;",
                                  "first=0;last=0x6;type=NOTAB;",
                                  "type=XTAB;",
                                  "type=BROKEN;",
                                  "khz=2500000;",
                                  "part=CPU;type=2;instance=1;",
                                  "rip=0;",
                                  "part=MTRR;",
                                  "param=STORE_PFN;value=0x60;",
                                  "key=physmap/f0000000/size;value=800000;",
                                  "starts_with=QEVM;",
                                  "vcpus=2;",
                                  "written_by=Xen 4.14 or later;",
                                  "zero_pages=",
                                  NULL});
}

static void inspect_explains_a_pv_image(void **state)
{
    const struct image_options options = {.guest = IMAGE_PV32,
                                          .version = 2,
                                          .nr_frames = 3000,
                                          .order = ORDER_BIG};

    assert_explains(&options,
                    (const char *const[]){
                        "byte_order=big-endian;",
                        "guest_width=4;page_table_levels=3;",
                        "first_pfn=0;last_pfn=0xbb7;nr_frames=3;",
                        "index=0;first=0;last=0x2;", "type=L2TAB|PIN;",
                        "eip=0;", "vmce_caps=0;", "xcr0=0;",
                        "index=0x800000c0;", "event_channels_pending=0;",
                        "guest_bits=32;", "written_by=Xen 4.6 to 4.13;", NULL});
}

static void inspect_counts(void **state)
{
    const struct image_options options = {.version = 2, .nr_frames = 14};

    /* 14 frames: 7 is a hole; 0, 4, 8 and 12 are zero pages. */
    assert_explains(&options, (const char *const[]){
                                  "count=14;pages=13;zero_pages=4;", "summary{",
                                  "pages=13;", "distinct_frames=14;",
                                  "repeated_frames=0;", "passes=1;", NULL});
}

static void inspect_tells_as_far_as_it_can(void **state)
{
    const struct image_options options = {.version = 3, .nr_frames = 3};
    struct buffer image = {0};
    struct buffer out = {0};
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    for (size_t length = 0; length < image.length; length++) {
        const char *text = inspect_bytes(image.bytes, length, &out, false);

        assert_non_null(strstr(text, "summary{"));
        assert_non_null(strstr(text, "error{code=truncated;"));
    }
    buffer_release(&image);
    buffer_release(&out);
}

static void assert_parts(const char *text, const char *const *parts)
{
    for (; *parts; parts++)
        if (!strstr(text, *parts))
            fail_msg("no \"%s\" in: %s", *parts, text);
}

static void make_store(struct buffer *out, uint32_t version,
                       enum byte_order order)
{
    const struct xsdump_perm perms[] = {
        {'n', false, 0},
        {'r', true,  7}
    };
    const uint32_t values[] = {1000, 0};
    const char *names[] = {"nodes", "memory"};

    out->order = order;
    xsdump_write_header(out, version);
    xsdump_write_global(out, &(struct xsdump_global){-1, 3});
    xsdump_write_connection(
        out, &(struct xsdump_connection){.id = 5,
                                         .kind = XSDUMP_CONNECTION_RING,
                                         .domid = 7,
                                         .target = XSDUMP_NO_DOMID,
                                         .port = 9});
    xsdump_write_watch(out, &(struct xsdump_watch){5, "/local", "tok", -1});
    if (version == 2) {
        xsdump_write_watch(out, &(struct xsdump_watch){5, "/deep", "t", 2});
        xsdump_write_quotas(out, XSDUMP_QUOTA,
                            &(struct xsdump_quotas){.nr = 2, .nr_global = 1},
                            values, names);
    }
    xsdump_write_transaction(out, &(struct xsdump_transaction){5, 77});
    xsdump_write_node(out,
                      &(struct xsdump_node){.nr_perms = 2,
                                            .path = "/local/domain/7",
                                            .value = (const uint8_t *)"hello",
                                            .value_length = 5,
                                            .access = XSDUMP_ACCESS_WRITTEN},
                      perms);
    xsdump_end(out, xsdump_begin(out, XSDUMP_END));
    assert_false(out->bad);
}

static void inspect_explains_a_xenstore_stream(void **state)
{
    static const char *const parts[] = {
        "name=GLOBAL_DATA;",
        "listen_fd=-1;",
        "evtchn_fd=3;",
        "connection=5;kind=ring;domid=7;port=9;",
        "path=/local;",
        "token=tok;",
        "transaction=77;",
        "path=/local/domain/7;value=hello;",
        "=n0;",
        "=r7 (stale);",
        "nodes=1;",
        "watches=",
        "name=END;",
        NULL,
    };
    static const char *const extended[] = {"path=/deep;token=t;depth=2;",
                                           "quota=nodes;value=1000;",
                                           "watches=2;", NULL};

    for (uint32_t version = 1; version <= 2; version++) {
        for (int big = 0; big < 2; big++) {
            struct buffer store = {0};
            struct buffer out = {0};
            const char *text;

            make_store(&store, version, big ? ORDER_BIG : ORDER_LITTLE);
            text = inspect_bytes(store.bytes, store.length, &out, true);
            assert_parts(text, parts);
            if (version == 2)
                assert_parts(text, extended);
            assert_null(strstr(text, "problem"));
            for (size_t length = 8; length < store.length; length++) {
                uint8_t *copy = malloc(length);

                assert_non_null(copy);
                memcpy(copy, store.bytes, length);
                inspect_bytes(copy, length, &out, false);
                free(copy);
            }
            buffer_release(&store);
            buffer_release(&out);
        }
    }
}

static void inspect_explains_oxenstored(void **state)
{
    static const char dump[] = "$xenstored-dump-format\n"
                               "global,4\n"
                               "dom,7,1234,9,3\n"
                               "watch,7,2f6c,746f6b\n"
                               "store,2f6c6f63616c,6e30,68690a\n"
                               "store,2f,6e30,zz\n"
                               "news,1,2";
    static const char *const parts[] = {
        "name=GLOBAL;rw_fd=4;",
        "domid=7;mfn=1234;port=9;local=3;",
        "domid=7;path=/l;token=tok;",
        "path=/local;permissions=n0;value=hi\n;",
        "problem=expected two hex digits",
        "name=unknown;line=news;rest=1,2;",
        "nodes=2;watches=1;connections=1;unknown=2;",
        NULL,
    };
    struct buffer out = {0};
    uint8_t *longer = malloc(200000);

    assert_parts(
        inspect_bytes((const uint8_t *)dump, sizeof(dump) - 1, &out, true),
        parts);
    assert_non_null(longer);
    memset(longer, 'a', 200000);
    memcpy(longer, dump, 23);
    inspect_bytes(longer, 200000, &out, false);
    assert_non_null(strstr((char *)out.bytes, "code=limit;"));
    longer[100] = '\0';
    inspect_bytes(longer, 200, &out, false);
    assert_non_null(strstr((char *)out.bytes, "a NUL"));
    free(longer);
    buffer_release(&out);
}

static void a_memory_map_has_every_frame(void **state)
{
    const struct image_options image_options = {.guest = IMAGE_PV64,
                                                .layer = IMAGE_LIBXC,
                                                .version = 3,
                                                .rounds = 1,
                                                .nr_frames = 5000};
    struct memory_map *map = calloc(1, sizeof(*map));
    struct inspect_options options = {.page_contents = true, .map = map};
    struct buffer image = {0};
    struct memory_source memory;
    struct stream_source source;
    struct field_sink none = fields_dropped();
    uint64_t sums[2][MEMORY_CLASSES] = {{0}};
    struct error err;

    assert_non_null(map);
    assert_ok(image_make(&image_options, &image, &err), err);
    for (int read = 0; read < 2; read++) {
        memset(map, 0, sizeof(*map));
        options.page_contents = read;
        memory = (struct memory_source){image.bytes, image.length, 0, 0};
        source = source_from_memory(&memory);
        assert_ok(inspect_stream(&source, &options, &none, &err), err);
        for (size_t i = 0; i < MEMORY_MAP_CELLS; i++)
            for (size_t k = 0; k < MEMORY_CLASSES; k++)
                sums[read][k] += map->cells[i][k];
        assert_int_equal(map->shift, 2);
        assert_int_equal(memory_map_length(map), 1250);
    }
    assert_int_equal(sums[0][MEMORY_ZERO], 0);
    assert_true(sums[1][MEMORY_ZERO] > 0 && sums[1][MEMORY_TABLE] > 0);
    assert_int_equal(sums[0][MEMORY_DATA] + sums[0][MEMORY_TABLE],
                     sums[1][MEMORY_DATA] + sums[1][MEMORY_TABLE] +
                         sums[1][MEMORY_ZERO]);
    assert_int_equal(sums[0][MEMORY_REPEAT], sums[1][MEMORY_REPEAT]);
    assert_true(sums[1][MEMORY_REPEAT] > 0);
    memory_map_add(map, UINT64_MAX, MEMORY_DATA);
    assert_int_equal(map->nr_beyond, 1);
    memory_map_add(map, MEMORY_MAP_LIMIT - 1, MEMORY_DATA);
    assert_int_equal(memory_map_length(map), MEMORY_MAP_CELLS);
    assert_int_equal(memory_map_class(map, MEMORY_MAP_CELLS - 1), MEMORY_DATA);
    assert_int_equal(memory_map_class(map, 77), MEMORY_CLASSES);
    buffer_release(&image);
    free(map);
}

/* ---- a guest's state --------------------------------------------------- */

static void explains_part(struct guest_state *s, enum state_part part,
                          const char *wanted)
{
    struct buffer body = {0}, out = {0};
    struct field_sink sink = {.ops = &flat_ops, .context = &out};
    struct error err = {0};
    struct record rec;

    guest_state_encode(s, part, &body);
    rec = record_over(XCREC_NONCOOP_FIRST + part, body.bytes,
                      (uint32_t)body.length, ORDER_LITTLE);
    assert_ok(inspect_noncoop(&rec, &sink, &err), err);
    buffer_u8(&out, '\0');
    if (!strstr((const char *)out.bytes, wanted))
        fail_msg("no \"%s\" in: %s", wanted, (const char *)out.bytes);
    rec.length--;
    assert_false(inspect_noncoop(&rec, &sink, &err));
    buffer_release(&body);
    buffer_release(&out);
}

static void inspect_explains_a_guests_state(void **state)
{
    struct state_port port[] = {
        {.port = 1,                .kind = STATE_PORT_INTERDOMAIN, .remote_port = 9},
        { .port = 2, .kind = STATE_PORT_VIRQ,                      .virq = 1,    .priority = 3},
    };
    struct state_queue queue = {.vcpu = 1, .priority = 7, .tail = 2};
    struct state_vcpu vcpu = {.initialised = 1,
                              .wait = STATE_POLLING,
                              .nr_polled = 1,
                              .polled = {2},
                              .periodic_ns = 1000000,
                              .runstate = 2};
    struct state_grant grant = {.ref = 8, .flags = 1, .frame = 0x60};
    struct xenstore_node node = {.path = "name",
                                 .value = (const uint8_t *)"it",
                                 .value_length = 2,
                                 .nr_perms = 2,
                                 .perms = "n0\0r7"};
    struct xenstore_watch watch = {.path = "@x", .token = "t", .depth = -1};
    struct guest_state s = {
        .identity = {.domid = 7,
                     .nr_vcpus = 2,
                     .nr_params = 1,
                     .param = {{.index = 1, .value = 0xfefff}}},
        .clock = {12345},
        .shared_info = {STATE_GFN_NONE                                        },
        .grant_frames = {1,                                         1,  {0x101}},
        .events = {.nr_ports = 2,                                         .port = port,                             .masked = {2}},
        .vcpus = {1,                            &vcpu},
        .grants = {1,         &grant                             },
    };

    explains_part(&s, STATE_IDENTITY,
                  "params[{index=1;param=STORE_PFN;value=0xfefff;}");
    explains_part(&s, STATE_CLOCK, "now_ns=12345;");
    explains_part(&s, STATE_SHARED_INFO, "gfn=none;");
    explains_part(&s, STATE_GRANT_FRAMES,
                  "table_version=1;frames=1;places[{frame=0;gfn=0x101;}");
    explains_part(&s, STATE_EVENTS,
                  "{port=1;kind=interdomain;vcpu=0;priority=0;remote_domid=0;"
                  "remote_port=9;pending=no;masked=yes;}");
    s.events.abi = STATE_EVENTS_FIFO;
    s.events.nr_array_pages = 1;
    s.events.array_gfn[0] = 0x50;
    memset(s.events.control_gfn, 0xff, sizeof(s.events.control_gfn));
    s.events.control_gfn[1] = 0x51;
    s.events.nr_queues = 1;
    s.events.queue = &queue;
    explains_part(&s, STATE_EVENTS,
                  "array_pages[{first_port=0;gfn=0x50;}}control_blocks[{vcpu=1;"
                  "gfn=0x51;offset=0;}}queues[{vcpu=1;priority=7;tail=2;}");
    explains_part(&s, STATE_EVENTS, "problem=event channels: ");
    explains_part(&s, STATE_VCPUS,
                  "period_ns=1000000;next_tick_ns=0;poll_"
                  "deadline_ns=0;polled[{port=2;}}run_state="
                  "blocked;");
    explains_part(&s, STATE_GRANTS,
                  "entries[{ref=8;flags=0x1;domid=0;frame=0x60;}");
    xenstore_node_append(&s.store.data, &node);
    xenstore_watch_append(&s.store.data, &watch);
    explains_part(&s, STATE_STORE,
                  "content[{node=name;value=it;owner=n0;reader=r7;}"
                  "{watch=@x;token=t;}");
    buffer_release(&s.store.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspect_explains_an_hvm_image),
        cmocka_unit_test(inspect_explains_a_pv_image),
        cmocka_unit_test(inspect_counts),
        cmocka_unit_test(inspect_tells_as_far_as_it_can),
        cmocka_unit_test(inspect_explains_a_xenstore_stream),
        cmocka_unit_test(inspect_explains_oxenstored),
        cmocka_unit_test(a_memory_map_has_every_frame),
        cmocka_unit_test(inspect_explains_a_guests_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
