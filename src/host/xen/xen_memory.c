/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's memory on Xen: mapping, classifying, allocating, pinning.
 *
 * An HVM guest's frames span up to 4 GiB even when it is small: memory from 0,
 * special pages and video memory near the top, nothing between.  Asking Xen
 * about each of a million frames costs more than saving a small guest.  But
 * Xen says how many pages the guest owns: once that many frames were found the
 * rest are unpopulated.  The search asks from both ends, where the pages are.
 *
 * A PV dom0 pays for every page that it unmaps with a fault that Xen resolves,
 * but next to nothing when the whole process ends: so unmapping is put off, up
 * to a bound.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "host/xen/xen_host.h"

/* 16 GiB: 32 MiB of page tables. */
#define WAITING_FRAMES_MAX ((size_t)4 << 20)

/* A domain keeps its type for life, and a host mostly sees one domain. */
static bool domain_is_hvm(struct xen_host *xen, uint32_t domid)
{
    int64_t known = __atomic_load_n(&xen->known_type, __ATOMIC_RELAXED);
    xc_domaininfo_t info;
    bool hvm;

    if (known >= 0 && known / 2 == domid)
        return known % 2;
    if (xc_domain_getinfolist(xen->xch, domid, 1, &info) != 1 ||
        info.domain != domid)
        return false;
    hvm = info.flags & XEN_DOMINF_hvm_guest;
    __atomic_store_n(&xen->known_type, (int64_t)domid * 2 + hvm,
                     __ATOMIC_RELAXED);
    return hvm;
}

bool xen_map_frames(struct host *host, uint32_t domid, enum map_access access,
                    const uint64_t *frames, size_t nr, int *ret_errors,
                    struct host_mapping *ret, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    int prot = access == MAP_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;
    void *pages;

    _Static_assert(sizeof(xen_pfn_t) == sizeof(uint64_t), "64-bit frames");
    pages = xenforeignmemory_map(xen->fmem, domid, prot, nr,
                                 (const xen_pfn_t *)frames, ret_errors);
    if (!pages)
        return xen_error(err, errno, domid, "mapping of frames");
    /* The library answers -errno or errno, depending on the kernel's call. */
    for (size_t i = 0; i < nr; i++)
        if (ret_errors[i] < 0)
            ret_errors[i] = -ret_errors[i];
    *ret = (struct host_mapping){
        .pages = pages,
        .nr_frames = nr,
        .may_wait = access == MAP_READ || domain_is_hvm(xen, domid),
    };
    return true;
}

/* Keep a mapping for later; false where it must be undone now. */
static bool put_off(struct xen_host *xen, const struct host_mapping *mapping)
{
    bool done = false;

    pthread_mutex_lock(&xen->waiting_lock);
    if (xen->nr_waiting == xen->room_waiting) {
        size_t room = xen->room_waiting ? xen->room_waiting * 2 : 256;
        struct host_mapping *more = realloc(xen->waiting, room * sizeof(*more));

        if (more) {
            xen->waiting = more;
            xen->room_waiting = room;
        }
    }
    if (xen->nr_waiting < xen->room_waiting &&
        xen->nr_waiting_frames + mapping->nr_frames <= WAITING_FRAMES_MAX) {
        xen->waiting[xen->nr_waiting++] = *mapping;
        xen->nr_waiting_frames += mapping->nr_frames;
        done = true;
    }
    pthread_mutex_unlock(&xen->waiting_lock);
    return done;
}

void xen_unmap_frames(struct host *host, struct host_mapping *mapping)
{
    struct xen_host *xen = xen_host_of(host);

    if (mapping->pages && !(mapping->may_wait && put_off(xen, mapping)))
        xenforeignmemory_unmap(xen->fmem, mapping->pages, mapping->nr_frames);
    *mapping = (struct host_mapping){0};
}

void xen_unmap_rest(struct host *host)
{
    struct xen_host *xen = xen_host_of(host);

    pthread_mutex_lock(&xen->waiting_lock);
    for (size_t i = 0; i < xen->nr_waiting; i++)
        xenforeignmemory_unmap(xen->fmem, xen->waiting[i].pages,
                               xen->waiting[i].nr_frames);
    xen->nr_waiting = xen->nr_waiting_frames = 0;
    pthread_mutex_unlock(&xen->waiting_lock);
}

/* types_lock is held; types_array has the frames, and gets Xen's words. */
static bool query_types(struct xen_host *xen, uint32_t domid, size_t nr,
                        struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_getpageframeinfo3,
        .domain = (domid_t)domid,
        .u.getpageframeinfo3.num = nr,
    };

    set_xen_guest_handle_raw(domctl.u.getpageframeinfo3.array,
                             xen->types_buffer.hbuf);
    if (xc_domctl(xen->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "types of frames");
    return true;
}

bool xen_frame_types(struct host *host, uint32_t domid, const uint64_t *frames,
                     size_t nr, uint32_t *ret_types, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    bool ok;

    pthread_mutex_lock(&xen->types_lock);
    memcpy(xen->types_array, frames, nr * sizeof(*frames));
    ok = query_types(xen, domid, nr, err);
    for (size_t i = 0; ok && i < nr; i++)
        ret_types[i] =
            (uint32_t)xen->types_array[i] >> XEN_DOMCTL_PFINFO_LTAB_SHIFT;
    pthread_mutex_unlock(&xen->types_lock);
    return ok;
}

/* Ask about 'nr' gfns from 'first'; adds to *found how many the guest owns. */
static bool probe_gfns(struct xen_host *xen, uint32_t domid, uint64_t first,
                       size_t nr, struct bitmap *ret, uint64_t *found,
                       struct error *err)
{
    bool ok;

    pthread_mutex_lock(&xen->types_lock);
    for (size_t i = 0; i < nr; i++)
        xen->types_array[i] = first + i;
    ok = query_types(xen, domid, nr, err);
    for (size_t i = 0; ok && i < nr; i++) {
        uint32_t type =
            (uint32_t)xen->types_array[i] >> XEN_DOMCTL_PFINFO_LTAB_SHIFT;

        if (type == PAGE_TYPE_NONE)
            continue;
        bitmap_set(ret, first + i);
        /* A broken page no longer belongs to the guest. */
        *found += type != PAGE_TYPE_BROKEN;
    }
    pthread_mutex_unlock(&xen->types_lock);
    return ok;
}

/*
 * How many frames the guest owns, or UINT64_MAX where counting them does not
 * tell when all were found: shared and paged-out pages are counted elsewhere,
 * populate-on-demand keeps pages that have no frame yet.
 */
static uint64_t pages_to_find(struct xen_host *xen, uint32_t domid)
{
    xc_domaininfo_t info;
    uint64_t total, cached, entries;

    if (xc_domain_getinfolist(xen->xch, domid, 1, &info) != 1 ||
        info.domain != domid || info.shr_pages || info.paged_pages)
        return UINT64_MAX;
    if (xc_domain_get_pod_target(xen->xch, domid, &total, &cached, &entries) !=
            0 ||
        cached || entries)
        return UINT64_MAX;
    return info.tot_pages;
}

bool xen_find_populated(struct host *host, uint32_t domid, struct bitmap *ret,
                        struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    uint64_t low = 0, high = ret->nr_bits; /* what is not asked about yet */
    uint64_t found = 0, wanted = pages_to_find(xen, domid);
    bool from_top = true;

    bitmap_empty(ret);
    while (low < high && found < wanted) {
        size_t nr = size_min(HOST_BATCH_MAX, (size_t)(high - low));
        uint64_t before = found;

        if (!probe_gfns(xen, domid, from_top ? high - nr : low, nr, ret, &found,
                        err))
            return false;
        if (from_top)
            high -= nr;
        else
            low += nr;
        /* Stay at an end while it has pages; an empty batch changes ends. */
        if (found == before || (from_top && found - before < nr))
            from_top = !from_top;
    }
    return true;
}

bool xen_populate(struct host *host, uint32_t domid, const uint64_t *pfns,
                  size_t nr, unsigned int order, uint64_t *ret_frames,
                  size_t *ret_done, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    int done;

    /* The call replaces pfns by the frames it allocated. */
    memcpy(ret_frames, pfns, nr * sizeof(*pfns));
    done = xc_domain_populate_physmap(xen->xch, domid, nr, order, 0,
                                      (xen_pfn_t *)ret_frames);
    if (done < 0 && errno != ENOMEM)
        return xen_error(err, errno, domid, "allocation of memory");
    *ret_done = done < 0 ? 0 : (size_t)done;
    return true;
}

#define M2P_CHUNK_SIZE    ((size_t)2 << 20)
#define M2P_CHUNK_ENTRIES (M2P_CHUNK_SIZE / sizeof(uint64_t))

static bool compat_m2p_first(struct xen_host *xen, uint64_t *ret)
{
    struct xen_machphys_mfn_list list = {.max_extents = 1};
    DECLARE_HYPERCALL_BUFFER(xen_pfn_t, extent);
    bool ok;

    extent = xc_hypercall_buffer_alloc(xen->xch, extent, sizeof(*extent));
    if (!extent)
        return false;
    set_xen_guest_handle(list.extent_start, extent);
    ok = xc_memory_op(xen->xch, XENMEM_machphys_compat_mfn_list, &list,
                      sizeof(list)) == 0;
    if (ok)
        *ret = *extent;
    xc_hypercall_buffer_free(xen->xch, extent);
    return ok;
}

bool xen_m2p_map(struct host *host, struct host_m2p *ret, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    cleanup_free xen_pfn_t *extents = NULL;
    cleanup_free xen_pfn_t *frames = NULL;
    cleanup_free int *errors = NULL;
    size_t nr_chunks, nr_frames;
    unsigned long max_mfn;
    void *pages;

    if (xc_maximum_ram_page(xen->xch, &max_mfn) != 0)
        return error_set_errno(err, ERR_HOST, errno, "highest machine frame");
    nr_chunks = ((size_t)max_mfn + M2P_CHUNK_ENTRIES) / M2P_CHUNK_ENTRIES;
    nr_frames = nr_chunks * (M2P_CHUNK_SIZE / PAGE_SIZE);
    extents = calloc(nr_chunks, sizeof(*extents));
    frames = calloc(nr_frames, sizeof(*frames));
    errors = calloc(nr_frames, sizeof(*errors));
    if (!extents || !frames || !errors)
        return error_set(err, ERR_NO_MEMORY, "machine to physical table");
    if (xc_machphys_mfn_list(xen->xch, nr_chunks, extents) != 0)
        return error_set_errno(err, ERR_HOST, errno,
                               "extents of the machine to physical table");
    for (size_t i = 0; i < nr_frames; i++)
        frames[i] = extents[i / (M2P_CHUNK_SIZE / PAGE_SIZE)] +
                    i % (M2P_CHUNK_SIZE / PAGE_SIZE);
    pages = xenforeignmemory_map(xen->fmem, DOMID_XEN, PROT_READ, nr_frames,
                                 frames, errors);
    if (!pages)
        return error_set_errno(err, ERR_HOST, errno,
                               "machine to physical table");
    for (size_t i = 0; i < nr_frames; i++) {
        if (!errors[i])
            continue;
        xenforeignmemory_unmap(xen->fmem, pages, nr_frames);
        return error_set_errno(err, ERR_HOST, abs(errors[i]),
                               "machine to physical table, page %zu", i);
    }
    *ret = (struct host_m2p){
        .pfn_of = pages,
        .nr_mfns = (uint64_t)max_mfn + 1,
        .compat_first = UINT64_MAX,
        .mapping = {.pages = pages, .nr_frames = nr_frames},
    };
    /* A Xen without 32-bit PV guests has no such table. */
    if (!compat_m2p_first(xen, &ret->compat_first))
        ret->compat_first = UINT64_MAX;
    return true;
}

void xen_m2p_unmap(struct host *host, struct host_m2p *m2p)
{
    xen_unmap_frames(host, &m2p->mapping);
    *m2p = (struct host_m2p){0};
}

static bool mmu_ops(struct host *host, uint32_t domid, struct mmuext_op *ops,
                    size_t nr, const char *what, struct error *err)
{
    if (xc_mmuext_op(xen_host_of(host)->xch, ops, (unsigned int)nr, domid) != 0)
        return xen_error(err, errno, domid, what);
    return true;
}

bool xen_tables_pin(struct host *host, uint32_t domid,
                    const struct table_pin *pins, size_t nr, struct error *err)
{
    static const unsigned int command_of[] = {
        MMUEXT_UNPIN_TABLE /* no level 0 */, MMUEXT_PIN_L1_TABLE,
        MMUEXT_PIN_L2_TABLE, MMUEXT_PIN_L3_TABLE, MMUEXT_PIN_L4_TABLE};
    struct mmuext_op ops[HOST_BATCH_MAX];

    for (size_t i = 0; i < nr; i++)
        ops[i] = (struct mmuext_op){.cmd = command_of[pins[i].level],
                                    .arg1.mfn = pins[i].mfn};
    return mmu_ops(host, domid, ops, nr, "pinning of page tables", err);
}

bool xen_tables_unpin(struct host *host, uint32_t domid, const uint64_t *mfns,
                      size_t nr, struct error *err)
{
    struct mmuext_op ops[HOST_BATCH_MAX];

    for (size_t i = 0; i < nr; i++)
        ops[i] =
            (struct mmuext_op){.cmd = MMUEXT_UNPIN_TABLE, .arg1.mfn = mfns[i]};
    return mmu_ops(host, domid, ops, nr, "unpinning of page tables", err);
}
