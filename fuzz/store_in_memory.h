/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A store without a process: domains 1 to 7 exist, their pages are memory. */
#ifndef FUZZ_STORE_IN_MEMORY_H
#define FUZZ_STORE_IN_MEMORY_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/connection.h"
#include "store/domain.h"
#include "store/store.h"

#define FUZZ_DOMAINS 8u

struct fuzz_store {
    struct store *store;
    struct ring_page pages[FUZZ_DOMAINS];
    bool dead[FUZZ_DOMAINS];
    int64_t now_ns;
};

static inline enum domain_life fuzz_life(void *context, uint16_t domid)
{
    struct fuzz_store *f = context;

    return domid < FUZZ_DOMAINS && !f->dead[domid] ? DOMAIN_ALIVE
                                                   : DOMAIN_ABSENT;
}

static inline bool fuzz_ring_open(void *context, uint16_t domid, uint64_t gfn,
                                  uint32_t port, struct ring_link *ret,
                                  struct error *err)
{
    struct fuzz_store *f = context;

    (void)gfn;
    if (domid >= FUZZ_DOMAINS)
        return error_set(err, ERR_HOST, "domain %u: no page", domid);
    *ret = (struct ring_link){.page = &f->pages[domid], .port = port};
    return true;
}

static inline void fuzz_ring_close(void *context, uint16_t domid,
                                   struct ring_link *link)
{
    (void)context;
    (void)domid;
    link->page = NULL;
}

static inline bool fuzz_ring_rebind(void *context, uint16_t domid,
                                    uint32_t port, struct ring_link *link,
                                    struct error *err)
{
    (void)context;
    (void)domid;
    (void)err;
    link->port = port;
    return true;
}

static inline void fuzz_ring_notify(void *context, const struct ring_link *link)
{
    (void)context;
    (void)link;
}

static inline bool fuzz_ring_resume(void *context, uint16_t domid,
                                    uint32_t local_port, struct ring_link *ret,
                                    struct error *err)
{
    return fuzz_ring_open(context, domid, 1, local_port, ret, err);
}

static inline int64_t fuzz_now(void *context)
{
    return ((struct fuzz_store *)context)->now_ns;
}

static inline enum outcome fuzz_control(void *context, struct connection *from,
                                        unsigned int nr_words, char **words,
                                        struct buffer *reply)
{
    (void)context;
    (void)from;
    (void)nr_words;
    (void)words;
    (void)reply;
    return STORE_EINVAL;
}

static inline void fuzz_store_open(struct fuzz_store *f)
{
    struct store_host host = {.domain_life = fuzz_life,
                              .ring_open = fuzz_ring_open,
                              .ring_close = fuzz_ring_close,
                              .ring_rebind = fuzz_ring_rebind,
                              .ring_notify = fuzz_ring_notify,
                              .ring_resume = fuzz_ring_resume,
                              .now_ns = fuzz_now,
                              .control = fuzz_control,
                              .context = f};
    struct store_options options = store_options_default();
    struct error err = {0};
    bool open;

    memset(f, 0, sizeof(*f));
    f->now_ns = 1;
    open = store_open(&options, &host, &f->store, &err);
    assert(open);
}

/* Nothing comes by itself, and nothing leaves. */
static inline enum transport_result fuzz_receive(struct connection *c,
                                                 size_t wanted)
{
    (void)c;
    (void)wanted;
    return TRANSPORT_WAIT;
}

static inline enum transport_result fuzz_send(struct connection *c)
{
    (void)c;
    return TRANSPORT_WAIT;
}

/* The context, if any, points to who has the pointer. */
static inline void fuzz_close(struct connection *c)
{
    struct connection **holder = connection_context(c);

    if (holder)
        *holder = NULL;
}

static const struct transport fuzz_transport = {
    .receive = fuzz_receive, .send = fuzz_send, .close = fuzz_close};

static inline struct connection *fuzz_socket(void *context, struct store *store,
                                             uint32_t id, int fd,
                                             struct error *err)
{
    (void)context;
    (void)id;
    (void)fd;
    (void)err;
    return store_connect(store, &fuzz_transport, NULL);
}

static inline void fuzz_assert_sound(struct store *store)
{
    struct buffer report = {0};

    store_check(store, &report);
    assert(report.length == 0);
    buffer_release(&report);
}

static inline void fuzz_dump(struct store *store, struct buffer *ret)
{
    struct store_dump_options options = {
        .version = 2, .listen_fd = -1, .evtchn_fd = -1, .complete = true};
    struct error err = {0};
    bool dumped = store_dump(store, &options, ret, &err);

    assert(dumped);
}

/* What is dumped loads, and dumps to the same octets again. */
static inline void fuzz_assert_survives(struct store *store)
{
    static const struct store_load_hooks hooks = {.socket = fuzz_socket};
    struct buffer first = {0};
    struct buffer second = {0};
    struct error err = {0};
    struct fuzz_store *other = malloc(sizeof(*other));
    bool loaded;

    assert(other);
    fuzz_dump(store, &first);
    fuzz_store_open(other);
    store_replay_begin(other->store);
    loaded = store_load(other->store, first.bytes, first.length, &hooks, &err);
    assert(loaded);
    fuzz_dump(other->store, &second);
    assert(first.length == second.length);
    assert(memcmp(first.bytes, second.bytes, first.length) == 0);
    store_close(other->store);
    free(other);
    buffer_release(&first);
    buffer_release(&second);
}

#endif
