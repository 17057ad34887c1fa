/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine_fixture.h"

#include <sys/mman.h>

#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_x86_hvm.h"
#include "unit.h"

/* ---- what the engine calls ------------------------------------------- */

static bool on_suspend(void *context, struct error *err)
{
    struct engine_fixture *f = context;

    f->nr_suspends++;
    if (f->refuse_suspend)
        return error_set(err, ERR_GUEST, "the guest does not answer");
    f->m->domains[SOURCE].info.shutdown = true;
    f->m->domains[SOURCE].info.shutdown_reason = SHUTDOWN_REASON_SUSPEND;
    return true;
}

static bool on_device_model(void *context, bool enable, struct error *err)
{
    struct engine_fixture *f = context;

    f->device_model_log_dirty = enable;
    return true;
}

static bool on_nothing(void *context, struct error *err)
{
    return true;
}

static bool on_static_data_done(void *context, uint32_t missing,
                                struct error *err)
{
    struct engine_fixture *f = context;

    f->missing = missing;
    return true;
}

static enum checkpoint_outcome on_checkpoint(void *context, struct error *err)
{
    return CHECKPOINT_TAKEN;
}

static const struct save_callbacks save_callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = on_device_model,
    .postcopy = on_nothing,
    .checkpoint = on_nothing,
};

static const struct restore_callbacks restore_callbacks = {
    .static_data_done = on_static_data_done,
    .checkpoint = on_checkpoint,
};

static void on_event(void *context, const struct engine_event *event)
{
    struct engine_fixture *f = context;

    f->nr_events++;
}

/* ---- the machine ----------------------------------------------------- */

void fixture_open(struct engine_fixture *f)
{
    struct engine_options options = {.event = on_event,
                                     .event_context = f,
                                     .cancel_fd = -1,
                                     .idle_timeout_ms = 60000};

    *f = (struct engine_fixture){.m = memory_host_new()};
    f->image_fd = memfd_create("image", MFD_CLOEXEC);
    assert_true(f->image_fd >= 0);
    f->save = (struct save_request){
        .host = &f->m->host,
        .domid = SOURCE,
        .fd = f->image_fd,
        .precopy = precopy_limits_default(),
        .callbacks = &save_callbacks,
        .callback_context = f,
        .options = options,
    };
    f->restore = (struct restore_request){
        .host = &f->m->host,
        .domid = TARGET,
        .fd = f->image_fd,
        .store_evtchn = 11,
        .console_evtchn = 12,
        .callbacks = &restore_callbacks,
        .callback_context = f,
        .options = options,
    };
}

void fixture_close(struct engine_fixture *f)
{
    close(f->image_fd);
    host_close(&f->m->host);
}

void fixture_hvm_guest(struct engine_fixture *f)
{
    struct memory_domain *d = &f->m->domains[SOURCE];

    memory_domain_create(f->m, SOURCE, GUEST_X86_HVM, 4096);
    for (uint64_t gfn = 0; gfn < HVM_FRAMES; gfn++) {
        /* Some data, then runs of zeroes of all lengths. */
        uint8_t fill =
            gfn < 256 || gfn % 37 < gfn % 29 ? (uint8_t)(gfn | 1) : 0;

        if (gfn < HVM_HOLE || gfn >= HVM_HOLE + 40)
            memory_hvm_add(f->m, SOURCE, gfn, fill);
    }
    memory_hvm_add(f->m, SOURCE, HVM_STORE, 0x51);
    memory_hvm_add(f->m, SOURCE, HVM_CONSOLE, 0x52);
    d->params[HVM_PARAM_INDEX_STORE_PFN] = HVM_STORE;
    d->params[HVM_PARAM_INDEX_CONSOLE_PFN] = HVM_CONSOLE;
    d->params[HVM_PARAM_INDEX_VIRIDIAN] = 3;
    d->cpuid_a = 0x16;
    d->tsc = (struct host_tsc_info){
        .mode = 1, .khz = 2400000, .nsec = 77, .incarnation = 5};
    buffer_text(&d->context, "the machine's state, forty octets or so.");
    f->source_end = f->m->next_free;
    f->target_type = GUEST_X86_HVM;
}

/*
 * pfn      what
 * 0        start info
 * 1        GDT
 * 2, 3, 4  L4, L3, L2 of everything
 * 5        L1 that maps pfns 0..511
 * 6        L1 that maps the P2M, at address 2 MiB
 * 7        store ring; 8 console ring
 * 9        tree: top frame; 10 tree: middle frame
 * 11, ...  the P2M's frames
 */
enum {
    PV_START_INFO,
    PV_GDT,
    PV_L4,
    PV_L3,
    PV_L2,
    PV_L1,
    PV_L1_P2M,
    PV_STORE,
    PV_CONSOLE,
    PV_TOP,
    PV_MIDDLE,
    PV_P2M
};

#define PV_HOLE        1100 /* a pfn without memory */
#define PV_P2M_ADDRESS UINT64_C(0x200000)
#define PV_PER_FRAME   512

static uint8_t *pv_page(struct engine_fixture *f, const uint64_t *mfns,
                        uint64_t pfn)
{
    return memory_frame(f->m, mfns[pfn]);
}

static void set_entry(struct engine_fixture *f, const uint64_t *mfns,
                      uint64_t table, size_t i, uint64_t target)
{
    uint64_t pte = mfns[target] << PAGE_SHIFT | 0x67;

    memcpy(pv_page(f, mfns, table) + i * sizeof(pte), &pte, sizeof(pte));
}

static void build_tables(struct engine_fixture *f, const uint64_t *mfns,
                         struct memory_domain *d)
{
    static const uint8_t levels[] = {
        [PV_L4] = 4, [PV_L3] = 3, [PV_L2] = 2, [PV_L1] = 1, [PV_L1_P2M] = 1};

    for (uint64_t pfn = PV_L4; pfn <= PV_L1_P2M; pfn++) {
        memset(pv_page(f, mfns, pfn), 0, PAGE_SIZE);
        d->type_of[mfns[pfn]] = levels[pfn];
    }
    d->type_of[mfns[PV_L4]] |= PAGE_TYPE_PINNED;
    set_entry(f, mfns, PV_L4, 0, PV_L3);
    set_entry(f, mfns, PV_L3, 0, PV_L2);
    set_entry(f, mfns, PV_L2, 0, PV_L1);
    set_entry(f, mfns, PV_L2, 1, PV_L1_P2M);
    for (size_t i = 0; i < PTE_PER_PAGE; i++)
        set_entry(f, mfns, PV_L1, i, i);
    /* Xen's own entry, which must not reach the stream. */
    set_entry(f, mfns, PV_L4, 260, PV_L3);
}

static void build_p2m(struct engine_fixture *f, const uint64_t *mfns,
                      size_t nr_leaves)
{
    for (size_t i = 0; i < nr_leaves; i++) {
        memcpy(pv_page(f, mfns, PV_P2M + i), mfns + i * PV_PER_FRAME,
               PAGE_SIZE);
        set_entry(f, mfns, PV_L1_P2M, i, PV_P2M + i);
        memcpy(pv_page(f, mfns, PV_MIDDLE) + i * 8, &mfns[PV_P2M + i], 8);
    }
    memcpy(pv_page(f, mfns, PV_TOP), &mfns[PV_MIDDLE], 8);
}

static void build_contexts(struct engine_fixture *f, const uint64_t *mfns,
                           struct memory_domain *d)
{
    const struct pv_layout *l = pv_layout_of(8);
    uint8_t *start_info = pv_page(f, mfns, PV_START_INFO);

    pv_word_set(l, start_info, l->store_mfn, PV_STORE);
    pv_word_set(l, start_info, l->console_mfn, PV_CONSOLE);
    for (int i = 0; i < MEMORY_VCPUS; i++) {
        struct buffer *basic = &d->vcpu[i][VCPU_STATE_BASIC];

        buffer_zeroes(basic, l->context_size);
        pv_word_set(l, basic->bytes, l->cr3, mfns[PV_L4] << PAGE_SHIFT);
        pv_word_set(l, basic->bytes, l->cr1, mfns[PV_L4] << PAGE_SHIFT);
        pv_word_set(l, basic->bytes, l->gdt_ents, 16);
        pv_word_set(l, basic->bytes, l->gdt_frames, mfns[PV_GDT]);
        if (i == 0)
            pv_word_set(l, basic->bytes, l->edx, mfns[PV_START_INFO]);
        buffer_text(&d->vcpu[i][VCPU_STATE_EXTENDED], "extended");
        buffer_zeroes(&d->vcpu[i][VCPU_STATE_XSAVE], 16);
    }
}

void fixture_pv_guest(struct engine_fixture *f, bool list_form)
{
    const struct pv_layout *l = pv_layout_of(8);
    size_t nr_leaves = (PV_FRAMES + PV_PER_FRAME - 1) / PV_PER_FRAME;
    uint64_t mfns[3 * PV_PER_FRAME];
    struct memory_domain *d = &f->m->domains[SOURCE];
    uint8_t *shared;

    memory_domain_create(f->m, SOURCE, GUEST_X86_PV, 4096);
    memset(mfns, 0xff, sizeof(mfns));
    /* Not in the order of the pfns. */
    for (uint64_t i = 0; i < PV_FRAMES; i++) {
        uint64_t pfn = i * 7 % PV_FRAMES;

        if (pfn != PV_HOLE)
            mfns[pfn] =
                memory_frame_new(f->m, pfn, pfn % 3 ? (uint8_t)(pfn | 1) : 0);
    }
    assert_true(nr_leaves <= 3);
    d->info.nr_pages = PV_FRAMES - 1;
    build_tables(f, mfns, d);
    build_p2m(f, mfns, nr_leaves);
    build_contexts(f, mfns, d);

    shared = memory_frame(f->m, d->info.shared_info);
    pv_word_set(l, shared, l->max_pfn, PV_FRAMES);
    if (list_form) {
        pv_word_set(l, shared, l->p2m_cr3, mfns[PV_L4] << PAGE_SHIFT);
        pv_word_set(l, shared, l->p2m_vaddr, PV_P2M_ADDRESS);
        pv_word_set(l, shared, l->p2m_generation, 4);
    } else {
        pv_word_set(l, shared, l->frame_list_list, mfns[PV_TOP]);
    }
    memset(shared + l->evtchn_pending, 0xff, l->evtchn_size);
    d->tsc = (struct host_tsc_info){.khz = 1000000};
    d->cpuid_a = 0xd;
    f->source_end = f->m->next_free;
    f->target_type = GUEST_X86_PV;
}

/* ---- the two operations ---------------------------------------------- */

bool fixture_save(struct engine_fixture *f, struct error *err)
{
    bool ok;

    memory_host_rewind(f->m, f->source_end);
    f->m->domains[SOURCE].info.shutdown = false;
    f->m->step = 0;
    assert_int_equal(ftruncate(f->image_fd, 0), 0);
    assert_int_equal(lseek(f->image_fd, 0, SEEK_SET), 0);
    ok = engine_save(&f->save, &f->saved, err);
    f->source_end = f->m->next_free; /* a script may have given it more */
    return ok;
}

bool fixture_restore(struct engine_fixture *f, struct error *err)
{
    assert_int_equal(lseek(f->image_fd, 0, SEEK_SET), 0);
    memory_host_rewind(f->m, f->source_end);
    memory_domain_create(f->m, TARGET, f->target_type, 4096);
    return engine_restore(&f->restore, &f->restored, err);
}

void fixture_assert_clean(struct engine_fixture *f)
{
    assert_int_equal(f->m->nr_mappings, 0);
    assert_false(f->m->domains[SOURCE].log_dirty);
    assert_false(f->device_model_log_dirty);
}

uint8_t *fixture_image(struct engine_fixture *f, size_t *ret_length)
{
    off_t length = lseek(f->image_fd, 0, SEEK_END);
    uint8_t *bytes = malloc((size_t)length);

    assert_int_equal(pread(f->image_fd, bytes, (size_t)length, 0), length);
    *ret_length = (size_t)length;
    return bytes;
}

void fixture_set_image(struct engine_fixture *f, const uint8_t *bytes,
                       size_t length)
{
    assert_int_equal(ftruncate(f->image_fd, 0), 0);
    assert_int_equal(pwrite(f->image_fd, bytes, length, 0), length);
}

/* ---- comparison ------------------------------------------------------ */

void fixture_assert_same_hvm(struct engine_fixture *f)
{
    struct memory_domain *source = &f->m->domains[SOURCE];
    struct memory_domain *target = &f->m->domains[TARGET];

    for (uint64_t gfn = 0; gfn < source->info.nr_gfns; gfn++) {
        uint8_t *before = memory_hvm_page(f->m, SOURCE, gfn);
        uint8_t *after = memory_hvm_page(f->m, TARGET, gfn);
        static const uint8_t zeroes[PAGE_SIZE];

        /* The two rings start empty. */
        if (before && (gfn == HVM_STORE || gfn == HVM_CONSOLE))
            before = (uint8_t *)zeroes;
        if (!before != !after || (before && memcmp(before, after, PAGE_SIZE)))
            fail_msg("gfn %#llx differs", (unsigned long long)gfn);
    }
    assert_int_equal(target->context.length, source->context.length);
    assert_memory_equal(target->context.bytes, source->context.bytes,
                        source->context.length);
    assert_int_equal(target->params[HVM_PARAM_INDEX_VIRIDIAN], 3);
    assert_int_equal(target->params[HVM_PARAM_INDEX_STORE_PFN], HVM_STORE);
    assert_int_equal(target->params[HVM_PARAM_INDEX_STORE_EVTCHN], 11);
    assert_int_equal(target->params[HVM_PARAM_INDEX_CONSOLE_EVTCHN], 12);
    assert_int_equal(f->restored.store_gfn, HVM_STORE);
    assert_int_equal(f->restored.console_gfn, HVM_CONSOLE);
    assert_memory_equal(&target->tsc, &source->tsc, sizeof(source->tsc));
    assert_int_equal(target->cpuid_a, source->cpuid_a);
    assert_true(target->grants_seeded);
    assert_int_equal(f->missing, 0);
}

/* The target's frames by pfn, from the P2M that the restorer wrote. */
static void target_frames(struct engine_fixture *f, uint64_t *mfns)
{
    struct memory_host *m = f->m;
    uint64_t first = MEMORY_NO_FRAME;

    /* Frames of the source have the lower numbers. */
    for (uint64_t mfn = m->domains[TARGET].info.shared_info;
         mfn < MACHINE_FRAMES && first == MEMORY_NO_FRAME; mfn++)
        if (m->used[mfn] && m->pfn_of[mfn] == PV_P2M)
            first = mfn;
    for (size_t leaf = 0; leaf < 3; leaf++) {
        memcpy(mfns + leaf * PV_PER_FRAME, memory_frame(m, first), PAGE_SIZE);
        if (leaf < 2)
            first = mfns[PV_P2M + leaf + 1];
    }
}

static void source_frames(struct engine_fixture *f, uint64_t *mfns)
{
    struct memory_host *m = f->m;

    memset(mfns, 0xff, 3 * PV_PER_FRAME * sizeof(*mfns));
    for (uint64_t mfn = m->domains[SOURCE].info.shared_info;
         mfn < m->domains[TARGET].info.shared_info; mfn++)
        if (m->used[mfn] && m->pfn_of[mfn] < PV_FRAMES)
            mfns[m->pfn_of[mfn]] = mfn;
}

static void assert_same_table(struct engine_fixture *f, uint64_t pfn,
                              const uint8_t *before, const uint8_t *after)
{
    for (size_t i = 0; i < PTE_PER_PAGE; i++) {
        uint64_t x, y;

        memcpy(&x, before + i * 8, 8);
        memcpy(&y, after + i * 8, 8);
        if (pfn == PV_L4 && i == 260) {
            assert_int_equal(y, 0);
        } else if (!(x & PTE_PRESENT)) {
            assert_int_equal(x, y);
        } else {
            assert_int_equal(f->m->pfn_of[pte_frame(x)],
                             f->m->pfn_of[pte_frame(y)]);
            assert_int_equal(pte_with_frame(x, 0), pte_with_frame(y, 0));
        }
    }
}

static void assert_same_contexts(struct engine_fixture *f, const uint64_t *mfns)
{
    const struct pv_layout *l = pv_layout_of(8);
    struct memory_domain *target = &f->m->domains[TARGET];

    for (int i = 0; i < MEMORY_VCPUS; i++) {
        const struct buffer *basic = &target->vcpu[i][VCPU_STATE_BASIC];

        assert_int_equal(basic->length, l->context_size);
        assert_int_equal(pv_word_get(l, basic->bytes, l->cr3),
                         mfns[PV_L4] << PAGE_SHIFT);
        assert_int_equal(pv_word_get(l, basic->bytes, l->cr1),
                         mfns[PV_L4] << PAGE_SHIFT);
        assert_int_equal(pv_word_get(l, basic->bytes, l->gdt_frames),
                         mfns[PV_GDT]);
        assert_int_equal(target->vcpu[i][VCPU_STATE_EXTENDED].length, 8);
        assert_int_equal(target->vcpu[i][VCPU_STATE_XSAVE].length, 16);
    }
    assert_int_equal(
        pv_word_get(l, target->vcpu[0][VCPU_STATE_BASIC].bytes, l->edx),
        mfns[PV_START_INFO]);
}

void fixture_assert_same_pv(struct engine_fixture *f)
{
    const struct pv_layout *l = pv_layout_of(8);
    struct memory_domain *target = &f->m->domains[TARGET];
    uint64_t before[3 * PV_PER_FRAME], after[3 * PV_PER_FRAME];
    uint8_t *shared = memory_frame(f->m, target->info.shared_info);

    source_frames(f, before);
    target_frames(f, after);
    for (uint64_t pfn = 0; pfn < PV_FRAMES; pfn++) {
        assert_int_equal(before[pfn] == MEMORY_NO_FRAME,
                         after[pfn] == MEMORY_NO_FRAME);
        if (pfn == PV_HOLE || pfn == PV_START_INFO ||
            (pfn >= PV_P2M && pfn < PV_P2M + 3))
            continue;
        if (pfn >= PV_L4 && pfn <= PV_L1_P2M)
            assert_same_table(f, pfn, memory_frame(f->m, before[pfn]),
                              memory_frame(f->m, after[pfn]));
        else
            assert_memory_equal(memory_frame(f->m, before[pfn]),
                                memory_frame(f->m, after[pfn]), PAGE_SIZE);
    }
    assert_same_contexts(f, after);
    assert_int_equal(target->nr_pinned, 1);
    assert_int_equal(target->type_of[after[PV_L4]], PAGE_TYPE_PINNED | 4);
    assert_int_equal(f->restored.store_gfn, after[PV_STORE]);
    assert_int_equal(f->restored.console_gfn, after[PV_CONSOLE]);
    assert_int_equal(shared[l->evtchn_pending], 0);
    assert_int_equal(shared[l->evtchn_mask], 0xff);
    assert_true(target->grants_seeded);
}
