/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypercalls of two guests of one embedded host, hostile to the host and to
 * each other.  The input is a chain of steps:
 *
 *    0       1       2 octet
 *   +-------+-------+----------------------------------------+
 *   | whose | what  | four numbers, 1 octet each, of which   |
 *   | vCPU  |       | the step makes what it needs           |
 *   +-------+-------+----------------------------------------+
 *
 * 'whose' bit 0: which guest; bit 1: its vCPU.  Most steps are calls that
 * nearly make sense, so that ports and grants really come about; RAW is any
 * call with any argument, POKE writes into the grant table.
 *
 * Properties, after every few steps: of ports bound to each other each names the
 * other; uses of grants are as many as mappings; a frame has one owner; what is
 * lent is RAM; both guests could be described if they can leave.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz_machine.h"
#include "hostd/events.h"
#include "hostd/grant_maps.h"
#include "hostd/grants.h"
#include "hostd/hypercall_serve.h"
#include "hostd/machine_state.h"

#define RAM_PAGES    512u
#define NR_GFNS      1024u
#define ARGUMENT     0x3000u
#define ARGUMENT_MAX 256u
#define STEP         6u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum what {
    ALLOC_UNBOUND,
    BIND_INTERDOMAIN,
    BIND_IPI,
    BIND_VIRQ,
    BIND_VCPU,
    CLOSE,
    SEND,
    UNMASK,
    RESET,
    INIT_CONTROL,
    EXPAND_ARRAY,
    POKE,
    MAP,
    UNMAP,
    COPY,
    SETUP_TABLE,
    ADD_TO_PHYSMAP,
    REMOVE_FROM_PHYSMAP,
    DECREASE,
    POPULATE,
    HOST_READS,
    GONE,
    RAW,
    NR_WHATS
};

static const uint16_t domids[4] = {7, 8, DOMID_SELF, 0};

struct pair {
    struct machine m[2];
};

/* ---- machines ---------------------------------------------------------- */

static void make(struct machine *m, uint16_t domid)
{
    struct error err;

    assert(machine_init(m, domid, 2, NR_GFNS, &fuzz_machine_ops, &err));
    assert(guest_memory_populate(&m->memory, 0, RAM_PAGES, &err));
    m->max_pages = RAM_PAGES + 2;
    m->time.scale = tsc_scale_from_khz(2000000);
    for (unsigned int i = 0; i < MACHINE_VCPUS_MAX; i++)
        m->vcpu[i].cr3 = CR3_NONE;
    assert(grants_grow(m, 1) == 0);
}

/* ---- invariants -------------------------------------------------------- */

static void check_ports(struct pair *p, unsigned int i)
{
    struct machine *m = &p->m[i];

    for (uint32_t port = 1; port < EVENT_PORTS_MAX; port++) {
        const struct event_port *here = &m->events.port[port], *there;
        struct machine *other;

        if (here->state != PORT_INTERDOMAIN || !here->remote_domid)
            continue;
        other = here->remote_domid == m->domid ? m : &p->m[!i];
        there = events_port(other, here->remote_port);
        assert(here->remote_domid == other->domid);
        assert(there && there->state == PORT_INTERDOMAIN);
        assert(there->remote_domid == m->domid && there->remote_port == port);
    }
}

/* Mappings of granter 'i', of one entry if 'ref' is one. */
static uint32_t count_maps(const struct pair *p, unsigned int i, uint32_t ref)
{
    uint32_t nr = 0;

    for (unsigned int j = 0; j < 2; j++)
        for (uint32_t h = 0; h < FOREIGN_PAGES_MAX; h++) {
            const struct grant_map *map = &p->m[j].grants.map[h];

            nr += map->used && !map->granter_gone &&
                  map->granter == p->m[i].domid &&
                  (ref == UINT32_MAX || map->ref == ref);
        }
    return nr;
}

static void check_grants(const struct pair *p, unsigned int i)
{
    const struct machine *m = &p->m[i];

    assert(m->grants.nr_lent == count_maps(p, i, UINT32_MAX));
    for (uint32_t ref = 0; ref < GRANT_ENTRIES_PER_FRAME; ref++) {
        const struct grant_use *use = &m->grants.use[ref];

        if (!use->readers && !use->writers)
            continue;
        assert(use->readers + use->writers == count_maps(p, i, ref));
        assert(guest_memory_is_ram(&m->memory, use->frame));
        assert(grants_is_lent(m, use->frame));
    }
}

static void check_memory(const struct pair *p, unsigned int i)
{
    const struct guest_memory *m = &p->m[i].memory;
    unsigned int nr = 0;

    assert(m->nr_populated == bitmap_count(&m->populated));
    for (unsigned int x = 0; x < XEN_PAGES_MAX; x++)
        assert(!guest_memory_is_ram(m, m->xen_gfn[x]));
    for (unsigned int f = 0; f < FOREIGN_PAGES_MAX; f++) {
        assert((m->foreign_gfn[f] != GFN_NONE) == p->m[i].grants.map[f].used);
        if (m->foreign_gfn[f] == GFN_NONE)
            continue;
        nr++;
        assert(!guest_memory_is_ram(m, m->foreign_gfn[f]));
        assert(!guest_memory_is_xen(m, m->foreign_gfn[f]));
    }
    assert(m->nr_foreign == nr);
}

static void check(struct pair *p)
{
    for (unsigned int i = 0; i < 2; i++) {
        check_ports(p, i);
        check_grants(p, i);
        check_memory(p, i);
    }
}

static void check_state(struct machine *m)
{
    struct guest_state s = {0};
    struct error err;

    if (machine_state_can_leave(m, &err))
        for (unsigned int part = 0; part < STATE_STORE; part++)
            assert(machine_state_get(m, part, &s, &err));
    guest_state_release(&s);
}

/* ---- steps ------------------------------------------------------------- */

/* With the other guest at rest as often as the call wants it. */
static void call(struct pair *p, unsigned int i, unsigned int vcpu, uint64_t nr,
                 uint64_t op, const void *argument, size_t length,
                 uint64_t count)
{
    struct machine *m = &p->m[i];
    void *at = guest_memory_at(&m->memory, ARGUMENT, length);
    struct hypercall c = {
        .m = m, .v = &m->vcpu[vcpu], .nr = nr, .arg = {op, ARGUMENT, count}
    };

    if (at)
        memcpy(at, argument, length);
    (void)hypercall_serve(&c);
    /* A call says itself what is left: it comes to an end. */
    for (unsigned int times = 0; c.put_off; times++) {
        assert(times <= EVENT_PORTS_MAX);
        c.put_off = false;
        c.other = (struct other_guest){.sought = true, .domid = c.needs};
        if (c.needs == p->m[!i].domid)
            c.other.m = &p->m[!i];
        (void)hypercall_serve(&c);
    }
    /* A guest that asked for what there is not goes on, here. */
    m->shutdown = SHUTDOWN_NONE;
    for (unsigned int v = 0; v < m->nr_vcpus; v++)
        m->vcpu[v].wait = VCPU_RUNNABLE;
}

#define CALL(nr, op, ...)                               \
    do {                                                \
        __typeof__(__VA_ARGS__) arg = __VA_ARGS__;      \
        call(p, i, vcpu, nr, op, &arg, sizeof(arg), 1); \
    } while (0)
#define EVENT(op, ...)  CALL(__HYPERVISOR_event_channel_op, op, __VA_ARGS__)
#define GRANT(op, ...)  CALL(__HYPERVISOR_grant_table_op, op, __VA_ARGS__)
#define MEMORY(op, ...) CALL(__HYPERVISOR_memory_op, op, __VA_ARGS__)

/* Few ports, entries and places, so that steps meet each other. */
static uint64_t place(uint8_t number)
{
    return number & 0x80 ? RAM_PAGES + number % 8 : 0x100u + number % 16;
}

static void event_step(struct pair *p, unsigned int i, unsigned int vcpu,
                       enum what what, const uint8_t *n)
{
    switch (what) {
    case ALLOC_UNBOUND:
        EVENT(EVTCHNOP_alloc_unbound,
              (struct evtchn_alloc_unbound){.dom = DOMID_SELF,
                                            .remote_dom = domids[n[0] % 4]});
        break;
    case BIND_INTERDOMAIN:
        EVENT(EVTCHNOP_bind_interdomain,
              (struct evtchn_bind_interdomain){.remote_dom = domids[n[0] % 4],
                                               .remote_port = n[1] % 16});
        break;
    case BIND_IPI:
        EVENT(EVTCHNOP_bind_ipi, (struct evtchn_bind_ipi){.vcpu = n[0] % 4});
        break;
    case BIND_VIRQ:
        EVENT(EVTCHNOP_bind_virq,
              (struct evtchn_bind_virq){.virq = n[0], .vcpu = n[1] % 4});
        break;
    case BIND_VCPU:
        EVENT(EVTCHNOP_bind_vcpu,
              (struct evtchn_bind_vcpu){.port = n[0] % 16, .vcpu = n[1] % 4});
        break;
    case CLOSE:
        EVENT(EVTCHNOP_close, (struct evtchn_close){.port = n[0] % 16});
        break;
    case SEND:
        EVENT(EVTCHNOP_send, (struct evtchn_send){.port = n[0] % 16});
        break;
    case UNMASK:
        EVENT(EVTCHNOP_unmask, (struct evtchn_unmask){.port = n[0]});
        break;
    case RESET:
        EVENT(EVTCHNOP_reset, (struct evtchn_reset){.dom = DOMID_SELF});
        break;
    case INIT_CONTROL:
        EVENT(EVTCHNOP_init_control,
              (struct evtchn_init_control){.control_gfn = place(n[0]),
                                           .offset = n[1] * 8u,
                                           .vcpu = n[2] % 4});
        break;
    default:
        EVENT(EVTCHNOP_expand_array,
              (struct evtchn_expand_array){.array_gfn = place(n[0])});
        break;
    }
}

static void grant_step(struct pair *p, unsigned int i, unsigned int vcpu,
                       enum what what, const uint8_t *n)
{
    switch (what) {
    case MAP:
        GRANT(GNTTABOP_map_grant_ref,
              (struct gnttab_map_grant_ref){.host_addr = place(n[0])
                                                         << PAGE_SHIFT,
                                            .flags = n[1] % 8,
                                            .ref = n[2] % 16,
                                            .dom = domids[n[3] % 4]});
        break;
    case UNMAP:
        GRANT(GNTTABOP_unmap_grant_ref,
              (struct gnttab_unmap_grant_ref){
                  .host_addr = place(n[0]) << PAGE_SHIFT, .handle = n[1] % 16});
        break;
    case COPY:
        GRANT(GNTTABOP_copy,
              (struct gnttab_copy){
                  .flags = n[3] >> 6,
                  .len = (uint16_t)(n[2] << 5),
                  .source = {.u.gmfn = n[0], .domid = domids[n[3] % 4]    },
                  .dest = {.u.gmfn = n[1], .domid = domids[n[3] / 4 % 4]}
        });
        break;
    default:
        GRANT(GNTTABOP_setup_table, (struct gnttab_setup_table){
                                        .dom = DOMID_SELF, .nr_frames = n[0]});
        break;
    }
}

static void memory_step(struct pair *p, unsigned int i, unsigned int vcpu,
                        enum what what, const uint8_t *n)
{
    struct {
        struct xen_memory_reservation r;
        xen_pfn_t gfn;
    } reservation = {
        .r = {.nr_extents = 1, .domid = DOMID_SELF},
          .gfn = place(n[0])
    };

    switch (what) {
    case ADD_TO_PHYSMAP:
        MEMORY(XENMEM_add_to_physmap,
               (struct xen_add_to_physmap){.domid = DOMID_SELF,
                                           .space = n[1] % 2,
                                           .idx = n[2],
                                           .gpfn = place(n[0])});
        break;
    case REMOVE_FROM_PHYSMAP:
        MEMORY(XENMEM_remove_from_physmap,
               (struct xen_remove_from_physmap){.domid = DOMID_SELF,
                                                .gpfn = place(n[0])});
        break;
    default:
        reservation.r.extent_start.p =
            (xen_pfn_t *)(uintptr_t)(ARGUMENT +
                                     offsetof(__typeof__(reservation), gfn));
        MEMORY(what == DECREASE ? XENMEM_decrease_reservation
                                : XENMEM_populate_physmap,
               (__typeof__(reservation))reservation);
        break;
    }
}

/* The guest ends: nothing of it is left with the other. */
static void end(struct pair *p, unsigned int i)
{
    struct machine *other = &p->m[!i];
    uint16_t domid = p->m[i].domid;

    events_forget_guest(other, domid);
    grant_maps_forget_guest(other, domid);
    grant_maps_end(&p->m[i], other);
    machine_release(&p->m[i]);
    make(&p->m[i], domid);
}

static void step(struct pair *p, const uint8_t *data)
{
    unsigned int i = data[0] & 1, vcpu = data[0] >> 1 & 1;
    enum what what = data[1] % NR_WHATS;
    const uint8_t *n = data + 2;

    switch (what) {
    case POKE:
        *grants_entry(&p->m[i], n[0] % 16) =
            (struct grant_entry_v1){.flags = n[1],
                                    .domid = domids[n[2] % 4],
                                    .frame = (uint32_t)place(n[3])};
        break;
    case MAP:
    case UNMAP:
    case COPY:
    case SETUP_TABLE:
        grant_step(p, i, vcpu, what, n);
        break;
    case ADD_TO_PHYSMAP:
    case REMOVE_FROM_PHYSMAP:
    case DECREASE:
    case POPULATE:
        memory_step(p, i, vcpu, what, n);
        break;
    case HOST_READS:
        if (grants_begin(&p->m[i], n[0] % 16, GRANT_READ))
            grants_end(&p->m[i], n[0] % 16, GRANT_READ);
        break;
    case GONE:
        end(p, i);
        break;
    case RAW:
        call(p, i, vcpu, n[0] % 64, n[1], data, STEP, n[2]);
        break;
    default:
        event_step(p, i, vcpu, what, n);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pair pair; /* large: not made anew for each input */
    struct pair *p = &pair;

    make(&p->m[0], 7);
    make(&p->m[1], 8);
    for (size_t at = 0; size - at >= STEP && at < 64 * STEP; at += STEP) {
        step(p, data + at);
        if (at / STEP % 16 == 15 || size - at < 2 * STEP)
            check(p);
    }
    check_state(&p->m[0]);
    check_state(&p->m[1]);
    machine_release(&p->m[0]);
    machine_release(&p->m[1]);
    return 0;
}
