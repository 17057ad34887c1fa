/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Save, and taking a guest back.
 *
 * A save that fails leaves the guest in one of three states, and the caller
 * must know which: never asked to suspend, suspended, or on its way there.
 * The last is a race that this file ends: it takes the request back, or waits
 * until the guest has obeyed it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "host/xen/libxl_toolstack.h"

/* A guest that has taken the request suspends within milliseconds. */
#define OBEY_TIMEOUT_MS 5000

static void close_store(struct xs_handle **store)
{
    if (*store)
        xs_close(*store);
    *store = NULL;
}

/*
 * Take a suspend request back.  True when the guest had not seen it (or there
 * was none); false when it has taken it and will suspend.
 */
static bool withdraw_request(uint32_t domid)
{
    cleanup(close_store) struct xs_handle *store = xs_open(0);
    char path[64];

    if (!store)
        return false;
    snprintf(path, sizeof(path), "/local/domain/%u/control/shutdown", domid);
    for (int attempt = 0; attempt < 20; attempt++) {
        xs_transaction_t t = xs_transaction_start(store);
        cleanup_free char *value = NULL;
        unsigned int length;
        bool pending;

        if (t == XBT_NULL)
            return false;
        value = xs_read(store, t, path, &length);
        pending = value && !strcmp(value, "suspend");
        if (pending)
            xs_write(store, t, path, "", 0);
        if (xs_transaction_end(store, t, !pending))
            return pending;
        if (errno != EAGAIN)
            return false;
    }
    return false;
}

/* What became of the guest whose save did not end well. */
static enum toolstack_save_outcome settle(struct light *ts, uint32_t domid)
{
    int64_t deadline = deadline_after_ms(OBEY_TIMEOUT_MS);
    struct toolstack_guest guest;
    bool withdrawn = false;
    struct error ignored;

    for (;;) {
        if (!light_look(&ts->base, domid, &guest, &ignored) || guest.dead)
            return SAVE_GUEST_GONE;
        if (guest.suspended)
            return SAVE_SUSPENDED;
        if (!ts->suspend_requested || withdrawn ||
            deadline_left_ms(deadline) == 0)
            return SAVE_UNCHANGED;
        withdrawn = withdraw_request(domid);
        if (!withdrawn)
            poll(NULL, 0, 20);
    }
}

bool light_save(struct toolstack *base, uint32_t domid, int fd,
                unsigned int flags, const struct toolstack_work *work,
                enum toolstack_save_outcome *ret, struct error *err)
{
    struct light *ts = light_of(base);
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    int libxl_flags = (flags & TOOLSTACK_SAVE_LIVE ? LIBXL_SUSPEND_LIVE : 0) |
                      (flags & TOOLSTACK_SAVE_DEBUG ? LIBXL_SUSPEND_DEBUG : 0);
    bool cancelled;
    int rc;

    *ret = SAVE_UNCHANGED;
    if (!light_operation_prepare(ts, work, err) ||
        !light_stream_begin(ts, fd, NULL, err)) {
        light_operation_end(ts);
        return false;
    }
    rc = light_operation_wait(
        ts, &op,
        libxl_domain_suspend(ts->ctx, domid, ts->stream.fd, libxl_flags, &how));
    cancelled = light_work_cancelled(work);
    if (rc == 0) {
        light_operation_end(ts);
        *ret = SAVE_DONE;
        return true;
    }
    if (cancelled)
        rc = ERROR_ABORTED;
    light_error(ts, rc, err, "saving domain %u", domid);
    light_operation_end(ts);
    *ret = settle(ts, domid);
    if (*ret == SAVE_GUEST_GONE && !cancelled)
        return error_set(err, ERR_STATE, "saving domain %u: it ended meanwhile",
                         domid);
    return false;
}

bool light_resume(struct toolstack *base, uint32_t domid, struct error *err)
{
    struct light *ts = light_of(base);
    struct light_operation op;
    libxl_asyncop_how how = light_operation_how(&op);
    int rc;

    if (!light_operation_prepare(ts, NULL, err))
        return false;
    /* The guest helps: it continues where it called suspend. */
    rc = light_operation_wait(ts, &op,
                              libxl_domain_resume(ts->ctx, domid, 1, &how));
    light_operation_end(ts);
    if (rc)
        return light_error(ts, rc, err, "resuming domain %u", domid);
    return true;
}
