/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image_maker.h"
#include "state/guest_state.h"
#include "stream/record.h"
#include "stream/verify.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_headers.h"
#include "stream/xc/xc_wire.h"
#include "stream/xl/xl_records.h"
#include "unit.h"

#define IDS_MAX 64

/* The identifiers that were reported, each once. */
struct found {
    const char *ids[IDS_MAX];
    size_t nr;
};

static void note_finding(void *context, const struct finding *finding)
{
    struct found *found = context;

    assert_non_null(finding->found);
    assert_non_null(finding->where);
    for (size_t i = 0; i < found->nr; i++)
        if (strcmp(found->ids[i], finding->id) == 0)
            return;
    assert_true(found->nr < IDS_MAX);
    found->ids[found->nr++] = finding->id;
}

static struct verify_result verify_bytes(const uint8_t *bytes, size_t length,
                                         unsigned int release,
                                         struct found *found)
{
    struct memory_source memory = {bytes, length, 0, 0};
    struct stream_source source = source_from_memory(&memory);
    const struct verify_options options = {
        .release = release, .report = note_finding, .context = found};
    struct verify_result result;
    struct error err;

    *found = (struct found){0};
    assert_ok(verify_stream(&source, &options, &result, &err), err);
    return result;
}

static bool has(const struct found *found, const char *id)
{
    for (size_t i = 0; i < found->nr; i++)
        if (strcmp(found->ids[i], id) == 0)
            return true;
    return false;
}

/* Exactly these findings, in any order; NULL ends the list. */
static void assert_found(const struct found *found, const char *const *ids)
{
    size_t nr = 0;

    for (; ids[nr]; nr++)
        if (!has(found, ids[nr]))
            fail_msg("no finding '%s'", ids[nr]);
    for (size_t i = 0; i < found->nr; i++) {
        bool wanted = false;

        for (size_t j = 0; j < nr; j++)
            wanted |= strcmp(ids[j], found->ids[i]) == 0;
        if (!wanted)
            fail_msg("unexpected finding '%s'", found->ids[i]);
    }
}

static void verify_made(const struct image_options *options,
                        unsigned int release, struct found *found)
{
    struct buffer image = {0};
    struct error err;

    assert_ok(image_make(options, &image, &err), err);
    verify_bytes(image.bytes, image.length, release, found);
    buffer_release(&image);
}

static void verify_finds_nothing_in_good_images(void **state)
{
    struct found found;

    for (int guest = 0; guest < 3; guest++)
        for (int layer = 0; layer < 3; layer++)
            for (uint32_t version = 2; version <= 3; version++) {
                const struct image_options options = {
                    .guest = (enum image_guest)guest,
                    .layer = (enum made_layer)layer,
                    .version = version,
                    .rounds = 2,
                    .nr_vcpus = 3,
                    .nr_frames = 1500,
                    .verify = true,
                    .emulator = true,
                    .physmap = true,
                };

                verify_made(&options, 0, &found);
                assert_found(&found, (const char *const[]){NULL});
                verify_made(&options, 20, &found);
                assert_found(&found, (const char *const[]){NULL});
            }
}

static void verify_judges_for_a_release(void **state)
{
    const struct image_options v2 = {.version = 2};
    const struct image_options v3 = {.version = 3};
    const struct image_options big = {.version = 3, .order = ORDER_BIG};
    struct found found;

    verify_made(&v2, 6, &found);
    assert_found(&found, (const char *const[]){"for-newer-writer", NULL});
    verify_made(&v2, 13, &found);
    assert_found(&found, (const char *const[]){NULL});
    verify_made(&v3, 13, &found);
    assert_found(&found,
                 (const char *const[]){"for-image-version", "for-record",
                                       "for-newer-writer", NULL});
    verify_made(&v3, 17, &found);
    assert_found(&found, (const char *const[]){NULL});
    verify_made(&big, 0, &found);
    assert_found(&found, (const char *const[]){"xc-header-big-endian", NULL});
}

static void verify_takes_checkpointed_images_to_their_last(void **state)
{
    struct image_options options = {
        .layer = IMAGE_LIBXL, .emulator = true, .version = 3, .checkpoints = 3};
    struct found found;

    verify_made(&options, 0, &found);
    assert_found(&found,
                 (const char *const[]){"image-checkpointed",
                                       "image-ends-after-checkpoint", NULL});
    options.colo = true;
    options.guest = IMAGE_PV64;
    verify_made(&options, 0, &found);
    assert_found(&found,
                 (const char *const[]){"image-checkpointed",
                                       "image-ends-after-checkpoint", NULL});
}

static void verify_finds_every_truncation(void **state)
{
    const struct image_options options = {
        .layer = IMAGE_XL, .emulator = true, .nr_frames = 3};
    struct buffer image = {0};
    struct found found;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    for (size_t length = 0; length < image.length; length++) {
        struct verify_result result =
            verify_bytes(image.bytes, length, 0, &found);

        assert_true(has(&found, "truncated"));
        assert_int_equal(result.nr_refused, 1);
    }
    buffer_release(&image);
}

static void verify_finds_trailing_data_and_padding(void **state)
{
    const struct image_options options = {.layer = IMAGE_LIBXL,
                                          .emulator = true};
    struct buffer image = {0};
    struct found found;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    image.bytes[image.length - RECORD_HEAD_SIZE - 1] = 1;
    buffer_u8(&image, 0);
    verify_bytes(image.bytes, image.length, 0, &found);
    assert_found(
        &found, (const char *const[]){"record-padding", "trailing-data", NULL});
    buffer_release(&image);
}

/*
 * One record after the headers of an image, and what is found beside what the
 * lack of all the others brings.
 */
static void assert_record_found(const char *id, uint32_t domain_type,
                                uint32_t type, const void *body,
                                uint32_t length)
{
    const struct xcstream_headers headers = {.version = 3,
                                             .type = domain_type,
                                             .page_shift = PAGE_SHIFT,
                                             .xen_major = 4,
                                             .xen_minor = 17};
    struct buffer image = {0};
    struct found found;

    xcstream_headers_append(&image, &headers);
    record_append(&image, type, body, length);
    empty_record_append(&image, XCREC_END);
    assert_false(image.bad);
    verify_bytes(image.bytes, image.length, 0, &found);
    if (!has(&found, id))
        fail_msg("no finding '%s'", id);
    buffer_release(&image);
}

static void verify_finds_wrong_bodies(void **state)
{
    static const uint8_t zeroes[PAGE_SIZE * 2];
    static const uint8_t ones[64] = {[0 ... 63] = 0xff};
    static const uint8_t one_frame[] = {
        1, 0, 0, 0, 0, 0, 0, 0,    /* count, reserved */
        5, 0, 0, 0, 0, 0, 0, 0x50, /* a type without a meaning */
    };
    static const uint8_t bits[] = {
        2, 0, 0, 0, 1, 0, 0,    0,    /* count, reserved not zero */
        5, 0, 0, 0, 0, 0, 0x10, 0xf0, /* XTAB with bit 52 */
        5, 0, 0, 0, 0, 0, 0,    0xf0, /* the same frame again */
    };
    static const uint8_t high[] = {
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0xf0, /* pfn 2^32 */
    };
    static const uint8_t longer[] = {
        1, 0, 0, 0, 0, 0, 0, 0,    /* one frame ... */
        5, 0, 0, 0, 0, 0, 0, 0xf0, /* ... without contents ... */
        0, 0, 0, 0, 0, 0, 0, 0,    /* ... and something */
    };
    static const uint8_t msr[] = {1, 0, 0, 0, 1, 0, 0, 0,
                                  0, 0, 0, 0, 0, 0, 0, 0};
    static const struct {
        const char *id;
        uint32_t domain;
        uint32_t type;
        const void *body;
        uint32_t length;
    } cases[] = {
        {"xc-page-data-length",      2, XCREC_PAGE_DATA,         zeroes,    7   },
        {"xc-page-data-count",       2, XCREC_PAGE_DATA,         zeroes,    8   },
        {"xc-page-data-count",       2, XCREC_PAGE_DATA,         ones,      64  },
        {"xc-page-data-type",        2, XCREC_PAGE_DATA,         one_frame, 16  },
        {"xc-page-data-size",        2, XCREC_PAGE_DATA,         longer,    24  },
        {"xc-page-data-reserved",    2, XCREC_PAGE_DATA,         bits,      24  },
        {"xc-page-data-pfn-bits",    2, XCREC_PAGE_DATA,         bits,      24  },
        {"xc-page-data-duplicate",   2, XCREC_PAGE_DATA,         bits,      24  },
        {"xc-page-data-pfn-high",    2, XCREC_PAGE_DATA,         high,      16  },
        {"xc-pv-info-short",         1, XCREC_X86_PV_INFO,       zeroes,    7   },
        {"xc-pv-info-length",        1, XCREC_X86_PV_INFO,       zeroes,    9   },
        {"xc-pv-info-width",         1, XCREC_X86_PV_INFO,       zeroes,    8   },
        {"xc-pv-info-reserved",      1, XCREC_X86_PV_INFO,       ones,      8   },
        {"xc-p2m-frames",            1, XCREC_X86_PV_P2M_FRAMES, zeroes,    12  },
        {"xc-p2m-duplicate",         1, XCREC_X86_PV_P2M_FRAMES, zeroes,    24  },
        {"xc-vcpu-body",             1, XCREC_X86_PV_VCPU_BASIC, zeroes,    9   },
        {"xc-vcpu-empty",            1, XCREC_X86_PV_VCPU_BASIC, zeroes,    8   },
        {"xc-vcpu-no-basic",         1, XCREC_X86_PV_VCPU_XSAVE, zeroes,    24  },
        {"xc-shared-info-length",    1, XCREC_SHARED_INFO,       zeroes,    4095},
        {"xc-tsc-length",            2, XCREC_X86_TSC_INFO,      zeroes,    16  },
        {"xc-tsc-mode",              2, XCREC_X86_TSC_INFO,      ones,      24  },
        {"xc-tsc-reserved",          2, XCREC_X86_TSC_INFO,      ones,      24  },
        {"xc-hvm-context-empty",     2, XCREC_HVM_CONTEXT,       zeroes,    0   },
        {"xc-hvm-context-parts",     2, XCREC_HVM_CONTEXT,       ones,      8   },
        {"xc-hvm-context-header",    2, XCREC_HVM_CONTEXT,       zeroes,    8   },
        {"xc-hvm-context-after-end", 2, XCREC_HVM_CONTEXT,       zeroes,    16  },
        {"xc-hvm-context-no-cpu",    2, XCREC_HVM_CONTEXT,       zeroes,    8   },
        {"xc-hvm-params-length",     2, XCREC_HVM_PARAMS,        ones,      24  },
        {"xc-hvm-params-empty",      2, XCREC_HVM_PARAMS,        zeroes,    8   },
        {"xc-cpuid-policy-length",   2, XCREC_X86_CPUID_POLICY,  zeroes,    23  },
        {"xc-msr-policy-length",     2, XCREC_X86_MSR_POLICY,    zeroes,    15  },
        {"xc-msr-policy-flags",      2, XCREC_X86_MSR_POLICY,    msr,       16  },
        {"xc-record-not-empty",      2, XCREC_STATIC_DATA_END,   zeroes,    8   },
        {"xc-record-unknown",        2, 0x13,                    zeroes,    8   },
        {"xc-record-optional",       2, 0x80000013,              zeroes,    8   },
        {"xc-record-retired",        2, XCREC_TOOLSTACK,         zeroes,    8   },
        {"xc-record-guest-type",     1, XCREC_HVM_PARAMS,        zeroes,    8   },
        {"xc-end-no-hvm-context",    2, XCREC_X86_TSC_INFO,      zeroes,    24  },
        {"xc-header-type",           3, XCREC_X86_TSC_INFO,      zeroes,    24  },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_record_found(cases[i].id, cases[i].domain, cases[i].type,
                            cases[i].body, cases[i].length);
}

static void assert_libxl_found(const char *id, uint32_t type, const void *body,
                               uint32_t length)
{
    struct buffer image = {0};
    struct found found;

    xlstream_header_append(&image, false);
    record_append(&image, type, body, length);
    record_append(&image, XLREC_END, NULL, 0);
    verify_bytes(image.bytes, image.length, 0, &found);
    if (!has(&found, id))
        fail_msg("no finding '%s'", id);
    buffer_release(&image);
}

static void verify_finds_wrong_libxl_records(void **state)
{
    static const uint8_t pair[] = {2, 0, 0, 0, 1, 0, 0, 0, '/', 0, 'v'};

    assert_libxl_found("xl-libxc-context-first", XLREC_EMULATOR_CONTEXT, pair,
                       sizeof(pair));
    assert_libxl_found("xl-end-early", XLREC_END, NULL, 0);
    assert_libxl_found("xl-record-unknown", 0x80000001, NULL, 0);
    assert_libxl_found("xl-record-unknown", 6, NULL, 0);
    assert_libxl_found("xl-emulator-length", XLREC_EMULATOR_CONTEXT, pair, 7);
    assert_libxl_found("xl-emulator-index", XLREC_EMULATOR_CONTEXT, pair, 8);
    assert_libxl_found("xl-emulator-signature", XLREC_EMULATOR_CONTEXT, pair,
                       8);
    assert_libxl_found("xl-xenstore-strings", XLREC_EMULATOR_XENSTORE_DATA,
                       pair, sizeof(pair));
    assert_libxl_found("xl-checkpoint-unexpected", XLREC_CHECKPOINT_END, NULL,
                       0);
    assert_libxl_found("xl-checkpoint-state-length", XLREC_CHECKPOINT_STATE,
                       NULL, 0);
    assert_libxl_found("xl-domain-xenstore-data", XLREC_DOMAIN_XENSTORE_DATA,
                       pair, sizeof(pair));
}

static void verify_repeats_itself_only_so_often(void **state)
{
    /* 1000 unknown records: counted, but not all reported. */
    const struct xcstream_headers headers = {
        .version = 3, .type = XCSTREAM_DOMAIN_HVM, .page_shift = PAGE_SHIFT};
    struct buffer image = {0};
    struct found found;
    struct verify_result result;

    xcstream_headers_append(&image, &headers);
    for (int i = 0; i < 1000; i++)
        record_append(&image, 0x13, NULL, 0);
    result = verify_bytes(image.bytes, image.length, 0, &found);
    assert_true(result.nr_by_severity[SEVERITY_ERROR] >= 1000);
    buffer_release(&image);
}

static void verify_rules_have_unique_names(void **state)
{
    struct finding a;
    struct finding b;

    for (size_t i = 0; verify_rule(i, &a); i++)
        for (size_t j = 0; j < i && verify_rule(j, &b); j++)
            assert_string_not_equal(a.id, b.id);
}

/* ---- a guest's state --------------------------------------------------- */

/* A guest of two vCPUs whose places are in the image's 40 frames. */
struct whole_state {
    struct guest_state s;
    struct state_port port;
    struct state_vcpu vcpu[2];
    struct state_grant grant;
};

static void make_state(struct whole_state *w)
{
    *w = (struct whole_state){
        .port = {.port = 1,                   .kind = STATE_PORT_UNBOUND},
        .vcpu = {        {.initialised = 1, .up = 1, .info_gpa = 5 * 4096},
                 {.initialised = 1, .up = 1}                          },
        .grant = { .ref = 8,                 .flags = 1,                                           .frame = 5},
    };
    w->s.present = (1u << STATE_NR_PARTS) - 1;
    w->s.identity = (struct state_identity){
        .domid = 7,
        .nr_vcpus = 2,
        .nr_params = 2,
        .param = {{.index = STATE_PARAM_STORE_PFN, .value = 6},
                  {.index = STATE_PARAM_STORE_PORT, .value = 1}}
    };
    w->s.shared_info.gfn = 0x1000;
    w->s.grant_frames = (struct state_grant_frames){1, 1, {0x1001}};
    w->s.events.abi = STATE_EVENTS_FIFO;
    w->s.events.nr_array_pages = 1;
    w->s.events.array_gfn[0] = 1;
    memset(w->s.events.control_gfn, 0xff, sizeof(w->s.events.control_gfn));
    w->s.events.control_gfn[1] = 2;
    w->s.events.nr_ports = 1;
    w->s.events.port = &w->port;
    w->s.vcpus = (struct state_vcpus){2, w->vcpu};
    w->s.grants = (struct state_grants){1, &w->grant};
}

/* An image with this state must lead to this finding, or to none. */
static void state_leads_to(struct whole_state *w, const char *id)
{
    const struct image_options options = {
        .version = 3, .nr_vcpus = 2, .nr_frames = 40};
    struct buffer image = {0};
    struct found found;
    struct error err;

    assert_ok(image_make(&options, &image, &err), err);
    image.length -= RECORD_HEAD_SIZE; /* END */
    for (unsigned int part = 0; part < STATE_NR_PARTS; part++) {
        size_t begun = record_begin(&image, XCREC_NONCOOP_FIRST + part);

        guest_state_encode(&w->s, part, &image);
        record_end(&image, begun);
    }
    record_append(&image, XCREC_END, NULL, 0);
    verify_bytes(image.bytes, image.length, 0, &found);
    assert_found(&found, (const char *const[]){id, NULL});
    buffer_release(&image);
    buffer_release(&w->s.store.data);
    make_state(w);
}

static void verify_looks_at_a_guests_state_as_a_whole(void **state)
{
    struct whole_state w;

    make_state(&w);
    state_leads_to(&w, NULL);
    w.s.vcpus.nr = 1;
    state_leads_to(&w, "xc-noncoop-body");
    w.s.identity.param[1].value = 2;
    state_leads_to(&w, "xc-noncoop-body");
    w.grant.ref = 512;
    state_leads_to(&w, "xc-noncoop-body");
    w.s.grant_frames.gfn[0] = 0x1000;
    state_leads_to(&w, "xc-noncoop-body");
    w.s.identity.param[0].value = 0x2000;
    state_leads_to(&w, "xc-noncoop-memory");
    w.s.shared_info.gfn = 3;
    state_leads_to(&w, "xc-noncoop-memory");
    w.s.events.array_gfn[0] = 7; /* a hole */
    state_leads_to(&w, "xc-noncoop-memory");
    w.vcpu[0].info_gpa = 41 * 4096;
    state_leads_to(&w, "xc-noncoop-memory");
    w.s.identity.nr_vcpus = w.s.vcpus.nr = 1;
    w.s.events.control_gfn[1] = STATE_GFN_NONE;
    state_leads_to(&w, "xc-noncoop-vcpus");
    buffer_text(&w.s.store.data, "no record");
    state_leads_to(&w, "xc-noncoop-store");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verify_finds_nothing_in_good_images),
        cmocka_unit_test(verify_judges_for_a_release),
        cmocka_unit_test(verify_takes_checkpointed_images_to_their_last),
        cmocka_unit_test(verify_finds_every_truncation),
        cmocka_unit_test(verify_finds_trailing_data_and_padding),
        cmocka_unit_test(verify_finds_wrong_bodies),
        cmocka_unit_test(verify_finds_wrong_libxl_records),
        cmocka_unit_test(verify_repeats_itself_only_so_often),
        cmocka_unit_test(verify_rules_have_unique_names),
        cmocka_unit_test(verify_looks_at_a_guests_state_as_a_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
