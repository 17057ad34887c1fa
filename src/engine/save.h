/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One save in progress: what its algorithm, hooks and pipeline share. */
#ifndef ENGINE_SAVE_H
#define ENGINE_SAVE_H

#include "base/bitmap.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "engine/guest.h"
#include "engine/save_pipeline.h"
#include "stream/stream_io.h"

struct save {
    const struct save_request *request;
    const struct save_hooks *hooks;
    struct domain_info info; /* when the save began */
    void *guest;             /* the hooks' own */

    uint64_t nr_pfns;       /* pfns are below this; set by prepare() */
    struct bitmap to_send;  /* of the present round */
    struct bitmap deferred; /* to be sent when the guest stands still */
    bool suspended;         /* nothing of the guest changes any more */
    bool full_pass;         /* to_send is what list_pfns() said */
    bool log_dirty;         /* enabled by us */
    bool device_model_log_dirty;

    struct io io;
    struct stream_sink sink; /* over 'io'; the writer's while it works */
    struct save_pipeline pipeline;

    /* Progress. */
    struct engine_event event;
    int64_t started_ns;
    int64_t stopped_ns; /* when the guest was asked to stop; 0: runs */
    int64_t reported_ns;
    uint64_t reported_bytes;
    uint64_t round_first_page; /* pipeline's count when the round began */
};

#endif
