/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store without a process: a host in memory, clients whose bytes are put and
 * taken by hand, and guests whose pages are memory.
 */
#ifndef TESTS_UNIT_STORE_IN_MEMORY_H
#define TESTS_UNIT_STORE_IN_MEMORY_H

#include "store/connection.h"
#include "store/domain.h"
#include "store/store.h"

#define MEMORY_DOMAINS_MAX 16u

struct store_in_memory {
    struct store *store;
    unsigned int nr_domains; /* others do not exist */
    struct ring_page pages[MEMORY_DOMAINS_MAX];
    enum domain_life life[MEMORY_DOMAINS_MAX];
    int64_t now_ns;
};

static inline enum domain_life memory_life(void *context, uint16_t domid)
{
    struct store_in_memory *s = context;

    return domid < s->nr_domains ? s->life[domid] : DOMAIN_ABSENT;
}

static inline bool memory_ring_open(void *context, uint16_t domid, uint64_t gfn,
                                    uint32_t port, struct ring_link *ret,
                                    struct error *err)
{
    struct store_in_memory *s = context;

    if (domid >= s->nr_domains)
        return error_set(err, ERR_HOST, "domain %u: no page", domid);
    *ret = (struct ring_link){.page = &s->pages[domid], .port = port};
    return true;
}

static inline void memory_ring_close(void *context, uint16_t domid,
                                     struct ring_link *link)
{
    link->page = NULL;
}

static inline bool memory_ring_rebind(void *context, uint16_t domid,
                                      uint32_t port, struct ring_link *link,
                                      struct error *err)
{
    link->port = port;
    return true;
}

static inline void memory_ring_notify(void *context,
                                      const struct ring_link *link)
{
}

static inline bool memory_ring_resume(void *context, uint16_t domid,
                                      uint32_t local_port,
                                      struct ring_link *ret, struct error *err)
{
    return memory_ring_open(context, domid, 1, local_port, ret, err);
}

static inline int64_t memory_now(void *context)
{
    return ((struct store_in_memory *)context)->now_ns;
}

static inline bool store_in_memory_open(struct store_in_memory *s,
                                        unsigned int nr_domains,
                                        struct error *err)
{
    struct store_host host = {.domain_life = memory_life,
                              .ring_open = memory_ring_open,
                              .ring_close = memory_ring_close,
                              .ring_rebind = memory_ring_rebind,
                              .ring_notify = memory_ring_notify,
                              .ring_resume = memory_ring_resume,
                              .now_ns = memory_now,
                              .context = s};
    struct store_options options = store_options_default();

    *s = (struct store_in_memory){.nr_domains = nr_domains, .now_ns = 1};
    for (unsigned int i = 0; i < nr_domains; i++)
        s->life[i] = DOMAIN_ALIVE;
    return store_open(&options, &host, &s->store, err);
}

/* Input comes by connection_input() alone, output stays queued. */
static inline enum transport_result memory_receive(struct connection *c,
                                                   size_t wanted)
{
    return TRANSPORT_WAIT;
}

static inline enum transport_result memory_send(struct connection *c)
{
    return TRANSPORT_WAIT;
}

#endif
