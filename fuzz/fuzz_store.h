/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store in memory as the fuzz targets use it: domains 0 to 7 exist. */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../tests/unit/store_in_memory.h"

#define FUZZ_DOMAINS 8u

static inline void fuzz_store_open(struct store_in_memory *f)
{
    struct error err = {0};
    bool open = store_in_memory_open(f, FUZZ_DOMAINS, &err);

    assert(open);
}

/* The context, if any, points to who has the pointer. */
static inline void fuzz_close(struct connection *c)
{
    struct connection **holder = connection_context(c);

    if (holder)
        *holder = NULL;
}

static const struct transport fuzz_transport = {
    .receive = memory_receive, .send = memory_send, .close = fuzz_close};

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
    struct store_in_memory *other = malloc(sizeof(*other));
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
