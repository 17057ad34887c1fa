/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restoring an HVM or PVH guest.
 *
 * Memory is given in extents of 2 MiB wherever a batch brings a whole one that
 * is new, so that the guest keeps its superpages.  Context and parameters are
 * kept until END: savers write them in either order.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore.h"
#include "stream/xc/xc_x86_hvm.h"

#define EXTENT_FRAMES (1u << HOST_ORDER_2M)

/* More parameters than Xen numbers. */
#define PARAMS_MAX 256

struct hvm_restore {
    struct buffer context; /* HVM_CONTEXT's blob */
    struct hvm_param params[PARAMS_MAX];
    uint32_t nr_params;
};

/*
 * Memory ends where it would with all the domain may have above the hole that
 * ends at 4 GiB; twice the hole for whatever else is laid out up there.
 */
#define HOLE_FRAMES (UINT64_C(2) << (32 - PAGE_SHIFT))
#define NR_PFNS_MAX (UINT64_C(1) << 36)

static bool hvm_prepare(struct restore *r, struct error *err)
{
    uint64_t nr_pfns = r->info.max_pages + HOLE_FRAMES;

    if (nr_pfns > NR_PFNS_MAX)
        nr_pfns = NR_PFNS_MAX;
    r->guest = calloc(1, sizeof(struct hvm_restore));
    if (!r->guest)
        return error_set(err, ERR_NO_MEMORY, "HVM guest");
    return restore_limit_pfns(r, nr_pfns, err);
}

static bool take_context(struct restore *r, const struct record *rec,
                         struct error *err)
{
    struct hvm_restore *hvm = r->guest;
    const uint8_t *bytes;
    uint32_t length;

    if (!hvm_context_record_decode(rec, &bytes, &length, err))
        return false;
    buffer_reset(&hvm->context);
    buffer_bytes(&hvm->context, bytes, length);
    return buffer_check(&hvm->context, "HVM_CONTEXT", err);
}

static bool take_params(struct restore *r, const struct record *rec,
                        struct error *err)
{
    struct hvm_restore *hvm = r->guest;
    struct hvm_params params;

    if (!hvm_params_decode(rec, &params, err))
        return false;
    for (uint32_t i = 0; i < params.nr_params; i++) {
        if (hvm->nr_params == PARAMS_MAX)
            return record_error(rec, err, "HVM_PARAMS: more than %d parameters",
                                PARAMS_MAX);
        hvm->params[hvm->nr_params++] = hvm_params_get(&params, i);
    }
    return true;
}

static enum record_outcome
hvm_take_record(struct restore *r, const struct record *rec, struct error *err)
{
    bool taken;

    if (rec->type == XCREC_HVM_CONTEXT)
        taken = take_context(r, rec, err);
    else if (rec->type == XCREC_HVM_PARAMS)
        taken = take_params(r, rec, err);
    else
        return RECORD_NOT_MINE;
    return taken ? RECORD_TAKEN : RECORD_FAILED;
}

/* How many of the pfns are one whole extent. */
static bool is_extent(const uint64_t *pfns, size_t nr)
{
    if (nr < EXTENT_FRAMES || pfns[0] % EXTENT_FRAMES)
        return false;
    for (size_t i = 1; i < EXTENT_FRAMES; i++)
        if (pfns[i] != pfns[0] + i)
            return false;
    return true;
}

static bool allocate_small(struct restore *r, const uint64_t *pfns, size_t nr,
                           struct error *err)
{
    struct host *host = r->request->host;
    uint64_t frames[HOST_BATCH_MAX];

    while (nr > 0) {
        size_t part = size_min(nr, HOST_BATCH_MAX);
        size_t done;

        if (!host->ops->populate(host, r->request->domid, pfns, part,
                                 HOST_ORDER_4K, frames, &done, err))
            return false;
        if (done < part)
            return error_set(err, ERR_HOST,
                             "memory for pfn %#" PRIx64
                             ": the host has no more for domain %" PRIu32
                             ", expected %zu pages here",
                             pfns[done], r->request->domid, part);
        pfns += part;
        nr -= part;
    }
    return true;
}

static bool hvm_allocate(struct restore *r, const uint64_t *pfns, size_t nr,
                         struct error *err)
{
    struct host *host = r->request->host;
    size_t at = 0, small = 0; /* 'small' of them before 'at' wait */

    while (at < nr) {
        uint64_t frame;
        size_t done = 0;

        if (!is_extent(pfns + at, nr - at)) {
            at++;
            small++;
            continue;
        }
        if (!host->ops->populate(host, r->request->domid, pfns + at, 1,
                                 HOST_ORDER_2M, &frame, &done, err))
            return false;
        if (done == 0) {
            /* No extent of this size left: page by page. */
            at += EXTENT_FRAMES;
            small += EXTENT_FRAMES;
            continue;
        }
        if (!allocate_small(r, pfns + at - small, small, err))
            return false;
        small = 0;
        at += EXTENT_FRAMES;
        __atomic_add_fetch(&r->superpages, 1, __ATOMIC_RELAXED);
    }
    return allocate_small(r, pfns + at - small, small, err);
}

static void hvm_frames_of(struct restore *r, const uint64_t *pfns, size_t nr,
                          uint64_t *frames)
{
    memcpy(frames, pfns, nr * sizeof(*pfns));
}

static bool hvm_needs_localising(unsigned int type)
{
    return false;
}

static bool hvm_localise_page(struct restore *r, uint64_t pfn,
                              unsigned int type, uint8_t *page,
                              struct error *err)
{
    return true;
}

static void hvm_note_type(struct restore *r, uint64_t pfn, unsigned int type)
{
}

/* Some parameters name pages that backends find empty. */
static bool set_param(struct restore *r, const struct hvm_param *param,
                      struct error *err)
{
    struct host *host = r->request->host;
    bool clear = false;

    switch (param->index) {
    case HVM_PARAM_INDEX_PAE_ENABLED:
        return true; /* dropped by Xen 4.14 */
    case HVM_PARAM_INDEX_STORE_PFN:
        r->store_gfn = param->value;
        clear = true;
        break;
    case HVM_PARAM_INDEX_CONSOLE_PFN:
        r->console_gfn = param->value;
        clear = true;
        break;
    case HVM_PARAM_INDEX_IOREQ_PFN:
    case HVM_PARAM_INDEX_BUFIOREQ_PFN:
        clear = true;
        break;
    }
    if (param->index > UINT32_MAX)
        return error_set(err, ERR_FORMAT, "HVM_PARAMS: index %#" PRIx64,
                         param->index);
    /* Rings that the guest is in the middle of are as they are. */
    if (clear && !r->request->noncoop &&
        !restore_clear_frame(r, param->value, err))
        return error_wrap(err, "HVM parameter %" PRIu64, param->index);
    return host->ops->hvm_param_set(host, r->request->domid,
                                    (uint32_t)param->index, param->value, err);
}

static bool hvm_complete(struct restore *r, struct error *err)
{
    struct hvm_restore *hvm = r->guest;
    const struct restore_request *q = r->request;
    struct host *host = q->host;

    if (hvm->context.length == 0)
        return error_set(err, ERR_FORMAT,
                         "END without HVM_CONTEXT: the machine's state is "
                         "missing");
    for (uint32_t i = 0; i < hvm->nr_params; i++)
        if (!set_param(r, &hvm->params[i], err))
            return false;
    if (q->noncoop)
        return host->ops->hvm_context_set(host, q->domid, hvm->context.bytes,
                                          hvm->context.length, err);
    return host->ops->hvm_param_set(host, q->domid,
                                    HVM_PARAM_INDEX_STORE_EVTCHN,
                                    q->store_evtchn, err) &&
           host->ops->hvm_param_set(host, q->domid,
                                    HVM_PARAM_INDEX_CONSOLE_EVTCHN,
                                    q->console_evtchn, err) &&
           host->ops->hvm_context_set(host, q->domid, hvm->context.bytes,
                                      hvm->context.length, err) &&
           host->ops->grant_table_seed(host, q->domid, GUEST_X86_HVM,
                                       r->console_gfn, q->console_domid,
                                       r->store_gfn, q->store_domid, err);
}

static void hvm_release(struct restore *r)
{
    struct hvm_restore *hvm = r->guest;

    if (!hvm)
        return;
    buffer_release(&hvm->context);
    free(hvm);
    r->guest = NULL;
}

const struct restore_hooks restore_x86_hvm = {
    .guest_type = "x86 HVM",
    .stream_type = XCSTREAM_DOMAIN_HVM,
    .nr_placers = 2,
    .prepare = hvm_prepare,
    .take_record = hvm_take_record,
    .allocate = hvm_allocate,
    .frames_of = hvm_frames_of,
    .needs_localising = hvm_needs_localising,
    .localise_page = hvm_localise_page,
    .note_type = hvm_note_type,
    .complete = hvm_complete,
    .release = hvm_release,
};
