/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of a guest that does not help: each part, the parts together, and
 * what they say of the rest of the image (docs/formats/noncoop.md).
 */
#include "stream/inspect_noncoop.h"
#include "stream/verify_private.h"
#include "stream/xc/xc_records.h"

#define CPUS_MAX 64u /* bits of hvm_cpus */

/* A page that the guest has given to Xen, or one of Xen's over nothing. */
static void expect(struct verify *v, uint64_t gfn, bool memory,
                   const char *what)
{
    if (gfn == STATE_GFN_NONE || v->memory_partial ||
        pfn_set_has(&v->memory, gfn) == memory)
        return;
    verify_found(v, RULE_NC_MEMORY, "%s at gfn %#" PRIx64 ", which was %s",
                 what, gfn, memory ? "not sent" : "sent as memory");
}

static void verify_places(struct verify *v)
{
    const struct guest_state *s = &v->state;
    uint64_t store = state_param_value(&s->identity, STATE_PARAM_STORE_PFN);
    uint64_t console = state_param_value(&s->identity, STATE_PARAM_CONSOLE_PFN);

    expect(v, s->shared_info.gfn, false, "shared info");
    for (uint32_t n = 0; n < s->grant_frames.nr_frames; n++)
        expect(v, s->grant_frames.gfn[n], false, "a grant frame");
    if (store)
        expect(v, store, true, "the store's ring");
    if (console)
        expect(v, console, true, "the console's ring");
    for (uint32_t n = 0; n < s->events.nr_array_pages; n++)
        expect(v, s->events.array_gfn[n], true, "event words");
    for (uint32_t n = 0;
         s->events.abi == STATE_EVENTS_FIFO && n < STATE_VCPUS_MAX; n++)
        expect(v, s->events.control_gfn[n], true, "a control block");
    for (uint32_t n = 0; n < s->vcpus.nr; n++)
        if (s->vcpus.vcpu[n].info_gpa)
            expect(v, s->vcpus.vcpu[n].info_gpa / PAGE_SIZE, true,
                   "a vcpu_info");
}

/* HVM_CONTEXT has the registers of each vCPU that runs, and of no other. */
static void verify_contexts(struct verify *v)
{
    const struct guest_state *s = &v->state;

    for (uint32_t n = 0; n < CPUS_MAX; n++) {
        bool context = v->hvm_cpus >> n & 1;
        bool up = n < s->vcpus.nr && s->vcpus.vcpu[n].up;

        if (up && !context)
            verify_found(v, RULE_NC_CONTEXT,
                         "vCPU %" PRIu32 " is up, without registers", n);
        else if (context && n >= s->identity.nr_vcpus)
            verify_found(v, RULE_NC_CONTEXT,
                         "registers of vCPU %" PRIu32
                         ", the guest has %" PRIu32,
                         n, s->identity.nr_vcpus);
    }
}

void verify_noncoop_cpu(struct verify *v, uint32_t vcpu)
{
    if (vcpu < CPUS_MAX)
        v->hvm_cpus |= UINT64_C(1) << vcpu;
}

void verify_noncoop(struct verify *v, const struct record *rec)
{
    enum state_part part = rec->type - XCREC_NONCOOP_FIRST;
    struct field_sink nowhere = fields_dropped();
    struct error problem = {0};

    if (!guest_state_decode(&v->state, part, rec->body, rec->length, rec->order,
                            rec->offset, &problem)) {
        verify_found(v, RULE_NC_BODY, "%s", problem.text);
        guest_state_release(&v->state);
        v->state_bad = true;
        return;
    }
    /* Once: the parts that follow would only say it again. */
    if (!v->state_bad && !guest_state_check(&v->state, &problem)) {
        verify_found(v, RULE_NC_BODY, "%s", problem.text);
        v->state_bad = true;
    }
    if (part != STATE_STORE)
        return;
    if (!inspect_noncoop(rec, &nowhere, &problem))
        verify_found(v, RULE_NC_STORE, "%s", problem.text);
    if (v->state_bad || !guest_state_check_whole(&v->state, &problem))
        return;
    verify_places(v);
    verify_contexts(v);
}
