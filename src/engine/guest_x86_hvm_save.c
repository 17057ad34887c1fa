/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saving an HVM or PVH guest: its pfns are gfns, its pages go as they are, and
 * the machine's state is one blob of the hypervisor's and some parameters.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/save.h"
#include "stream/xc/xc_x86_hvm.h"

struct hvm_save {
    struct bitmap listed; /* what list_pfns() found */
    uint64_t nr_pages;    /* that the guest had then */
};

/* 16 TiB: what a stream's other 32-bit fields could still describe. */
#define NR_GFNS_MAX (UINT64_C(1) << 32)

static bool hvm_prepare(struct save *s, struct error *err)
{
    struct hvm_save *hvm;

    if (s->info.nr_gfns == 0 || s->info.nr_gfns > NR_GFNS_MAX)
        return error_set(err, ERR_LIMIT,
                         "%" PRIu64 " gfns, expected 1 to %" PRIu64,
                         s->info.nr_gfns, NR_GFNS_MAX);
    s->nr_pfns = s->info.nr_gfns;
    hvm = calloc(1, sizeof(*hvm));
    if (!hvm)
        return error_set(err, ERR_NO_MEMORY, "HVM guest");
    s->guest = hvm;
    return bitmap_init(&hvm->listed, s->nr_pfns, err);
}

static bool hvm_write_nothing(struct save *s, struct buffer *out,
                              struct error *err)
{
    return true;
}

static bool hvm_list_pfns(struct save *s, struct bitmap *pfns,
                          struct error *err)
{
    struct hvm_save *hvm = s->guest;
    struct host *host = s->request->host;
    struct domain_info info;

    if (!host->ops->domain_info(host, s->request->domid, &info, err) ||
        !host->ops->find_populated(host, s->request->domid, pfns, err))
        return false;
    hvm->nr_pages = info.nr_pages;
    bitmap_empty(&hvm->listed);
    bitmap_or(&hvm->listed, pfns);
    return true;
}

/*
 * Memory that the guest was given while it ran appears in no log of written
 * pages.  If the number of its pages changed, look for them all again.
 */
static bool hvm_list_latecomers(struct save *s, struct bitmap *pfns,
                                struct error *err)
{
    struct hvm_save *hvm = s->guest;
    struct host *host = s->request->host;
    cleanup(bitmap_release) struct bitmap now = {0};

    if (s->info.nr_pages == hvm->nr_pages)
        return true;
    if (s->info.nr_gfns > s->nr_pfns)
        return error_set(err, ERR_STATE,
                         "the guest got memory at gfn %#" PRIx64
                         " while it was saved, expected all below %#" PRIx64,
                         s->info.nr_gfns - 1, s->nr_pfns);
    if (!bitmap_init(&now, s->nr_pfns, err) ||
        !host->ops->find_populated(host, s->request->domid, &now, err))
        return false;
    for (uint64_t pfn = bitmap_next(&now, 0); pfn != BITMAP_END;
         pfn = bitmap_next(&now, pfn + 1))
        if (!bitmap_test(&hvm->listed, pfn))
            bitmap_set(pfns, pfn);
    return true;
}

static void hvm_frames_of(struct save *s, const uint64_t *pfns, size_t nr,
                          uint64_t *frames)
{
    memcpy(frames, pfns, nr * sizeof(*pfns));
}

static enum page_outcome hvm_normalise_page(struct save *s, uint64_t pfn,
                                            unsigned int type,
                                            const uint8_t **page,
                                            uint8_t *scratch, struct error *err)
{
    return PAGE_READY;
}

static bool hvm_check_round(struct save *s, struct error *err)
{
    return true;
}

static bool append_context(struct save *s, struct buffer *out,
                           struct error *err)
{
    struct host *host = s->request->host;
    cleanup(buffer_release) struct buffer context = {0};

    if (!host->ops->hvm_context_get(host, s->request->domid, &context, err))
        return false;
    if (context.length > RECORD_LENGTH_MAX)
        return error_set(err, ERR_LIMIT, "HVM_CONTEXT: %zu octets",
                         context.length);
    hvm_context_record_append(out, context.bytes, (uint32_t)context.length);
    return true;
}

static bool append_params(struct save *s, struct buffer *out, struct error *err)
{
    struct host *host = s->request->host;
    struct hvm_param params[32];
    uint32_t nr_params = 0;
    size_t nr_saved;
    const uint32_t *saved = hvm_params_saved(&nr_saved);

    for (size_t i = 0; i < nr_saved && nr_params < ARRAY_SIZE(params); i++) {
        uint64_t value;

        if (!host->ops->hvm_param_get(host, s->request->domid, saved[i], &value,
                                      err))
            return false;
        if (value)
            params[nr_params++] =
                (struct hvm_param){.index = saved[i], .value = value};
    }
    if (nr_params > 0)
        hvm_params_append(out, params, nr_params);
    return true;
}

/* Every release writes the context first; restorers keep it until END. */
static bool hvm_write_state(struct save *s, struct buffer *out,
                            struct error *err)
{
    return append_context(s, out, err) && append_params(s, out, err);
}

static void hvm_release(struct save *s)
{
    struct hvm_save *hvm = s->guest;

    if (!hvm)
        return;
    bitmap_release(&hvm->listed);
    free(hvm);
    s->guest = NULL;
}

const struct save_hooks save_x86_hvm = {
    .guest_type = "x86 HVM",
    .stream_type = XCSTREAM_DOMAIN_HVM,
    .normalises = false,
    /* Broken pages are few, and explained when they do not map. */
    .lists_ordinary = true,
    .prepare = hvm_prepare,
    .write_static = hvm_write_nothing,
    .write_memory_map = hvm_write_nothing,
    .list_pfns = hvm_list_pfns,
    .list_latecomers = hvm_list_latecomers,
    .frames_of = hvm_frames_of,
    .normalise_page = hvm_normalise_page,
    .check_round = hvm_check_round,
    .write_state = hvm_write_state,
    .release = hvm_release,
};
