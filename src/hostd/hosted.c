/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/hosted.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "hostd/cpu_identity.h"
#include "hostd/interrupt.h"
#include "hostd/page_walk.h"
#include "hostd/peers.h"

/* How long a vCPU runs when another of the same guest wants to. */
#define SLICE_NS NS_PER_MS

/* An interrupt that the guest holds back is tried again after this long. */
#define NUDGE_NS (100 * INT64_C(1000))

#define DEBUG_PORT 0xe9

static struct hosted *hosted_of(struct machine *m)
{
    return container_of(m, struct hosted, m);
}

/* ---- what guest code asks for ------------------------------------------ */

/* Whether the vCPU must leave guest code for something that just came up. */
static bool must_leave(const struct cpu_thread *t)
{
    const struct machine *m = &t->h->m;

    return m->shutdown != SHUTDOWN_NONE || !t->v->up ||
           t->v->wait != VCPU_RUNNABLE ||
           t->memory_generation != m->memory.generation ||
           vcpu_has_upcall(m, t->v);
}

static void debug_octet(struct hosted *h, char c)
{
    if (c != '\n' && h->debug_length < sizeof(h->debug_line) - 1) {
        h->debug_line[h->debug_length++] = c;
        return;
    }
    h->debug_line[h->debug_length] = '\0';
    log_info(h->m.log, "domain %u says: %s", h->m.domid, h->debug_line);
    h->debug_length = 0;
}

/*
 * The entry of the hypercall page is executed again later, with what is left
 * of the arguments.  Its 'ret' comes before the engine stops (cpu_engine.h),
 * and is taken back then; of other code nobody knows what would have to be.
 */
static void put_off(struct cpu_thread *t, struct cpu_engine *e,
                    struct hypercall *call)
{
    if (!hypercall_is_from_page(call)) {
        machine_stop(&t->h->m,
                     "vCPU %u at RIP %#" PRIx64 ": hypercall %" PRIu64
                     " about domain %u, not made through the hypercall page",
                     t->v->id, call->rip, call->nr, call->needs);
        cpu_engine_stop(e);
        return;
    }
    t->put_off = true;
    t->needs = call->needs;
    t->put_off_rip = call->rip;
    t->put_off_rsp = cpu_engine_gpr(e, GPR_RSP);
    cpu_engine_set_gpr(e, GPR_RSI, call->arg[1]);
    cpu_engine_set_gpr(e, GPR_RDX, call->arg[2]);
    cpu_engine_stop(e);
}

static void on_out(void *context, struct cpu_engine *e, uint16_t port,
                   unsigned int size, uint32_t value)
{
    struct cpu_thread *t = context;
    struct hypercall call = {.m = &t->h->m, .v = t->v, .other = t->other};
    int64_t rc;

    (void)size;
    if (port == DEBUG_PORT) {
        debug_octet(t->h, (char)value);
        return;
    }
    if (port != HYPERCALL_PORT) {
        machine_stop(&t->h->m,
                     "vCPU %u at RIP %#" PRIx64 ": out %#x to port %#x, which "
                     "this host does not have",
                     t->v->id, cpu_engine_rip(e), value, port);
        cpu_engine_stop(e);
        return;
    }
    call.rip = cpu_engine_rip(e);
    call.nr = value;
    call.arg[0] = cpu_engine_gpr(e, GPR_RDI);
    call.arg[1] = cpu_engine_gpr(e, GPR_RSI);
    call.arg[2] = cpu_engine_gpr(e, GPR_RDX);
    t->v->cr3 = cpu_engine_cr3(e);
    rc = hypercall_serve(&call);
    if (call.put_off) {
        put_off(t, e, &call);
        return;
    }
    cpu_engine_set_gpr(e, GPR_RAX, (uint64_t)rc);
    /* The other guest has stood still for long enough. */
    if (must_leave(t) || t->other.sought)
        cpu_engine_stop(e);
}

static void on_cpuid(void *context, uint32_t leaf, uint32_t subleaf,
                     uint32_t regs[4])
{
    struct cpu_thread *t = context;

    cpu_identity(leaf, subleaf, t->h->m.domid, t->v->id, regs);
}

static void on_store(void *context, struct cpu_engine *e, uint64_t address,
                     size_t length)
{
    struct cpu_thread *t = context;
    uint64_t gpa;

    if (page_walk(&t->h->m.memory, cpu_engine_cr3(e), address, ACCESS_READ,
                  &gpa))
        t->h->store_hook(t->h, gpa, length);
}

static const struct cpu_engine_ops engine_ops = {.out = on_out,
                                                 .cpuid = on_cpuid};
static const struct cpu_engine_ops engine_ops_stores = {
    .out = on_out, .cpuid = on_cpuid, .store = on_store};

/* ---- what the machine asks for ----------------------------------------- */

static void vcpu_wake(struct machine *m, struct vcpu *v)
{
    struct hosted *h = hosted_of(m);

    bell_ring(&h->baton, &h->cpu[v->id].bell);
}

static void timers_changed(struct machine *m)
{
    struct hosted *h = hosted_of(m);

    bell_ring(&h->baton, &h->clock_bell);
}

static bool vcpu_start(struct machine *m, struct vcpu *v,
                       const struct vcpu_hvm_context *context)
{
    const struct vcpu_hvm_x86_64 *r = &context->cpu_regs.x86_64;
    struct cpu_state c = cpu_state_at(r->rip, r->rsp, r->cr3);
    struct error err;

    c.gpr[GPR_RAX] = r->rax;
    c.gpr[GPR_RCX] = r->rcx;
    c.gpr[GPR_RDX] = r->rdx;
    c.gpr[GPR_RBX] = r->rbx;
    c.gpr[GPR_RBP] = r->rbp;
    c.gpr[GPR_RSI] = r->rsi;
    c.gpr[GPR_RDI] = r->rdi;
    c.rflags = r->rflags | RFLAGS_FIXED;
    c.cr0 = r->cr0;
    c.cr4 = r->cr4;
    c.efer = r->efer;
    if (!cpu_state_check(&c, &err))
        return false;
    hosted_set_cpu(hosted_of(m), v->id, &c);
    return true;
}

static void stopped(struct machine *m)
{
    struct hosted *h = hosted_of(m);

    if (h->on_stopped)
        h->on_stopped(h);
}

static void debug_text(struct machine *m, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        debug_octet(hosted_of(m), text[i]);
}

static const struct machine_ops machine_ops = {
    .vcpu_wake = vcpu_wake,
    .timers_changed = timers_changed,
    .vcpu_start = vcpu_start,
    .stopped = stopped,
    .debug_text = debug_text,
};

/* ---- a vCPU's thread --------------------------------------------------- */

static void engine_drop(struct cpu_thread *t)
{
    if (!t->engine)
        return;
    cpu_engine_save(t->engine, &t->state);
    cpu_engine_close(t->engine);
    t->engine = NULL;
}

static bool engine_ready(struct cpu_thread *t)
{
    struct hosted *h = t->h;
    struct error err;

    if (t->engine && t->memory_generation != h->m.memory.generation)
        engine_drop(t);
    if (t->engine)
        return true;
    if (!cpu_engine_open(&h->m.memory, &t->state,
                         h->log_stores ? &engine_ops_stores : &engine_ops, t,
                         &t->engine, &err)) {
        machine_stop(&h->m, "vCPU %u: %s", t->v->id, err.text);
        return false;
    }
    t->memory_generation = h->m.memory.generation;
    return true;
}

static bool may_run(const struct cpu_thread *t)
{
    return t->h->pause_count == 0 && t->h->m.shutdown == SHUTDOWN_NONE &&
           t->v->up && t->v->wait == VCPU_RUNNABLE;
}

/* Have somebody stop the vCPU soon, so that it can be looked at again. */
static void nudge_later(struct hosted *h)
{
    h->nudge_ns = clock_now_ns() + NUDGE_NS;
    bell_ring(&h->baton, &h->clock_bell);
}

static void deliver_upcall(struct cpu_thread *t)
{
    struct machine *m = &t->h->m;
    uint8_t vector = vcpu_upcall_vector(m, t->v);
    struct error err;

    if (!vector)
        return;
    if (!interrupt_allowed(t->engine, &m->memory)) {
        nudge_later(t->h);
        return;
    }
    if (!interrupt_deliver(t->engine, &m->memory, vector, &err)) {
        machine_stop(m, "vCPU %u: upcall: %s", t->v->id, err.text);
        return;
    }
    t->v->upcall_requested = false;
}

static void deliver_exception(struct cpu_thread *t, uint8_t vector)
{
    struct machine *m = &t->h->m;
    struct error err;

    engine_drop(t);
    if (engine_ready(t) &&
        !interrupt_deliver(t->engine, &m->memory, vector, &err))
        machine_stop(m, "vCPU %u: exception: %s", t->v->id, err.text);
}

/* HLT; with interrupts off it is the vCPU's end, as on Xen. */
static void on_halt(struct cpu_thread *t)
{
    struct machine *m = &t->h->m;

    if (cpu_engine_rflags(t->engine) & RFLAGS_IF) {
        if (!vcpu_has_upcall(m, t->v))
            t->v->wait = VCPU_HALTED;
        return;
    }
    t->v->up = false;
    for (unsigned int i = 0; i < m->nr_vcpus; i++)
        if (m->vcpu[i].up)
            return;
    machine_stop(m,
                 "vCPU %u at RIP %#" PRIx64
                 ": the last vCPU halted with interrupts off",
                 t->v->id, cpu_engine_rip(t->engine));
}

static void run_once(struct cpu_thread *t)
{
    struct hosted *h = t->h;
    struct cpu_exit exit;

    vcpu_set_runstate(&h->m, t->v, RUNSTATE_running);
    vcpu_publish(&h->m, t->v);
    baton_run_begin(&h->baton, t, SLICE_NS);
    cpu_engine_run(t->engine, &exit);
    baton_run_end(&h->baton);
    vcpu_set_runstate(&h->m, t->v, RUNSTATE_runnable);
    t->v->cr3 = cpu_engine_cr3(t->engine);
    if (t->put_off) {
        cpu_engine_set_gpr(t->engine, GPR_RSP, t->put_off_rsp);
        cpu_engine_set_rip(t->engine, t->put_off_rip);
        return;
    }
    switch (exit.kind) {
    case CPU_EXIT_STOPPED:
        break;
    case CPU_EXIT_HALTED:
        on_halt(t);
        break;
    case CPU_EXIT_EXCEPTION:
        deliver_exception(t, exit.vector);
        break;
    case CPU_EXIT_BROKEN:
        machine_stop(&h->m, "vCPU %u: %s", t->v->id, exit.text);
        break;
    }
}

/*
 * For a call that was put off; it is made in the next run, or put off again.
 * The baton is away meanwhile.
 */
static void meet_other(struct cpu_thread *t)
{
    t->put_off = false;
    t->met = peers_meet(t->h, t->needs);
    t->other = (struct other_guest){
        .sought = true, .domid = t->needs, .m = t->met ? &t->met->m : NULL};
}

static void part_from_other(struct cpu_thread *t)
{
    if (t->met)
        peers_part(t->met);
    t->met = NULL;
    t->other = (struct other_guest){0};
}

/* With the baton, and able to. */
static void run_on(struct cpu_thread *t)
{
    if (t->put_off)
        meet_other(t);
    else
        deliver_upcall(t);
    if (may_run(t) && engine_ready(t))
        run_once(t);
    part_from_other(t);
}

static void *cpu_main(void *context)
{
    struct cpu_thread *t = context;
    struct hosted *h = t->h;

    baton_take(&h->baton, BATON_VCPU);
    while (!h->ending) {
        if (!may_run(t)) {
            if (t->v->wait != VCPU_RUNNABLE)
                vcpu_set_runstate(&h->m, t->v, RUNSTATE_blocked);
            bell_wait(&h->baton, &t->bell, DEADLINE_NONE, BATON_VCPU);
            continue;
        }
        if (!engine_ready(t))
            continue;
        run_on(t);
        baton_give(&h->baton);
        baton_take(&h->baton, BATON_VCPU);
    }
    engine_drop(t);
    baton_give(&h->baton);
    return NULL;
}

/* ---- the clock's thread ------------------------------------------------ */

static int64_t clock_deadline(const struct hosted *h)
{
    uint64_t next = machine_next_timer(&h->m);
    int64_t deadline = DEADLINE_NONE;

    if (next && h->pause_count == 0)
        deadline = guest_time_deadline(&h->m.time, next);
    if (h->nudge_ns && h->nudge_ns < deadline)
        deadline = h->nudge_ns;
    return deadline;
}

static void *clock_main(void *context)
{
    struct hosted *h = context;

    baton_take(&h->baton, BATON_URGENT);
    while (!h->ending) {
        if (h->pause_count == 0)
            machine_run_timers(&h->m);
        if (h->nudge_ns && h->nudge_ns <= clock_now_ns())
            h->nudge_ns = 0;
        bell_wait(&h->baton, &h->clock_bell, clock_deadline(h), BATON_URGENT);
    }
    baton_give(&h->baton);
    return NULL;
}

/* ---- the whole --------------------------------------------------------- */

static void stop_runner(void *runner)
{
    struct cpu_thread *t = runner;

    cpu_engine_stop(t->engine);
}

bool hosted_init(struct hosted *h, uint16_t domid, unsigned int nr_vcpus,
                 uint64_t nr_gfns, const struct log *log, struct error *err)
{
    memset(h, 0, sizeof(*h));
    if (!machine_init(&h->m, domid, nr_vcpus, nr_gfns, &machine_ops, err))
        return false;
    h->m.log = log;
    h->pause_count = 1;
    baton_init(&h->baton, stop_runner);
    bell_init(&h->clock_bell);
    bell_init(&h->rest_bell);
    list_init(&h->backends);
    for (unsigned int i = 0; i < nr_vcpus; i++) {
        h->cpu[i] = (struct cpu_thread){.h = h, .v = &h->m.vcpu[i]};
        bell_init(&h->cpu[i].bell);
    }
    return true;
}

void hosted_set_cpu(struct hosted *h, unsigned int vcpu,
                    const struct cpu_state *state)
{
    struct cpu_thread *t = &h->cpu[vcpu];

    cpu_engine_close(t->engine);
    t->engine = NULL;
    t->state = *state;
    t->has_state = true;
    t->v->cr3 = state->cr3;
}

bool hosted_get_cpu(struct hosted *h, unsigned int vcpu, struct cpu_state *ret)
{
    struct cpu_thread *t = &h->cpu[vcpu];

    if (t->engine)
        cpu_engine_save(t->engine, ret);
    else
        *ret = t->state;
    return t->has_state;
}

bool hosted_start(struct hosted *h, struct error *err)
{
    int rc = pthread_create(&h->clock_thread, NULL, clock_main, h);

    if (rc)
        return error_set_errno(err, ERR_NO_MEMORY, rc, "clock thread");
    h->clock_started = true;
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++) {
        rc = pthread_create(&h->cpu[i].thread, NULL, cpu_main, &h->cpu[i]);
        if (rc)
            return error_set_errno(err, ERR_NO_MEMORY, rc, "vCPU thread");
        h->cpu[i].started = true;
    }
    return true;
}

void hosted_release(struct hosted *h)
{
    hosted_take(h);
    h->ending = true;
    bell_ring(&h->baton, &h->clock_bell);
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++)
        bell_ring(&h->baton, &h->cpu[i].bell);
    hosted_give(h);
    if (h->clock_started)
        pthread_join(h->clock_thread, NULL);
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++) {
        if (h->cpu[i].started)
            pthread_join(h->cpu[i].thread, NULL);
        bell_release(&h->cpu[i].bell);
    }
    bell_release(&h->clock_bell);
    bell_release(&h->rest_bell);
    baton_release(&h->baton);
    machine_release(&h->m);
}

void hosted_take(struct hosted *h)
{
    baton_take(&h->baton, BATON_URGENT);
}

void hosted_give(struct hosted *h)
{
    baton_give(&h->baton);
}

void hosted_stand_still(struct hosted *h)
{
    hosted_take(h);
    h->pause_count++;
    hosted_give(h);
}

bool hosted_is_paused(const struct hosted *h)
{
    return h->pause_count != 0;
}

static bool backends_busy(const struct hosted *h)
{
    list_for_each (it, &h->backends) {
        struct backend *b = list_object(it, struct backend, link);

        if (b->is_busy(b))
            return true;
    }
    return false;
}

static void unpause_locked(struct hosted *h)
{
    if (--h->pause_count)
        return;
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++)
        bell_ring(&h->baton, &h->cpu[i].bell);
    bell_ring(&h->baton, &h->clock_bell);
    list_for_each (it, &h->backends) {
        struct backend *b = list_object(it, struct backend, link);

        b->resume(b);
    }
}

bool hosted_pause(struct hosted *h, int64_t deadline_ns, struct error *err)
{
    bool rests;

    hosted_take(h);
    h->pause_count++;
    while (backends_busy(h) && clock_now_ns() < deadline_ns)
        bell_wait(&h->baton, &h->rest_bell, deadline_ns, BATON_URGENT);
    rests = !backends_busy(h);
    if (!rests)
        unpause_locked(h);
    hosted_give(h);
    return rests || error_set(err, ERR_TIMEOUT,
                              "domain %u: its backends still have requests "
                              "in flight",
                              h->m.domid);
}

void hosted_unpause(struct hosted *h)
{
    hosted_take(h);
    if (h->pause_count)
        unpause_locked(h);
    hosted_give(h);
}

void hosted_add_backend(struct hosted *h, struct backend *b)
{
    list_append(&h->backends, &b->link);
}

void hosted_remove_backend(struct hosted *h, struct backend *b)
{
    list_remove(&b->link);
}

void hosted_backend_rests(struct hosted *h)
{
    bell_ring(&h->baton, &h->rest_bell);
}

void hosted_renew_engines(struct hosted *h)
{
    for (unsigned int i = 0; i < h->m.nr_vcpus; i++)
        engine_drop(&h->cpu[i]);
}
