/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host operations on a real Xen, through Debian's libxen-dev.
 *
 * Built as a module, so that the rest of the project needs no Xen libraries.
 */
#include "host/xen/xen_host.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool xen_error(struct error *err, int os_errno, uint32_t domid,
               const char *what)
{
    enum error_code code = ERR_HOST;

    if (os_errno == ESRCH)
        code = ERR_STATE;
    else if (os_errno == ENOMEM)
        code = ERR_NO_MEMORY;
    return error_set_errno(err, code, os_errno, "%s, domain %" PRIu32, what,
                           domid);
}

/* Xen's libraries report what they are about to return: debug level here. */
static void logger_message(xentoollog_logger *logger, xentoollog_level level,
                           int errnoval, const char *context,
                           const char *format, va_list args)
{
    struct xen_host *xen = container_of(logger, struct xen_host, logger);
    char text[512];

    vsnprintf(text, sizeof(text), format, args);
    log_debug(xen->host.log, "%s: %s%s%s", context ? context : "xen", text,
              errnoval > 0 ? ": " : "", errnoval > 0 ? strerror(errnoval) : "");
}

static void logger_progress(xentoollog_logger *logger, const char *context,
                            const char *doing_what, int percent,
                            unsigned long done, unsigned long total)
{
}

static void logger_destroy(xentoollog_logger *logger)
{
}

static void xen_close(struct host *host)
{
    struct xen_host *xen = xen_host_of(host);

    xen_unmap_rest(host);
    free(xen->waiting);
    pthread_mutex_destroy(&xen->waiting_lock);
    if (xen->types_array)
        xc__hypercall_buffer_free_pages(xen->xch, &xen->types_buffer,
                                        HOST_BATCH_MAX * sizeof(xen_pfn_t) /
                                            PAGE_SIZE);
    xc_interface_close(xen->xch);
    pthread_mutex_destroy(&xen->types_lock);
    free(xen);
}

static bool xen_describe(struct host *host, struct host_description *ret,
                         struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    int version = xc_version(xen->xch, XENVER_version, NULL);
    xen_extraversion_t extra = "";

    if (version < 0 || xc_version(xen->xch, XENVER_extraversion, &extra) < 0)
        return error_set_errno(err, ERR_HOST, errno, "version of Xen");
    *ret = (struct host_description){
        .implementation = "xen",
        .version_major = (uint32_t)version >> 16,
        .version_minor = (uint32_t)version & 0xffff,
        .superpages = true,
        .log_dirty = true,
    };
    snprintf(ret->version, sizeof(ret->version), "%" PRIu32 ".%" PRIu32 "%.16s",
             ret->version_major, ret->version_minor, extra);
    return true;
}

static bool xen_domain_info(struct host *host, uint32_t domid,
                            struct domain_info *ret, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    xc_domaininfo_t info;
    struct domain_info made = {.domid = domid, .guest_width = 8};
    int found = xc_domain_getinfolist(xen->xch, domid, 1, &info);

    if (found < 0)
        return xen_error(err, errno, domid, "information");
    if (found != 1 || info.domain != domid)
        return xen_error(err, ESRCH, domid, "information");

    made.type =
        info.flags & XEN_DOMINF_hvm_guest ? GUEST_X86_HVM : GUEST_X86_PV;
    made.dying = info.flags & XEN_DOMINF_dying;
    made.paused = info.flags & XEN_DOMINF_paused;
    made.shutdown = info.flags & XEN_DOMINF_shutdown;
    made.shutdown_reason =
        (info.flags >> XEN_DOMINF_shutdownshift) & XEN_DOMINF_shutdownmask;
    made.nr_pages = info.tot_pages;
    made.max_pages = info.max_pages;
    made.nr_online_vcpus = info.nr_online_vcpus;
    made.max_vcpu_id = info.max_vcpu_id;
    if (made.type == GUEST_X86_HVM) {
        xen_pfn_t nr_gfns;

        if (xc_domain_nr_gpfns(xen->xch, domid, &nr_gfns) != 0)
            return xen_error(err, errno, domid, "number of gfns");
        made.nr_gfns = nr_gfns;
    } else {
        unsigned int width;

        if (xc_domain_get_guest_width(xen->xch, domid, &width) != 0)
            return xen_error(err, errno, domid, "width");
        made.guest_width = width;
        made.shared_info = info.shared_info_frame;
    }
    *ret = made;
    return true;
}

static bool xen_pause(struct host *host, uint32_t domid, struct error *err)
{
    if (xc_domain_pause(xen_host_of(host)->xch, domid) != 0)
        return xen_error(err, errno, domid, "pause");
    return true;
}

static bool xen_unpause(struct host *host, uint32_t domid, struct error *err)
{
    if (xc_domain_unpause(xen_host_of(host)->xch, domid) != 0)
        return xen_error(err, errno, domid, "unpause");
    return true;
}

/* ---- moves that the guest does not notice -------------------------------- */

static bool no_module(struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED,
                     "moves without the guest's help: the hypervisor module "
                     "is not loaded");
}

static bool xen_guest_state_get(struct host *host, uint32_t domid,
                                enum state_part part, struct guest_state *ret,
                                struct error *err)
{
    return no_module(err);
}

static bool xen_guest_state_set(struct host *host, uint32_t domid,
                                enum state_part part, struct guest_state *state,
                                struct error *err)
{
    return no_module(err);
}

static bool xen_guest_state_settle(struct host *host, uint32_t domid,
                                   struct error *err)
{
    return no_module(err);
}

static const struct host_ops xen_ops = {
    .close = xen_close,
    .describe = xen_describe,
    .domain_info = xen_domain_info,
    .pause = xen_pause,
    .unpause = xen_unpause,
    .map_frames = xen_map_frames,
    .unmap_frames = xen_unmap_frames,
    .unmap_rest = xen_unmap_rest,
    .frame_types = xen_frame_types,
    .find_populated = xen_find_populated,
    .populate = xen_populate,
    .log_dirty_enable = xen_log_dirty_enable,
    .log_dirty_disable = xen_log_dirty_disable,
    .log_dirty_clean = xen_log_dirty_clean,
    .log_dirty_peek = xen_log_dirty_peek,
    .tsc_get = xen_tsc_get,
    .tsc_set = xen_tsc_set,
    .cpu_policy_get = xen_cpu_policy_get,
    .cpu_policy_set = xen_cpu_policy_set,
    .grant_table_seed = xen_grant_table_seed,
    .hvm_context_get = xen_hvm_context_get,
    .hvm_context_set = xen_hvm_context_set,
    .hvm_param_get = xen_hvm_param_get,
    .hvm_param_set = xen_hvm_param_set,
    .address_size_set = xen_address_size_set,
    .m2p_map = xen_m2p_map,
    .m2p_unmap = xen_m2p_unmap,
    .tables_pin = xen_tables_pin,
    .tables_unpin = xen_tables_unpin,
    .vcpu_online = xen_vcpu_online,
    .vcpu_state_get = xen_vcpu_state_get,
    .vcpu_state_set = xen_vcpu_state_set,
    .guest_state_get = xen_guest_state_get,
    .guest_state_set = xen_guest_state_set,
    .guest_state_settle = xen_guest_state_settle,
};

static bool xen_open(const char *rest_of_uri, const struct log *log,
                     struct host **ret, struct error *err)
{
    struct xen_host *xen;

    if (*rest_of_uri)
        return error_set(
            err, ERR_USAGE,
            "host \"xen:%.64s\": nothing is expected after xen:", rest_of_uri);
    xen = calloc(1, sizeof(*xen));
    if (!xen)
        return error_set(err, ERR_NO_MEMORY, "host xen");
    xen->host.ops = &xen_ops;
    xen->host.log = log;
    xen->logger.vmessage = logger_message;
    xen->logger.progress = logger_progress;
    xen->logger.destroy = logger_destroy;
    pthread_mutex_init(&xen->types_lock, NULL);
    pthread_mutex_init(&xen->waiting_lock, NULL);
    xen->known_type = -1;
    xen->xch = xc_interface_open(&xen->logger, &xen->logger, 0);
    if (!xen->xch) {
        error_set_errno(err, ERR_HOST, errno,
                        "host xen: opening the hypervisor's interface");
        goto out;
    }
    xen->fmem = xc_interface_fmem_handle(xen->xch);
    xen->types_array = xc__hypercall_buffer_alloc_pages(
        xen->xch, &xen->types_buffer,
        HOST_BATCH_MAX * sizeof(xen_pfn_t) / PAGE_SIZE);
    if (!xen->types_array) {
        error_set(err, ERR_NO_MEMORY, "host xen: hypercall buffer");
        goto out_close;
    }
    *ret = &xen->host;
    return true;

out_close:
    xc_interface_close(xen->xch);
out:
    pthread_mutex_destroy(&xen->waiting_lock);
    pthread_mutex_destroy(&xen->types_lock);
    free(xen);
    return false;
}

extern const struct host_module xenferry_host_module;
__attribute__((visibility("default")))
const struct host_module xenferry_host_module = {
    .version = HOST_MODULE_VERSION,
    .name = "xen",
    .open = xen_open,
};
