/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Saving and restoring whole guests, on a host in memory. */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

#include "engine_fixture.h"
#include "stream/record.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_wire.h"
#include "stream/xc/xc_x86_pv.h"

static int open_fixture(void **state)
{
    struct engine_fixture *f = malloc(sizeof(*f));

    fixture_open(f);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture_close(*state);
    free(*state);
    return 0;
}

/* ---- round trips ----------------------------------------------------- */

static void an_hvm_guest_comes_back(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    assert_ok(fixture_save(f, &error), error);
    fixture_assert_clean(f);
    assert_int_equal(f->nr_suspends, 1);
    assert_int_equal(f->saved.pages, HVM_FRAMES - 40 + 2);
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_clean(f);
    fixture_assert_same_hvm(f);
    assert_true(f->nr_events > 0);
}

static void an_hvm_guest_keeps_its_superpages(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    assert_ok(fixture_save(f, &error), error);
    assert_ok(fixture_restore(f, &error), error);
    /* 0..511 and 1024..1535; the hole spoils the one between. */
    assert_int_equal(f->m->domains[TARGET].nr_extents_2m, 2);
    assert_int_equal(f->restored.superpages, 2);

    f->m->no_superpages = true;
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_hvm(f);
    assert_int_equal(f->restored.superpages, 0);
}

static void zero_pages_take_no_blocks(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    struct stat st;

    fixture_hvm_guest(f);
    for (uint64_t gfn = 0; gfn < HVM_FRAMES; gfn++)
        if (memory_hvm_page(f->m, SOURCE, gfn))
            memset(memory_hvm_page(f->m, SOURCE, gfn), 0, PAGE_SIZE);
    assert_ok(fixture_save(f, &error), error);
    assert_int_equal(fstat(f->image_fd, &st), 0);
    assert_true((uint64_t)st.st_size > f->saved.pages * PAGE_SIZE);
    assert_true(st.st_blocks * 512 < st.st_size / 10);
    assert_int_equal(f->saved.zero_pages, f->saved.pages - 2);
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_hvm(f);
    assert_true(f->restored.zero_pages > 1400);
}

/* A page written after it was sent, one that keeps changing, one given late. */
static void dirty_some(struct memory_host *m, unsigned int step)
{
    if (step < 3)
        for (uint64_t gfn = 0; gfn < 200 - step * 60; gfn++)
            memory_hvm_write(m, SOURCE, gfn, (uint8_t)(gfn + step));
    memory_hvm_write(m, SOURCE, 300, (uint8_t)step);
    if (step == 1) {
        memory_hvm_add(m, SOURCE, HVM_HOLE + 5, 0x77);
        m->domains[SOURCE].info.nr_gfns = HVM_CONSOLE + 1;
    }
}

/* A page a second is what it plans with: however fast this machine is, only a
 * guest with few dirty pages is worth stopping. */
static void patient_precopy(struct engine_fixture *f)
{
    f->save.live = true;
    f->save.precopy.downtime_ms = 0;
    f->save.precopy.bandwidth = PAGE_SIZE;
}

static void a_live_hvm_guest_comes_back(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    patient_precopy(f);
    f->m->script = dirty_some;
    assert_ok(fixture_save(f, &error), error);
    fixture_assert_clean(f);
    assert_true(f->saved.rounds >= 3);
    f->m->script = NULL;
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_hvm(f);
}

static void never_settle(struct memory_host *m, unsigned int step)
{
    for (uint64_t gfn = 0; gfn < 400; gfn++)
        memory_hvm_write(m, SOURCE, gfn, (uint8_t)step);
}

static void a_guest_that_never_settles_is_stopped_or_left_as_asked(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    patient_precopy(f);
    f->m->script = never_settle;
    assert_ok(fixture_save(f, &error), error);
    assert_int_equal(f->nr_suspends, 1);

    f->save.precopy.fallback = PRECOPY_CANCEL;
    assert_refused(fixture_save(f, &error), error, ERR_CANCELLED,
                   "pages left after");
    assert_int_equal(f->nr_suspends, 1);
    fixture_assert_clean(f);
}

static void a_host_without_log_dirty_mode_stops_the_guest_first(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_pv_guest(f, true);
    f->save.live = true;
    f->m->no_log_dirty = true;
    assert_ok(fixture_save(f, &error), error);
    assert_int_equal(f->saved.rounds, 0);
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_pv(f);

    f->save.precopy.fallback = PRECOPY_CANCEL;
    assert_refused(fixture_save(f, &error), error, ERR_UNSUPPORTED,
                   "no log-dirty mode");
    assert_int_equal(f->nr_suspends, 1);
}

static void verification_finds_no_difference(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    f->save.live = f->save.verify = true;
    assert_ok(fixture_save(f, &error), error);
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_hvm(f);
    assert_int_equal(f->restored.verify_mismatches, 0);
}

static void a_pv_guest_comes_back(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    for (int list_form = 0; list_form < 2; list_form++) {
        fixture_pv_guest(f, list_form);
        assert_ok(fixture_save(f, &error), error);
        fixture_assert_clean(f);
        assert_ok(fixture_restore(f, &error), error);
        fixture_assert_clean(f);
        fixture_assert_same_pv(f);
        memory_host_rewind(f->m, 1);
    }
}

static void a_live_pv_guest_comes_back(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_pv_guest(f, true);
    f->save.live = f->save.verify = true;
    assert_ok(fixture_save(f, &error), error);
    fixture_assert_clean(f);
    assert_ok(fixture_restore(f, &error), error);
    fixture_assert_same_pv(f);
}

/* ---- streams that are not files -------------------------------------- */

struct pipe_writer {
    struct engine_fixture *f;
    int fd;
    bool ok;
    struct error error;
};

static void *save_into_pipe(void *argument)
{
    struct pipe_writer *w = argument;
    struct save_request request = w->f->save;

    request.fd = w->fd;
    request.options.event = NULL; /* the counter is the other thread's */
    w->ok = engine_save(&request, &w->f->saved, &w->error);
    close(w->fd);
    return NULL;
}

static void
a_pipe_carries_a_guest_and_nothing_is_read_past_its_end(void **state)
{
    struct engine_fixture *f = *state;
    struct pipe_writer w = {.f = f};
    struct error error;
    pthread_t thread;
    int fds[2];
    char after;

    fixture_hvm_guest(f);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    w.fd = fds[1];
    memory_domain_create(f->m, TARGET, GUEST_X86_HVM, 4096);
    assert_int_equal(pthread_create(&thread, NULL, save_into_pipe, &w), 0);
    f->restore.fd = fds[0];
    assert_ok(engine_restore(&f->restore, &f->restored, &error), error);
    pthread_join(thread, NULL);
    assert_ok(w.ok, w.error);
    assert_int_equal(read(fds[0], &after, 1), 0);
    fixture_assert_same_hvm(f);
    close(fds[0]);
}

static void what_follows_the_image_is_left_alone(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    char after[6] = "";

    fixture_hvm_guest(f);
    assert_ok(fixture_save(f, &error), error);
    assert_int_equal(pwrite(f->image_fd, "after", 5, (off_t)f->saved.bytes), 5);
    assert_ok(fixture_restore(f, &error), error);
    assert_int_equal(read(f->image_fd, after, 5), 5);
    assert_string_equal(after, "after");
}

static void a_reader_that_goes_away_ends_the_save(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    int fds[2];

    fixture_hvm_guest(f);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    f->save.fd = fds[1];
    assert_refused(engine_save(&f->save, &f->saved, &error), error, ERR_PEER,
                   "saving domain 1");
    fixture_assert_clean(f);
    close(fds[1]);
}

static void cancelling_ends_the_save(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    int fds[2];

    fixture_hvm_guest(f);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(write(fds[1], "", 1), 1);
    f->save.options.cancel_fd = fds[0];
    assert_refused(fixture_save(f, &error), error, ERR_CANCELLED, "cancelled");
    fixture_assert_clean(f);
    close(fds[0]);
    close(fds[1]);
}

/* ---- guests that cannot be moved ------------------------------------- */

static void a_guest_that_does_not_suspend_runs_on(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    f->refuse_suspend = true;
    f->save.live = true;
    assert_refused(fixture_save(f, &error), error, ERR_GUEST,
                   "does not answer");
    fixture_assert_clean(f);
}

static void a_page_that_does_not_map_is_named(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    f->m->bad_gfn = 123;
    assert_refused(fixture_save(f, &error), error, ERR_HOST, "pfn 0x7b");
    fixture_assert_clean(f);
}

/* The machine frame of a pfn of the source. */
static uint64_t source_frame(struct engine_fixture *f, uint64_t pfn)
{
    for (uint64_t mfn = 1; mfn < f->source_end; mfn++)
        if (f->m->used[mfn] && f->m->pfn_of[mfn] == pfn)
            return mfn;
    return MEMORY_NO_FRAME;
}

static void a_superpage_of_a_pv_guest_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    uint64_t pte = 5 << PAGE_SHIFT | 0xe7;

    fixture_pv_guest(f, true);
    /* pfn 4 is the level 2 table. */
    memcpy(memory_frame(f->m, source_frame(f, 4)) + 8 * 100, &pte, 8);
    assert_refused(fixture_save(f, &error), error, ERR_UNSUPPORTED,
                   "superpage");
    fixture_assert_clean(f);
}

static void a_strange_frame_in_a_page_table_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;
    uint64_t pte = 8000 << PAGE_SHIFT | 0x67;

    fixture_pv_guest(f, true);
    f->save.live = true; /* deferred first, refused when the guest stands */
    memcpy(memory_frame(f->m, source_frame(f, 5)) + 8 * 100, &pte, 8);
    assert_refused(fixture_save(f, &error), error, ERR_GUEST,
                   "entry 100 of this level 1 page table");
    assert_int_equal(f->nr_suspends, 1);
    fixture_assert_clean(f);
}

static void change_p2m(struct memory_host *m, unsigned int step)
{
    const struct pv_layout *l = pv_layout_of(8);
    uint8_t *shared = memory_frame(m, m->domains[SOURCE].info.shared_info);

    pv_word_set(l, shared, l->p2m_generation, 6);
}

static void a_p2m_that_changes_during_the_move_is_noticed(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_pv_guest(f, true);
    f->save.live = true;
    f->m->script = change_p2m;
    assert_refused(fixture_save(f, &error), error, ERR_GUEST,
                   "generation 6, expected 4");
    fixture_assert_clean(f);
}

static void a_p2m_list_in_strange_places_is_refused(void **state)
{
    static const uint64_t addresses[] = {
        0x200001, UINT64_C(0xffff800000000000), UINT64_C(0x0000800000000000),
        UINT64_C(0xfffffffffffff000), 0x400000};
    const struct pv_layout *l = pv_layout_of(8);
    struct engine_fixture *f = *state;
    struct error error;

    fixture_pv_guest(f, true);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        uint8_t *shared =
            memory_frame(f->m, f->m->domains[SOURCE].info.shared_info);

        pv_word_set(l, shared, l->p2m_vaddr, addresses[i]);
        assert_refused(fixture_save(f, &error), error, ERR_GUEST, "P2M");
        fixture_assert_clean(f);
    }
}

/* ---- every call of the host fails once ------------------------------- */

static void fail_each_call_of_a_save(struct engine_fixture *f)
{
    struct error error;
    long calls;

    f->m->fail_at = 0;
    f->m->nr_calls = 0;
    assert_ok(fixture_save(f, &error), error);
    calls = f->m->nr_calls;
    assert_true(calls > 10);
    for (long n = 1; n <= calls; n++) {
        f->m->nr_calls = 0;
        f->m->fail_at = n;
        memset(&error, 0, sizeof(error));
        if (fixture_save(f, &error))
            fail_msg("call %ld of %ld failed unnoticed", n, calls);
        assert_non_null(strstr(error.text, "injected"));
        fixture_assert_clean(f);
    }
    f->m->fail_at = 0;
    assert_ok(fixture_save(f, &error), error);
}

static void fail_each_call_of_a_restore(struct engine_fixture *f)
{
    struct error error;
    long calls;

    f->m->nr_calls = 0;
    assert_ok(fixture_restore(f, &error), error);
    calls = f->m->nr_calls;
    assert_true(calls > 10);
    for (long n = 1; n <= calls; n++) {
        f->m->nr_calls = 0;
        f->m->fail_at = n;
        memset(&error, 0, sizeof(error));
        if (fixture_restore(f, &error))
            fail_msg("call %ld of %ld failed unnoticed", n, calls);
        assert_non_null(strstr(error.text, "injected"));
        fixture_assert_clean(f);
    }
    f->m->fail_at = 0;
}

static void every_failing_call_ends_cleanly_hvm(void **state)
{
    struct engine_fixture *f = *state;

    fixture_hvm_guest(f);
    f->save.live = true;
    fail_each_call_of_a_save(f);
    fail_each_call_of_a_restore(f);
}

static void every_failing_call_ends_cleanly_pv(void **state)
{
    struct engine_fixture *f = *state;

    fixture_pv_guest(f, true);
    f->save.live = true;
    fail_each_call_of_a_save(f);
    fail_each_call_of_a_restore(f);
}

static void a_target_without_memory_says_so(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    assert_ok(fixture_save(f, &error), error);
    f->m->nr_free = 700;
    assert_refused(fixture_restore(f, &error), error, ERR_HOST,
                   "has no more for domain 2");
    fixture_assert_clean(f);
}

/* ---- images that are not right --------------------------------------- */

static void an_image_for_another_kind_of_guest_is_refused(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_hvm_guest(f);
    assert_ok(fixture_save(f, &error), error);
    f->target_type = GUEST_X86_PV;
    assert_refused(fixture_restore(f, &error), error, ERR_FORMAT,
                   "image of an x86 HVM guest, expected x86 PV");
    assert_int_equal(error.offset, XCSTREAM_IMAGE_HEADER_SIZE);
}

static void truncation_is_refused(struct engine_fixture *f)
{
    struct error error;
    size_t length;
    uint8_t *image;

    assert_ok(fixture_save(f, &error), error);
    image = fixture_image(f, &length);
    for (size_t cut = 0; cut < length;
         cut += cut < 3000 || cut > length - 3000 ? 61 : 100003) {
        memset(&error, 0, sizeof(error));
        fixture_set_image(f, image, cut);
        if (fixture_restore(f, &error))
            fail_msg("%zu of %zu octets were enough", cut, length);
        if (error.code != ERR_TRUNCATED || error.offset > cut)
            fail_msg("%zu octets: %s, offset %llu", cut, error.text,
                     (unsigned long long)error.offset);
        fixture_assert_clean(f);
    }
    free(image);
}

static void a_truncated_hvm_image_is_refused(void **state)
{
    struct engine_fixture *f = *state;

    fixture_hvm_guest(f);
    truncation_is_refused(f);
}

static void a_truncated_pv_image_is_refused(void **state)
{
    struct engine_fixture *f = *state;

    fixture_pv_guest(f, true);
    truncation_is_refused(f);
}

/*
 * Flip each bit of everything that is not a page: whatever comes of it, nothing
 * is left behind and a refusal says why.
 */
static void bit_flips_do_no_harm(struct engine_fixture *f, size_t upto)
{
    struct error error;
    size_t length, refused = 0;
    uint8_t *image;

    assert_ok(fixture_save(f, &error), error);
    image = fixture_image(f, &length);
    fixture_set_image(f, image, length);
    for (size_t bit = 0; bit < upto * 8; bit += 5) {
        size_t at = bit / 8;
        uint8_t flipped = image[at] ^ (uint8_t)(1 << bit % 8);

        memset(&error, 0, sizeof(error));
        assert_int_equal(pwrite(f->image_fd, &flipped, 1, (off_t)at), 1);
        if (!fixture_restore(f, &error)) {
            refused++;
            assert_true(error.code != ERR_NONE && strlen(error.text) > 20);
        }
        fixture_assert_clean(f);
        assert_int_equal(pwrite(f->image_fd, &image[at], 1, (off_t)at), 1);
    }
    assert_true(refused > upto / 4);
    free(image);
}

static void flipped_bits_in_an_hvm_image_do_no_harm(void **state)
{
    struct engine_fixture *f = *state;

    fixture_hvm_guest(f);
    bit_flips_do_no_harm(f, 220);
}

static void flipped_bits_in_a_pv_image_do_no_harm(void **state)
{
    struct engine_fixture *f = *state;

    fixture_pv_guest(f, true);
    bit_flips_do_no_harm(f, 300);
}

/* Take the image apart and leave one record out. */
static void a_missing_record_is_noticed(struct engine_fixture *f, uint32_t type,
                                        const char *message)
{
    struct error error;
    size_t length,
        at = XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE;
    cleanup_free uint8_t *image = NULL;

    assert_ok(fixture_save(f, &error), error);
    image = fixture_image(f, &length);
    while (at < length) {
        struct record_head head =
            record_head_decode(image + at, ORDER_LITTLE, at);
        size_t size = (size_t)record_size(head.length);

        if (head.type == type) {
            memmove(image + at, image + at + size, length - at - size);
            length -= size;
        } else {
            at += size;
        }
    }
    fixture_set_image(f, image, length);
    memset(&error, 0, sizeof(error));
    if (fixture_restore(f, &error))
        fail_msg("record %#x is not missed", type);
    if (!strstr(error.text, message))
        fail_msg("without record %#x: \"%s\", expected \"%s\"", type,
                 error.text, message);
    fixture_assert_clean(f);
}

static void missing_records_are_noticed(void **state)
{
    struct engine_fixture *f = *state;

    fixture_hvm_guest(f);
    a_missing_record_is_noticed(f, XCREC_STATIC_DATA_END, "STATIC_DATA_END");
    a_missing_record_is_noticed(f, XCREC_HVM_CONTEXT, "HVM_CONTEXT");
    memory_domain_destroy(f->m, SOURCE);
    memory_host_rewind(f->m, 1);
    fixture_pv_guest(f, false);
    a_missing_record_is_noticed(f, XCREC_X86_PV_INFO, "PV_INFO");
    a_missing_record_is_noticed(f, XCREC_X86_PV_P2M_FRAMES, "P2M_FRAMES");
    a_missing_record_is_noticed(f, XCREC_SHARED_INFO, "SHARED_INFO");
    a_missing_record_is_noticed(f, XCREC_X86_PV_VCPU_BASIC, "vCPU");
    a_missing_record_is_noticed(f, XCREC_PAGE_DATA, "pfn");
}

/* Its P2M in one piece per frame; without the piece number 'missing'. */
static bool restore_in_pieces(struct engine_fixture *f, uint32_t missing,
                              struct error *err)
{
    struct buffer out = {.cap = (size_t)64 << 20};
    struct p2m_frames list;
    struct record rec = {.type = XCREC_X86_PV_P2M_FRAMES};
    struct record_head head;
    size_t length,
        at = XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE;
    uint8_t *bytes = fixture_image(f, &length);
    bool ok;

    for (;; at += (size_t)record_size(head.length)) {
        head = record_head_decode(bytes + at, ORDER_LITTLE, at);
        if (head.type == rec.type)
            break;
    }
    rec.body = bytes + at + RECORD_HEAD_SIZE;
    rec.length = head.length;
    assert_ok(p2m_frames_decode(&rec, 8, &list, err), *err);
    buffer_bytes(&out, bytes, at);
    for (uint32_t i = 0; i < list.nr_frames; i++) {
        uint32_t last = i * 512 + 511;
        uint64_t pfn = p2m_frames_pfn(&list, i);

        if (i != missing)
            p2m_frames_append(&out, i * 512,
                              last < list.last_pfn ? last : list.last_pfn, &pfn,
                              1);
    }
    at += (size_t)record_size(head.length);
    buffer_bytes(&out, bytes + at, length - at);
    assert_false(out.bad);
    fixture_set_image(f, out.bytes, out.length);
    ok = fixture_restore(f, err);
    buffer_release(&out);
    free(bytes);
    return ok;
}

static void a_p2m_comes_in_pieces(void **state)
{
    struct engine_fixture *f = *state;
    struct error error;

    fixture_pv_guest(f, true);
    assert_ok(fixture_save(f, &error), error);
    assert_ok(restore_in_pieces(f, UINT32_MAX, &error), error);
    fixture_assert_same_pv(f);
    assert_ok(fixture_save(f, &error), error);
    assert_refused(restore_in_pieces(f, 1, &error), error, ERR_FORMAT,
                   "no frame for pfn 0x200 on");
    fixture_assert_clean(f);
}

/* Exchange a record with the one that follows it. */
static void a_misplaced_record_is_noticed(struct engine_fixture *f,
                                          uint32_t type, const char *message)
{
    struct error error;
    size_t length,
        at = XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE;
    cleanup_free uint8_t *image = NULL;
    cleanup_free uint8_t *mixed = NULL;

    assert_ok(fixture_save(f, &error), error);
    image = fixture_image(f, &length);
    mixed = malloc(length);
    memcpy(mixed, image, length);
    while (at < length) {
        struct record_head head =
            record_head_decode(image + at, ORDER_LITTLE, at);
        size_t size = (size_t)record_size(head.length);

        if (head.type == type) {
            struct record_head other =
                record_head_decode(image + at + size, ORDER_LITTLE, at + size);
            size_t other_size = (size_t)record_size(other.length);

            memcpy(mixed + at, image + at + size, other_size);
            memcpy(mixed + at + other_size, image + at, size);
            break;
        }
        at += size;
    }
    fixture_set_image(f, mixed, length);
    memset(&error, 0, sizeof(error));
    if (fixture_restore(f, &error))
        fail_msg("record %#x in the wrong place is accepted", type);
    if (!strstr(error.text, message) || error.offset != at)
        fail_msg("\"%s\" at %llu, expected \"%s\" at %zu", error.text,
                 (unsigned long long)error.offset, message, at);
    fixture_assert_clean(f);
}

static void misplaced_records_are_noticed(void **state)
{
    struct engine_fixture *f = *state;

    fixture_hvm_guest(f);
    a_misplaced_record_is_noticed(f, XCREC_STATIC_DATA_END, "PAGE_DATA");
    memory_domain_destroy(f->m, SOURCE);
    memory_host_rewind(f->m, 1);
    fixture_pv_guest(f, true);
    a_misplaced_record_is_noticed(f, XCREC_STATIC_DATA_END, "P2M_FRAMES");
    a_misplaced_record_is_noticed(f, XCREC_X86_PV_P2M_FRAMES, "PAGE_DATA");
}

#define engine_test(name) \
    cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        engine_test(an_hvm_guest_comes_back),
        engine_test(an_hvm_guest_keeps_its_superpages),
        engine_test(zero_pages_take_no_blocks),
        engine_test(a_live_hvm_guest_comes_back),
        engine_test(a_guest_that_never_settles_is_stopped_or_left_as_asked),
        engine_test(a_host_without_log_dirty_mode_stops_the_guest_first),
        engine_test(verification_finds_no_difference),
        engine_test(a_pv_guest_comes_back),
        engine_test(a_live_pv_guest_comes_back),
        engine_test(a_pipe_carries_a_guest_and_nothing_is_read_past_its_end),
        engine_test(what_follows_the_image_is_left_alone),
        engine_test(a_reader_that_goes_away_ends_the_save),
        engine_test(cancelling_ends_the_save),
        engine_test(a_guest_that_does_not_suspend_runs_on),
        engine_test(a_page_that_does_not_map_is_named),
        engine_test(a_superpage_of_a_pv_guest_is_refused),
        engine_test(a_strange_frame_in_a_page_table_is_refused),
        engine_test(a_p2m_that_changes_during_the_move_is_noticed),
        engine_test(a_p2m_list_in_strange_places_is_refused),
        engine_test(every_failing_call_ends_cleanly_hvm),
        engine_test(every_failing_call_ends_cleanly_pv),
        engine_test(a_target_without_memory_says_so),
        engine_test(an_image_for_another_kind_of_guest_is_refused),
        engine_test(a_truncated_hvm_image_is_refused),
        engine_test(a_truncated_pv_image_is_refused),
        engine_test(flipped_bits_in_an_hvm_image_do_no_harm),
        engine_test(flipped_bits_in_a_pv_image_do_no_harm),
        engine_test(missing_records_are_noticed),
        engine_test(misplaced_records_are_noticed),
        engine_test(a_p2m_comes_in_pieces),
    };

    /* A peer that goes away is an error to report. */
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
