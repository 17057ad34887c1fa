/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest with everything that belongs to it on this host: its threads, its
 * backends, its place in the store, its name.
 */
#ifndef HOSTD_TENANT_H
#define HOSTD_TENANT_H

#include "hostd/backend_block.h"
#include "hostd/backend_console.h"
#include "hostd/dirty_track.h"
#include "hostd/hosted.h"
#include "hostd/store_service.h"

#define TENANT_NAME_MAX   64u
#define TENANT_MEMORY_MIN 16u /* MiB */
#define TENANT_MEMORY_MAX (64u << 10)
#define TENANT_DOMIDS     0x7ff0u

struct tenant_config {
    char name[TENANT_NAME_MAX];
    uint16_t domid;
    unsigned int vcpus;
    uint32_t memory_mib;
    const char *kernel;  /* file; NULL: no RAM, registers or devices' state
                            yet, somebody restores them */
    const char *cmdline; /* "" if there is none */
    const char *disk;    /* file, or NULL */
    bool disk_read_only;
    const char *console; /* file that its output is appended to */
};

struct tenant {
    struct list link; /* in host.tenants */
    struct hosted h;
    struct store_service *store; /* borrowed */
    struct peers *peers;         /* borrowed */
    char name[TENANT_NAME_MAX];
    uint32_t memory_mib;
    char console_path[256];
    char disk_path[256];
    struct console_backend console;
    struct store_guest store_guest;
    struct block_backend block;
    struct dirty_tracker dirty;
    bool empty;            /* made without a kernel, and has not run yet */
    unsigned int nr_parts; /* of its state that were loaded */
    bool disk_read_only;
    bool pausing; /* under the host's lock; see embedded_host.h */
};

/* Paused.  'scale' is of this machine's time stamp counter. */
must_check bool tenant_create(const struct tenant_config *config,
                              const struct tsc_scale *scale,
                              struct store_service *store, struct peers *peers,
                              const struct log *log, struct tenant **ret,
                              struct error *err);
void tenant_destroy(struct tenant *t);

/*
 * As hosted_unpause().  The first time other guests can reach it from then on:
 * not while it is being built, or restored.
 */
void tenant_unpause(struct tenant *t);

/* ---- moves that the guest does not notice ------------------------------ */

/* With the baton held: whether it was suspended from outside. */
bool tenant_is_suspended(const struct tenant *t);

/* Made without a kernel, paused, and has not run. */
bool tenant_is_empty(struct tenant *t);

/* Its nodes, watches and half-read requests; its ring is served again. */
must_check bool tenant_restore_store(struct tenant *t,
                                     const struct state_store *state,
                                     struct error *err);

/* Console and disk on the rings as they stand. */
must_check bool tenant_settle(struct tenant *t, struct error *err);

/* "running", "paused", "shutdown", "suspended", "crashed" */
const char *tenant_state(struct tenant *t);

#endif
