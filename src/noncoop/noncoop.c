/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "noncoop/noncoop.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "stream/xc/xc_records.h"

static bool append_part(struct host *host, uint32_t domid, enum state_part part,
                        struct guest_state *state, struct buffer *ret,
                        struct error *err)
{
    size_t begun, length;

    if (!host->ops->guest_state_get(host, domid, part, state, err))
        return error_wrap(err, "%s", state_part_name(part));
    begun = record_begin(ret, XCREC_NONCOOP_FIRST + part);
    length = ret->length;
    guest_state_encode(state, part, ret);
    length = ret->length - length;
    if (length > RECORD_LENGTH_MAX)
        return error_set(err, ERR_LIMIT, "%s: %zu octets, expected at most %u",
                         state_part_name(part), length, RECORD_LENGTH_MAX);
    record_end(ret, begun);
    return true;
}

bool noncoop_append(struct host *host, uint32_t domid, struct buffer *ret,
                    struct error *err)
{
    cleanup(guest_state_release) struct guest_state state = {0};

    for (unsigned int part = 0; part < STATE_NR_PARTS; part++)
        if (!append_part(host, domid, part, &state, ret, err))
            return false;
    /* What a target would refuse is found while the guest is still here. */
    return guest_state_check_whole(&state, err);
}

bool noncoop_take(struct guest_state *state, const struct record *rec,
                  struct error *err)
{
    return guest_state_decode(state, rec->type - XCREC_NONCOOP_FIRST, rec->body,
                              rec->length, rec->order, rec->offset, err) &&
           guest_state_check(state, err);
}

bool noncoop_load(struct host *host, uint32_t domid, struct guest_state *state,
                  struct error *err)
{
    if (!guest_state_check_whole(state, err))
        return false;
    if (state->identity.domid != domid)
        return error_set(err, ERR_FORMAT,
                         "domain identity: domid %" PRIu32 ", expected %" PRIu32
                         ", that of the domain it is loaded into",
                         state->identity.domid, domid);
    for (unsigned int part = 0; part < STATE_NR_PARTS; part++)
        if (!host->ops->guest_state_set(host, domid, part, state, err))
            return false;
    return host->ops->guest_state_settle(host, domid, err);
}
