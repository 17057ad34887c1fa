/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host as a whole: its guests, its store, and who may ask it for what.
 *
 * Each client's requests are served by a thread of its own, one request at a
 * time; 'lock' makes the requests of all clients take turns.  A request that
 * waits for a guest's backends, thus for its disk, gives the lock up meanwhile:
 * the guest is 'pausing', and whoever would pause, let go, suspend, resume or
 * destroy it waits for 'paused' and looks for it again.
 */
#ifndef HOSTD_EMBEDDED_HOST_H
#define HOSTD_EMBEDDED_HOST_H

#include <pthread.h>

#include "hostd/peers.h"
#include "hostd/tenant.h"

#define HOST_TENANTS_MAX 1024u
#define HOST_PATH_MAX    256u

struct embedded_host {
    pthread_mutex_t lock;
    pthread_cond_t paused; /* a guest is not pausing any more */
    const struct log *log; /* borrowed */
    char folder[HOST_PATH_MAX];
    struct tsc_scale scale;
    enum dirty_method dirty_method;
    struct store_service store;
    struct peers peers;
    struct list tenants;
    unsigned int nr_tenants;
    bool ending;
    int end_fd; /* eventfd: readable when the host is to end */
};

/* 'folder' exists; consoles' logs go there. */
must_check bool embedded_host_open(struct embedded_host *host,
                                   const char *folder, const struct log *log,
                                   struct error *err);
/* Ends all guests. */
void embedded_host_close(struct embedded_host *host);

/* By name or number; with the lock held. */
struct tenant *embedded_host_find(struct embedded_host *host,
                                  const char *name_or_domid);

#endif
