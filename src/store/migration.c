/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations that take a guest's store state elsewhere.
 *
 *   QUIESCE            domid\0
 *       No further request is taken off the ring.  Answered when every reply
 *       and event has been read by the guest; EBUSY after two seconds, and
 *       then still quiesced.  Repeating it is fine.  Ends with UNQUIESCE,
 *       INTRODUCE or RELEASE.
 *   UNQUIESCE          domid\0
 *   GET_DOMAIN_WATCHES domid\0 index\0 [*depth\0]
 *       -> generation\0 (path\0 token\0 [depth\0])*, whole entries only, from
 *       the index'th on; the generation changes with the list.
 *   ADD_DOMAIN_WATCHES domid\0 [*depth\0] (path\0 token\0 [depth\0])+
 *       As if the domain had asked; all or none; those that are there already
 *       are skipped.  Each new one fires once.
 *
 * "*depth" is no valid path, so that it cannot be mistaken for one.  An empty
 * depth means none.
 */
#include "store/request.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/domain.h"
#include "store/tree.h"

#define QUIESCE_WAIT_NS (2 * NS_PER_S)

static enum outcome domain_of(const struct request *r, const char *word,
                              struct domain **ret)
{
    uint32_t domid;

    if (!number_parse(word, &domid) || domid >= DOMID_RESERVED_FIRST)
        return STORE_EINVAL;
    *ret = domain_find(r->store, domid);
    if (!*ret || !(*ret)->introduced)
        return STORE_ENOENT;
    return STORE_OK;
}

enum outcome request_quiesce(struct request *r)
{
    char *words[1];
    struct domain *d;
    enum outcome outcome;

    if (request_words(r, words, 1) != 1)
        return STORE_EINVAL;
    outcome = domain_of(r, words[0], &d);
    if (outcome != STORE_OK)
        return outcome;
    if (d->connection == r->c)
        return STORE_EINVAL;
    outcome = domain_quiesce(r->store, d);
    if (outcome != STORE_OK)
        return outcome;
    if (domain_is_drained(d)) {
        request_reply(r, "OK", 3);
        return STORE_OK;
    }
    r->c->waiting_for = d->domid;
    r->c->waiting_until_ns = store_now(r->store) + QUIESCE_WAIT_NS;
    list_append(&r->store->waiting, &r->c->waiting);
    return STORE_PARKED;
}

void migration_tick(struct store *store)
{
    list_for_each_safe (it, after, &store->waiting) {
        struct connection *c = list_object(it, struct connection, waiting);
        struct domain *d = domain_find(store, c->waiting_for);
        const char *answer = NULL;
        uint32_t type = OP_ERROR;

        if (!d || !d->introduced) {
            answer = "ENOENT";
        } else if (domain_is_drained(d)) {
            answer = "OK";
            type = c->parked.type;
        } else if (store_now(store) >= c->waiting_until_ns) {
            answer = "EBUSY";
        }
        if (!answer)
            continue;
        list_remove(&c->waiting);
        c->is_parked = false;
        connection_reply(c, &c->parked, type, answer, strlen(answer) + 1);
        connection_wake(c);
    }
}

enum outcome request_unquiesce(struct request *r)
{
    char *words[1];
    struct domain *d;
    enum outcome outcome;

    if (request_words(r, words, 1) != 1)
        return STORE_EINVAL;
    outcome = domain_of(r, words[0], &d);
    if (outcome == STORE_OK)
        outcome = domain_unquiesce(r->store, d);
    if (outcome == STORE_OK)
        request_reply(r, "OK", 3);
    return outcome;
}

static bool is_depth_mark(const char *word)
{
    return !strcmp(word, "*depth");
}

enum outcome request_get_domain_watches(struct request *r)
{
    char *words[3];
    unsigned int nr = request_words(r, words, 3);
    struct buffer *out = &r->store->scratch;
    uint32_t index, at = 0;
    struct domain *d;
    enum outcome outcome;

    if (nr < 2 || nr > 3 || (nr == 3 && !is_depth_mark(words[2])) ||
        !number_parse(words[1], &index))
        return STORE_EINVAL;
    outcome = domain_of(r, words[0], &d);
    if (outcome != STORE_OK)
        return outcome;
    buffer_reset(out);
    buffer_format(out, "%" PRIu64, d->connection->watches_changed);
    buffer_u8(out, 0);
    list_for_each (it, &d->connection->watches) {
        struct watch *w = list_object(it, struct watch, on_connection);
        char depth[16] = "";
        size_t length = w->path_len + w->token_len + 2u;

        if (at++ < index)
            continue;
        if (w->depth != WATCH_DEPTH_ANY)
            snprintf(depth, sizeof(depth), "%d", w->depth);
        if (nr == 3)
            length += strlen(depth) + 1;
        if (out->length + length > WIRE_PAYLOAD_MAX)
            break;
        buffer_bytes(out, w->text, w->path_len + w->token_len + 2u);
        if (nr == 3)
            buffer_bytes(out, depth, strlen(depth) + 1);
    }
    if (out->bad)
        return STORE_ENOMEM;
    request_reply(r, out->bytes, out->length);
    return STORE_OK;
}

/* One wish: false if it is none; '*ret_depth' as watch_add() takes it. */
static bool depth_parse(const char *word, int *ret_depth)
{
    uint32_t depth;

    *ret_depth = WATCH_DEPTH_ANY;
    if (!*word)
        return true;
    if (!number_parse(word, &depth) || depth > INT16_MAX)
        return false;
    *ret_depth = (int)depth;
    return true;
}

enum outcome request_add_domain_watches(struct request *r)
{
    char *words[WORDS_MAX * 4];
    unsigned int nr = request_words(r, words, ARRAY_SIZE(words));
    unsigned int first = 1, step = 2, fresh = 0;
    char path[WIRE_ABS_PATH_MAX + 1];
    struct domain *d;
    struct watch *w;
    uint64_t before = r->store->watch_sequence;
    enum outcome outcome;
    int depth = WATCH_DEPTH_ANY;

    if (nr > 1 && is_depth_mark(words[1])) {
        first = 2;
        step = 3;
    }
    if (nr > ARRAY_SIZE(words) || nr < first + step || (nr - first) % step)
        return STORE_EINVAL;
    outcome = domain_of(r, words[0], &d);
    if (outcome != STORE_OK)
        return outcome;
    if (d->connection->broken)
        return STORE_EIO;
    for (unsigned int i = first; i < nr; i += step) {
        outcome = path_canonical(d->connection, words[i], true, path);
        if (outcome != STORE_OK)
            return outcome;
        if (step == 3 && !depth_parse(words[i + 2], &depth))
            return STORE_EINVAL;
        fresh += !watch_find(d->connection, path, words[i + 1]);
    }
    if (domain_is_guest(r->store, d) &&
        quota_exceeded(&d->quotas, QUOTA_WATCHES,
                       d->connection->nr_watches + fresh)) {
        store_log_refusal(r->store, d, QUOTA_WATCHES,
                          d->connection->nr_watches + fresh);
        return STORE_ENOSPC;
    }
    for (unsigned int i = first; i < nr && outcome == STORE_OK; i += step) {
        outcome = path_canonical(d->connection, words[i], true, path);
        if (outcome != STORE_OK ||
            watch_find(d->connection, path, words[i + 1]))
            continue;
        if (step == 3 && !depth_parse(words[i + 2], &depth))
            continue;
        w = watch_add(r->store, d->connection, path, words[i], words[i + 1],
                      depth);
        if (!w)
            outcome = STORE_ENOMEM;
    }
    list_for_each_safe (it, after, &d->connection->watches) {
        w = list_object(it, struct watch, on_connection);
        if (w->sequence <= before)
            continue;
        if (outcome == STORE_OK)
            watch_fire_initial(r->store, w);
        else
            watch_remove(r->store, w);
    }
    if (outcome == STORE_OK)
        request_reply(r, "OK", 3);
    return outcome;
}
