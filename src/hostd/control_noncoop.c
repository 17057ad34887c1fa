/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of moves that the guest does not notice: its state by parts, each
 * as state/guest_state.h encodes it, and its backends on the rings as they
 * stand.
 */
#include <inttypes.h>

#include "base/cleanup.h"
#include "hostd/control_server.h"
#include "hostd/machine_state.h"

static bool request_part(const struct request *r, struct tenant **ret,
                         enum state_part *ret_part, struct error *err)
{
    uint64_t part;

    if (!request_domain(r, ret, err) ||
        !request_number(r, "part", STATE_NR_PARTS - 1, &part, err))
        return false;
    *ret_part = (enum state_part)part;
    return true;
}

bool control_append_part(struct tenant *t, enum state_part part,
                         struct buffer *ret, struct error *err)
{
    cleanup(guest_state_release) struct guest_state s = {0};
    bool ok;

    hosted_take(&t->h);
    ok = tenant_is_suspended(t) ||
         error_set(err, ERR_STATE,
                   "domain %s: not suspended from outside, expected it to "
                   "stand still",
                   t->name);
    if (ok && part != STATE_STORE)
        ok = machine_state_get(&t->h.m, part, &s, err);
    hosted_give(&t->h);
    if (ok && part == STATE_STORE)
        ok = store_service_save(t->store, &t->store_guest, &s.store, err);
    if (!ok)
        return false;
    guest_state_encode(&s, part, ret);
    return buffer_check(ret, state_part_name(part), err);
}

static bool state_get(struct request *r, struct error *err)
{
    enum state_part part;
    struct tenant *t;

    return request_part(r, &t, &part, err) &&
           control_append_part(t, part, r->answer_data, err);
}

static bool set_part(struct tenant *t, enum state_part part,
                     const struct guest_state *s, struct error *err)
{
    bool ok;

    if (part == STATE_STORE)
        return tenant_restore_store(t, &s->store, err);
    hosted_take(&t->h);
    ok = machine_state_set(&t->h.m, part, s, err);
    hosted_give(&t->h);
    return ok;
}

static bool state_set(struct request *r, struct error *err)
{
    cleanup(guest_state_release) struct guest_state s = {0};
    enum state_part part;
    struct tenant *t;

    if (!request_part(r, &t, &part, err))
        return false;
    if (!tenant_is_empty(t) || part != t->nr_parts)
        return error_set(err, ERR_STATE,
                         "domain %s: %s after %u parts of %u, expected them "
                         "in order, into a domain that has not run",
                         t->name, state_part_name(part), t->nr_parts,
                         STATE_NR_PARTS);
    if (!guest_state_decode(&s, part, r->data, r->data_length, ORDER_LITTLE,
                            ERROR_NO_OFFSET, err))
        return false;
    if (part != STATE_IDENTITY) {
        s.present |= 1u << STATE_IDENTITY;
        s.identity.domid = t->h.m.domid;
        s.identity.nr_vcpus = t->h.m.nr_vcpus;
    }
    if (!guest_state_check(&s, err) || !set_part(t, part, &s, err))
        return false;
    t->nr_parts++;
    return true;
}

static bool state_settle(struct request *r, struct error *err)
{
    struct tenant *t;

    if (!request_domain(r, &t, err))
        return false;
    if (!tenant_is_empty(t) || t->nr_parts != STATE_NR_PARTS)
        return error_set(err, ERR_STATE,
                         "domain %s: %u parts of its state, expected %u, and "
                         "that it has not run",
                         t->name, t->nr_parts, STATE_NR_PARTS);
    return tenant_settle(t, err);
}

const struct request_handler control_noncoop_handlers[] = {
    {"state-get",    state_get   },
    {"state-set",    state_set   },
    {"state-settle", state_settle},
    {NULL,           NULL        },
};
