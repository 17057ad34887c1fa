/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's end of a guest's disk: a ring of requests in a granted page, a
 * regular file or block device behind it, several requests at work at once.
 *
 *     guest --ring--> dispatcher --queue--> workers --> file
 *       ^                                      |
 *       +---------------- responses -----------+
 *
 * A request has an effect once: it is taken off the ring when it is handed to
 * a worker, and while the guest is paused none is taken and all that were
 * taken are answered (hosted.h, I1).  So a ring that stands still contains
 * exactly the requests that nobody has begun, and another host goes on at the
 * number of the last response.
 *
 * FLUSH and WRITE_BARRIER wait for everything before them, and hold back
 * everything behind them, until the file is on stable storage.
 *
 * Spec: Xen's public/io/blkif.h.
 */
#ifndef HOSTD_BACKEND_BLOCK_H
#define HOSTD_BACKEND_BLOCK_H

#include "hostd/hosted.h"
#include "hostd/store_service.h"

#define BLOCK_WORKERS   2u
#define BLOCK_IN_FLIGHT 32u
#define BLOCK_DEVICE    51712u /* xvda */

struct block_request;

struct block_backend {
    struct backend backend;
    struct hosted *h;
    struct store_service *store;
    const struct log *log;
    unsigned int device;
    int fd; /* owned */
    bool read_only;
    uint64_t sectors;

    struct store_watcher watcher; /* the frontend's state */
    bool watching;

    /* All below under the baton. */
    bool connected;
    uint32_t ring_ref;
    uint32_t port;
    void *ring; /* struct blkif_back_ring, owned */
    uint32_t in_flight;
    bool draining; /* a flush is at work: nothing else may start */
    bool ending;
    struct list queue; /* of struct block_request */
    struct bell idle;  /* in_flight became 0 */
    struct bell work;  /* rung for the dispatcher */
    struct bell worker_bell[BLOCK_WORKERS];
    pthread_t dispatcher;
    pthread_t workers[BLOCK_WORKERS];
    unsigned int nr_threads; /* dispatcher first */
    uint64_t nr_requests;
};

/* Write the device's nodes to the store, and connect when the guest does. */
must_check bool block_backend_start(struct block_backend *b, struct hosted *h,
                                    struct store_service *store,
                                    unsigned int device, const char *path,
                                    bool read_only, struct error *err);
/*
 * The nodes are there already, and a frontend that was connected remains so:
 * connect to its ring where it stands, without a word in the store.
 */
must_check bool block_backend_resume(struct block_backend *b, struct hosted *h,
                                     struct store_service *store,
                                     unsigned int device, const char *path,
                                     bool read_only, struct error *err);
void block_backend_stop(struct block_backend *b);

#endif
