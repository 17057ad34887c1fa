/* SPDX-License-Identifier: GPL-2.0-or-later */
/* HYPERVISOR_xen_version: who we are, and which parts of the ABI there are. */
#include <string.h>

#include "hostd/hypercall_serve.h"

/* The release whose guest ABI this is. */
#define XEN_MAJOR 4
#define XEN_MINOR 17

static int64_t put(struct hypercall *c, const void *answer, size_t length)
{
    return hypercall_write(c, c->arg[1], answer, length) ? 0 : -XEN_EFAULT;
}

static int64_t get_features(struct hypercall *c)
{
    struct xen_feature_info info;

    if (!hypercall_read(c, c->arg[1], &info, sizeof(info)))
        return -XEN_EFAULT;
    info.submap = 0;
    if (info.submap_idx == 0)
        info.submap = 1U << XENFEAT_writable_page_tables |
                      1U << XENFEAT_auto_translated_physmap |
                      1U << XENFEAT_supervisor_mode_kernel |
                      1U << XENFEAT_hvm_callback_vector |
                      1U << XENFEAT_hvm_safe_pvclock;
    else if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
        return -XEN_EINVAL;
    return put(c, &info, sizeof(info));
}

int64_t hypercall_xen_version(struct hypercall *c)
{
    switch (c->arg[0]) {
    case XENVER_version:
        return XEN_MAJOR << 16 | XEN_MINOR;
    case XENVER_extraversion: {
        xen_extraversion_t extra = "-xenferry";

        return put(c, extra, sizeof(extra));
    }
    case XENVER_capabilities: {
        xen_capabilities_info_t info = "hvm-3.0-x86_64 ";

        return put(c, info, sizeof(info));
    }
    case XENVER_changeset: {
        xen_changeset_info_t info = "unavailable";

        return put(c, info, sizeof(info));
    }
    case XENVER_compile_info: {
        struct xen_compile_info info = {.compiler = "none"};

        return put(c, &info, sizeof(info));
    }
    case XENVER_platform_parameters: {
        struct xen_platform_parameters info = {0};

        return put(c, &info, sizeof(info));
    }
    case XENVER_get_features:
        return get_features(c);
    case XENVER_pagesize:
        return PAGE_SIZE;
    case XENVER_guest_handle:
        return put(c, c->m->handle, sizeof(c->m->handle));
    case XENVER_commandline: {
        xen_commandline_t text = "";

        return put(c, text, sizeof(text));
    }
    case XENVER_build_id:
        return -XEN_ENODATA;
    default:
        return hypercall_unknown(c);
    }
}
