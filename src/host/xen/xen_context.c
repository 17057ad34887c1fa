/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything of a guest on Xen that is not memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/xen/xen_host.h"

bool xen_tsc_get(struct host *host, uint32_t domid, struct host_tsc_info *ret,
                 struct error *err)
{
    struct host_tsc_info tsc;

    if (xc_domain_get_tsc_info(xen_host_of(host)->xch, domid, &tsc.mode,
                               &tsc.nsec, &tsc.khz, &tsc.incarnation) != 0)
        return xen_error(err, errno, domid, "TSC information");
    *ret = tsc;
    return true;
}

bool xen_tsc_set(struct host *host, uint32_t domid,
                 const struct host_tsc_info *tsc, struct error *err)
{
    if (xc_domain_set_tsc_info(xen_host_of(host)->xch, domid, tsc->mode,
                               tsc->nsec, tsc->khz, tsc->incarnation) != 0)
        return xen_error(err, errno, domid, "setting TSC information");
    return true;
}

bool xen_cpu_policy_get(struct host *host, uint32_t domid,
                        struct host_cpu_policy *ret, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    cleanup(host_cpu_policy_release) struct host_cpu_policy made = {0};
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_get_cpu_policy,
                                .domain = (domid_t)domid};
    DECLARE_HYPERCALL_BUFFER(xen_cpuid_leaf_t, leaves);
    DECLARE_HYPERCALL_BUFFER(xen_msr_entry_t, msrs);
    uint32_t max_leaves, max_msrs;
    bool ok = false;

    _Static_assert(sizeof(xen_cpuid_leaf_t) == sizeof(struct host_cpuid_leaf),
                   "copied as a whole");
    _Static_assert(sizeof(xen_msr_entry_t) == sizeof(struct host_msr),
                   "copied as a whole");
    if (xc_cpu_policy_get_size(xen->xch, &max_leaves, &max_msrs) != 0)
        return xen_error(err, errno, domid, "size of the CPU policy");
    leaves = xc_hypercall_buffer_alloc(xen->xch, leaves,
                                       max_leaves * sizeof(*leaves));
    msrs = xc_hypercall_buffer_alloc(xen->xch, msrs, max_msrs * sizeof(*msrs));
    made.leaves = calloc(max_leaves, sizeof(*made.leaves));
    made.msrs = calloc(max_msrs, sizeof(*made.msrs));
    if (!leaves || !msrs || !made.leaves || !made.msrs) {
        error_set(err, ERR_NO_MEMORY, "CPU policy of domain %" PRIu32, domid);
        goto out;
    }
    domctl.u.cpu_policy.nr_leaves = max_leaves;
    domctl.u.cpu_policy.nr_msrs = max_msrs;
    set_xen_guest_handle(domctl.u.cpu_policy.leaves, leaves);
    set_xen_guest_handle(domctl.u.cpu_policy.msrs, msrs);
    if (xc_domctl(xen->xch, &domctl) != 0) {
        xen_error(err, errno, domid, "CPU policy");
        goto out;
    }
    made.nr_leaves = domctl.u.cpu_policy.nr_leaves;
    made.nr_msrs = domctl.u.cpu_policy.nr_msrs;
    memcpy(made.leaves, leaves, made.nr_leaves * sizeof(*leaves));
    memcpy(made.msrs, msrs, made.nr_msrs * sizeof(*msrs));
    *ret = MOVE(made);
    ok = true;

out:
    xc_hypercall_buffer_free(xen->xch, leaves);
    xc_hypercall_buffer_free(xen->xch, msrs);
    return ok;
}

bool xen_cpu_policy_set(struct host *host, uint32_t domid,
                        const struct host_cpu_policy *policy, struct error *err)
{
    uint32_t leaf = UINT32_MAX, subleaf = UINT32_MAX, msr = UINT32_MAX;

    if (xc_set_domain_cpu_policy(
            xen_host_of(host)->xch, domid, policy->nr_leaves,
            (xen_cpuid_leaf_t *)policy->leaves, policy->nr_msrs,
            (xen_msr_entry_t *)policy->msrs, &leaf, &subleaf, &msr) == 0)
        return true;
    if (leaf == UINT32_MAX && msr == UINT32_MAX)
        return xen_error(err, errno, domid, "setting the CPU policy");
    error_set_errno(err, ERR_UNSUPPORTED, errno,
                    "CPU policy of domain %" PRIu32
                    ": this host cannot give leaf %#" PRIx32
                    ", subleaf %#" PRIx32 ", MSR %#" PRIx32,
                    domid, leaf, subleaf, msr);
    return false;
}

bool xen_grant_table_seed(struct host *host, uint32_t domid,
                          enum guest_type type, uint64_t console_frame,
                          uint32_t console_domid, uint64_t store_frame,
                          uint32_t store_domid, struct error *err)
{
    if (xc_dom_gnttab_seed(xen_host_of(host)->xch, domid, type == GUEST_X86_HVM,
                           console_frame, store_frame, console_domid,
                           store_domid) != 0)
        return xen_error(err, errno, domid, "seeding the grant table");
    return true;
}

bool xen_hvm_context_get(struct host *host, uint32_t domid, struct buffer *ret,
                         struct error *err)
{
    struct xen_host *xen = xen_host_of(host);
    int size = xc_domain_hvm_getcontext(xen->xch, domid, NULL, 0);
    uint8_t *at;
    size_t before = ret->length;

    if (size <= 0)
        return xen_error(err, errno, domid, "size of the HVM context");
    at = buffer_extend(ret, (size_t)size);
    if (!at)
        return buffer_check(ret, "HVM context", err);
    size = xc_domain_hvm_getcontext(xen->xch, domid, at, (uint32_t)size);
    if (size <= 0) {
        ret->length = before;
        return xen_error(err, errno, domid, "HVM context");
    }
    ret->length = before + (size_t)size;
    return true;
}

bool xen_hvm_context_set(struct host *host, uint32_t domid, const void *blob,
                         size_t length, struct error *err)
{
    if (length > UINT32_MAX)
        return error_set(err, ERR_LIMIT, "HVM context: %zu octets", length);
    if (xc_domain_hvm_setcontext(xen_host_of(host)->xch, domid, (uint8_t *)blob,
                                 (uint32_t)length) != 0)
        return xen_error(err, errno, domid, "setting the HVM context");
    return true;
}

bool xen_hvm_param_get(struct host *host, uint32_t domid, uint32_t index,
                       uint64_t *ret, struct error *err)
{
    uint64_t value = 0;

    if (xc_hvm_param_get(xen_host_of(host)->xch, domid, index, &value) != 0) {
        if (errno != EINVAL) {
            xen_error(err, errno, domid, "HVM parameter");
            return error_wrap(err, "parameter %" PRIu32, index);
        }
        value = 0;
    }
    *ret = value;
    return true;
}

bool xen_hvm_param_set(struct host *host, uint32_t domid, uint32_t index,
                       uint64_t value, struct error *err)
{
    if (xc_hvm_param_set(xen_host_of(host)->xch, domid, index, value) != 0) {
        xen_error(err, errno, domid, "setting an HVM parameter");
        return error_wrap(err, "parameter %" PRIu32 " to %#" PRIx64, index,
                          value);
    }
    return true;
}

bool xen_address_size_set(struct host *host, uint32_t domid,
                          uint32_t guest_width, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_set_address_size,
        .domain = (domid_t)domid,
        .u.address_size.size = guest_width * 8,
    };

    if (xc_domctl(xen_host_of(host)->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "setting the address size");
    return true;
}

bool xen_vcpu_online(struct host *host, uint32_t domid, uint32_t vcpu,
                     bool *ret, struct error *err)
{
    xc_vcpuinfo_t info;

    if (xc_vcpu_getinfo(xen_host_of(host)->xch, domid, vcpu, &info) != 0)
        return xen_error(err, errno, domid, "vCPU information");
    *ret = info.online;
    return true;
}

static bool basic_get(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                      struct buffer *ret, struct error *err)
{
    vcpu_guest_context_any_t context;
    unsigned int width;

    if (xc_domain_get_guest_width(xen->xch, domid, &width) != 0 ||
        xc_vcpu_getcontext(xen->xch, domid, vcpu, &context) != 0)
        return xen_error(err, errno, domid, "vCPU context");
    buffer_bytes(ret, &context,
                 width == 8 ? sizeof(context.x64) : sizeof(context.x32));
    return buffer_check(ret, "vCPU context", err);
}

static bool extended_get(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                         struct buffer *ret, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_get_ext_vcpucontext,
        .domain = (domid_t)domid,
        .u.ext_vcpucontext.vcpu = vcpu,
    };

    if (xc_domctl(xen->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "extended vCPU context");
    if (domctl.u.ext_vcpucontext.size == 0)
        return true;
    buffer_bytes(ret, &domctl.u.ext_vcpucontext,
                 size_min(domctl.u.ext_vcpucontext.size, sizeof(domctl.u)));
    return buffer_check(ret, "extended vCPU context", err);
}

static bool xsave_get(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                      struct buffer *ret, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_getvcpuextstate,
        .domain = (domid_t)domid,
        .u.vcpuextstate.vcpu = vcpu,
    };
    DECLARE_HYPERCALL_BUFFER(void, area);
    uint64_t size;
    bool ok;

    if (xc_domctl(xen->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "size of XSAVE state");
    size = domctl.u.vcpuextstate.size;
    if (size == 0 || domctl.u.vcpuextstate.xfeature_mask == 0)
        return true;
    area = xc_hypercall_buffer_alloc(xen->xch, area, (size_t)size);
    if (!area)
        return error_set(err, ERR_NO_MEMORY, "XSAVE state");
    set_xen_guest_handle(domctl.u.vcpuextstate.buffer, area);
    ok = xc_domctl(xen->xch, &domctl) == 0 ||
         xen_error(err, errno, domid, "XSAVE state");
    if (ok) {
        buffer_bytes(
            ret, area,
            size_min((size_t)domctl.u.vcpuextstate.size, (size_t)size));
        ok = buffer_check(ret, "XSAVE state", err);
    }
    xc_hypercall_buffer_free(xen->xch, area);
    return ok;
}

static bool msrs_get(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                     struct buffer *ret, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_get_vcpu_msrs,
        .domain = (domid_t)domid,
        .u.vcpu_msrs.vcpu = vcpu,
    };
    DECLARE_HYPERCALL_BUFFER(xen_domctl_vcpu_msr_t, msrs);
    uint32_t room;
    bool ok;

    if (xc_domctl(xen->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "number of vCPU MSRs");
    room = domctl.u.vcpu_msrs.msr_count;
    if (room == 0)
        return true;
    msrs = xc_hypercall_buffer_alloc(xen->xch, msrs, room * sizeof(*msrs));
    if (!msrs)
        return error_set(err, ERR_NO_MEMORY, "vCPU MSRs");
    set_xen_guest_handle(domctl.u.vcpu_msrs.msrs, msrs);
    ok = xc_domctl(xen->xch, &domctl) == 0 ||
         xen_error(err, errno, domid, "vCPU MSRs");
    if (ok && domctl.u.vcpu_msrs.msr_count > 0) {
        buffer_bytes(ret, msrs,
                     size_min(domctl.u.vcpu_msrs.msr_count, room) *
                         sizeof(*msrs));
        ok = buffer_check(ret, "vCPU MSRs", err);
    }
    xc_hypercall_buffer_free(xen->xch, msrs);
    return ok;
}

bool xen_vcpu_state_get(struct host *host, uint32_t domid, uint32_t vcpu,
                        enum vcpu_state_kind kind, struct buffer *ret,
                        struct error *err)
{
    struct xen_host *xen = xen_host_of(host);

    switch (kind) {
    case VCPU_STATE_BASIC:
        return basic_get(xen, domid, vcpu, ret, err);
    case VCPU_STATE_EXTENDED:
        return extended_get(xen, domid, vcpu, ret, err);
    case VCPU_STATE_XSAVE:
        return xsave_get(xen, domid, vcpu, ret, err);
    case VCPU_STATE_MSRS:
        return msrs_get(xen, domid, vcpu, ret, err);
    }
    return error_set(err, ERR_USAGE, "vCPU state of kind %d", (int)kind);
}

static bool basic_set(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                      const void *blob, size_t length, struct error *err)
{
    vcpu_guest_context_any_t context = {0};

    if (length > sizeof(context))
        return error_set(err, ERR_FORMAT,
                         "vCPU context: %zu octets, expected at most %zu",
                         length, sizeof(context));
    memcpy(&context, blob, length);
    if (xc_vcpu_setcontext(xen->xch, domid, vcpu, &context) != 0)
        return xen_error(err, errno, domid, "setting a vCPU context");
    return true;
}

static bool extended_set(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                         const void *blob, size_t length, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_set_ext_vcpucontext,
        .domain = (domid_t)domid,
    };

    if (length > sizeof(domctl.u))
        return error_set(err, ERR_FORMAT,
                         "extended vCPU context: %zu octets, expected at most "
                         "%zu",
                         length, sizeof(domctl.u));
    memcpy(&domctl.u.ext_vcpucontext, blob, length);
    domctl.u.ext_vcpucontext.vcpu = vcpu;
    if (xc_domctl(xen->xch, &domctl) != 0)
        return xen_error(err, errno, domid, "setting an extended vCPU context");
    return true;
}

static bool xsave_set(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                      const void *blob, size_t length, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_setvcpuextstate,
        .domain = (domid_t)domid,
        .u.vcpuextstate = {.vcpu = vcpu, .size = length},
    };
    DECLARE_HYPERCALL_BUFFER(void, area);
    bool ok;

    area = xc_hypercall_buffer_alloc(xen->xch, area, length);
    if (!area)
        return error_set(err, ERR_NO_MEMORY, "XSAVE state");
    memcpy(area, blob, length);
    set_xen_guest_handle(domctl.u.vcpuextstate.buffer, area);
    ok = xc_domctl(xen->xch, &domctl) == 0 ||
         xen_error(err, errno, domid, "setting XSAVE state");
    xc_hypercall_buffer_free(xen->xch, area);
    return ok;
}

static bool msrs_set(struct xen_host *xen, uint32_t domid, uint32_t vcpu,
                     const void *blob, size_t length, struct error *err)
{
    struct xen_domctl domctl = {
        .cmd = XEN_DOMCTL_set_vcpu_msrs,
        .domain = (domid_t)domid,
        .u.vcpu_msrs = {.vcpu = vcpu,
                        .msr_count =
                            (uint32_t)(length / sizeof(xen_domctl_vcpu_msr_t))},
    };
    DECLARE_HYPERCALL_BUFFER(xen_domctl_vcpu_msr_t, msrs);
    bool ok;

    msrs = xc_hypercall_buffer_alloc(xen->xch, msrs, length);
    if (!msrs)
        return error_set(err, ERR_NO_MEMORY, "vCPU MSRs");
    memcpy(msrs, blob, length);
    set_xen_guest_handle(domctl.u.vcpu_msrs.msrs, msrs);
    ok = xc_domctl(xen->xch, &domctl) == 0 ||
         xen_error(err, errno, domid, "setting vCPU MSRs");
    xc_hypercall_buffer_free(xen->xch, msrs);
    return ok;
}

bool xen_vcpu_state_set(struct host *host, uint32_t domid, uint32_t vcpu,
                        enum vcpu_state_kind kind, const void *blob,
                        size_t length, struct error *err)
{
    struct xen_host *xen = xen_host_of(host);

    if (length == 0)
        return true;
    switch (kind) {
    case VCPU_STATE_BASIC:
        return basic_set(xen, domid, vcpu, blob, length, err);
    case VCPU_STATE_EXTENDED:
        return extended_set(xen, domid, vcpu, blob, length, err);
    case VCPU_STATE_XSAVE:
        return xsave_set(xen, domid, vcpu, blob, length, err);
    case VCPU_STATE_MSRS:
        return msrs_set(xen, domid, vcpu, blob, length, err);
    }
    return error_set(err, ERR_USAGE, "vCPU state of kind %d", (int)kind);
}
