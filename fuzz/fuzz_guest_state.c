/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a guest's state, decoded and loaded into an embedded host's
 * machine.  The input is a chain of records: NC_..., and records of type 0,
 * whose body is a guest physical address and octets to put there.
 *
 * Properties: what is decoded encodes to the octets it came from; what is
 * loaded is what is saved again, but for the clock; and whatever was loaded,
 * the machine can be used.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_machine.h"
#include "hostd/events.h"
#include "hostd/kernel_image.h"
#include "hostd/machine_state.h"

#define RECORD_HEAD  8u
#define RECORD_FIRST 0x46520001u
#define RAM_PAGES    6144u
#define POKE_MAX     PAGE_SIZE

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct poke {
    uint64_t gpa;
    const uint8_t *bytes;
    size_t length;
};

struct input {
    struct guest_state state;
    struct poke poke[16];
    unsigned int nr_pokes;
};

/* ---- records ----------------------------------------------------------- */

static void assert_same(struct guest_state *s, enum state_part part,
                        const uint8_t *body, size_t length)
{
    struct buffer again = {0};

    guest_state_encode(s, part, &again);
    assert(!again.bad);
    assert(again.length == length);
    assert(memcmp(again.bytes, body, length) == 0);
    buffer_release(&again);
}

/* False: a part that cannot be decoded leaves nothing to load. */
static bool take_part(struct guest_state *s, uint32_t type, const uint8_t *body,
                      size_t length)
{
    enum state_part part = (enum state_part)(type - RECORD_FIRST);
    struct guest_state big = {0};
    struct error err;

    /* The other byte order only must not fall over. */
    (void)!guest_state_decode(&big, part, body, length, ORDER_BIG, 0, &err);
    guest_state_release(&big);
    if (!guest_state_decode(s, part, body, length, ORDER_LITTLE, 0, &err))
        return false;
    assert_same(s, part, body, length);
    return true;
}

static bool take_records(struct input *in, const uint8_t *data, size_t size)
{
    struct cursor c = cursor_over(data, size, ORDER_LITTLE);

    while (cursor_left(&c) >= RECORD_HEAD) {
        uint32_t type = cursor_u32(&c);
        uint32_t length = cursor_u32(&c);
        const uint8_t *body = cursor_bytes(&c, length);

        if (!body)
            return true;
        (void)cursor_bytes(&c, size_min(-length % 8, cursor_left(&c)));
        if (type - RECORD_FIRST < STATE_NR_PARTS) {
            if (!take_part(&in->state, type, body, length))
                return false;
        } else if (type == 0 && length > 8 && in->nr_pokes < 16) {
            struct poke *p = &in->poke[in->nr_pokes++];

            memcpy(&p->gpa, body, sizeof(p->gpa));
            p->bytes = body + 8;
            p->length = size_min(length - 8, POKE_MAX);
        }
    }
    return true;
}

/* ---- a machine --------------------------------------------------------- */

static void hear(void *context)
{
    (void)context;
}

static const struct event_sink sink = {.notify = hear};

/* What comes before the parts: memory, and which vCPUs were ever started. */
static void fill(struct machine *m, const struct input *in)
{
    const struct state_vcpus *v = &in->state.vcpus;

    for (unsigned int i = 0; i < in->nr_pokes; i++) {
        void *at =
            guest_memory_at(&m->memory, in->poke[i].gpa, in->poke[i].length);

        if (at)
            memcpy(at, in->poke[i].bytes, in->poke[i].length);
    }
    for (uint32_t i = 0; i < v->nr && i < m->nr_vcpus; i++) {
        struct vcpu_info *info = NULL;

        m->vcpu[i].initialised = v->vcpu[i].initialised;
        if (v->vcpu[i].info_gpa)
            info =
                guest_memory_at(&m->memory, v->vcpu[i].info_gpa, sizeof(*info));
        if (!info)
            continue;
        info->evtchn_upcall_pending = v->vcpu[i].upcall_pending;
        info->evtchn_upcall_mask = v->vcpu[i].upcall_mask;
        info->evtchn_pending_sel = v->vcpu[i].selector;
    }
}

static void compare(struct machine *m, struct guest_state *s)
{
    struct guest_state again = {0};
    struct error err;

    for (unsigned int part = 0; part < STATE_STORE; part++) {
        struct buffer was = {0};

        assert(machine_state_get(m, part, &again, &err));
        if (part == STATE_CLOCK)
            continue;
        guest_state_encode(s, part, &was);
        assert_same(&again, part, was.bytes, was.length);
        buffer_release(&was);
    }
    guest_state_release(&again);
}

static void use(struct machine *m)
{
    uint32_t port;

    m->time.scale = tsc_scale_from_khz(2000000);
    machine_run_timers(m);
    (void)machine_next_timer(m);
    for (port = 0; port <= EVENT_PORTS_MAX; port++) {
        (void)events_send(m, m, port);
        (void)events_unmask(m, port);
    }
    for (unsigned int i = 0; i < m->nr_vcpus; i++) {
        vcpu_set_runstate(m, &m->vcpu[i], RUNSTATE_running);
        vcpu_publish(m, &m->vcpu[i]);
        events_raise_virq(m, &m->vcpu[i], VIRQ_TIMER);
    }
    (void)events_alloc_unbound(m, 0, &port);
    (void)events_reset(m);
}

static void load(const struct input *in, struct guest_state *s)
{
    struct machine *m = malloc(sizeof(*m));
    struct error err;
    bool loaded = true;

    assert(m);
    if (!machine_init(m, (uint16_t)s->identity.domid, s->identity.nr_vcpus,
                      kernel_image_gfns(RAM_PAGES), &fuzz_machine_ops, &err)) {
        free(m);
        return;
    }
    assert(kernel_image_populate(m, RAM_PAGES, &err));
    fill(m, in);
    for (unsigned int part = 0; loaded && part < STATE_STORE; part++)
        loaded = machine_state_set(m, part, s, &err);
    for (uint32_t i = 0; loaded && i < s->events.nr_ports; i++)
        if (s->events.port[i].kind == STATE_PORT_INTERDOMAIN &&
            s->events.port[i].remote == 0)
            assert(!events_attach_host(m, s->events.port[i].port, &sink));
    if (loaded)
        compare(m, s);
    use(m);
    machine_release(m);
    free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint32_t machine_parts = (1u << STATE_STORE) - 1;
    struct input in = {0};
    struct error err;

    if (take_records(&in, data, size) && guest_state_check(&in.state, &err) &&
        (in.state.present & machine_parts) == machine_parts)
        load(&in, &in.state);
    guest_state_release(&in.state);
    return 0;
}
