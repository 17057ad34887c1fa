/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Xen's log of the pages that a guest writes. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "host/xen/xen_host.h"

bool xen_log_dirty_enable(struct host *host, uint32_t domid, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);

    for (int attempt = 0; attempt < 2; attempt++) {
        if (xc_shadow_control(xen->xch, domid,
                              XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, NULL,
                              0) >= 0)
            return true;
        /* Tracking of video memory may hold the mode: end it, once. */
        if (attempt == 0)
            xc_shadow_control(xen->xch, domid, XEN_DOMCTL_SHADOW_OP_OFF, NULL,
                              0);
    }
    /* PV guests need shadow paging, which some builds of Xen leave out. */
    if (errno == EOPNOTSUPP)
        return error_set_errno(err, ERR_UNSUPPORTED, errno,
                               "log-dirty mode for domain %" PRIu32
                               ": this Xen has none for its type",
                               domid);
    return xen_error(err, errno, domid, "log-dirty mode");
}

bool xen_log_dirty_disable(struct host *host, uint32_t domid, struct error *err)
{
    if (xc_shadow_control(xen_host_of(host)->xch, domid,
                          XEN_DOMCTL_SHADOW_OP_OFF, NULL, 0) < 0)
        return xen_error(err, errno, domid, "end of log-dirty mode");
    return true;
}

static bool log_dirty_take(struct host *host, uint32_t domid, unsigned int op,
                           unsigned int mode, struct bitmap *ret,
                           uint64_t *ret_count, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    size_t size = bitmap_size(ret);
    int nr_pages = (int)((size + PAGE_SIZE - 1) / PAGE_SIZE);
    long long done;
    DECLARE_HYPERCALL_BUFFER(uint8_t, bits);

    bits = xc_hypercall_buffer_alloc_pages(xen->xch, bits, nr_pages);
    if (!bits)
        return error_set(err, ERR_NO_MEMORY, "log-dirty bitmap");
    memset(bits, 0, size);
    done = xc_logdirty_control(xen->xch, domid, op, HYPERCALL_BUFFER(bits),
                               ret->nr_bits, mode, NULL);
    if (done >= 0) {
        memcpy(ret->words, bits, size);
        bitmap_trim(ret);
        *ret_count = bitmap_count(ret);
    } else {
        xen_error(err, errno, domid, "log-dirty bitmap");
    }
    xc_hypercall_buffer_free_pages(xen->xch, bits, nr_pages);
    return done >= 0;
}

bool xen_log_dirty_clean(struct host *host, uint32_t domid, bool final,
                         struct bitmap *ret, uint64_t *ret_count,
                         struct error *err)
{
    return log_dirty_take(host, domid, XEN_DOMCTL_SHADOW_OP_CLEAN,
                          final ? XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL : 0, ret,
                          ret_count, err);
}

bool xen_log_dirty_peek(struct host *host, uint32_t domid, struct bitmap *ret,
                        uint64_t *ret_count, struct error *err)
{
    return log_dirty_take(host, domid, XEN_DOMCTL_SHADOW_OP_PEEK, 0, ret,
                          ret_count, err);
}
