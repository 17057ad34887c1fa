/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One restore in progress: what its algorithm, hooks and placers share. */
#ifndef ENGINE_RESTORE_H
#define ENGINE_RESTORE_H

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/guest.h"
#include "engine/page_restore.h"
#include "stream/stream_io.h"
#include "stream/xc/xc_order.h"

struct restore {
    const struct restore_request *request;
    const struct restore_hooks *hooks;
    struct domain_info info;
    void *guest; /* the hooks' own */

    struct io io;
    struct stream_source source; /* over 'io' */
    struct xcstream_headers headers;
    struct xcstream_order order;

    uint64_t nr_pfns_max; /* pfns are below this; see restore_limit_pfns() */
    struct bitmap seen;   /* pfns that have memory or are about to get it */
    bool scrubbed;        /* by the host: memory that is new is all zero */
    bool verifying;       /* VERIFY came: pages are compared */
    struct page_placer placer;

    struct host_cpu_policy policy;
    bool has_cpuid_policy, has_msr_policy;
    struct host_tsc_info tsc;
    bool has_tsc;
    uint64_t superpages; /* by the placers, atomically */
    uint64_t store_gfn, console_gfn;
    struct guest_state state; /* of a guest that must not notice */

    struct engine_event event;
    int64_t started_ns;
    int64_t reported_ns;
    uint64_t reported_bytes;
};

/*
 * Accept pfns below 'nr' from now on; the hooks say so once, before the first
 * PAGE_DATA.  'nr' is theirs to bound.
 */
must_check bool restore_limit_pfns(struct restore *r, uint64_t nr,
                                   struct error *err);

/* Fill a frame of the guest with zeroes. */
must_check bool restore_clear_frame(struct restore *r, uint64_t frame,
                                    struct error *err);

#endif
