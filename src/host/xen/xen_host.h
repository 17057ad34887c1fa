/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of the Xen host share: the handle, and each file's calls. */
#ifndef HOST_XEN_HOST_H
#define HOST_XEN_HOST_H

#include <pthread.h>

#include "host/host.h"
#include "host/xen/xen_compat.h"

struct xen_host {
    struct host host;
    xc_interface *xch;
    xenforeignmemory_handle *fmem; /* borrowed from xch */
    xentoollog_logger logger;      /* hands libxenctrl's words to host.log */

    /* The array of a page-type query, kept so that no query allocates. */
    pthread_mutex_t types_lock;
    xen_pfn_t *types_array;
    xc_hypercall_buffer_t types_buffer;

    /* Mappings that unmap_frames() put off, see xen_memory.c. */
    pthread_mutex_t waiting_lock;
    struct host_mapping *waiting; /* owned */
    size_t nr_waiting, room_waiting;
    size_t nr_waiting_frames;

    /* What was last asked about a domain's type: domid * 2 + is HVM, or -1. */
    int64_t known_type;
};

static inline struct xen_host *xen_host_of(struct host *host)
{
    return container_of(host, struct xen_host, host);
}

/* "<what>, domain <domid>: <errno>"; ESRCH becomes ERR_STATE. */
bool xen_error(struct error *err, int os_errno, uint32_t domid,
               const char *what);

/* xen_memory.c */
bool xen_map_frames(struct host *host, uint32_t domid, enum map_access access,
                    const uint64_t *frames, size_t nr, int *ret_errors,
                    struct host_mapping *ret, struct error *err);
void xen_unmap_frames(struct host *host, struct host_mapping *mapping);
void xen_unmap_rest(struct host *host);
bool xen_frame_types(struct host *host, uint32_t domid, const uint64_t *frames,
                     size_t nr, uint32_t *ret_types, struct error *err);
bool xen_find_populated(struct host *host, uint32_t domid, struct bitmap *ret,
                        struct error *err);
bool xen_populate(struct host *host, uint32_t domid, const uint64_t *pfns,
                  size_t nr, unsigned int order, uint64_t *ret_frames,
                  size_t *ret_done, struct error *err);
bool xen_m2p_map(struct host *host, struct host_m2p *ret, struct error *err);
void xen_m2p_unmap(struct host *host, struct host_m2p *m2p);
bool xen_tables_pin(struct host *host, uint32_t domid,
                    const struct table_pin *pins, size_t nr, struct error *err);
bool xen_tables_unpin(struct host *host, uint32_t domid, const uint64_t *mfns,
                      size_t nr, struct error *err);

/* xen_dirty.c */
bool xen_log_dirty_enable(struct host *host, uint32_t domid, struct error *err);
bool xen_log_dirty_disable(struct host *host, uint32_t domid,
                           struct error *err);
bool xen_log_dirty_clean(struct host *host, uint32_t domid, bool final,
                         struct bitmap *ret, uint64_t *ret_count,
                         struct error *err);
bool xen_log_dirty_peek(struct host *host, uint32_t domid, struct bitmap *ret,
                        uint64_t *ret_count, struct error *err);

/* xen_context.c */
bool xen_tsc_get(struct host *host, uint32_t domid, struct host_tsc_info *ret,
                 struct error *err);
bool xen_tsc_set(struct host *host, uint32_t domid,
                 const struct host_tsc_info *tsc, struct error *err);
bool xen_cpu_policy_get(struct host *host, uint32_t domid,
                        struct host_cpu_policy *ret, struct error *err);
bool xen_cpu_policy_set(struct host *host, uint32_t domid,
                        const struct host_cpu_policy *policy,
                        struct error *err);
bool xen_grant_table_seed(struct host *host, uint32_t domid,
                          enum guest_type type, uint64_t console_frame,
                          uint32_t console_domid, uint64_t store_frame,
                          uint32_t store_domid, struct error *err);
bool xen_hvm_context_get(struct host *host, uint32_t domid, struct buffer *ret,
                         struct error *err);
bool xen_hvm_context_set(struct host *host, uint32_t domid, const void *blob,
                         size_t length, struct error *err);
bool xen_hvm_param_get(struct host *host, uint32_t domid, uint32_t index,
                       uint64_t *ret, struct error *err);
bool xen_hvm_param_set(struct host *host, uint32_t domid, uint32_t index,
                       uint64_t value, struct error *err);
bool xen_address_size_set(struct host *host, uint32_t domid,
                          uint32_t guest_width, struct error *err);
bool xen_vcpu_online(struct host *host, uint32_t domid, uint32_t vcpu,
                     bool *ret, struct error *err);
bool xen_vcpu_state_get(struct host *host, uint32_t domid, uint32_t vcpu,
                        enum vcpu_state_kind kind, struct buffer *ret,
                        struct error *err);
bool xen_vcpu_state_set(struct host *host, uint32_t domid, uint32_t vcpu,
                        enum vcpu_state_kind kind, const void *blob,
                        size_t length, struct error *err);

#endif
