/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/backend_block.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <linux/fs.h>

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include "hostd/xen_abi.h"

#include <xen/io/blkif.h>
#include <xen/io/xenbus.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "hostd/events.h"
#include "hostd/grants.h"

#define SECTOR           512u
#define SECTORS_PER_PAGE ((uint32_t)(PAGE_SIZE / SECTOR))

struct block_request {
    struct list link;
    uint64_t id;
    uint8_t operation;
    uint64_t sector;
    unsigned int nr_segments;
    uint32_t ref[BLKIF_MAX_SEGMENTS_PER_REQUEST];
    struct iovec iov[BLKIF_MAX_SEGMENTS_PER_REQUEST];
    uint64_t length;
    int16_t status;
};

static struct block_backend *block_of(struct backend *b)
{
    return container_of(b, struct block_backend, backend);
}

static struct blkif_back_ring *ring_of(struct block_backend *b)
{
    return b->ring;
}

static void on_event(void *context)
{
    struct block_backend *b = context;

    bell_ring(&b->h->baton, &b->work);
}

static bool is_busy(struct backend *backend)
{
    return block_of(backend)->in_flight != 0;
}

static void resume(struct backend *backend)
{
    on_event(block_of(backend));
}

/* ---- taking requests: with the baton held ------------------------------ */

/* What the grants of a read are for: the host writes there. */
static enum grant_access access_of(const struct block_request *r)
{
    return r->operation == BLKIF_OP_READ ? GRANT_WRITE : GRANT_READ;
}

static void end_grants(struct block_backend *b, const struct block_request *r,
                       unsigned int nr)
{
    for (unsigned int i = 0; i < nr; i++)
        grants_end(&b->h->m, r->ref[i], access_of(r));
}

static bool begin_segment(struct block_backend *b, struct block_request *r,
                          unsigned int i, const struct blkif_request_segment *s)
{
    uint8_t *page;

    if (s->first_sect > s->last_sect || s->last_sect >= SECTORS_PER_PAGE)
        return false;
    page = grants_begin(&b->h->m, s->gref, access_of(r));
    if (!page)
        return false;
    r->ref[i] = s->gref;
    r->iov[i] =
        (struct iovec){.iov_base = page + s->first_sect * SECTOR,
                       .iov_len = (s->last_sect - s->first_sect + 1u) * SECTOR};
    r->length += r->iov[i].iov_len;
    return true;
}

/* The status to answer with at once, or OKAY: it can be worked on. */
static int16_t prepare(struct block_backend *b, struct block_request *r,
                       const struct blkif_request *from)
{
    r->id = from->id;
    r->operation = from->operation;
    r->sector = from->sector_number;
    switch (from->operation) {
    case BLKIF_OP_READ:
    case BLKIF_OP_WRITE:
    case BLKIF_OP_WRITE_BARRIER:
        break;
    case BLKIF_OP_FLUSH_DISKCACHE:
        return BLKIF_RSP_OKAY;
    default:
        return BLKIF_RSP_EOPNOTSUPP;
    }
    if (from->nr_segments > BLKIF_MAX_SEGMENTS_PER_REQUEST ||
        (b->read_only && from->operation != BLKIF_OP_READ))
        return BLKIF_RSP_ERROR;
    for (unsigned int i = 0; i < from->nr_segments; i++) {
        if (!begin_segment(b, r, i, &from->seg[i])) {
            end_grants(b, r, i);
            return BLKIF_RSP_ERROR;
        }
        r->nr_segments = i + 1;
    }
    if (r->sector > b->sectors || r->length / SECTOR > b->sectors - r->sector) {
        end_grants(b, r, r->nr_segments);
        return BLKIF_RSP_ERROR;
    }
    return BLKIF_RSP_OKAY;
}

static void respond(struct block_backend *b, const struct block_request *r)
{
    struct blkif_back_ring *ring = ring_of(b);
    struct blkif_response response = {
        .id = r->id, .operation = r->operation, .status = r->status};
    bool notify;

    memcpy(RING_GET_RESPONSE(ring, ring->rsp_prod_pvt), &response,
           sizeof(response));
    ring->rsp_prod_pvt++;
    RING_PUSH_RESPONSES_AND_CHECK_NOTIFY(ring, notify);
    if (notify)
        events_notify_guest(&b->h->m, b->port);
}

static void hand_out(struct block_backend *b, struct block_request *r)
{
    list_append(&b->queue, &r->link);
    b->in_flight++;
    for (unsigned int i = 0; i < BLOCK_WORKERS; i++)
        bell_ring(&b->h->baton, &b->worker_bell[i]);
}

static bool is_ordered(uint8_t operation)
{
    return operation == BLKIF_OP_FLUSH_DISKCACHE ||
           operation == BLKIF_OP_WRITE_BARRIER;
}

/* One request off the ring.  False if it has to wait, or on no memory. */
static bool take_one(struct block_backend *b)
{
    struct blkif_back_ring *ring = ring_of(b);
    struct blkif_request copy;
    struct block_request *r;

    if (b->in_flight >= BLOCK_IN_FLIGHT || b->draining)
        return false;
    memcpy(&copy, RING_GET_REQUEST(ring, ring->req_cons), sizeof(copy));
    if (is_ordered(copy.operation) && b->in_flight)
        return false;
    r = calloc(1, sizeof(*r));
    if (!r)
        return false;
    ring->req_cons++;
    b->nr_requests++;
    r->status = prepare(b, r, &copy);
    if (r->status != BLKIF_RSP_OKAY) {
        respond(b, r);
        free(r);
        return true;
    }
    b->draining = is_ordered(r->operation);
    hand_out(b, r);
    return true;
}

static void take_requests(struct block_backend *b)
{
    struct blkif_back_ring *ring = ring_of(b);
    int more = 1;

    while (more) {
        RING_IDX prod =
            __atomic_load_n(&ring->sring->req_prod, __ATOMIC_ACQUIRE);

        if (RING_REQUEST_PROD_OVERFLOW(ring, prod)) {
            log_warning(b->log,
                        "domain %u: disk %u: ring at %u with %u requests, "
                        "disconnected",
                        b->h->m.domid, b->device, prod, prod - ring->req_cons);
            b->connected = false;
            return;
        }
        while (ring->req_cons != prod)
            if (!take_one(b))
                return; /* a completion comes back here */
        RING_FINAL_CHECK_FOR_REQUESTS(ring, more);
    }
}

static void *dispatcher_main(void *context)
{
    struct block_backend *b = context;

    hosted_take(b->h);
    while (!b->ending) {
        if (b->connected && !hosted_is_paused(b->h))
            take_requests(b);
        bell_wait(&b->h->baton, &b->work, DEADLINE_NONE, BATON_URGENT);
    }
    hosted_give(b->h);
    return NULL;
}

/* ---- working on them: without the baton -------------------------------- */

static bool transfer(struct block_backend *b, struct block_request *r)
{
    struct iovec *iov = r->iov;
    int nr = (int)r->nr_segments;
    off_t at = (off_t)(r->sector * SECTOR);

    while (nr) {
        ssize_t n = r->operation == BLKIF_OP_READ ? preadv(b->fd, iov, nr, at)
                                                  : pwritev(b->fd, iov, nr, at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        while (nr && (size_t)n >= iov->iov_len) {
            n -= (ssize_t)iov->iov_len;
            iov++;
            nr--;
        }
        if (nr) {
            iov->iov_base = (uint8_t *)iov->iov_base + n;
            iov->iov_len -= (size_t)n;
        }
    }
    return true;
}

static void work_on(struct block_backend *b, struct block_request *r)
{
    bool ok = transfer(b, r);

    if (ok && is_ordered(r->operation))
        ok = fdatasync(b->fd) == 0;
    if (!ok)
        log_warning(b->log, "domain %u: disk %u: sector %" PRIu64 ": %s",
                    b->h->m.domid, b->device, r->sector, strerror(errno));
    r->status = ok ? BLKIF_RSP_OKAY : BLKIF_RSP_ERROR;
}

/* With the baton held. */
static void complete(struct block_backend *b, struct block_request *r)
{
    end_grants(b, r, r->nr_segments);
    respond(b, r);
    if (is_ordered(r->operation))
        b->draining = false;
    if (!--b->in_flight) {
        bell_ring(&b->h->baton, &b->idle);
        hosted_backend_rests(b->h);
    }
    bell_ring(&b->h->baton, &b->work);
    free(r);
}

struct worker {
    struct block_backend *b;
    unsigned int number;
};

static void *worker_main(void *context)
{
    struct worker *w = context;
    struct block_backend *b = w->b;
    struct bell *bell = &b->worker_bell[w->number];

    free(w);
    hosted_take(b->h);
    while (!b->ending) {
        struct block_request *r;

        if (list_is_empty(&b->queue)) {
            bell_wait(&b->h->baton, bell, DEADLINE_NONE, BATON_URGENT);
            continue;
        }
        r = list_object(b->queue.next, struct block_request, link);
        list_remove(&r->link);
        hosted_give(b->h);
        work_on(b, r);
        hosted_take(b->h);
        complete(b, r);
    }
    hosted_give(b->h);
    return NULL;
}

/* ---- connecting -------------------------------------------------------- */

static void front_path(const struct block_backend *b, const char *leaf,
                       char ret[static STORE_PATH_MAX])
{
    snprintf(ret, STORE_PATH_MAX, "/local/domain/%u/device/vbd/%u%s%s",
             b->h->m.domid, b->device, *leaf ? "/" : "", leaf);
}

static void back_path(const struct block_backend *b, const char *leaf,
                      char ret[static STORE_PATH_MAX])
{
    snprintf(ret, STORE_PATH_MAX, "/local/domain/0/backend/vbd/%u/%u%s%s",
             b->h->m.domid, b->device, *leaf ? "/" : "", leaf);
}

static bool write_back(struct block_backend *b, const char *leaf,
                       uint64_t value, struct error *err)
{
    char path[STORE_PATH_MAX], text[24];

    back_path(b, leaf, path);
    snprintf(text, sizeof(text), "%" PRIu64, value);
    return store_service_write(b->store, path, text, err);
}

static bool read_front(struct block_backend *b, const char *leaf, uint64_t *ret,
                       struct error *err)
{
    char path[STORE_PATH_MAX], text[STORE_VALUE_MAX], *end;

    front_path(b, leaf, path);
    if (!store_service_read(b->store, path, text, err))
        return false;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return (*text >= '0' && *text <= '9' && !*end && !errno) ||
           error_set(err, ERR_GUEST, "%s: \"%s\", expected a number", path,
                     text);
}

static bool attach(struct block_backend *b, uint32_t ref, uint32_t port,
                   struct error *err)
{
    struct event_sink sink = {.notify = on_event, .context = b};
    struct blkif_back_ring *ring = ring_of(b);
    uint8_t *page;
    int rc;

    page = grants_begin(&b->h->m, ref, GRANT_WRITE);
    if (!page)
        return error_set(err, ERR_GUEST, "grant %u is not for this host", ref);
    rc = events_attach_host(&b->h->m, port, &sink);
    if (rc) {
        grants_end(&b->h->m, ref, GRANT_WRITE);
        return error_set(err, ERR_GUEST,
                         "event channel port %u is not for "
                         "this host",
                         port);
    }
    /* A ring that is in use already goes on behind its last response. */
    BACK_RING_ATTACH(ring, (struct blkif_sring *)page,
                     ((struct blkif_sring *)page)->rsp_prod, PAGE_SIZE);
    b->ring_ref = ref;
    b->port = port;
    b->connected = true;
    bell_ring(&b->h->baton, &b->work);
    return true;
}

static bool block_connect(struct block_backend *b, struct error *err)
{
    uint64_t ref, port;
    bool ok;

    if (!read_front(b, "ring-ref", &ref, err) ||
        !read_front(b, "event-channel", &port, err))
        return false;
    hosted_take(b->h);
    ok = b->connected || attach(b, (uint32_t)ref, (uint32_t)port, err);
    hosted_give(b->h);
    return ok && write_back(b, "state", XenbusStateConnected, err);
}

static void block_disconnect(struct block_backend *b)
{
    hosted_take(b->h);
    if (b->connected || b->port) {
        b->connected = false;
        while (b->in_flight)
            bell_wait(&b->h->baton, &b->idle, DEADLINE_NONE, BATON_URGENT);
        events_detach_host(&b->h->m, b->port);
        grants_end(&b->h->m, b->ring_ref, GRANT_WRITE);
        b->port = 0;
    }
    hosted_give(b->h);
}

static bool follow_front(struct block_backend *b, struct error *err)
{
    uint64_t state;

    if (!read_front(b, "state", &state, err))
        return false;
    switch (state) {
    case XenbusStateInitialising:
        block_disconnect(b);
        return write_back(b, "state", XenbusStateInitWait, err);
    case XenbusStateInitialised:
    case XenbusStateConnected:
        return b->connected || block_connect(b, err);
    case XenbusStateClosing:
    case XenbusStateClosed:
        block_disconnect(b);
        return write_back(b, "state", state, err);
    default:
        return true;
    }
}

static void front_changed(struct store_watcher *w)
{
    struct block_backend *b = container_of(w, struct block_backend, watcher);
    struct error err;

    if (!follow_front(b, &err))
        log_warning(b->log, "domain %u: disk %u: %s", b->h->m.domid, b->device,
                    err.text);
}

/* ---- nodes ------------------------------------------------------------- */

static bool write_node(struct block_backend *b, const char *path,
                       const char *value, const char *perms, struct error *err)
{
    return store_service_write(b->store, path, value, err) &&
           store_service_set_perms(b->store, path, perms, err);
}

struct node {
    const char *leaf;
    char value[STORE_PATH_MAX];
};

static bool write_nodes(struct block_backend *b, bool front,
                        const struct node *nodes, size_t nr, struct error *err)
{
    char path[STORE_PATH_MAX], perms[32];

    if (front)
        snprintf(perms, sizeof(perms), "n%u r0", b->h->m.domid);
    else
        snprintf(perms, sizeof(perms), "n0 r%u", b->h->m.domid);
    for (size_t i = 0; i < nr; i++) {
        if (front)
            front_path(b, nodes[i].leaf, path);
        else
            back_path(b, nodes[i].leaf, path);
        if (!write_node(b, path, nodes[i].value, perms, err))
            return false;
    }
    return true;
}

static bool announce_back(struct block_backend *b, uint64_t state,
                          struct error *err)
{
    struct node back[] = {
        {"",                    ""   },
        {"frontend",            ""   },
        {"frontend-id",         ""   },
        {"online",              "1"  },
        {"mode",                "w"  },
        {"sector-size",         "512"},
        {"sectors",             ""   },
        {"info",                "0"  },
        {"feature-flush-cache", "1"  },
        {"feature-barrier",     "1"  },
        {"state",               ""   },
    };

    front_path(b, "", back[1].value);
    snprintf(back[2].value, sizeof(back[2].value), "%u", b->h->m.domid);
    if (b->read_only) {
        strcpy(back[4].value, "r");
        snprintf(back[7].value, sizeof(back[7].value), "%u", VDISK_READONLY);
    }
    snprintf(back[6].value, sizeof(back[6].value), "%" PRIu64, b->sectors);
    snprintf(back[10].value, sizeof(back[10].value), "%" PRIu64, state);
    return write_nodes(b, false, back, ARRAY_SIZE(back), err);
}

static bool announce(struct block_backend *b, struct error *err)
{
    struct node front[] = {
        {"",               ""    },
        {"backend",        ""    },
        {"backend-id",     "0"   },
        {"virtual-device", ""    },
        {"device-type",    "disk"},
        {"state",          "1"   },
    };

    back_path(b, "", front[1].value);
    snprintf(front[3].value, sizeof(front[3].value), "%u", b->device);
    return announce_back(b, XenbusStateInitWait, err) &&
           write_nodes(b, true, front, ARRAY_SIZE(front), err);
}

/* A frontend that came with its nodes: take up where it stands. */
static bool take_up(struct block_backend *b, struct error *err)
{
    uint64_t state, ref, port;
    bool ok;

    if (!read_front(b, "state", &state, err))
        return false;
    if (state != XenbusStateInitialised && state != XenbusStateConnected)
        return announce_back(
            b, state < XenbusStateInitialised ? XenbusStateInitWait : state,
            err);
    if (!read_front(b, "ring-ref", &ref, err) ||
        !read_front(b, "event-channel", &port, err))
        return false;
    hosted_take(b->h);
    ok = attach(b, (uint32_t)ref, (uint32_t)port, err);
    hosted_give(b->h);
    return ok && announce_back(b, XenbusStateConnected, err);
}

/* ---- life -------------------------------------------------------------- */

static bool open_disk(struct block_backend *b, const char *path,
                      struct error *err)
{
    struct stat st;
    uint64_t size;

    if (!file_open(path, b->read_only ? O_RDONLY : O_RDWR, 0, &b->fd, err))
        return false;
    if (fstat(b->fd, &st))
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    size = (uint64_t)st.st_size;
    if (S_ISBLK(st.st_mode) && ioctl(b->fd, BLKGETSIZE64, &size))
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
        return error_set(err, ERR_USAGE, "%s: neither a file nor a disk", path);
    if (size % SECTOR || size > INT64_MAX)
        return error_set(err, ERR_USAGE,
                         "%s: %" PRIu64 " octets, expected a multiple of %u",
                         path, size, SECTOR);
    b->sectors = size / SECTOR;
    return true;
}

static bool start_threads(struct block_backend *b, struct error *err)
{
    int rc = pthread_create(&b->dispatcher, NULL, dispatcher_main, b);

    if (rc)
        return error_set_errno(err, ERR_NO_MEMORY, rc, "disk thread");
    b->nr_threads = 1;
    for (unsigned int i = 0; i < BLOCK_WORKERS; i++) {
        struct worker *w = calloc(1, sizeof(*w));

        if (!w)
            return error_set(err, ERR_NO_MEMORY, "disk: no memory");
        *w = (struct worker){.b = b, .number = i};
        rc = pthread_create(&b->workers[i], NULL, worker_main, w);
        if (rc) {
            free(w);
            return error_set_errno(err, ERR_NO_MEMORY, rc, "disk thread");
        }
        b->nr_threads++;
    }
    return true;
}

static bool start(struct block_backend *b, struct hosted *h,
                  struct store_service *store, unsigned int device,
                  const char *path, bool read_only, bool moved,
                  struct error *err)
{
    *b = (struct block_backend){
        .h = h,
        .store = store,
        .log = h->m.log,
        .device = device,
        .fd = -1,
        .read_only = read_only,
        .backend = {.is_busy = is_busy, .resume = resume}
    };
    list_init(&b->queue);
    list_init(&b->backend.link);
    bell_init(&b->idle);
    bell_init(&b->work);
    for (unsigned int i = 0; i < BLOCK_WORKERS; i++)
        bell_init(&b->worker_bell[i]);
    b->ring = calloc(1, sizeof(struct blkif_back_ring));
    if (!b->ring)
        return error_set(err, ERR_NO_MEMORY, "disk: no memory");
    if (!open_disk(b, path, err) || !start_threads(b, err) ||
        !(moved ? take_up(b, err) : announce(b, err)))
        return false;
    hosted_take(h);
    hosted_add_backend(h, &b->backend);
    hosted_give(h);
    front_path(b, "state", b->watcher.path);
    b->watcher.changed = front_changed;
    b->watching = store_service_watch(store, &b->watcher, err);
    return b->watching;
}

bool block_backend_start(struct block_backend *b, struct hosted *h,
                         struct store_service *store, unsigned int device,
                         const char *path, bool read_only, struct error *err)
{
    return start(b, h, store, device, path, read_only, false, err);
}

bool block_backend_resume(struct block_backend *b, struct hosted *h,
                          struct store_service *store, unsigned int device,
                          const char *path, bool read_only, struct error *err)
{
    return start(b, h, store, device, path, read_only, true, err);
}

static void end_threads(struct block_backend *b)
{
    hosted_take(b->h);
    b->ending = true;
    bell_ring(&b->h->baton, &b->work);
    for (unsigned int i = 0; i < BLOCK_WORKERS; i++)
        bell_ring(&b->h->baton, &b->worker_bell[i]);
    hosted_give(b->h);
    if (b->nr_threads)
        pthread_join(b->dispatcher, NULL);
    for (unsigned int i = 1; i < b->nr_threads; i++)
        pthread_join(b->workers[i - 1], NULL);
}

void block_backend_stop(struct block_backend *b)
{
    if (!b->h)
        return;
    if (b->watching)
        store_service_unwatch(b->store, &b->watcher);
    block_disconnect(b);
    end_threads(b);
    hosted_take(b->h);
    hosted_remove_backend(b->h, &b->backend);
    hosted_give(b->h);
    free(b->ring);
    close_fd(&b->fd);
    bell_release(&b->idle);
    bell_release(&b->work);
    for (unsigned int i = 0; i < BLOCK_WORKERS; i++)
        bell_release(&b->worker_bell[i]);
    b->h = NULL;
}
