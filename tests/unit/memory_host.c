/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "memory_host.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Beyond this no gfn or pfn of a test guest lies. */
#define GFNS_MAX (UINT64_C(1) << 14)

static struct memory_host *memory_host_of(struct host *host)
{
    return container_of(host, struct memory_host, host);
}

/* The start of every call that can fail. */
static bool call(struct host *host, uint32_t domid, struct memory_domain **ret,
                 struct error *err)
{
    struct memory_host *m = memory_host_of(host);
    long number = __atomic_add_fetch(&m->nr_calls, 1, __ATOMIC_RELAXED);

    if (number == m->fail_at)
        return error_set_errno(err, ERR_HOST, EIO, "injected at call %ld",
                               number);
    if (!ret)
        return true;
    if (domid >= MEMORY_DOMAINS || !m->domains[domid].exists)
        return error_set(err, ERR_STATE, "no domain %u", domid);
    *ret = &m->domains[domid];
    return true;
}

static void op_close(struct host *host)
{
    memory_host_free(memory_host_of(host));
}

static bool op_describe(struct host *host, struct host_description *ret,
                        struct error *err)
{
    if (!call(host, 0, NULL, err))
        return false;
    *ret = (struct host_description){.implementation = "memory",
                                     .version = "1.0",
                                     .version_major = 4,
                                     .version_minor = 17,
                                     .superpages = true,
                                     .log_dirty = true};
    return true;
}

static bool op_domain_info(struct host *host, uint32_t domid,
                           struct domain_info *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    *ret = d->info;
    return true;
}

static bool op_pause(struct host *host, uint32_t domid, struct error *err)
{
    struct memory_domain *d;

    return call(host, domid, &d, err);
}

static bool frame_at(struct memory_host *m, struct memory_domain *d,
                     uint64_t frame, uint64_t *ret)
{
    if (frame == m->bad_gfn)
        return false;
    if (d->info.type == GUEST_X86_HVM) {
        if (frame >= GFNS_MAX || d->frame_of[frame] == MEMORY_NO_FRAME)
            return false;
        *ret = d->frame_of[frame];
        return true;
    }
    *ret = frame;
    return frame < MACHINE_FRAMES && m->used[frame];
}

static bool op_map_frames(struct host *host, uint32_t domid,
                          enum map_access access, const uint64_t *frames,
                          size_t nr, int *ret_errors, struct host_mapping *ret,
                          struct error *err)
{
    struct memory_host *m = memory_host_of(host);
    struct memory_domain *d;
    int prot = access == MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    uint8_t *pages;

    assert(nr >= 1 && nr <= HOST_BATCH_MAX);
    if (!call(host, domid, &d, err))
        return false;
    pages = mmap(NULL, nr * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    assert(pages != MAP_FAILED);
    for (size_t i = 0; i < nr; i++) {
        uint64_t frame;

        ret_errors[i] = 0;
        if (!frame_at(m, d, frames[i], &frame))
            ret_errors[i] = ENOENT;
        else if (mmap(pages + i * PAGE_SIZE, PAGE_SIZE, prot,
                      MAP_SHARED | MAP_FIXED, m->memory_fd,
                      (off_t)(frame * PAGE_SIZE)) == MAP_FAILED)
            ret_errors[i] = errno;
    }
    *ret = (struct host_mapping){.pages = pages, .nr_frames = nr};
    __atomic_add_fetch(&m->nr_mappings, 1, __ATOMIC_RELAXED);
    return true;
}

static void op_unmap_frames(struct host *host, struct host_mapping *mapping)
{
    if (!mapping->pages)
        return;
    munmap(mapping->pages, mapping->nr_frames * PAGE_SIZE);
    *mapping = (struct host_mapping){0};
    __atomic_sub_fetch(&memory_host_of(host)->nr_mappings, 1, __ATOMIC_RELAXED);
}

static void op_unmap_rest(struct host *host)
{
}

static bool op_frame_types(struct host *host, uint32_t domid,
                           const uint64_t *frames, size_t nr,
                           uint32_t *ret_types, struct error *err)
{
    struct memory_host *m = memory_host_of(host);
    struct memory_domain *d;

    assert(nr >= 1 && nr <= HOST_BATCH_MAX);
    if (!call(host, domid, &d, err))
        return false;
    for (size_t i = 0; i < nr; i++) {
        bool there = d->info.type == GUEST_X86_HVM
                         ? frames[i] < GFNS_MAX &&
                               d->frame_of[frames[i]] != MEMORY_NO_FRAME
                         : frames[i] < MACHINE_FRAMES && m->used[frames[i]];

        ret_types[i] = PAGE_TYPE_NONE;
        if (there)
            ret_types[i] = d->type_of && frames[i] < MACHINE_FRAMES
                               ? d->type_of[frames[i]]
                               : PAGE_TYPE_NORMAL;
    }
    return true;
}

static bool op_find_populated(struct host *host, uint32_t domid,
                              struct bitmap *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    bitmap_empty(ret);
    for (uint64_t gfn = 0; gfn < ret->nr_bits; gfn++)
        if (d->frame_of[gfn] != MEMORY_NO_FRAME)
            bitmap_set(ret, gfn);
    return true;
}

static bool op_populate(struct host *host, uint32_t domid, const uint64_t *pfns,
                        size_t nr, unsigned int order, uint64_t *ret_frames,
                        size_t *ret_done, struct error *err)
{
    struct memory_host *m = memory_host_of(host);
    struct memory_domain *d;
    uint64_t size = UINT64_C(1) << order;

    assert(nr >= 1 && nr <= HOST_BATCH_MAX);
    if (!call(host, domid, &d, err))
        return false;
    for (size_t i = 0; i < nr; i++)
        if (pfns[i] + size > GFNS_MAX)
            return error_set(err, ERR_HOST, "pfn %llu",
                             (unsigned long long)pfns[i]);
    pthread_mutex_lock(&m->lock);
    for (*ret_done = 0; *ret_done < nr; ++*ret_done) {
        assert(pfns[*ret_done] % size == 0);
        if (m->nr_free < size || (order > 0 && m->no_superpages))
            break;
        for (uint64_t i = 0; i < size; i++) {
            uint64_t pfn = pfns[*ret_done] + i;
            /* Not zero: a restorer must not rely on it. */
            uint64_t frame = memory_frame_new(m, pfn, 0xa5);

            if (i == 0)
                ret_frames[*ret_done] = frame;
            d->info.nr_pages++;
            if (d->frame_of) {
                assert(d->frame_of[pfn] == MEMORY_NO_FRAME);
                d->frame_of[pfn] = frame;
            }
        }
        d->nr_extents_2m += order == HOST_ORDER_2M;
    }
    pthread_mutex_unlock(&m->lock);
    return true;
}

static bool op_log_dirty_enable(struct host *host, uint32_t domid,
                                struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    if (memory_host_of(host)->no_log_dirty)
        return error_set(err, ERR_UNSUPPORTED, "no log-dirty mode");
    bitmap_empty(&d->dirty);
    d->log_dirty = true;
    return true;
}

static bool op_log_dirty_disable(struct host *host, uint32_t domid,
                                 struct error *err)
{
    memory_host_of(host)->domains[domid].log_dirty = false;
    return true;
}

static bool take_log(struct host *host, uint32_t domid, bool clean,
                     struct bitmap *ret, uint64_t *ret_count, struct error *err)
{
    struct memory_host *m = memory_host_of(host);
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    if (m->script)
        m->script(m, m->step++);
    bitmap_empty(ret);
    for (uint64_t pfn = bitmap_next(&d->dirty, 0);
         pfn != BITMAP_END && pfn < ret->nr_bits;
         pfn = bitmap_next(&d->dirty, pfn + 1))
        bitmap_set(ret, pfn);
    *ret_count = bitmap_count(ret);
    if (clean)
        bitmap_empty(&d->dirty);
    return true;
}

static bool op_log_dirty_clean(struct host *host, uint32_t domid, bool final,
                               struct bitmap *ret, uint64_t *ret_count,
                               struct error *err)
{
    return take_log(host, domid, true, ret, ret_count, err);
}

static bool op_log_dirty_peek(struct host *host, uint32_t domid,
                              struct bitmap *ret, uint64_t *ret_count,
                              struct error *err)
{
    return take_log(host, domid, false, ret, ret_count, err);
}

static bool op_tsc_get(struct host *host, uint32_t domid,
                       struct host_tsc_info *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    *ret = d->tsc;
    return true;
}

static bool op_tsc_set(struct host *host, uint32_t domid,
                       const struct host_tsc_info *tsc, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    d->tsc = *tsc;
    return true;
}

static bool op_cpu_policy_get(struct host *host, uint32_t domid,
                              struct host_cpu_policy *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    ret->leaves = calloc(1, sizeof(*ret->leaves));
    ret->msrs = calloc(1, sizeof(*ret->msrs));
    ret->leaves[0] = (struct host_cpuid_leaf){
        .leaf = 0, .subleaf = UINT32_MAX, .a = (uint32_t)d->cpuid_a};
    ret->msrs[0] = (struct host_msr){.index = 0xce, .value = 7};
    ret->nr_leaves = ret->nr_msrs = 1;
    return true;
}

static bool op_cpu_policy_set(struct host *host, uint32_t domid,
                              const struct host_cpu_policy *policy,
                              struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    if (policy->nr_leaves > 0)
        d->cpuid_a = policy->leaves[0].a;
    return true;
}

static bool op_grant_table_seed(struct host *host, uint32_t domid,
                                enum guest_type type, uint64_t console_frame,
                                uint32_t console_domid, uint64_t store_frame,
                                uint32_t store_domid, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    d->grants_seeded = true;
    return true;
}

static bool op_hvm_context_get(struct host *host, uint32_t domid,
                               struct buffer *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    buffer_bytes(ret, d->context.bytes, d->context.length);
    return buffer_check(ret, "context", err);
}

static bool op_hvm_context_set(struct host *host, uint32_t domid,
                               const void *blob, size_t length,
                               struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    buffer_reset(&d->context);
    buffer_bytes(&d->context, blob, length);
    return buffer_check(&d->context, "context", err);
}

static bool op_hvm_param_get(struct host *host, uint32_t domid, uint32_t index,
                             uint64_t *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    *ret = index < MEMORY_PARAMS ? d->params[index] : 0;
    return true;
}

static bool op_hvm_param_set(struct host *host, uint32_t domid, uint32_t index,
                             uint64_t value, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    if (index >= MEMORY_PARAMS)
        return error_set(err, ERR_HOST, "parameter %u", index);
    d->params[index] = value;
    return true;
}

static bool op_address_size_set(struct host *host, uint32_t domid,
                                uint32_t guest_width, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    d->info.guest_width = guest_width;
    return true;
}

static bool op_m2p_map(struct host *host, struct host_m2p *ret,
                       struct error *err)
{
    struct memory_host *m = memory_host_of(host);

    if (!call(host, 0, NULL, err))
        return false;
    *ret = (struct host_m2p){
        .pfn_of = m->pfn_of,
        .nr_mfns = MACHINE_FRAMES,
        .compat_first = UINT64_MAX,
        .mapping = {.pages = m->memory, .nr_frames = 1},
    };
    __atomic_add_fetch(&m->nr_mappings, 1, __ATOMIC_RELAXED);
    return true;
}

static void op_m2p_unmap(struct host *host, struct host_m2p *m2p)
{
    *m2p = (struct host_m2p){0};
    __atomic_sub_fetch(&memory_host_of(host)->nr_mappings, 1, __ATOMIC_RELAXED);
}

static bool op_tables_pin(struct host *host, uint32_t domid,
                          const struct table_pin *pins, size_t nr,
                          struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    for (size_t i = 0; i < nr; i++)
        d->type_of[pins[i].mfn] = (uint8_t)(PAGE_TYPE_PINNED | pins[i].level);
    d->nr_pinned += (unsigned int)nr;
    return true;
}

static bool op_tables_unpin(struct host *host, uint32_t domid,
                            const uint64_t *mfns, size_t nr, struct error *err)
{
    struct memory_domain *d;

    return call(host, domid, &d, err);
}

static bool op_vcpu_online(struct host *host, uint32_t domid, uint32_t vcpu,
                           bool *ret, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    *ret = vcpu < d->info.nr_online_vcpus;
    return true;
}

static bool op_vcpu_state_get(struct host *host, uint32_t domid, uint32_t vcpu,
                              enum vcpu_state_kind kind, struct buffer *ret,
                              struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    buffer_bytes(ret, d->vcpu[vcpu][kind].bytes, d->vcpu[vcpu][kind].length);
    return buffer_check(ret, "vCPU", err);
}

static bool op_vcpu_state_set(struct host *host, uint32_t domid, uint32_t vcpu,
                              enum vcpu_state_kind kind, const void *blob,
                              size_t length, struct error *err)
{
    struct memory_domain *d;

    if (!call(host, domid, &d, err))
        return false;
    buffer_reset(&d->vcpu[vcpu][kind]);
    buffer_bytes(&d->vcpu[vcpu][kind], blob, length);
    return buffer_check(&d->vcpu[vcpu][kind], "vCPU", err);
}

static bool op_guest_state_get(struct host *host, uint32_t domid,
                               enum state_part part, struct guest_state *ret,
                               struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "a host in memory has no such state");
}

static bool op_guest_state_set(struct host *host, uint32_t domid,
                               enum state_part part, struct guest_state *state,
                               struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "a host in memory has no such state");
}

static bool op_guest_state_settle(struct host *host, uint32_t domid,
                                  struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "a host in memory has no such state");
}

static const struct host_ops memory_ops = {
    .close = op_close,
    .describe = op_describe,
    .domain_info = op_domain_info,
    .pause = op_pause,
    .unpause = op_pause,
    .map_frames = op_map_frames,
    .unmap_frames = op_unmap_frames,
    .unmap_rest = op_unmap_rest,
    .frame_types = op_frame_types,
    .find_populated = op_find_populated,
    .populate = op_populate,
    .log_dirty_enable = op_log_dirty_enable,
    .log_dirty_disable = op_log_dirty_disable,
    .log_dirty_clean = op_log_dirty_clean,
    .log_dirty_peek = op_log_dirty_peek,
    .tsc_get = op_tsc_get,
    .tsc_set = op_tsc_set,
    .cpu_policy_get = op_cpu_policy_get,
    .cpu_policy_set = op_cpu_policy_set,
    .grant_table_seed = op_grant_table_seed,
    .hvm_context_get = op_hvm_context_get,
    .hvm_context_set = op_hvm_context_set,
    .hvm_param_get = op_hvm_param_get,
    .hvm_param_set = op_hvm_param_set,
    .address_size_set = op_address_size_set,
    .m2p_map = op_m2p_map,
    .m2p_unmap = op_m2p_unmap,
    .tables_pin = op_tables_pin,
    .tables_unpin = op_tables_unpin,
    .vcpu_online = op_vcpu_online,
    .vcpu_state_get = op_vcpu_state_get,
    .vcpu_state_set = op_vcpu_state_set,
    .guest_state_get = op_guest_state_get,
    .guest_state_set = op_guest_state_set,
    .guest_state_settle = op_guest_state_settle,
};

struct memory_host *memory_host_new(void)
{
    struct memory_host *m = calloc(1, sizeof(*m));

    m->host.ops = &memory_ops;
    m->bad_gfn = MEMORY_NO_FRAME;
    m->memory_fd = memfd_create("machine", MFD_CLOEXEC);
    assert(m->memory_fd >= 0);
    assert(ftruncate(m->memory_fd, MACHINE_FRAMES * (off_t)PAGE_SIZE) == 0);
    m->memory = mmap(NULL, MACHINE_FRAMES * PAGE_SIZE, PROT_READ | PROT_WRITE,
                     MAP_SHARED, m->memory_fd, 0);
    assert(m->memory != MAP_FAILED);
    memset(m->pfn_of, 0xff, sizeof(m->pfn_of));
    pthread_mutex_init(&m->lock, NULL);
    m->next_free = 1; /* frame 0 stands for nothing in some tables */
    m->nr_free = MACHINE_FRAMES;
    return m;
}

void memory_host_free(struct memory_host *m)
{
    for (uint32_t domid = 0; domid < MEMORY_DOMAINS; domid++)
        memory_domain_destroy(m, domid);
    munmap(m->memory, MACHINE_FRAMES * PAGE_SIZE);
    close(m->memory_fd);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void memory_domain_create(struct memory_host *m, uint32_t domid,
                          enum guest_type type, uint64_t max_pages)
{
    struct memory_domain *d = &m->domains[domid];
    struct error error;

    memory_domain_destroy(m, domid);
    *d = (struct memory_domain){
        .exists = true,
        .info = {.domid = domid,
                 .type = type,
                 .max_pages = max_pages,
                 .nr_online_vcpus = MEMORY_VCPUS,
                 .max_vcpu_id = MEMORY_VCPUS - 1,
                 .guest_width = 8},
    };
    if (type == GUEST_X86_HVM) {
        d->frame_of = malloc(GFNS_MAX * sizeof(*d->frame_of));
        memset(d->frame_of, 0xff, GFNS_MAX * sizeof(*d->frame_of));
    } else {
        d->type_of = calloc(MACHINE_FRAMES, 1);
        d->info.shared_info = memory_frame_new(m, UINT64_MAX, 0);
    }
    if (!bitmap_init(&d->dirty, GFNS_MAX, &error))
        abort();
}

void memory_domain_destroy(struct memory_host *m, uint32_t domid)
{
    struct memory_domain *d = &m->domains[domid];

    free(d->frame_of);
    free(d->type_of);
    bitmap_release(&d->dirty);
    buffer_release(&d->context);
    for (int i = 0; i < MEMORY_VCPUS; i++)
        for (int kind = 0; kind < 4; kind++)
            buffer_release(&d->vcpu[i][kind]);
    *d = (struct memory_domain){0};
}

uint64_t memory_frame_new(struct memory_host *m, uint64_t pfn, uint8_t fill)
{
    uint64_t frame = __atomic_fetch_add(&m->next_free, 1, __ATOMIC_RELAXED);

    m->nr_free--;
    assert(frame < MACHINE_FRAMES);
    m->used[frame] = true;
    m->pfn_of[frame] = pfn;
    memset(memory_frame(m, frame), fill, PAGE_SIZE);
    return frame;
}

void memory_host_rewind(struct memory_host *m, uint64_t next_free)
{
    for (uint64_t frame = next_free; frame < m->next_free; frame++) {
        m->used[frame] = false;
        m->pfn_of[frame] = UINT64_MAX;
    }
    if (m->next_free > next_free)
        m->nr_free += m->next_free - next_free;
    m->next_free = next_free;
}

void memory_hvm_add(struct memory_host *m, uint32_t domid, uint64_t gfn,
                    uint8_t fill)
{
    struct memory_domain *d = &m->domains[domid];

    d->frame_of[gfn] = memory_frame_new(m, gfn, fill);
    d->info.nr_pages++;
    if (d->info.nr_gfns <= gfn)
        d->info.nr_gfns = gfn + 1;
}

uint8_t *memory_frame(struct memory_host *m, uint64_t frame)
{
    return m->memory + frame * PAGE_SIZE;
}

uint8_t *memory_hvm_page(struct memory_host *m, uint32_t domid, uint64_t gfn)
{
    uint64_t frame = m->domains[domid].frame_of[gfn];

    return frame == MEMORY_NO_FRAME ? NULL : memory_frame(m, frame);
}

void memory_hvm_write(struct memory_host *m, uint32_t domid, uint64_t gfn,
                      uint8_t fill)
{
    memset(memory_hvm_page(m, domid, gfn), fill, PAGE_SIZE);
    bitmap_set(&m->domains[domid].dirty, gfn);
}
