/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The save algorithm.
 *
 *   live       headers, static data | round 1: all, round 2..n: what the guest
 *              wrote | suspend | the rest | state | END
 *   non-live   headers, static data | suspend | all | state | END
 *
 * Only the operation's thread writes records other than PAGE_DATA, and only
 * while the pipeline is drained, so that the stream has one writer at a time.
 */
#include "engine/save.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "noncoop/noncoop.h"
#include "stream/xc/xc_common.h"

/* Zero pages in a row that are worth a system call of their own. */
#define MIN_HOLE_FILE   2
#define MIN_HOLE_STREAM 16
#define MIN_HOLE_RUNS   1 /* of a wire that has them */

#define EVENT_INTERVAL_NS (200 * NS_PER_MS)

const char *engine_phase_name(enum engine_phase phase)
{
    static const char *const names[] = {
        [PHASE_SETUP] = "setup",     [PHASE_PRECOPY] = "precopy",
        [PHASE_SUSPEND] = "suspend", [PHASE_FINAL] = "final",
        [PHASE_STATE] = "state",     [PHASE_VERIFY] = "verify",
        [PHASE_MEMORY] = "memory",   [PHASE_DONE] = "done",
    };

    return (size_t)phase < ARRAY_SIZE(names) ? names[phase] : "unknown";
}

/* ---- progress -------------------------------------------------------- */

static void report(struct save *s, bool always)
{
    const struct engine_options *options = &s->request->options;
    struct engine_event *e = &s->event;
    int64_t now = clock_now_ns();

    if (!always && now - s->reported_ns < EVENT_INTERVAL_NS)
        return;
    if (s->pipeline.started)
        save_pipeline_progress(&s->pipeline, e);
    e->round_pages = e->pages - s->round_first_page;
    e->elapsed_ms = (now - s->started_ns) / NS_PER_MS;
    if (now > s->reported_ns && e->bytes > s->reported_bytes)
        e->rate = (uint64_t)((double)(e->bytes - s->reported_bytes) * 1e9 /
                             (double)(now - s->reported_ns));
    s->reported_ns = now;
    s->reported_bytes = e->bytes;
    if (options->event)
        options->event(options->event_context, e);
}

static void enter_phase(struct save *s, enum engine_phase phase)
{
    s->event.phase = phase;
    if (s->pipeline.started)
        save_pipeline_progress(&s->pipeline, &s->event);
    s->round_first_page = s->event.pages;
    log_debug(s->request->options.log, "save of domain %" PRIu32 ": %s",
              s->request->domid, engine_phase_name(phase));
    report(s, true);
}

/* ---- records --------------------------------------------------------- */

static bool write_records(struct save *s, struct buffer *out, struct error *err)
{
    bool ok = buffer_check(out, "records", err) &&
              sink_write(&s->sink, out->bytes, out->length, err);

    s->event.bytes = s->sink.offset;
    buffer_release(out);
    return ok;
}

static bool write_headers(struct save *s, struct error *err)
{
    struct host_description host;
    struct buffer out = {0};
    struct xcstream_headers headers = {
        .version = XCSTREAM_VERSION_3,
        .type = s->hooks->stream_type,
        .page_shift = PAGE_SHIFT,
        .order = ORDER_LITTLE,
    };

    if (!s->request->host->ops->describe(s->request->host, &host, err))
        return false;
    headers.xen_major = host.version_major;
    headers.xen_minor = host.version_minor;
    xcstream_headers_append(&out, &headers);
    return write_records(s, &out, err);
}

static void append_policy(struct buffer *out, const struct host_cpu_policy *p)
{
    _Static_assert(sizeof(struct cpuid_leaf) == sizeof(struct host_cpuid_leaf),
                   "one layout for both");
    _Static_assert(sizeof(struct msr_entry) == sizeof(struct host_msr),
                   "one layout for both");
    cpuid_policy_append(out, (const struct cpuid_leaf *)p->leaves,
                        p->nr_leaves);
    msr_policy_append(out, (const struct msr_entry *)p->msrs, p->nr_msrs);
}

static bool write_static_data(struct save *s, struct error *err)
{
    struct host *host = s->request->host;
    cleanup(host_cpu_policy_release) struct host_cpu_policy policy = {0};
    cleanup(buffer_release) struct buffer out = {0};

    if (!s->hooks->write_static(s, &out, err) ||
        !host->ops->cpu_policy_get(host, s->request->domid, &policy, err))
        return false;
    append_policy(&out, &policy);
    empty_record_append(&out, XCREC_STATIC_DATA_END);
    return s->hooks->write_memory_map(s, &out, err) &&
           write_records(s, &out, err);
}

static bool write_state(struct save *s, struct error *err)
{
    struct host *host = s->request->host;
    cleanup(buffer_release) struct buffer out = {0};
    struct host_tsc_info tsc;

    enter_phase(s, PHASE_STATE);
    if (!host->ops->tsc_get(host, s->request->domid, &tsc, err))
        return false;
    tsc_info_append(&out, &(struct tsc_info){.mode = tsc.mode,
                                             .khz = tsc.khz,
                                             .nsec = tsc.nsec,
                                             .incarnation = tsc.incarnation});
    return s->hooks->write_state(s, &out, err) &&
           (!s->request->noncoop ||
            noncoop_append(host, s->request->domid, &out, err)) &&
           write_records(s, &out, err);
}

static bool write_empty(struct save *s, uint32_t type, struct error *err)
{
    struct buffer out = {0};

    empty_record_append(&out, type);
    return write_records(s, &out, err);
}

/* ---- memory ---------------------------------------------------------- */

/*
 * Fill a batch from to_send, from *next on.  A batch of a full pass covers
 * whole extents of 2 MiB, so that a restorer sees each of them in one record.
 */
static void choose_pfns(struct save *s, struct page_batch *b, uint64_t *next)
{
    uint64_t extent = UINT64_C(1) << HOST_ORDER_2M;
    uint64_t end = BITMAP_END;

    if (s->full_pass)
        end = (*next & ~(extent - 1)) + BATCH_FRAMES;
    b->nr = 0;
    while (b->nr < BATCH_FRAMES && *next < end && *next != BITMAP_END) {
        b->pfns[b->nr++] = *next;
        *next = bitmap_next(&s->to_send, *next + 1);
    }
}

/* Send what to_send names. */
static bool send_pages(struct save *s, struct error *err)
{
    uint64_t next = bitmap_next(&s->to_send, 0);

    s->event.round_total = bitmap_count(&s->to_send);
    while (next != BITMAP_END) {
        struct page_batch *b = save_pipeline_take(&s->pipeline, err);

        if (!b)
            return false;
        choose_pfns(s, b, &next);
        b->types_known = s->full_pass && s->hooks->lists_ordinary;
        if (!page_batch_gather(s, b, err)) {
            save_pipeline_return(&s->pipeline, b);
            return false;
        }
        save_pipeline_give(&s->pipeline, b);
        report(s, false);
    }
    return save_pipeline_drain(&s->pipeline, err);
}

static bool send_everything(struct save *s, struct error *err)
{
    int64_t begin = clock_now_ns();
    bool ok;

    bitmap_empty(&s->to_send);
    if (!s->hooks->list_pfns(s, &s->to_send, err))
        return false;
    log_debug(s->request->options.log,
              "%" PRIu64 " pages found in %" PRId64 " ms",
              bitmap_count(&s->to_send), (clock_now_ns() - begin) / NS_PER_MS);
    s->full_pass = true;
    ok = send_pages(s, err);
    s->full_pass = false;
    return ok;
}

/* ---- stopping the guest ---------------------------------------------- */

static bool check_suspended(struct save *s, struct error *err)
{
    struct host *host = s->request->host;

    if (!host->ops->domain_info(host, s->request->domid, &s->info, err))
        return false;
    if (!s->info.shutdown || s->info.shutdown_reason != SHUTDOWN_REASON_SUSPEND)
        return error_set(
            err, ERR_GUEST,
            "domain %" PRIu32 ": %s %" PRIu32 ", expected it to be suspended",
            s->request->domid,
            s->info.shutdown ? "shut down for reason" : "still running, reason",
            s->info.shutdown_reason);
    return true;
}

static bool suspend_guest(struct save *s, struct error *err)
{
    enter_phase(s, PHASE_SUSPEND);
    /* The pipeline is drained: nobody writes now. */
    s->io.rate_limit = 0;
    s->stopped_ns = clock_now_ns();
    if (!s->request->callbacks->suspend(s->request->callback_context, err) ||
        !check_suspended(s, err))
        return false;
    s->suspended = true;
    return true;
}

/* ---- live ------------------------------------------------------------ */

/*
 * *ret_live is false where the host cannot follow what this guest writes and
 * the caller has not ruled out to stop it for as long as it takes.
 */
static bool start_log_dirty(struct save *s, bool *ret_live, struct error *err)
{
    struct host *host = s->request->host;
    struct error error;

    *ret_live = true;
    if (!host->ops->log_dirty_enable(host, s->request->domid, &error)) {
        if (error.code != ERR_UNSUPPORTED ||
            s->request->precopy.fallback == PRECOPY_CANCEL) {
            if (err)
                *err = error;
            return false;
        }
        log_warning(s->request->options.log,
                    "%s; the guest stops before its memory is sent",
                    error.text);
        *ret_live = false;
        return true;
    }
    s->log_dirty = true;
    if (s->info.type != GUEST_X86_HVM)
        return true;
    if (!s->request->callbacks->device_model_log_dirty(
            s->request->callback_context, true, err))
        return false;
    s->device_model_log_dirty = true;
    return true;
}

static void stop_log_dirty(struct save *s)
{
    struct host *host = s->request->host;
    struct error error;

    if (s->device_model_log_dirty &&
        !s->request->callbacks->device_model_log_dirty(
            s->request->callback_context, false, &error))
        log_warning(s->request->options.log, "%s", error.text);
    if (s->log_dirty &&
        !host->ops->log_dirty_disable(host, s->request->domid, &error))
        log_warning(s->request->options.log, "%s", error.text);
    s->device_model_log_dirty = s->log_dirty = false;
}

/* Take the log into to_send and judge it.  'm' is from the rounds before. */
static bool measure_round(struct save *s, struct precopy_measurement *m,
                          enum precopy_decision *ret, struct error *err)
{
    struct host *host = s->request->host;
    uint64_t dirty;

    /* Put off any longer, it would be done while the guest stands. */
    host->ops->unmap_rest(host);
    if (!s->hooks->check_round(s, err) ||
        !host->ops->log_dirty_clean(host, s->request->domid, false, &s->to_send,
                                    &dirty, err))
        return false;
    if (m->round == 1 || dirty < m->fewest_dirty - m->fewest_dirty / 8)
        m->not_shrinking = 0;
    else
        m->not_shrinking++;
    if (m->round == 1 || dirty < m->fewest_dirty)
        m->fewest_dirty = dirty;
    m->dirty_pages = dirty;
    *ret = precopy_decide(&s->request->precopy, m);

    s->event.dirty_pages = dirty;
    s->event.dirty_rate =
        m->round_ns > 0 ? (uint64_t)((double)dirty * 1e9 / (double)m->round_ns)
                        : 0;
    s->event.downtime_ms = precopy_predict_downtime_ms(&s->request->precopy, m);
    log_debug(s->request->options.log,
              "round %u: %" PRIu64 " pages in %" PRId64 " ms, %" PRIu64
              " written meanwhile, downtime now %" PRId64 " ms",
              m->round, m->round_pages, m->round_ns / NS_PER_MS, dirty,
              s->event.downtime_ms);
    report(s, true);
    return true;
}

/* Rounds until the policy says stop; leaves in to_send what is left. */
static bool precopy(struct save *s, struct error *err)
{
    struct precopy_measurement m = {0};
    enum precopy_decision decision = PRECOPY_CONTINUE;

    for (;;) {
        int64_t begin = clock_now_ns();

        s->event.round = ++m.round;
        enter_phase(s, PHASE_PRECOPY);
        if (m.round == 1 ? !send_everything(s, err) : !send_pages(s, err))
            return false;
        m.round_ns = clock_now_ns() - begin;
        save_pipeline_progress(&s->pipeline, &s->event);
        m.round_pages = s->event.pages - s->round_first_page;
        if (!measure_round(s, &m, &decision, err))
            return false;
        if (decision == PRECOPY_STOP)
            return true;
        if (decision == PRECOPY_GIVE_UP)
            return error_set(err, ERR_CANCELLED,
                             "precopy: %" PRIu64
                             " pages left after %u rounds, downtime would be "
                             "%" PRId64 " ms, expected at most %" PRId64,
                             m.dirty_pages, m.round, s->event.downtime_ms,
                             s->request->precopy.downtime_ms);
    }
}

/* The guest stands still: what is left in to_send, and what turned up since. */
static bool send_rest(struct save *s, struct error *err)
{
    struct host *host = s->request->host;
    cleanup(bitmap_release) struct bitmap written = {0};
    uint64_t count;

    enter_phase(s, PHASE_FINAL);
    if (!bitmap_init(&written, s->nr_pfns, err) ||
        !s->hooks->check_round(s, err) ||
        !host->ops->log_dirty_clean(host, s->request->domid, true, &written,
                                    &count, err))
        return false;
    bitmap_or(&s->to_send, &written);
    bitmap_or(&s->to_send, &s->deferred);
    bitmap_empty(&s->deferred);
    return s->hooks->list_latecomers(s, &s->to_send, err) && send_pages(s, err);
}

static bool send_for_verification(struct save *s, struct error *err)
{
    enter_phase(s, PHASE_VERIFY);
    return write_empty(s, XCREC_VERIFY, err) && send_everything(s, err);
}

static bool send_stopped(struct save *s, struct error *err)
{
    if (!suspend_guest(s, err))
        return false;
    enter_phase(s, PHASE_FINAL);
    return send_everything(s, err);
}

static bool send_live(struct save *s, struct error *err)
{
    bool live;

    if (!start_log_dirty(s, &live, err))
        return false;
    if (!live)
        return send_stopped(s, err);
    if (!precopy(s, err) || !suspend_guest(s, err) || !send_rest(s, err))
        return false;
    return !s->request->verify || s->request->kind != STREAM_PLAIN ||
           send_for_verification(s, err);
}

/* ---- the whole ------------------------------------------------------- */

static bool save_prepare(struct save *s, struct error *err)
{
    const struct save_request *q = s->request;

    if (!q->host->ops->domain_info(q->host, q->domid, &s->info, err))
        return false;
    if (q->kind != STREAM_PLAIN)
        return error_set(err, ERR_UNSUPPORTED,
                         "checkpointed streams: kind %d, expected a plain save",
                         (int)q->kind);
    if (q->noncoop && s->info.type != GUEST_X86_HVM)
        return error_set(err, ERR_UNSUPPORTED,
                         "a PV guest moves only with its own help");
    s->hooks = s->info.type == GUEST_X86_HVM ? &save_x86_hvm : &save_x86_pv;
    if (!s->hooks->prepare(s, err))
        return false;
    if (!bitmap_init(&s->to_send, s->nr_pfns, err) ||
        !bitmap_init(&s->deferred, s->nr_pfns, err) ||
        !io_attach(&s->io, q->fd, true, q->options.idle_timeout_ms,
                   q->options.cancel_fd, err))
        return false;
    s->io.rate_limit = q->rate_limit;
    s->io.runs = q->runs;
    s->sink = sink_to_io(&s->io);
    return save_pipeline_start(&s->pipeline, s, &s->sink,
                               s->io.runs    ? MIN_HOLE_RUNS
                               : s->io.holes ? MIN_HOLE_FILE
                                             : MIN_HOLE_STREAM,
                               err);
}

static bool save_run(struct save *s, struct error *err)
{
    enter_phase(s, PHASE_SETUP);
    return write_headers(s, err) && write_static_data(s, err) &&
           (s->request->live ? send_live(s, err) : send_stopped(s, err)) &&
           /* Somebody else may have resumed it: then the image is no good. */
           write_state(s, err) && check_suspended(s, err) &&
           write_empty(s, XCREC_END, err) && io_finish(&s->io, err);
}

static void save_release(struct save *s)
{
    save_pipeline_stop(&s->pipeline);
    stop_log_dirty(s);
    if (s->hooks)
        s->hooks->release(s);
    if (!s->request->options.process_ends)
        s->request->host->ops->unmap_rest(s->request->host);
    bitmap_release(&s->to_send);
    bitmap_release(&s->deferred);
    io_release(&s->io);
}

bool engine_save(const struct save_request *request, struct save_report *ret,
                 struct error *err)
{
    struct save s = {
        .request = request,
        .io = {.fd = -1, .own_fd = -1},
        .started_ns = clock_now_ns(),
        .event.downtime_ms = INT64_MAX, /* not known */
    };
    bool ok;

    s.reported_ns = s.started_ns;
    ok = save_prepare(&s, err) && save_run(&s, err);
    if (!ok)
        error_wrap(err, "saving domain %" PRIu32, request->domid);
    if (ok) {
        int64_t now = clock_now_ns();
        struct save_report done;

        s.event.downtime_ms = (now - s.stopped_ns) / NS_PER_MS;
        enter_phase(&s, PHASE_DONE);
        done = (struct save_report){
            .bytes = s.io.offset,
            .pages = s.event.pages,
            .zero_pages = s.event.zero_pages,
            .rounds = s.event.round,
            .downtime_ms = s.event.downtime_ms,
            .elapsed_ms = (now - s.started_ns) / NS_PER_MS,
        };
        ok = !request->sent ||
             request->sent(request->callback_context, &done, err);
        if (ok)
            *ret = done;
    }
    save_release(&s);
    return ok;
}
