/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/store_service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "hostd/events.h"
#include "store/connection.h"
#include "store/domain.h"
#include "store/domain_data.h"
#include "store/ring.h"

#define TOKEN         "hostd"
#define PATHS_PENDING ((size_t)1 << 20)

/* ---- what the store asks of this host ---------------------------------- */

static struct store_guest *guest_of(struct store_service *s, uint16_t domid)
{
    list_for_each (it, &s->guests) {
        struct store_guest *g = list_object(it, struct store_guest, link);

        if (g->h->m.domid == domid)
            return g;
    }
    return NULL;
}

static enum domain_life domain_life(void *context, uint16_t domid)
{
    return domid == 0 || guest_of(context, domid) ? DOMAIN_ALIVE
                                                  : DOMAIN_ABSENT;
}

static void wake(struct store_service *s)
{
    uint64_t one = 1;

    /* A full counter wakes as well. */
    if (write(s->wake_fd, &one, sizeof(one)) < 0)
        return;
}

/* The guest kicked; with the baton held. */
static void on_event(void *context)
{
    struct store_guest *g = context;

    __atomic_store_n(&g->kicked, true, __ATOMIC_RELEASE);
    wake(g->s);
}

static bool ring_open(void *context, uint16_t domid, uint64_t gfn,
                      uint32_t port, struct ring_link *ret, struct error *err)
{
    struct store_guest *g = guest_of(context, domid);
    struct event_sink sink = {.notify = on_event, .context = g};
    uint8_t *page;
    int rc;

    if (!g)
        return error_set(err, ERR_STATE, "domain %u: not on this host", domid);
    hosted_take(g->h);
    page = guest_memory_page(&g->h->m.memory, gfn);
    rc = page ? events_attach_host(&g->h->m, port, &sink) : 0;
    if (page && !rc)
        g->port = port;
    hosted_give(g->h);
    if (!page)
        return error_set(err, ERR_GUEST, "domain %u: no store ring page",
                         domid);
    if (rc)
        return error_set(err, ERR_GUEST, "domain %u: store port %u: error %d",
                         domid, port, rc);
    *ret = (struct ring_link){.page = (struct ring_page *)page, .port = domid};
    return true;
}

static void ring_close(void *context, uint16_t domid, struct ring_link *link)
{
    struct store_guest *g = guest_of(context, domid);

    *link = (struct ring_link){0};
    if (!g)
        return;
    hosted_take(g->h);
    events_detach_host(&g->h->m, g->port);
    hosted_give(g->h);
    g->port = 0;
}

static bool ring_rebind(void *context, uint16_t domid, uint32_t port,
                        struct ring_link *link, struct error *err)
{
    struct store_guest *g = guest_of(context, domid);
    struct event_sink sink = {.notify = on_event, .context = g};
    int rc;

    if (!g)
        return error_set(err, ERR_STATE, "domain %u: not on this host", domid);
    hosted_take(g->h);
    events_detach_host(&g->h->m, g->port);
    rc = events_attach_host(&g->h->m, port, &sink);
    hosted_give(g->h);
    (void)link;
    if (rc)
        return error_set(err, ERR_GUEST, "domain %u: store port %u: error %d",
                         domid, port, rc);
    g->port = port;
    return true;
}

/* Our links carry the domid where a hypervisor has a local port. */
static void ring_notify(void *context, const struct ring_link *link)
{
    struct store_guest *g = guest_of(context, (uint16_t)link->port);

    if (!g)
        return;
    hosted_take(g->h);
    if (hosted_is_paused(g->h))
        g->notify_late = true;
    else
        events_notify_guest(&g->h->m, g->port);
    hosted_give(g->h);
}

static int64_t now_ns(void *context)
{
    (void)context;
    return clock_now_ns();
}

static bool guest_is_busy(struct backend *b)
{
    (void)b;
    return false;
}

static void guest_resume(struct backend *b)
{
    struct store_guest *g = container_of(b, struct store_guest, backend);

    if (g->notify_late)
        events_notify_guest(&g->h->m, g->port);
    g->notify_late = false;
}

/* ---- our own client ---------------------------------------------------- */

static enum transport_result client_receive(struct connection *c, size_t wanted)
{
    struct store_service *s = connection_context(c);
    size_t left = s->requests.length - s->requests_taken;
    size_t length = size_min(left, wanted);
    uint8_t *to;

    if (!length)
        return TRANSPORT_WAIT;
    to = connection_input(c, length);
    if (!to)
        return TRANSPORT_BROKEN;
    memcpy(to, s->requests.bytes + s->requests_taken, length);
    connection_received(c, length);
    s->requests_taken += length;
    return TRANSPORT_DONE;
}

static enum transport_result client_send(struct connection *c)
{
    struct store_service *s = connection_context(c);

    while (connection_output_length(c)) {
        struct iovec iov[16];
        int nr = connection_output(c, iov, (int)ARRAY_SIZE(iov));
        size_t length = 0;

        for (int i = 0; i < nr; i++) {
            buffer_bytes(&s->replies, iov[i].iov_base, iov[i].iov_len);
            length += iov[i].iov_len;
        }
        connection_sent(c, length);
    }
    return TRANSPORT_DONE;
}

static void client_close(struct connection *c)
{
    struct store_service *s = connection_context(c);

    s->client = NULL;
}

static const struct transport client_transport = {
    .receive = client_receive, .send = client_send, .close = client_close};

/* A whole message from the client's replies, or false. */
static bool next_message(struct store_service *s, struct wire_header *ret,
                         const char **ret_body)
{
    if (s->replies.length < sizeof(*ret))
        return false;
    memcpy(ret, s->replies.bytes, sizeof(*ret));
    if (s->replies.length - sizeof(*ret) < ret->len)
        return false;
    *ret_body = (const char *)s->replies.bytes + sizeof(*ret);
    return true;
}

static void drop_message(struct store_service *s, const struct wire_header *h)
{
    buffer_consume(&s->replies, sizeof(*h) + h->len);
}

static void keep_event(struct store_service *s, const char *body, size_t length)
{
    size_t path = strnlen(body, length);

    if (path == length || s->events.length > PATHS_PENDING)
        return;
    buffer_bytes(&s->events, body, path + 1);
    wake(s);
}

/* Events among what came; with the lock held. */
static void take_events(struct store_service *s)
{
    struct wire_header head;
    const char *body;

    while (next_message(s, &head, &body)) {
        if (head.type == OP_WATCH_EVENT)
            keep_event(s, body, head.len);
        drop_message(s, &head);
    }
}

static void turn(struct store_service *s)
{
    while (store_turn(s->store))
        continue;
}

/*
 * One request; the reply's body, cut to 'size' octets with a NUL, goes to
 * 'ret' unless that is NULL.  With the lock held.
 */
static bool request_locked(struct store_service *s, enum wire_op op,
                           const void *payload, size_t length,
                           const char *about, char *ret, size_t size,
                           struct error *err)
{
    struct wire_header head = {
        .type = op, .req_id = ++s->req_id, .len = (uint32_t)length};
    const char *body;

    if (!s->client || length > WIRE_PAYLOAD_MAX)
        return error_set(err, ERR_STATE, "store: %s: no connection", about);
    buffer_reset(&s->requests);
    s->requests_taken = 0;
    buffer_bytes(&s->requests, &head, sizeof(head));
    buffer_bytes(&s->requests, payload, length);
    if (!buffer_check(&s->requests, "store request", err))
        return false;
    connection_wake(s->client);
    turn(s);
    while (next_message(s, &head, &body)) {
        size_t taken = size_min(head.len, size ? size - 1 : 0);
        bool ok = head.type != OP_ERROR;

        if (head.type == OP_WATCH_EVENT) {
            keep_event(s, body, head.len);
            drop_message(s, &head);
            continue;
        }
        if (ok && ret) {
            memcpy(ret, body, taken);
            ret[taken] = '\0';
        }
        if (!ok)
            error_set(err, ERR_STATE, "store: %s: %.*s", about, (int)head.len,
                      body);
        drop_message(s, &head);
        take_events(s);
        return ok;
    }
    return error_set(err, ERR_STATE, "store: %s: no reply", about);
}

static bool request(struct store_service *s, enum wire_op op,
                    const void *payload, size_t length, const char *about,
                    char *ret, size_t size, struct error *err)
{
    bool ok;

    pthread_mutex_lock(&s->lock);
    ok = request_locked(s, op, payload, length, about, ret, size, err);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool store_service_write(struct store_service *s, const char *path,
                         const char *value, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_bytes(&b, path, strlen(path) + 1);
    buffer_text(&b, value);
    return buffer_check(&b, "store request", err) &&
           request(s, OP_WRITE, b.bytes, b.length, path, NULL, 0, err);
}

bool store_service_read(struct store_service *s, const char *path,
                        char ret[static STORE_VALUE_MAX], struct error *err)
{
    return request(s, OP_READ, path, strlen(path) + 1, path, ret,
                   STORE_VALUE_MAX, err);
}

bool store_service_remove(struct store_service *s, const char *path,
                          struct error *err)
{
    return request(s, OP_RM, path, strlen(path) + 1, path, NULL, 0, err);
}

bool store_service_set_perms(struct store_service *s, const char *path,
                             const char *perms, struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};
    size_t start;

    buffer_bytes(&b, path, strlen(path) + 1);
    start = b.length;
    buffer_bytes(&b, perms, strlen(perms) + 1);
    if (!buffer_check(&b, "store request", err))
        return false;
    for (size_t i = start; i < b.length; i++)
        if (b.bytes[i] == ' ')
            b.bytes[i] = '\0';
    return request(s, OP_SET_PERMS, b.bytes, b.length, path, NULL, 0, err);
}

static bool watch_op(struct store_service *s, enum wire_op op, const char *path,
                     struct error *err)
{
    cleanup(buffer_release) struct buffer b = {0};

    buffer_bytes(&b, path, strlen(path) + 1);
    buffer_bytes(&b, TOKEN, sizeof(TOKEN));
    return buffer_check(&b, "store request", err) &&
           request(s, op, b.bytes, b.length, path, NULL, 0, err);
}

bool store_service_watch(struct store_service *s, struct store_watcher *w,
                         struct error *err)
{
    pthread_mutex_lock(&s->lock);
    list_append(&s->watchers, &w->link);
    pthread_mutex_unlock(&s->lock);
    if (watch_op(s, OP_WATCH, w->path, err))
        return true;
    pthread_mutex_lock(&s->lock);
    list_remove(&w->link);
    pthread_mutex_unlock(&s->lock);
    return false;
}

void store_service_unwatch(struct store_service *s, struct store_watcher *w)
{
    struct error err;

    /* Its node, and the watch with it, may be gone already. */
    (void)!watch_op(s, OP_UNWATCH, w->path, &err);
    pthread_mutex_lock(&s->lock);
    list_remove(&w->link);
    while (s->calling == w)
        pthread_cond_wait(&s->called, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* ---- the thread -------------------------------------------------------- */

/* Whoever watches 'path'; with the lock held, which is given up meanwhile. */
static void tell_watchers(struct store_service *s, const char *path)
{
    list_for_each (it, &s->watchers) {
        struct store_watcher *w = list_object(it, struct store_watcher, link);

        if (strcmp(w->path, path))
            continue;
        s->calling = w;
        pthread_mutex_unlock(&s->lock);
        w->changed(w);
        pthread_mutex_lock(&s->lock);
        s->calling = NULL;
        pthread_cond_broadcast(&s->called);
        break;
    }
}

static void deliver_events(struct store_service *s)
{
    take_events(s);
    while (s->events.length) {
        char path[STORE_PATH_MAX];

        snprintf(path, sizeof(path), "%s", (const char *)s->events.bytes);
        buffer_consume(&s->events, strlen((const char *)s->events.bytes) + 1);
        tell_watchers(s, path);
    }
}

static void take_kicks(struct store_service *s)
{
    list_for_each (it, &s->guests) {
        struct store_guest *g = list_object(it, struct store_guest, link);

        if (__atomic_exchange_n(&g->kicked, false, __ATOMIC_ACQ_REL))
            store_ring_kicked(s->store, g->h->m.domid);
    }
}

static void *service_main(void *context)
{
    struct store_service *s = context;

    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};
        uint64_t count;
        int timeout;

        take_kicks(s);
        turn(s);
        deliver_events(s);
        timeout = deadline_left_ms(store_deadline(s->store));
        pthread_mutex_unlock(&s->lock);
        if (poll(&fd, 1, timeout) > 0 &&
            read(s->wake_fd, &count, sizeof(count)) < 0)
            log_warning(s->log, "store: %s", strerror(errno));
        pthread_mutex_lock(&s->lock);
        store_tick(s->store);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

bool store_service_open(struct store_service *s, const struct log *log,
                        struct error *err)
{
    struct store_options options = store_options_default();
    struct store_host host = {.domain_life = domain_life,
                              .ring_open = ring_open,
                              .ring_close = ring_close,
                              .ring_rebind = ring_rebind,
                              .ring_notify = ring_notify,
                              .now_ns = now_ns,
                              .log = log,
                              .context = s};
    int rc;

    *s = (struct store_service){.log = log, .wake_fd = -1};
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->called, NULL);
    list_init(&s->guests);
    list_init(&s->watchers);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->wake_fd < 0)
        return error_set_errno(err, ERR_IO, errno, "eventfd");
    if (!store_open(&options, &host, &s->store, err))
        return false;
    s->client = store_connect(s->store, &client_transport, s);
    if (!s->client)
        return error_set(err, ERR_NO_MEMORY, "store: no memory");
    rc = pthread_create(&s->thread, NULL, service_main, s);
    if (rc)
        return error_set_errno(err, ERR_NO_MEMORY, rc, "store thread");
    s->started = true;
    return true;
}

void store_service_close(struct store_service *s)
{
    if (s->started) {
        pthread_mutex_lock(&s->lock);
        s->ending = true;
        wake(s);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    if (s->store)
        store_close(s->store);
    buffer_release(&s->requests);
    buffer_release(&s->replies);
    buffer_release(&s->events);
    close_fd(&s->wake_fd);
    pthread_cond_destroy(&s->called);
    pthread_mutex_destroy(&s->lock);
}

bool store_service_introduce(struct store_service *s, struct store_guest *g,
                             struct hosted *h, struct error *err)
{
    uint64_t gfn, port;
    enum outcome outcome;

    *g = (struct store_guest){
        .s = s,
        .h = h,
        .backend = {.is_busy = guest_is_busy, .resume = guest_resume}
    };
    hosted_take(h);
    gfn = h->m.hvm_param[HVM_PARAM_STORE_PFN];
    port = h->m.hvm_param[HVM_PARAM_STORE_EVTCHN];
    hosted_add_backend(h, &g->backend);
    hosted_give(h);
    pthread_mutex_lock(&s->lock);
    list_append(&s->guests, &g->link);
    outcome = store_introduce(s->store, h->m.domid, gfn, (uint32_t)port);
    wake(s);
    pthread_mutex_unlock(&s->lock);
    if (outcome == STORE_OK)
        return true;
    store_service_release(s, g);
    return error_set(err, ERR_STATE, "domain %u: store: introduce: %s",
                     h->m.domid, outcome_name(outcome));
}

void store_service_release(struct store_service *s, struct store_guest *g)
{
    if (!g->h)
        return;
    pthread_mutex_lock(&s->lock);
    (void)store_release(s->store, g->h->m.domid);
    list_remove(&g->link);
    store_domains_changed(s->store);
    turn(s);
    pthread_mutex_unlock(&s->lock);
    hosted_take(g->h);
    hosted_remove_backend(g->h, &g->backend);
    hosted_give(g->h);
    g->h = NULL;
}

/* ---- moves that the guest does not notice ------------------------------ */

void store_service_freeze(struct store_service *s, struct store_guest *g)
{
    struct domain *d;

    if (!g->h)
        return;
    pthread_mutex_lock(&s->lock);
    d = domain_find(s->store, g->h->m.domid);
    if (d && d->link.page && !g->frozen) {
        take_kicks(s);
        turn(s);
        (void)domain_quiesce(s->store, d);
        turn(s);
        /* Without its page a ring waits, in both directions. */
        g->frozen = d->link.page;
        d->link.page = NULL;
    }
    pthread_mutex_unlock(&s->lock);
}

void store_service_thaw(struct store_service *s, struct store_guest *g)
{
    struct domain *d;

    if (!g->h)
        return;
    pthread_mutex_lock(&s->lock);
    d = domain_find(s->store, g->h->m.domid);
    if (d && g->frozen) {
        d->link.page = g->frozen;
        (void)domain_unquiesce(s->store, d);
        connection_want_flush(d->connection);
        wake(s);
    }
    g->frozen = NULL;
    pthread_mutex_unlock(&s->lock);
}

static bool save_carry(struct domain *d, struct state_store *ret,
                       struct error *err)
{
    struct carry *carry = ring_carry(d->connection);

    ret->req_cons = d->ring_req_cons;
    ret->rsp_prod = d->ring_rsp_prod;
    if (!carry)
        return true;
    ret->out_partial = (uint32_t)carry->out_partial;
    buffer_bytes(&ret->in, carry->bytes, carry->in_len);
    buffer_bytes(&ret->out, carry->bytes + carry->in_len, carry->out_len);
    free(carry);
    return buffer_check(&ret->in, "store ring", err) &&
           buffer_check(&ret->out, "store ring", err);
}

bool store_service_save(struct store_service *s, struct store_guest *g,
                        struct state_store *ret, struct error *err)
{
    struct domain *d;
    bool ok;

    if (!g->h)
        return error_set(err, ERR_STATE, "store: the guest is not in it");
    pthread_mutex_lock(&s->lock);
    d = domain_find(s->store, g->h->m.domid);
    ok = (d && d->connection && g->frozen) ||
         error_set(err, ERR_STATE, "store: domain %u is not quiesced",
                   g->h->m.domid);
    ok = ok && domain_data_save(s->store, d->domid, &ret->data, err) &&
         save_carry(d, ret, err);
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* For ring_attach(), which takes it if the ring stands as it did. */
static bool load_carry(struct domain *d, const struct state_store *state,
                       struct error *err)
{
    struct carry *carry =
        malloc(sizeof(*carry) + state->in.length + state->out.length);

    if (!carry)
        return error_set(err, ERR_NO_MEMORY, "store ring");
    *carry = (struct carry){.req_cons = state->req_cons,
                            .rsp_prod = state->rsp_prod,
                            .in_len = state->in.length,
                            .out_len = state->out.length,
                            .out_partial = state->out_partial};
    if (carry->in_len)
        memcpy(carry->bytes, state->in.bytes, carry->in_len);
    if (carry->out_len)
        memcpy(carry->bytes + carry->in_len, state->out.bytes, carry->out_len);
    free(d->carry);
    d->carry = carry;
    return true;
}

bool store_service_load(struct store_service *s, struct store_guest *g,
                        struct hosted *h, const struct state_store *state,
                        struct error *err)
{
    uint16_t domid = h->m.domid;
    struct domain *d;
    bool ok;

    pthread_mutex_lock(&s->lock);
    d = domain_get(s->store, domid);
    ok = d ? load_carry(d, state, err)
           : error_set(err, ERR_NO_MEMORY, "store: domain %u", domid);
    pthread_mutex_unlock(&s->lock);
    if (!ok || !store_service_introduce(s, g, h, err))
        return false;
    pthread_mutex_lock(&s->lock);
    ok = domain_data_load(s->store, domid, domid, state->data.bytes,
                          state->data.length, err);
    wake(s);
    pthread_mutex_unlock(&s->lock);
    return ok || error_wrap(err, "xenstore data");
}
