/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/inspect_noncoop.h"

#include <string.h>

#include "base/cleanup.h"
#include "state/guest_state.h"
#include "stream/xc/xc_records.h"
#include "stream/xc/xc_x86_hvm.h"
#include "stream/xl/xl_xenstore.h"

#define TEXT_MAX 4096 /* octets of a string or value that are shown */

static void gfn_field(struct field_sink *out, const char *key, uint64_t gfn)
{
    if (gfn == STATE_GFN_NONE)
        fields_text(out, key, "none");
    else
        fields_hex(out, key, gfn);
}

static void explain_identity(const struct state_identity *i,
                             struct field_sink *out)
{
    fields_number(out, "domid", i->domid);
    fields_number(out, "vcpus", i->nr_vcpus);
    fields_dump(out, "handle", i->handle, sizeof(i->handle), sizeof(i->handle));
    fields_hex(out, "vm_assist", i->vm_assist);
    fields_begin(out, "params", FIELDS_LIST);
    for (uint32_t n = 0; n < i->nr_params; n++) {
        const char *name = hvm_param_name(i->param[n].index);

        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "index", i->param[n].index);
        if (name)
            fields_text(out, "param", name);
        fields_hex(out, "value", i->param[n].value);
        fields_end(out);
    }
    fields_end(out);
}

static void explain_grant_frames(const struct state_grant_frames *g,
                                 struct field_sink *out)
{
    fields_number(out, "table_version", g->version);
    fields_number(out, "frames", g->nr_frames);
    fields_begin(out, "places", FIELDS_LIST);
    for (uint32_t n = 0; n < g->nr_frames; n++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "frame", n);
        gfn_field(out, "gfn", g->gfn[n]);
        fields_end(out);
    }
    fields_end(out);
}

static void explain_fifo(const struct state_events *e, struct field_sink *out)
{
    fields_begin(out, "array_pages", FIELDS_LIST);
    for (uint32_t n = 0; n < e->nr_array_pages; n++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "first_port", (uint64_t)n * STATE_PORTS_PER_PAGE);
        gfn_field(out, "gfn", e->array_gfn[n]);
        fields_end(out);
    }
    fields_end(out);
    fields_begin(out, "control_blocks", FIELDS_LIST);
    for (uint32_t n = 0; n < STATE_VCPUS_MAX; n++) {
        if (e->control_gfn[n] == STATE_GFN_NONE)
            continue;
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "vcpu", n);
        fields_hex(out, "gfn", e->control_gfn[n]);
        fields_hex(out, "offset", e->control_offset[n]);
        fields_end(out);
    }
    fields_end(out);
    fields_begin(out, "queues", FIELDS_LIST);
    for (uint32_t n = 0; n < e->nr_queues; n++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "vcpu", e->queue[n].vcpu);
        fields_number(out, "priority", e->queue[n].priority);
        fields_number(out, "tail", e->queue[n].tail);
        fields_end(out);
    }
    fields_end(out);
}

static bool bit_of(const uint64_t *bits, uint32_t port)
{
    return port < STATE_PORTS_2L && bits[port / 64] >> port % 64 & 1;
}

static void explain_port(const struct state_events *e,
                         const struct state_port *p, struct field_sink *out)
{
    fields_begin(out, NULL, FIELDS_ROW);
    fields_number(out, "port", p->port);
    fields_text(out, "kind", state_port_kind_name(p->kind));
    fields_number(out, "vcpu", p->vcpu);
    fields_number(out, "priority", p->priority);
    if (p->kind == STATE_PORT_VIRQ)
        fields_number(out, "virq", p->virq);
    if (p->kind == STATE_PORT_UNBOUND || p->kind == STATE_PORT_INTERDOMAIN)
        fields_number(out, "remote_domid", p->remote);
    if (p->kind == STATE_PORT_INTERDOMAIN)
        fields_number(out, "remote_port", p->remote_port);
    if (e->abi == STATE_EVENTS_FIFO) {
        fields_number(out, "last_vcpu", p->last_vcpu);
        fields_number(out, "last_priority", p->last_priority);
        if (p->early)
            fields_flag(out, "raised_early", true);
    } else {
        fields_flag(out, "pending", bit_of(e->pending, p->port));
        fields_flag(out, "masked", bit_of(e->masked, p->port));
    }
    fields_end(out);
}

static void explain_events(const struct state_events *e, struct field_sink *out)
{
    fields_text(out, "abi", e->abi == STATE_EVENTS_FIFO ? "fifo" : "2l");
    fields_number(out, "nr_ports", e->nr_ports);
    if (e->abi == STATE_EVENTS_FIFO)
        explain_fifo(e, out);
    fields_begin(out, "ports", FIELDS_LIST);
    for (uint32_t n = 0; n < e->nr_ports; n++)
        explain_port(e, &e->port[n], out);
    fields_end(out);
}

static void area_field(struct field_sink *out, const char *key,
                       const struct state_area *a)
{
    if (!a->address)
        return;
    fields_begin(out, key, FIELDS_ROW);
    fields_hex(out, "address", a->address);
    if (a->cr3 != UINT64_MAX)
        fields_hex(out, "cr3", a->cr3);
    fields_end(out);
}

static void explain_timers(const struct state_vcpu *v, struct field_sink *out)
{
    if (v->singleshot_ns)
        fields_number(out, "single_shot_ns", v->singleshot_ns);
    if (v->periodic_ns) {
        fields_number(out, "period_ns", v->periodic_ns);
        fields_number(out, "next_tick_ns", v->periodic_next_ns);
    }
    if (v->wait != STATE_POLLING)
        return;
    fields_number(out, "poll_deadline_ns", v->poll_deadline_ns);
    fields_begin(out, "polled", FIELDS_LIST);
    for (uint32_t n = 0; n < v->nr_polled; n++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "port", v->polled[n]);
        fields_end(out);
    }
    fields_end(out);
}

static void explain_vcpu(uint32_t number, const struct state_vcpu *v,
                         struct field_sink *out)
{
    static const char *const states[] = {"running", "runnable", "blocked",
                                         "offline"};
    const bool known = v->runstate < ARRAY_SIZE(states);

    fields_begin(out, NULL, FIELDS_OBJECT);
    fields_number(out, "vcpu", number);
    fields_flag(out, "initialised", v->initialised);
    fields_flag(out, "up", v->up);
    fields_text(out, "wait", state_wait_name(v->wait));
    fields_hex(out, "upcall_vector", v->upcall_vector);
    fields_flag(out, "upcall_requested", v->upcall_requested);
    if (v->info_gpa)
        fields_hex(out, "vcpu_info", v->info_gpa);
    else
        fields_text(out, "vcpu_info", "in shared info");
    fields_flag(out, "upcall_pending", v->upcall_pending);
    fields_flag(out, "upcall_mask", v->upcall_mask);
    fields_hex(out, "selector", v->selector);
    area_field(out, "runstate_area", &v->runstate_area);
    area_field(out, "time_area", &v->time_area);
    fields_hex(out, "cr3", v->cr3);
    explain_timers(v, out);
    fields_text(out, "run_state", known ? states[v->runstate] : "unknown");
    fields_number(out, "since_ns", v->runstate_entry_ns);
    for (unsigned int n = 0; n < ARRAY_SIZE(states); n++)
        fields_number(out, states[n], v->runstate_ns[n]);
    fields_end(out);
}

static void explain_vcpus(const struct state_vcpus *v, struct field_sink *out)
{
    fields_number(out, "vcpus", v->nr);
    fields_begin(out, "vcpu", FIELDS_LIST);
    for (uint32_t n = 0; n < v->nr; n++)
        explain_vcpu(n, &v->vcpu[n], out);
    fields_end(out);
}

static void explain_grants(const struct state_grants *g, struct field_sink *out)
{
    fields_number(out, "grants", g->nr);
    fields_begin(out, "entries", FIELDS_LIST);
    for (uint32_t n = 0; n < g->nr; n++) {
        fields_begin(out, NULL, FIELDS_ROW);
        fields_number(out, "ref", g->grant[n].ref);
        fields_hex(out, "flags", g->grant[n].flags);
        fields_number(out, "domid", g->grant[n].domid);
        fields_hex(out, "frame", g->grant[n].frame);
        fields_end(out);
    }
    fields_end(out);
}

/* ---- what the store had ------------------------------------------------- */

static void string_field(struct field_sink *out, const char *key,
                         const char *text)
{
    fields_octets(out, key, text, size_min(strlen(text), TEXT_MAX));
}

static bool explain_node(const struct record *rec, struct field_sink *out,
                         struct error *err)
{
    struct xenstore_node n;
    const char *perm;

    if (!xenstore_node_decode(rec, &n, err))
        return false;
    fields_begin(out, NULL, FIELDS_ROW);
    string_field(out, "node", n.path);
    fields_octets(out, "value", n.value, size_min(n.value_length, TEXT_MAX));
    perm = n.perms;
    for (uint32_t i = 0; i < n.nr_perms; i++, perm += strlen(perm) + 1)
        string_field(out, i ? "reader" : "owner", perm);
    fields_end(out);
    return true;
}

static bool explain_watch(const struct record *rec, struct field_sink *out,
                          struct error *err)
{
    struct xenstore_watch w;

    if (!xenstore_watch_decode(rec, &w, err))
        return false;
    fields_begin(out, NULL, FIELDS_ROW);
    string_field(out, "watch", w.path);
    string_field(out, "token", w.token);
    if (w.depth >= 0)
        fields_number(out, "depth", (uint64_t)w.depth);
    fields_end(out);
    return true;
}

static bool explain_transaction(const struct record *rec,
                                struct field_sink *out, struct error *err)
{
    uint32_t id;

    if (!xenstore_transaction_decode(rec, &id, err))
        return false;
    fields_begin(out, NULL, FIELDS_ROW);
    fields_number(out, "transaction", id);
    fields_end(out);
    return true;
}

/* One record of the data at '*offset', which moves on. */
static bool explain_entry(const struct buffer *data, size_t *offset,
                          struct field_sink *out, struct error *err)
{
    size_t left = data->length - *offset;
    struct domain_xenstore_data kind;
    struct record_head head;
    struct record rec;

    if (left < RECORD_HEAD_SIZE)
        return error_set_at(err, ERR_TRUNCATED, *offset,
                            "xenstore data: %zu octets left, expected a record",
                            left);
    head = record_head_decode(data->bytes + *offset, ORDER_LITTLE, *offset);
    if (head.type != XLREC_DOMAIN_XENSTORE_DATA ||
        record_size(head.length) > left)
        return error_set_at(err, ERR_FORMAT, *offset,
                            "xenstore data: type %#" PRIx32 " of %" PRIu32
                            " octets, expected DOMAIN_XENSTORE_DATA within %zu",
                            head.type, head.length, left);
    rec = record_over(head.type, data->bytes + *offset + RECORD_HEAD_SIZE,
                      head.length, ORDER_LITTLE);
    rec.offset = *offset;
    *offset += (size_t)record_size(head.length);
    if (!domain_xenstore_data_decode(&rec, &kind, err))
        return false;
    switch (kind.type) {
    case XLSTREAM_XENSTORE_WATCHES:
        return explain_watch(&rec, out, err);
    case XLSTREAM_XENSTORE_TRANSACTIONS:
        return explain_transaction(&rec, out, err);
    default:
        return explain_node(&rec, out, err);
    }
}

static bool explain_store(const struct state_store *s, struct field_sink *out,
                          struct error *err)
{
    size_t offset = 0;
    bool ok = true;

    fields_number(out, "req_cons", s->req_cons);
    fields_number(out, "rsp_prod", s->rsp_prod);
    fields_number(out, "octets_in", s->in.length);
    fields_number(out, "octets_out", s->out.length);
    fields_number(out, "reply_remainder", s->out_partial);
    fields_begin(out, "content", FIELDS_LIST);
    while (ok && offset < s->data.length)
        ok = explain_entry(&s->data, &offset, out, err);
    fields_end(out);
    return ok;
}

static bool explain_part(const struct guest_state *s, enum state_part part,
                         struct field_sink *out, struct error *err)
{
    switch (part) {
    case STATE_IDENTITY:
        explain_identity(&s->identity, out);
        break;
    case STATE_CLOCK:
        fields_number(out, "now_ns", s->clock.now_ns);
        break;
    case STATE_SHARED_INFO:
        gfn_field(out, "gfn", s->shared_info.gfn);
        break;
    case STATE_GRANT_FRAMES:
        explain_grant_frames(&s->grant_frames, out);
        break;
    case STATE_EVENTS:
        explain_events(&s->events, out);
        break;
    case STATE_VCPUS:
        explain_vcpus(&s->vcpus, out);
        break;
    case STATE_GRANTS:
        explain_grants(&s->grants, out);
        break;
    case STATE_STORE:
        return explain_store(&s->store, out, err);
    case STATE_NR_PARTS:
        break;
    }
    return true;
}

bool inspect_noncoop(const struct record *rec, struct field_sink *out,
                     struct error *err)
{
    cleanup(guest_state_release) struct guest_state s = {0};
    enum state_part part = rec->type - XCREC_NONCOOP_FIRST;
    struct error problem = {0};

    if (!guest_state_decode(&s, part, rec->body, rec->length, rec->order,
                            rec->offset, err) ||
        !explain_part(&s, part, out, err))
        return false;
    if (!guest_state_check(&s, &problem))
        fields_text(out, "problem", problem.text);
    return true;
}
