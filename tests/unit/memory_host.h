/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host without a hypervisor, for tests of the engine: a machine of some
 * thousand frames, domains that own some of them, and no code that runs.
 *
 * Two kinds of trouble can be asked for: the n-th call fails, and a script
 * that runs whenever the log of written pages is taken.  The host counts what
 * is mapped and which modes are on, so that a test can see that nothing was
 * left behind.
 */
#ifndef TESTS_MEMORY_HOST_H
#define TESTS_MEMORY_HOST_H

#include <pthread.h>

#include "host/host.h"

#define MACHINE_FRAMES  8192
#define MEMORY_DOMAINS  3
#define MEMORY_NO_FRAME UINT64_MAX
#define MEMORY_VCPUS    2
#define MEMORY_PARAMS   64

struct memory_domain {
    bool exists;
    struct domain_info info;
    uint64_t *frame_of;  /* HVM, by gfn: machine frame or MEMORY_NO_FRAME */
    uint8_t *type_of;    /* PV, by machine frame: PAGE_TYPE_ value */
    struct bitmap dirty; /* by pfn */
    bool log_dirty;
    struct buffer context;
    uint64_t params[MEMORY_PARAMS];
    struct host_tsc_info tsc;
    struct buffer vcpu[MEMORY_VCPUS][4];
    unsigned int nr_pinned;
    bool grants_seeded;
    unsigned int nr_extents_2m; /* populated in one piece */
    uint64_t cpuid_a;           /* of the one leaf of its policy */
};

struct memory_host {
    struct host host;
    pthread_mutex_t lock; /* of populate() */
    int memory_fd;
    uint8_t *memory;                 /* all of the machine */
    uint64_t pfn_of[MACHINE_FRAMES]; /* the machine-to-physical table */
    bool used[MACHINE_FRAMES];
    uint64_t next_free;
    uint64_t nr_free; /* frames that populate() may still give */
    struct memory_domain domains[MEMORY_DOMAINS];

    int nr_mappings;  /* now */
    long nr_calls;    /* that can fail, so far */
    long fail_at;     /* the call of this number fails; 0: none */
    uint64_t bad_gfn; /* does not map; MEMORY_NO_FRAME: all do */
    bool no_superpages;
    bool no_log_dirty;

    /* Runs in log_dirty_clean(), before the log is taken. */
    void (*script)(struct memory_host *m, unsigned int step);
    unsigned int step;
};

struct memory_host *memory_host_new(void);
void memory_host_free(struct memory_host *m);

/* A domain without memory. */
void memory_domain_create(struct memory_host *m, uint32_t domid,
                          enum guest_type type, uint64_t max_pages);
void memory_domain_destroy(struct memory_host *m, uint32_t domid);

/* A fresh machine frame for a domain, filled with 'fill'. */
uint64_t memory_frame_new(struct memory_host *m, uint64_t pfn, uint8_t fill);

/* Forget all machine frames from 'next_free' on. */
void memory_host_rewind(struct memory_host *m, uint64_t next_free);

/* HVM: give the domain memory at 'gfn'. */
void memory_hvm_add(struct memory_host *m, uint32_t domid, uint64_t gfn,
                    uint8_t fill);

/* The octets of a machine frame, or of an HVM gfn (NULL: none there). */
uint8_t *memory_frame(struct memory_host *m, uint64_t frame);
uint8_t *memory_hvm_page(struct memory_host *m, uint32_t domid, uint64_t gfn);

/* Write to an HVM guest's page as the guest would. */
void memory_hvm_write(struct memory_host *m, uint32_t domid, uint64_t gfn,
                      uint8_t fill);

#endif
