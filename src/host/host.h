/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a hypervisor can do for whoever moves its guests.
 *
 * One table of operations.  Every implementation sets every entry, so callers
 * never test for NULL; what a hypervisor cannot do fails with ERR_UNSUPPORTED
 * and says what is missing.
 *
 * Words:
 *   pfn    a guest's own page number, dense from 0: what streams carry
 *   gfn    how the hypervisor addresses a guest's page: equal to the pfn for
 *          HVM and PVH, the machine frame (mfn) for PV
 *   frame  a gfn where the same operation serves both kinds of guest
 *
 * Rules that hold for every operation:
 *   - 'domid' names an existing domain; ERR_STATE when it does not.
 *   - On failure '*err' is set, 'ret' parameters are untouched, and the
 *     hypervisor's state is as before unless the declaration says otherwise.
 *   - Operations may be called by several threads at once; operations on
 *     different frames of one domain do not disturb each other.  Two calls
 *     that set the same state of a domain are the caller's to order.
 *   - Errors of the hypervisor are ERR_HOST with its errno; lack of the
 *     host's memory is ERR_NO_MEMORY.
 */
#ifndef HOST_HOST_H
#define HOST_HOST_H

#include "base/bitmap.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "state/guest_state.h"

enum guest_type { GUEST_X86_PV, GUEST_X86_HVM /* and PVH */ };

/* Why a domain shut down; the numbers are Xen's. */
#define SHUTDOWN_REASON_POWEROFF 0
#define SHUTDOWN_REASON_REBOOT   1
#define SHUTDOWN_REASON_SUSPEND  2
#define SHUTDOWN_REASON_CRASH    3

struct host_description {
    char implementation[16]; /* "xen" */
    char version[48];        /* as the hypervisor names itself: "4.17.7" */
    uint32_t version_major;
    uint32_t version_minor;
    bool superpages; /* populate() can be asked for order 9 */
    bool scrubs;     /* what populate() gives is all zero */
    bool log_dirty;  /* live moves are possible */
};

struct domain_info {
    uint32_t domid;
    enum guest_type type;
    bool dying;
    bool paused;
    bool shutdown;
    uint32_t shutdown_reason; /* only when 'shutdown' */
    uint64_t nr_pages;        /* pages allocated to it now */
    uint64_t max_pages;       /* what it may grow to */
    uint64_t nr_gfns;         /* highest gfn in use, plus one (HVM only) */
    uint32_t nr_online_vcpus;
    uint32_t max_vcpu_id;
    uint32_t guest_width; /* octets of a machine word: 4 or 8 */
    uint64_t shared_info; /* frame of its shared info page (PV only) */
};

/*
 * What a frame is, as streams number it: bits 63..60 of a PAGE_DATA entry
 * carry this value.
 */
#define PAGE_TYPE_NORMAL 0x0u
#define PAGE_TYPE_L1     0x1u
#define PAGE_TYPE_L4     0x4u
#define PAGE_TYPE_PINNED 0x8u /* or-ed to a table's level */
#define PAGE_TYPE_BROKEN 0xdu
#define PAGE_TYPE_NONE   0xfu
#define PAGE_TYPE_LEVEL  0x7u /* mask: 0, or the level 1..4 */

enum map_access { MAP_READ, MAP_WRITE };

/* Frames of a guest in our address space, one page after the other. */
struct host_mapping {
    uint8_t *pages; /* NULL: nothing is mapped */
    size_t nr_frames;
    bool may_wait; /* the host's: undoing may be put off */
};

#define HOST_ORDER_4K 0u
#define HOST_ORDER_2M 9u

/* Most frames that one call of map_frames() or frame_types() takes. */
#define HOST_BATCH_MAX 1024u

enum vcpu_state_kind {
    VCPU_STATE_BASIC,    /* vcpu_guest_context of the guest's width */
    VCPU_STATE_EXTENDED, /* the octets of ext_vcpucontext */
    VCPU_STATE_XSAVE,    /* xcr0, xcr0_accum, the area */
    VCPU_STATE_MSRS,     /* {u32 index, u32 reserved, u64 value} each */
};

struct host_tsc_info {
    uint32_t mode;
    uint32_t khz;
    uint64_t nsec;
    uint32_t incarnation;
};

/* What a guest's CPUID instruction answers for one leaf. */
struct host_cpuid_leaf {
    uint32_t leaf;
    uint32_t subleaf; /* ~0: the leaf has none */
    uint32_t a, b, c, d;
};

struct host_msr {
    uint32_t index;
    uint32_t flags; /* must be zero */
    uint64_t value;
};

struct host_cpu_policy {
    struct host_cpuid_leaf *leaves; /* owned */
    uint32_t nr_leaves;
    struct host_msr *msrs; /* owned */
    uint32_t nr_msrs;
};

void host_cpu_policy_release(struct host_cpu_policy *p);

/*
 * Xen's table from machine frame to pseudo-physical frame, for every frame of
 * the machine.  'pfn_of[mfn]' may change under the reader while guests run.
 */
struct host_m2p {
    const volatile uint64_t *pfn_of;
    uint64_t nr_mfns;      /* entries of 'pfn_of' */
    uint64_t compat_first; /* first mfn of the table for 32-bit guests */
    struct host_mapping mapping;
};

struct table_pin {
    uint32_t level; /* 1..4 */
    uint64_t mfn;
};

struct host;

struct host_ops {
    /* Ends every use of 'host' and frees it.  No mapping may be left. */
    void (*close)(struct host *host);

    must_check bool (*describe)(struct host *host, struct host_description *ret,
                                struct error *err);

    /* A snapshot; the domain may change as soon as the call returns. */
    must_check bool (*domain_info)(struct host *host, uint32_t domid,
                                   struct domain_info *ret, struct error *err);

    /* Stop and let go of all its vCPUs; calls nest. */
    must_check bool (*pause)(struct host *host, uint32_t domid,
                             struct error *err);
    must_check bool (*unpause)(struct host *host, uint32_t domid,
                               struct error *err);

    /* ---- memory ------------------------------------------------------- */

    /*
     * Map 'nr' frames (1..HOST_BATCH_MAX), in this order, to consecutive
     * pages.  errors[i] is 0 or the errno of frame i, whose page must then
     * not be touched.  Fails as a whole only when nothing could be tried;
     * a mapping with every frame in error is a success.  The mapping is the
     * caller's until unmap_frames().  Frames mapped for writing count as
     * dirty only once somebody writes.
     */
    must_check bool (*map_frames)(struct host *host, uint32_t domid,
                                  enum map_access access,
                                  const uint64_t *frames, size_t nr,
                                  int *ret_errors, struct host_mapping *ret,
                                  struct error *err);

    /*
     * Undo map_frames(); harmless on {0}, which it leaves behind.  The pages
     * must not be touched any more.  Where undoing is slow and nothing depends
     * on it, the host may put it off until unmap_rest(); it never does for
     * pages of a PV guest mapped for writing, which could not become page
     * tables.
     */
    void (*unmap_frames)(struct host *host, struct host_mapping *mapping);

    /*
     * Really undo everything that was put off.  Whoever leaves it to the end
     * of the process need not call it: that is the quickest.
     */
    void (*unmap_rest)(struct host *host);

    /* ret_types[i] is the PAGE_TYPE_ value of frames[i]; 'nr' as above. */
    must_check bool (*frame_types)(struct host *host, uint32_t domid,
                                   const uint64_t *frames, size_t nr,
                                   uint32_t *ret_types, struct error *err);

    /*
     * HVM only: find the gfns that have contents, without asking about every
     * single one where the host knows better.  '*ret' has nr_gfns bits; the
     * call sets the bit of every gfn whose type is PAGE_TYPE_NORMAL or
     * PAGE_TYPE_BROKEN and clears the rest.  Of a running guest, gfns that come
     * and go during the call may or may not be seen.
     */
    must_check bool (*find_populated)(struct host *host, uint32_t domid,
                                      struct bitmap *ret, struct error *err);

    /*
     * Give the domain fresh memory of unspecified contents at 'pfns', each
     * the first of 1 << order; order is HOST_ORDER_4K or HOST_ORDER_2M, and
     * pfns are aligned to it.  At most HOST_BATCH_MAX extents.
     * The first '*ret_done' extents were populated, in order; fewer than 'nr'
     * is not an error, only no memory of this order.  'ret_frames' (nr
     * entries) receives the first frame of each populated extent.
     */
    must_check bool (*populate)(struct host *host, uint32_t domid,
                                const uint64_t *pfns, size_t nr,
                                unsigned int order, uint64_t *ret_frames,
                                size_t *ret_done, struct error *err);

    /* ---- written pages ------------------------------------------------ */

    /*
     * Start to note every frame that the guest writes (pfns for PV, gfns for
     * HVM).  All frames start clean.  A mode left over from somebody else is
     * ended first.  ERR_UNSUPPORTED where the host cannot do this for guests
     * of the domain's type.
     */
    must_check bool (*log_dirty_enable)(struct host *host, uint32_t domid,
                                        struct error *err);
    /* Harmless when not enabled. */
    must_check bool (*log_dirty_disable)(struct host *host, uint32_t domid,
                                         struct error *err);
    /*
     * Copy the set into '*ret' and start over with every frame clean.  'final'
     * promises that the guest has stopped: frames that the hypervisor itself
     * may write count as dirty too.  *ret_count is the number of set bits.
     * Frames beyond the bitmap's size are not reported.
     */
    must_check bool (*log_dirty_clean)(struct host *host, uint32_t domid,
                                       bool final, struct bitmap *ret,
                                       uint64_t *ret_count, struct error *err);
    /* As log_dirty_clean(), but the set stays. */
    must_check bool (*log_dirty_peek)(struct host *host, uint32_t domid,
                                      struct bitmap *ret, uint64_t *ret_count,
                                      struct error *err);

    /* ---- state of both kinds of guest --------------------------------- */

    must_check bool (*tsc_get)(struct host *host, uint32_t domid,
                               struct host_tsc_info *ret, struct error *err);
    must_check bool (*tsc_set)(struct host *host, uint32_t domid,
                               const struct host_tsc_info *tsc,
                               struct error *err);

    /* '*ret' is the caller's to release. */
    must_check bool (*cpu_policy_get)(struct host *host, uint32_t domid,
                                      struct host_cpu_policy *ret,
                                      struct error *err);
    /*
     * Leaves or MSRs that are not in the policy keep their values.  A policy
     * that this host cannot give is ERR_UNSUPPORTED and names the leaf or MSR.
     */
    must_check bool (*cpu_policy_set)(struct host *host, uint32_t domid,
                                      const struct host_cpu_policy *policy,
                                      struct error *err);

    /*
     * Write the two reserved grant entries, so that the backends' domains may
     * map the console and store rings.
     */
    must_check bool (*grant_table_seed)(
        struct host *host, uint32_t domid, enum guest_type type,
        uint64_t console_frame, uint32_t console_domid, uint64_t store_frame,
        uint32_t store_domid, struct error *err);

    /* ---- HVM and PVH -------------------------------------------------- */

    /*
     * All of the machine's state as one typed blob.  The guest has stopped.
     * '*ret' is appended to.
     */
    must_check bool (*hvm_context_get)(struct host *host, uint32_t domid,
                                       struct buffer *ret, struct error *err);
    must_check bool (*hvm_context_set)(struct host *host, uint32_t domid,
                                       const void *blob, size_t length,
                                       struct error *err);
    /* A parameter that this host does not know reads as 0. */
    must_check bool (*hvm_param_get)(struct host *host, uint32_t domid,
                                     uint32_t index, uint64_t *ret,
                                     struct error *err);
    must_check bool (*hvm_param_set)(struct host *host, uint32_t domid,
                                     uint32_t index, uint64_t value,
                                     struct error *err);

    /* ---- moves that the guest does not notice ------------------------- */

    /*
     * One part of what such a move takes along.  The guest has been stopped
     * from outside, with reason suspend, and its store and backends are at
     * rest.  '*ret' has room for all parts; this one is set in it.
     * ERR_UNSUPPORTED where the hypervisor cannot tell, and what would help.
     */
    must_check bool (*guest_state_get)(struct host *host, uint32_t domid,
                                       enum state_part part,
                                       struct guest_state *ret,
                                       struct error *err);
    /*
     * Load a part into a paused domain that has its memory and contexts and
     * has not run.  Parts come in their order, each once; one that comes
     * before its turn is ERR_STATE.  What makes no sense to this host is
     * ERR_FORMAT, and the domain then only fit to be destroyed.  A host that
     * works on it while the next is prepared says so at the next call.
     */
    must_check bool (*guest_state_set)(struct host *host, uint32_t domid,
                                       enum state_part part,
                                       struct guest_state *state,
                                       struct error *err);
    /*
     * All parts are there: have the backends connect to the rings as they
     * stand.  They take nothing off them before the domain runs.
     */
    must_check bool (*guest_state_settle)(struct host *host, uint32_t domid,
                                          struct error *err);

    /* ---- PV ----------------------------------------------------------- */

    /* Make a fresh PV domain's words 4 or 8 octets wide. */
    must_check bool (*address_size_set)(struct host *host, uint32_t domid,
                                        uint32_t guest_width,
                                        struct error *err);

    must_check bool (*m2p_map)(struct host *host, struct host_m2p *ret,
                               struct error *err);
    void (*m2p_unmap)(struct host *host, struct host_m2p *m2p);

    /*
     * Have the hypervisor check and hold 'nr' (1..HOST_BATCH_MAX) page tables.
     * None of them may be mapped for writing.  On failure some may be pinned.
     */
    must_check bool (*tables_pin)(struct host *host, uint32_t domid,
                                  const struct table_pin *pins, size_t nr,
                                  struct error *err);
    must_check bool (*tables_unpin)(struct host *host, uint32_t domid,
                                    const uint64_t *mfns, size_t nr,
                                    struct error *err);

    must_check bool (*vcpu_online)(struct host *host, uint32_t domid,
                                   uint32_t vcpu, bool *ret, struct error *err);
    /*
     * One kind of a stopped vCPU's state, appended to '*ret'; nothing is
     * appended where this vCPU has none of it.
     */
    must_check bool (*vcpu_state_get)(struct host *host, uint32_t domid,
                                      uint32_t vcpu, enum vcpu_state_kind kind,
                                      struct buffer *ret, struct error *err);
    must_check bool (*vcpu_state_set)(struct host *host, uint32_t domid,
                                      uint32_t vcpu, enum vcpu_state_kind kind,
                                      const void *blob, size_t length,
                                      struct error *err);
};

/* What every implementation starts with. */
struct host {
    const struct host_ops *ops;
    const struct log *log; /* borrowed; may be NULL */
};

/*
 * Open the host that 'uri' names: "xen:".  An implementation in a module is
 * looked for in $XENFERRY_HOST_DIR, else beside the program, in its build
 * folder, and where it is installed.  'log' outlives the host.
 */
must_check bool host_open(const char *uri, const struct log *log,
                          struct host **ret, struct error *err);

/* Accepts NULL. */
void host_close(struct host *host);

/* Append a report for people: what the host is and what it can do. */
must_check bool host_report(struct host *host, struct buffer *ret,
                            struct error *err);

/*
 * What a module exports as 'xenferry_host_module'.  A module of another
 * HOST_MODULE_VERSION is refused.
 */
#define HOST_MODULE_VERSION 3u

struct host_module {
    uint32_t version;
    const char *name;
    must_check bool (*open)(const char *rest_of_uri, const struct log *log,
                            struct host **ret, struct error *err);
};

#endif
