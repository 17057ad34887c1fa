/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded host as a 'struct host': a client of xenferry-hostd.
 *
 * Guest memory is mapped from the host's memfd, in which octet n is guest
 * physical address n; everything else is asked for.  What we write to memory
 * is not among the frames that the host notes as written: they are the
 * guest's and the backends'.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "host/embedded/hostd_client.h"
#include "host/host.h"

#define TSC_MODE_NATIVE 2u

/* The CPUID leaves that guests of this host have, but those of Xen. */
static const uint32_t cpuid_leaves[] = {0x00000000, 0x00000001, 0x80000000,
                                        0x80000001, 0x80000008};

/* One domain's memory, as long as it is the one that is asked about. */
struct guest_ram {
    uint32_t domid;
    int fd; /* owned, or -1 */
    uint64_t nr_gfns;
};

/*
 * What a guest that stands still has beside memory, brought along with its
 * context: the parts are asked for one by one, and it waits meanwhile.  Each
 * is given out once; whatever may change it ends all.
 */
struct ahead {
    uint32_t domid; /* 0: nothing is there */
    struct buffer octets;
    size_t params, nr_params; /* where in 'octets', and how many */
    struct {
        size_t at, length;
    } part[STATE_NR_PARTS];
    enum state_part next;
};

struct embedded {
    struct host host;
    struct hostd_client client;
    pthread_mutex_t mutex; /* ram */
    struct guest_ram ram;
    struct ahead ahead;
};

static struct embedded *embedded_of(struct host *host)
{
    return container_of(host, struct embedded, host);
}

/* ---- asking ------------------------------------------------------------ */

static void add_number(struct json_object *request, const char *name,
                       uint64_t value)
{
    if (request)
        json_object_object_add(request, name, json_object_new_uint64(value));
}

static bool ask(struct host *host, struct json_object *request,
                const void *data, size_t length, struct hostd_message *ret,
                struct json_object **ret_json, struct error *err)
{
    return hostd_call(&embedded_of(host)->client, request, data, length, ret,
                      ret_json, err);
}

static bool tell(struct host *host, struct json_object *request,
                 struct error *err)
{
    return ask(host, request, NULL, 0, NULL, NULL, err);
}

/* Without waiting for the answer; the next question finds a refusal. */
static bool post(struct host *host, struct json_object *request,
                 const void *data, size_t length, struct error *err)
{
    return hostd_post(&embedded_of(host)->client, request, data, length, err);
}

static void ahead_drop(struct embedded *e)
{
    buffer_release(&e->ahead.octets);
    e->ahead = (struct ahead){.domid = 0};
}

/* ---- the host, and domains --------------------------------------------- */

static void op_close(struct host *host)
{
    struct embedded *e = embedded_of(host);

    ahead_drop(e);
    hostd_client_close(&e->client);
    close_fd(&e->ram.fd);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static bool op_describe(struct host *host, struct host_description *ret,
                        struct error *err)
{
    struct json_object *info;

    if (!ask(host, hostd_request("host-info"), NULL, 0, NULL, &info, err))
        return false;
    *ret = (struct host_description){.implementation = "embedded",
                                     .version_major = 4,
                                     .version_minor = 17,
                                     .superpages = true,
                                     .scrubs = true,
                                     .log_dirty = true};
    snprintf(ret->version, sizeof(ret->version), "%s",
             hostd_text(info, "version"));
    json_object_put(info);
    return true;
}

/* A domain's number may have come back with other memory behind it. */
static void forget_ram(struct embedded *e, uint32_t domid)
{
    pthread_mutex_lock(&e->mutex);
    if (e->ram.domid == domid)
        close_fd(&e->ram.fd);
    pthread_mutex_unlock(&e->mutex);
}

static bool op_domain_info(struct host *host, uint32_t domid,
                           struct domain_info *ret, struct error *err)
{
    struct json_object *info;

    forget_ram(embedded_of(host), domid);
    ahead_drop(embedded_of(host));
    if (!ask(host, hostd_request_about("domain-info", domid), NULL, 0, NULL,
             &info, err))
        return false;
    *ret = (struct domain_info){
        .domid = domid,
        .type = GUEST_X86_HVM,
        .paused = hostd_flag(info, "paused"),
        .shutdown = hostd_flag(info, "shutdown"),
        .nr_pages = hostd_number(info, "nr_pages"),
        .max_pages = hostd_number(info, "max_pages"),
        .nr_gfns = hostd_number(info, "nr_gfns"),
        .nr_online_vcpus = (uint32_t)hostd_number(info, "online"),
        .max_vcpu_id = (uint32_t)hostd_number(info, "vcpus") - 1,
        .guest_width = 8,
    };
    if (ret->shutdown)
        ret->shutdown_reason = (uint32_t)hostd_number(info, "reason");
    json_object_put(info);
    return true;
}

static bool op_pause(struct host *host, uint32_t domid, struct error *err)
{
    return tell(host, hostd_request_about("domain-pause", domid), err);
}

static bool op_unpause(struct host *host, uint32_t domid, struct error *err)
{
    return tell(host, hostd_request_about("domain-unpause", domid), err);
}

/* ---- memory ------------------------------------------------------------ */

/* A descriptor of the domain's memory that is the caller's to close. */
static bool ram_open(struct embedded *e, uint32_t domid, struct guest_ram *ret,
                     struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct json_object *answer;

    if (!ask(&e->host, hostd_request_about("ram-map", domid), NULL, 0, &reply,
             &answer, err))
        return false;
    *ret = (struct guest_ram){.domid = domid,
                              .fd = take_fd(&reply.fd),
                              .nr_gfns = hostd_number(answer, "nr_gfns")};
    json_object_put(answer);
    return ret->fd >= 0 ||
           error_set(err, ERR_PEER, "host: no descriptor of guest memory");
}

/* With the mutex held: the memory of this domain is in e->ram. */
static bool ram_get(struct embedded *e, uint32_t domid, struct error *err)
{
    struct guest_ram ram = {.fd = -1};

    if (e->ram.fd >= 0 && e->ram.domid == domid)
        return true;
    if (!ram_open(e, domid, &ram, err))
        return false;
    close_fd(&e->ram.fd);
    e->ram = ram;
    return true;
}

static bool op_frame_types(struct host *host, uint32_t domid,
                           const uint64_t *frames, size_t nr,
                           uint32_t *ret_types, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};

    if (!ask(host, hostd_request_about("frame-types", domid), frames,
             nr * sizeof(*frames), &reply, NULL, err))
        return false;
    if (reply.data.length != nr * sizeof(*ret_types))
        return error_set(err, ERR_PEER,
                         "host: types of %zu frames in %zu octets", nr,
                         reply.data.length);
    memcpy(ret_types, reply.data.bytes, reply.data.length);
    return true;
}

/* A hole smaller than this is mapped with what is around it. */
#define HOLE_MIN ((int64_t)16 * (int64_t)PAGE_SIZE)

/* Where the next hole worth it begins, and where it ends; at most 'end'. */
static int64_t next_hole(int fd, int64_t from, int64_t end, int64_t *ret_end)
{
    int64_t hole, data = from;

    do {
        hole = file_next_hole(fd, data, end);
        data = file_next_data(fd, hole, end);
    } while (data > hole && data < end && data - hole < HOLE_MIN);
    /* Nothing is known of what is there: it is data. */
    if (data == hole)
        hole = data = end;
    *ret_end = data;
    return hole;
}

/*
 * Frames that nobody has written are holes of the memfd, and looking at them
 * there would fill them.  For reading, the zeroes of the reservation do: a
 * frame that is written later is noted as that.
 */
static bool map_run(int fd, uint8_t *at, int prot, int64_t from, int64_t end,
                    struct error *err)
{
    while (from < end) {
        int64_t after = end;
        int64_t hole =
            prot & PROT_WRITE ? end : next_hole(fd, from, end, &after);
        uint8_t *zeroes = at + (hole - from);

        if ((hole > from &&
             mmap(at, (size_t)(hole - from), prot, MAP_SHARED | MAP_FIXED, fd,
                  from) == MAP_FAILED) ||
            (after > hole && mprotect(zeroes, (size_t)(after - hole), prot)))
            return error_set_errno(err, ERR_NO_MEMORY, errno,
                                   "mapping frames at %#" PRIx64,
                                   (uint64_t)from / PAGE_SIZE);
        /* One page of zeroes for many frames, where the kernel has it. */
        if (after > hole)
            (void)madvise(zeroes, (size_t)(after - hole), MADV_HUGEPAGE);
        at += after - from;
        from = after;
    }
    return true;
}

/* Runs of consecutive frames to consecutive pages of 'at'. */
static bool map_runs(const struct embedded *e, uint8_t *at, int prot,
                     const uint64_t *frames, size_t nr, const int *errors,
                     struct error *err)
{
    for (size_t i = 0; i < nr;) {
        size_t n = 1;

        if (errors[i]) {
            i++;
            continue;
        }
        while (i + n < nr && !errors[i + n] && frames[i + n] == frames[i] + n)
            n++;
        if (!map_run(e->ram.fd, at + i * PAGE_SIZE, prot,
                     (int64_t)(frames[i] * PAGE_SIZE),
                     (int64_t)((frames[i] + n) * PAGE_SIZE), err))
            return false;
        i += n;
    }
    return true;
}

static bool op_map_frames(struct host *host, uint32_t domid,
                          enum map_access access, const uint64_t *frames,
                          size_t nr, int *ret_errors, struct host_mapping *ret,
                          struct error *err)
{
    struct embedded *e = embedded_of(host);
    int prot = access == MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    uint32_t types[HOST_BATCH_MAX];
    void *at;
    bool ok;

    if (nr == 0 || nr > HOST_BATCH_MAX)
        return error_set(err, ERR_USAGE, "mapping %zu frames, expected 1 to %u",
                         nr, HOST_BATCH_MAX);
    if (!op_frame_types(host, domid, frames, nr, types, err))
        return false;
    for (size_t i = 0; i < nr; i++)
        ret_errors[i] = types[i] == PAGE_TYPE_NORMAL ? 0 : EINVAL;
    at = mmap(NULL, nr * PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
              0);
    if (at == MAP_FAILED)
        return error_set_errno(err, ERR_NO_MEMORY, errno, "mapping frames");
    pthread_mutex_lock(&e->mutex);
    ok = ram_get(e, domid, err) &&
         map_runs(e, at, prot, frames, nr, ret_errors, err);
    pthread_mutex_unlock(&e->mutex);
    if (!ok) {
        munmap(at, nr * PAGE_SIZE);
        return false;
    }
    *ret = (struct host_mapping){.pages = at, .nr_frames = nr};
    return true;
}

static void op_unmap_frames(struct host *host, struct host_mapping *mapping)
{
    if (mapping->pages)
        munmap(mapping->pages, mapping->nr_frames * PAGE_SIZE);
    *mapping = (struct host_mapping){0};
}

static void op_unmap_rest(struct host *host)
{
}

/* A bitmap of the host into one of ours, which may be shorter. */
static bool take_bitmap(const struct buffer *from, struct bitmap *ret,
                        struct error *err)
{
    size_t length = bitmap_size(ret);

    if (from->length % sizeof(*ret->words))
        return error_set(err, ERR_PEER, "host: a bitmap of %zu octets",
                         from->length);
    bitmap_empty(ret);
    memcpy(ret->words, from->bytes, size_min(length, from->length));
    bitmap_trim(ret);
    return true;
}

static bool ask_bitmap(struct host *host, struct json_object *request,
                       struct bitmap *ret, uint64_t *ret_count,
                       struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};

    if (!ask(host, request, NULL, 0, &reply, NULL, err) ||
        !take_bitmap(&reply.data, ret, err))
        return false;
    if (ret_count)
        *ret_count = bitmap_count(ret);
    return true;
}

static bool op_find_populated(struct host *host, uint32_t domid,
                              struct bitmap *ret, struct error *err)
{
    return ask_bitmap(host, hostd_request_about("populated", domid), ret, NULL,
                      err);
}

static bool op_populate(struct host *host, uint32_t domid, const uint64_t *pfns,
                        size_t nr, unsigned int order, uint64_t *ret_frames,
                        size_t *ret_done, struct error *err)
{
    struct json_object *request = hostd_request_about("populate", domid);
    struct json_object *answer;

    add_number(request, "order", order);
    if (!ask(host, request, pfns, nr * sizeof(*pfns), NULL, &answer, err))
        return false;
    *ret_done = size_min((size_t)hostd_number(answer, "done"), nr);
    memcpy(ret_frames, pfns, *ret_done * sizeof(*pfns));
    json_object_put(answer);
    return true;
}

/* ---- written pages ----------------------------------------------------- */

static bool op_log_dirty_enable(struct host *host, uint32_t domid,
                                struct error *err)
{
    return tell(host, hostd_request_about("dirty-enable", domid), err);
}

static bool op_log_dirty_disable(struct host *host, uint32_t domid,
                                 struct error *err)
{
    return tell(host, hostd_request_about("dirty-disable", domid), err);
}

static bool op_log_dirty_clean(struct host *host, uint32_t domid, bool final,
                               struct bitmap *ret, uint64_t *ret_count,
                               struct error *err)
{
    (void) final; /* what the host writes is always noted */
    return ask_bitmap(host, hostd_request_about("dirty-clean", domid), ret,
                      ret_count, err);
}

static bool op_log_dirty_peek(struct host *host, uint32_t domid,
                              struct bitmap *ret, uint64_t *ret_count,
                              struct error *err)
{
    return ask_bitmap(host, hostd_request_about("dirty-peek", domid), ret,
                      ret_count, err);
}

/* ---- state ------------------------------------------------------------- */

static bool op_tsc_get(struct host *host, uint32_t domid,
                       struct host_tsc_info *ret, struct error *err)
{
    struct json_object *info;

    if (!ask(host, hostd_request("host-info"), NULL, 0, NULL, &info, err))
        return false;
    *ret =
        (struct host_tsc_info){.mode = TSC_MODE_NATIVE,
                               .khz = (uint32_t)hostd_number(info, "tsc_khz")};
    json_object_put(info);
    return true;
}

/* Guests see the machine's own counter; their clock is scaled to it. */
static bool op_tsc_set(struct host *host, uint32_t domid,
                       const struct host_tsc_info *tsc, struct error *err)
{
    struct domain_info info;

    return op_domain_info(host, domid, &info, err);
}

static bool ask_leaf(struct host *host, uint32_t leaf,
                     struct host_cpuid_leaf *ret, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct json_object *request = hostd_request("cpuid");
    uint32_t regs[4];

    add_number(request, "leaf", leaf);
    if (!ask(host, request, NULL, 0, &reply, NULL, err))
        return false;
    if (reply.data.length != sizeof(regs))
        return error_set(err, ERR_PEER, "host: a CPUID leaf of %zu octets",
                         reply.data.length);
    memcpy(regs, reply.data.bytes, sizeof(regs));
    *ret = (struct host_cpuid_leaf){.leaf = leaf,
                                    .subleaf = UINT32_MAX,
                                    .a = regs[0],
                                    .b = regs[1],
                                    .c = regs[2],
                                    .d = regs[3]};
    return true;
}

static bool op_cpu_policy_get(struct host *host, uint32_t domid,
                              struct host_cpu_policy *ret, struct error *err)
{
    cleanup(host_cpu_policy_release) struct host_cpu_policy p = {0};

    p.leaves = calloc(ARRAY_SIZE(cpuid_leaves), sizeof(*p.leaves));
    if (!p.leaves)
        return error_set(err, ERR_NO_MEMORY, "CPU policy: no memory");
    for (; p.nr_leaves < ARRAY_SIZE(cpuid_leaves); p.nr_leaves++)
        if (!ask_leaf(host, cpuid_leaves[p.nr_leaves], &p.leaves[p.nr_leaves],
                      err))
            return false;
    *ret = MOVE(p);
    return true;
}

/* All guests of embedded hosts have the same processor. */
static bool op_cpu_policy_set(struct host *host, uint32_t domid,
                              const struct host_cpu_policy *policy,
                              struct error *err)
{
    for (uint32_t i = 0; i < policy->nr_leaves; i++) {
        const struct host_cpuid_leaf *l = &policy->leaves[i];
        struct host_cpuid_leaf ours;

        if (l->leaf >> 16 == 0x4000)
            continue;
        if (!ask_leaf(host, l->leaf, &ours, err))
            return false;
        if (l->a != ours.a || l->b != ours.b || l->c != ours.c ||
            l->d != ours.d)
            return error_set(err, ERR_UNSUPPORTED,
                             "CPU policy: leaf %#" PRIx32
                             " is not that of an embedded host's processor",
                             l->leaf);
    }
    for (uint32_t i = 0; i < policy->nr_msrs; i++)
        if (policy->msrs[i].value)
            return error_set(err, ERR_UNSUPPORTED,
                             "CPU policy: MSR %#" PRIx32 " is %#" PRIx64
                             ", an embedded host has 0",
                             policy->msrs[i].index, policy->msrs[i].value);
    return true;
}

static bool op_grant_table_seed(struct host *host, uint32_t domid,
                                enum guest_type type, uint64_t console_frame,
                                uint32_t console_domid, uint64_t store_frame,
                                uint32_t store_domid, struct error *err)
{
    struct json_object *request = hostd_request_about("grant-seed", domid);

    if (console_domid || store_domid) {
        json_object_put(request);
        return error_set(err, ERR_UNSUPPORTED,
                         "console and store in domains %" PRIu32 " and %" PRIu32
                         ", an embedded host has them itself",
                         console_domid, store_domid);
    }
    add_number(request, "console", console_frame);
    add_number(request, "store", store_frame);
    return tell(host, request, err);
}

/* 'octets' become ours; what stands in them from 'at' on is looked up. */
static bool ahead_take(struct embedded *e, uint32_t domid,
                       struct buffer *octets, size_t at, uint64_t nr_params,
                       struct error *err)
{
    struct cursor c =
        cursor_over(octets->bytes + at, octets->length - at, ORDER_LITTLE);
    struct ahead a = {.domid = domid, .params = at, .nr_params = nr_params};

    /* Bounded by the octets that are there. */
    if (nr_params > (octets->length - at) / sizeof(uint64_t))
        return error_set(err, ERR_PEER,
                         "host: %" PRIu64 " parameters in %zu "
                         "octets",
                         nr_params, octets->length - at);
    (void)cursor_bytes(&c, nr_params * sizeof(uint64_t));
    for (unsigned int i = 0; i < STATE_NR_PARTS; i++) {
        size_t length = cursor_u32(&c);

        a.part[i].at = octets->length - cursor_left(&c);
        a.part[i].length = length;
        (void)cursor_bytes(&c, length);
    }
    if (c.bad || cursor_left(&c))
        return error_set(err, ERR_PEER,
                         "host: state of %zu octets does not "
                         "add up",
                         octets->length - at);
    a.octets = MOVE(*octets);
    e->ahead = a;
    return true;
}

static bool op_hvm_context_get(struct host *host, uint32_t domid,
                               struct buffer *ret, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct json_object *request = hostd_request_about("context-get", domid);
    struct embedded *e = embedded_of(host);
    struct json_object *answer;
    uint64_t length, nr_params;

    ahead_drop(e);
    if (request)
        json_object_object_add(request, "all", json_object_new_boolean(true));
    if (!ask(host, request, NULL, 0, &reply, &answer, err))
        return false;
    length = hostd_number(answer, "context");
    nr_params = hostd_number(answer, "params");
    json_object_put(answer);
    if (!length)
        length = reply.data.length;
    if (length > reply.data.length)
        return error_set(err, ERR_PEER,
                         "host: a context of %" PRIu64 " octets in %zu", length,
                         reply.data.length);
    buffer_bytes(ret, reply.data.bytes, length);
    return buffer_check(ret, "HVM context", err) &&
           (!nr_params ||
            ahead_take(e, domid, &reply.data, length, nr_params, err));
}

static bool op_hvm_context_set(struct host *host, uint32_t domid,
                               const void *blob, size_t length,
                               struct error *err)
{
    return ask(host, hostd_request_about("context-set", domid), blob, length,
               NULL, NULL, err);
}

static bool op_hvm_param_get(struct host *host, uint32_t domid, uint32_t index,
                             uint64_t *ret, struct error *err)
{
    struct json_object *request, *answer;
    const struct ahead *a = &embedded_of(host)->ahead;

    if (a->domid == domid && index < a->nr_params) {
        struct cursor c =
            cursor_over(a->octets.bytes + a->params + index * sizeof(*ret),
                        sizeof(*ret), ORDER_LITTLE);

        *ret = cursor_u64(&c);
        return true;
    }
    request = hostd_request_about("param-get", domid);
    add_number(request, "index", index);
    if (!ask(host, request, NULL, 0, NULL, &answer, err))
        return false;
    *ret = hostd_number(answer, "value");
    json_object_put(answer);
    return true;
}

static bool op_hvm_param_set(struct host *host, uint32_t domid, uint32_t index,
                             uint64_t value, struct error *err)
{
    struct json_object *request = hostd_request_about("param-set", domid);

    ahead_drop(embedded_of(host));
    add_number(request, "index", index);
    add_number(request, "value", value);
    return tell(host, request, err);
}

/* ---- what a guest must not miss ---------------------------------------- */

static bool op_guest_state_get(struct host *host, uint32_t domid,
                               enum state_part part, struct guest_state *ret,
                               struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct ahead *a = &embedded_of(host)->ahead;
    struct json_object *request;

    if (a->domid == domid && part == a->next) {
        bool ok = guest_state_decode(
            ret, part, a->octets.bytes + a->part[part].at, a->part[part].length,
            ORDER_LITTLE, ERROR_NO_OFFSET, err);

        if (!ok || ++a->next == STATE_NR_PARTS)
            ahead_drop(embedded_of(host));
        return ok;
    }
    request = hostd_request_about("state-get", domid);
    add_number(request, "part", part);
    return ask(host, request, NULL, 0, &reply, NULL, err) &&
           guest_state_decode(ret, part, reply.data.bytes, reply.data.length,
                              ORDER_LITTLE, ERROR_NO_OFFSET, err);
}

static bool op_guest_state_set(struct host *host, uint32_t domid,
                               enum state_part part, struct guest_state *state,
                               struct error *err)
{
    cleanup(buffer_release) struct buffer body = {0};
    struct json_object *request = hostd_request_about("state-set", domid);

    add_number(request, "part", part);
    guest_state_encode(state, part, &body);
    if (!buffer_check(&body, state_part_name(part), err)) {
        json_object_put(request);
        return false;
    }
    /* One that is not taken is so for the next, or for settle(). */
    return post(host, request, body.bytes, body.length, err);
}

static bool op_guest_state_settle(struct host *host, uint32_t domid,
                                  struct error *err)
{
    return tell(host, hostd_request_about("state-settle", domid), err);
}

/* ---- PV: not here ------------------------------------------------------ */

static bool no_pv(struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "an embedded host has no PV guests, only PVH");
}

static bool op_address_size_set(struct host *host, uint32_t domid,
                                uint32_t guest_width, struct error *err)
{
    return no_pv(err);
}

static bool op_m2p_map(struct host *host, struct host_m2p *ret,
                       struct error *err)
{
    return no_pv(err);
}

static void op_m2p_unmap(struct host *host, struct host_m2p *m2p)
{
}

static bool op_tables_pin(struct host *host, uint32_t domid,
                          const struct table_pin *pins, size_t nr,
                          struct error *err)
{
    return no_pv(err);
}

static bool op_tables_unpin(struct host *host, uint32_t domid,
                            const uint64_t *mfns, size_t nr, struct error *err)
{
    return no_pv(err);
}

static bool op_vcpu_online(struct host *host, uint32_t domid, uint32_t vcpu,
                           bool *ret, struct error *err)
{
    return no_pv(err);
}

static bool op_vcpu_state_get(struct host *host, uint32_t domid, uint32_t vcpu,
                              enum vcpu_state_kind kind, struct buffer *ret,
                              struct error *err)
{
    return no_pv(err);
}

static bool op_vcpu_state_set(struct host *host, uint32_t domid, uint32_t vcpu,
                              enum vcpu_state_kind kind, const void *blob,
                              size_t length, struct error *err)
{
    return no_pv(err);
}

static const struct host_ops embedded_ops = {
    .close = op_close,
    .describe = op_describe,
    .domain_info = op_domain_info,
    .pause = op_pause,
    .unpause = op_unpause,
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
    .guest_state_get = op_guest_state_get,
    .guest_state_set = op_guest_state_set,
    .guest_state_settle = op_guest_state_settle,
    .address_size_set = op_address_size_set,
    .m2p_map = op_m2p_map,
    .m2p_unmap = op_m2p_unmap,
    .tables_pin = op_tables_pin,
    .tables_unpin = op_tables_unpin,
    .vcpu_online = op_vcpu_online,
    .vcpu_state_get = op_vcpu_state_get,
    .vcpu_state_set = op_vcpu_state_set,
};

/* 'rest' is a host's name, or the path of its folder. */
static bool embedded_open(const char *rest, const struct log *log,
                          struct host **ret, struct error *err)
{
    struct embedded *e = calloc(1, sizeof(*e));
    char folder[512];

    if (!e)
        return error_set(err, ERR_NO_MEMORY, "host embedded: no memory");
    e->host = (struct host){.ops = &embedded_ops, .log = log};
    e->ram.fd = -1;
    if (!hostd_folder(rest, folder, sizeof(folder), err) ||
        !hostd_client_open(&e->client, folder, err)) {
        free(e);
        return false;
    }
    pthread_mutex_init(&e->mutex, NULL);
    *ret = &e->host;
    return true;
}

__attribute__((visibility("default")))
const struct host_module xenferry_host_module = {
    .version = HOST_MODULE_VERSION,
    .name = "embedded",
    .open = embedded_open,
};
