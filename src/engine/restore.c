/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The restore algorithm: headers, then records in the order that the table in
 * stream/xc/xc_order.h allows, until END.  Memory is placed as it arrives;
 * everything else is kept and put together at the end, because savers do not
 * agree on its order.
 *
 * Exactly the image is read: the octet after END belongs to somebody else.
 */
#include "engine/restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "noncoop/noncoop.h"
#include "stream/xc/xc_common.h"
#include "stream/xc/xc_records.h"

#define EVENT_INTERVAL_NS (200 * NS_PER_MS)

/* ---- progress -------------------------------------------------------- */

static void report(struct restore *r, bool always)
{
    const struct engine_options *options = &r->request->options;
    struct engine_event *e = &r->event;
    int64_t now = clock_now_ns();

    if (!always && now - r->reported_ns < EVENT_INTERVAL_NS)
        return;
    e->bytes = r->source.offset;
    if (r->placer.nr_threads > 0) {
        pthread_mutex_lock(&r->placer.lock);
        e->pages = r->placer.pages;
        e->zero_pages = r->placer.zero_pages;
        pthread_mutex_unlock(&r->placer.lock);
    }
    e->elapsed_ms = (now - r->started_ns) / NS_PER_MS;
    if (now > r->reported_ns && e->bytes > r->reported_bytes)
        e->rate = (uint64_t)((double)(e->bytes - r->reported_bytes) * 1e9 /
                             (double)(now - r->reported_ns));
    r->reported_ns = now;
    r->reported_bytes = e->bytes;
    if (options->event)
        options->event(options->event_context, e);
}

static void enter_phase(struct restore *r, enum engine_phase phase)
{
    r->event.phase = phase;
    log_debug(r->request->options.log, "restore of domain %" PRIu32 ": %s",
              r->request->domid, engine_phase_name(phase));
    report(r, true);
}

/* ---- static data ----------------------------------------------------- */

static bool take_cpuid_policy(struct restore *r, const struct record *rec,
                              struct error *err)
{
    struct cpuid_policy policy;

    if (!cpuid_policy_decode(rec, &policy, err))
        return false;
    free(r->policy.leaves);
    /* Bounded by the octets of the record. */
    r->policy.leaves = calloc(policy.nr_leaves, sizeof(*r->policy.leaves));
    if (!r->policy.leaves)
        return error_set_at(err, ERR_NO_MEMORY, rec->offset,
                            "X86_CPUID_POLICY");
    for (size_t i = 0; i < policy.nr_leaves; i++) {
        struct cpuid_leaf leaf = cpuid_policy_get(&policy, i);

        r->policy.leaves[i] = (struct host_cpuid_leaf){
            .leaf = leaf.leaf,
            .subleaf = leaf.subleaf,
            .a = leaf.a,
            .b = leaf.b,
            .c = leaf.c,
            .d = leaf.d,
        };
    }
    r->policy.nr_leaves = (uint32_t)policy.nr_leaves;
    r->has_cpuid_policy = true;
    return true;
}

static bool take_msr_policy(struct restore *r, const struct record *rec,
                            struct error *err)
{
    struct msr_policy policy;

    if (!msr_policy_decode(rec, &policy, err))
        return false;
    free(r->policy.msrs);
    /* Bounded by the octets of the record. */
    r->policy.msrs = calloc(policy.nr_msrs, sizeof(*r->policy.msrs));
    if (!r->policy.msrs)
        return error_set_at(err, ERR_NO_MEMORY, rec->offset, "X86_MSR_POLICY");
    for (size_t i = 0; i < policy.nr_msrs; i++) {
        struct msr_entry msr = msr_policy_get(&policy, i);

        r->policy.msrs[i] = (struct host_msr){
            .index = msr.index, .flags = msr.flags, .value = msr.value};
    }
    r->policy.nr_msrs = (uint32_t)policy.nr_msrs;
    r->has_msr_policy = true;
    return true;
}

static bool static_data_done(struct restore *r, struct error *err)
{
    struct host *host = r->request->host;
    uint32_t missing = 0;

    if (!r->has_cpuid_policy)
        missing |= MISSING_CPUID_POLICY;
    if (!r->has_msr_policy)
        missing |= MISSING_MSR_POLICY;
    if ((r->has_cpuid_policy || r->has_msr_policy) &&
        !host->ops->cpu_policy_set(host, r->request->domid, &r->policy, err))
        return false;
    return r->request->callbacks->static_data_done(r->request->callback_context,
                                                   missing, err);
}

/* ---- records --------------------------------------------------------- */

static bool take_tsc_info(struct restore *r, const struct record *rec,
                          struct error *err)
{
    struct tsc_info tsc;

    if (!tsc_info_decode(rec, &tsc, err))
        return false;
    r->tsc = (struct host_tsc_info){.mode = tsc.mode,
                                    .khz = tsc.khz,
                                    .nsec = tsc.nsec,
                                    .incarnation = tsc.incarnation};
    r->has_tsc = true;
    return true;
}

static enum record_outcome outcome_of(bool taken)
{
    return taken ? RECORD_TAKEN : RECORD_FAILED;
}

static enum record_outcome take_common_record(struct restore *r,
                                              const struct record *rec,
                                              struct error *err)
{
    if (xcstream_record_noncoop(rec->type))
        return outcome_of(noncoop_take(&r->state, rec, err));
    switch (rec->type) {
    case XCREC_X86_CPUID_POLICY:
        return outcome_of(take_cpuid_policy(r, rec, err));
    case XCREC_X86_MSR_POLICY:
        return outcome_of(take_msr_policy(r, rec, err));
    case XCREC_X86_TSC_INFO:
        return outcome_of(take_tsc_info(r, rec, err));
    case XCREC_VERIFY:
        r->verifying = true;
        return outcome_of(page_placer_drain(&r->placer, err));
    case XCREC_STATIC_DATA_END:
    case XCREC_END:
        return RECORD_TAKEN;
    default:
        return RECORD_NOT_MINE;
    }
}

/* A record that is small enough to be read whole. */
static bool take_whole_record(struct restore *r, const struct record_head *head,
                              struct buffer *body, struct error *err)
{
    const char *name = xcstream_record_name(head->type);
    enum record_outcome outcome;
    struct record rec;

    if (!record_read_body(&r->source, head, name, body, &rec, err))
        return false;
    outcome = take_common_record(r, &rec, err);
    if (outcome == RECORD_NOT_MINE)
        outcome = r->hooks->take_record(r, &rec, err);
    if (outcome != RECORD_NOT_MINE)
        return outcome == RECORD_TAKEN;
    return error_set_at(err, ERR_FORMAT, head->offset,
                        "%s: record of type %#" PRIx32
                        " in an image of an %s guest, expected one that it can "
                        "have",
                        name, head->type, r->hooks->guest_type);
}

static bool take_record(struct restore *r, const struct record_head *head,
                        struct buffer *body, struct error *err)
{
    bool complete;

    if (xcstream_record_optional(head->type)) {
        log_info(r->request->options.log,
                 "optional record of type %#" PRIx32 " at offset %" PRIu64
                 " is not known, skipped",
                 head->type, head->offset);
        return record_skip_body(&r->source, head, "optional record", err);
    }
    if (!xcstream_order_check(&r->order, head, err))
        return false;
    complete = xcstream_order_advance(&r->order, head->type);
    /* In version 2 the first dynamic record implies the end. */
    if (complete && head->type != XCREC_STATIC_DATA_END &&
        !static_data_done(r, err))
        return false;
    if (head->type == XCREC_PAGE_DATA)
        return page_placer_take_record(&r->placer, head, err);
    if (!take_whole_record(r, head, body, err))
        return false;
    return !complete || head->type != XCREC_STATIC_DATA_END ||
           static_data_done(r, err);
}

static bool take_records(struct restore *r, struct error *err)
{
    cleanup(buffer_release) struct buffer body = {0};
    struct record_head head = {0};

    do {
        if (!record_read_head(&r->source, r->headers.order, &head, err) ||
            !take_record(r, &head, &body, err))
            return false;
        report(r, false);
    } while (head.type != XCREC_END);
    return io_runs_end(&r->io, err) && page_placer_drain(&r->placer, err);
}

/* ---- the whole ------------------------------------------------------- */

bool restore_limit_pfns(struct restore *r, uint64_t nr, struct error *err)
{
    bitmap_release(&r->seen);
    if (!bitmap_init(&r->seen, nr, err))
        return false;
    r->nr_pfns_max = nr;
    return true;
}

bool restore_clear_frame(struct restore *r, uint64_t frame, struct error *err)
{
    struct host *host = r->request->host;
    struct host_mapping mapping;
    int map_errno;

    if (!host->ops->map_frames(host, r->request->domid, MAP_WRITE, &frame, 1,
                               &map_errno, &mapping, err))
        return false;
    if (!map_errno)
        memset(mapping.pages, 0, PAGE_SIZE);
    host->ops->unmap_frames(host, &mapping);
    if (map_errno)
        return error_set_errno(err, ERR_HOST, map_errno,
                               "frame %#" PRIx64 " cannot be mapped", frame);
    return true;
}

static bool check_headers(struct restore *r, struct error *err)
{
    const struct xcstream_headers *h = &r->headers;

    if (h->order != ORDER_LITTLE)
        return error_set_at(err, ERR_UNSUPPORTED, h->offset,
                            "image header: big-endian image, expected a "
                            "little-endian one on this host");
    if (h->type != r->hooks->stream_type)
        return error_set_at(err, ERR_FORMAT,
                            h->offset + XCSTREAM_IMAGE_HEADER_SIZE,
                            "domain header: image of an %s guest, expected %s "
                            "for domain %" PRIu32,
                            xcstream_domain_type_name(h->type),
                            xcstream_domain_type_name(r->hooks->stream_type),
                            r->request->domid);
    log_info(r->request->options.log,
             "image of an %s guest, version %" PRIu32 ", saved by Xen %" PRIu32
             ".%" PRIu32,
             xcstream_domain_type_name(h->type), h->version, h->xen_major,
             h->xen_minor);
    return true;
}

static bool restore_prepare(struct restore *r, struct error *err)
{
    const struct restore_request *q = r->request;
    struct host_description host;

    if (!q->host->ops->describe(q->host, &host, err) ||
        !q->host->ops->domain_info(q->host, q->domid, &r->info, err))
        return false;
    r->scrubbed = host.scrubs;
    if (q->kind != STREAM_PLAIN)
        return error_set(
            err, ERR_UNSUPPORTED,
            "checkpointed streams: kind %d, expected a plain image",
            (int)q->kind);
    if (!io_attach(&r->io, q->fd, false, q->options.idle_timeout_ms,
                   q->options.cancel_fd, err))
        return false;
    r->io.runs = q->runs;
    r->source = source_from_io(&r->io);
    r->hooks =
        r->info.type == GUEST_X86_HVM ? &restore_x86_hvm : &restore_x86_pv;
    if (!xcstream_headers_read(&r->source, &r->headers, err) ||
        !check_headers(r, err))
        return false;
    xcstream_order_init(&r->order, &r->headers, false);
    r->order.noncoop = q->noncoop;
    return r->hooks->prepare(r, err) && page_placer_start(&r->placer, r, err);
}

static bool restore_run(struct restore *r, struct error *err)
{
    struct host *host = r->request->host;

    enter_phase(r, PHASE_MEMORY);
    if (!take_records(r, err))
        return false;
    enter_phase(r, PHASE_STATE);
    if (r->has_tsc &&
        !host->ops->tsc_set(host, r->request->domid, &r->tsc, err))
        return false;
    if (!r->hooks->complete(r, err) ||
        (r->request->noncoop &&
         !noncoop_load(host, r->request->domid, &r->state, err)))
        return false;
    enter_phase(r, PHASE_DONE);
    return true;
}

static void restore_release(struct restore *r)
{
    page_placer_stop(&r->placer);
    if (r->hooks)
        r->hooks->release(r);
    if (!r->request->options.process_ends)
        r->request->host->ops->unmap_rest(r->request->host);
    bitmap_release(&r->seen);
    host_cpu_policy_release(&r->policy);
    guest_state_release(&r->state);
    io_release(&r->io);
}

bool engine_restore(const struct restore_request *request,
                    struct restore_report *ret, struct error *err)
{
    struct restore r = {
        .request = request,
        .io = {.fd = -1, .own_fd = -1},
        .started_ns = clock_now_ns(),
    };
    bool ok;

    r.reported_ns = r.started_ns;
    ok = restore_prepare(&r, err) && restore_run(&r, err);
    if (ok)
        *ret = (struct restore_report){
            .store_gfn = r.store_gfn,
            .console_gfn = r.console_gfn,
            .bytes = r.source.offset,
            .pages = r.event.pages,
            .zero_pages = r.event.zero_pages,
            .superpages = r.superpages,
            .verify_mismatches = r.placer.mismatches,
            .elapsed_ms = (clock_now_ns() - r.started_ns) / NS_PER_MS,
        };
    if (ok && request->whole)
        request->whole(request->callback_context);
    restore_release(&r);
    if (!ok)
        error_wrap(err, "restoring domain %" PRIu32, request->domid);
    return ok;
}
