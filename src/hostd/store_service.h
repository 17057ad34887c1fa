/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store of this host: the library of src/store with a thread, this host's
 * guests as its domains, and a client of its own for whoever sets devices up.
 *
 * Lock order: the service's lock, then a guest's baton.  A guest's kick comes
 * with the baton held and therefore only leaves a note for the thread.
 */
#ifndef HOSTD_STORE_SERVICE_H
#define HOSTD_STORE_SERVICE_H

#include "hostd/hosted.h"
#include "state/guest_state.h"
#include "store/store.h"

#define STORE_PATH_MAX  256
#define STORE_VALUE_MAX 256

/* Somebody to tell when a node changes; called by the service's thread. */
struct store_watcher {
    struct list link;
    char path[STORE_PATH_MAX];
    void (*changed)(struct store_watcher *w);
};

struct store_service;

/* A guest and its ring. */
struct store_guest {
    struct list link; /* in store_service.guests */
    struct backend backend;
    struct store_service *s;
    struct hosted *h;
    uint32_t port;
    bool kicked;      /* atomic */
    bool notify_late; /* the guest was paused; under the baton */
    void *frozen;     /* its ring's page, while nobody may touch it */
};

struct store_service {
    pthread_mutex_t lock; /* the store, and all below but 'kicked' */
    struct store *store;
    const struct log *log; /* borrowed */
    pthread_t thread;
    bool started;
    bool ending;
    int wake_fd; /* eventfd */
    struct list guests;
    struct list watchers;
    struct store_watcher *calling; /* its function runs now */
    pthread_cond_t called;
    struct connection *client;
    struct buffer requests;
    size_t requests_taken;
    struct buffer replies;
    struct buffer events; /* paths, each with its NUL */
    uint32_t req_id;
};

must_check bool store_service_open(struct store_service *s,
                                   const struct log *log, struct error *err);
void store_service_close(struct store_service *s);

/* Let the guest in at the page and port that its HVM parameters name. */
must_check bool store_service_introduce(struct store_service *s,
                                        struct store_guest *g, struct hosted *h,
                                        struct error *err);
void store_service_release(struct store_service *s, struct store_guest *g);

/* ---- moves that the guest does not notice ------------------------------ */

/*
 * QUIESCE: what the guest has asked is answered, what it asks from now on
 * stays on its ring, and nothing is written there any more.  The guest is
 * paused.
 */
void store_service_freeze(struct store_service *s, struct store_guest *g);
/* Undo it; harmless when it was not. */
void store_service_thaw(struct store_service *s, struct store_guest *g);

/* Of a frozen guest.  '*ret' is the caller's to release. */
must_check bool store_service_save(struct store_service *s,
                                   struct store_guest *g,
                                   struct state_store *ret, struct error *err);
/* Introduce a guest that comes with all this. */
must_check bool store_service_load(struct store_service *s,
                                   struct store_guest *g, struct hosted *h,
                                   const struct state_store *state,
                                   struct error *err);

/* Requests as dom0.  'path' is absolute. */
must_check bool store_service_write(struct store_service *s, const char *path,
                                    const char *value, struct error *err);
must_check bool store_service_read(struct store_service *s, const char *path,
                                   char ret[static STORE_VALUE_MAX],
                                   struct error *err);
must_check bool store_service_remove(struct store_service *s, const char *path,
                                     struct error *err);
/* 'perms' as xenstore has them, separated by blanks: "n7 r0". */
must_check bool store_service_set_perms(struct store_service *s,
                                        const char *path, const char *perms,
                                        struct error *err);
/* 'w->path' and 'w->changed' are set.  The first call comes at once. */
must_check bool store_service_watch(struct store_service *s,
                                    struct store_watcher *w, struct error *err);
/* On return its function does not run, and will not again. */
void store_service_unwatch(struct store_service *s, struct store_watcher *w);

#endif
