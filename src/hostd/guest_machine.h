/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One guest as this hypervisor knows it: nothing here knows how instructions
 * are executed, and everything that a move without the guest's help must take
 * along is in these structures or in guest memory.
 *
 *  struct machine    memory, shared info, HVM parameters, clock, shutdown
 *    event_channels  both ABIs: ports, bindings, priorities, queue tails
 *    grant_table     frames, and who uses which entry
 *    vcpu[]          registrations, timers, poll, upcall vector, run state
 *
 * All of it is protected by the domain's baton.
 */
#ifndef HOSTD_GUEST_MACHINE_H
#define HOSTD_GUEST_MACHINE_H

#include "base/log.h"
#include "hostd/guest_memory.h"
#include "hostd/guest_time.h"

#define MACHINE_VCPUS_MAX 8u
#define HVM_PARAMS_MAX    48u

/* ---- event channels ---------------------------------------------------- */

/* What one array page of the FIFO ABI holds, and how many may be set. */
#define EVENT_WORDS_PER_PAGE 1024u
#define EVENT_ARRAY_PAGES    4u
#define EVENT_PORTS_MAX      (EVENT_WORDS_PER_PAGE * EVENT_ARRAY_PAGES)
#define EVENT_NR_VIRQS       24u
#define EVENT_NR_PRIORITIES  16u
#define EVENT_PRIORITY_USUAL 7u

enum event_port_state {
    PORT_FREE,
    PORT_UNBOUND,     /* waits for remote_domid */
    PORT_INTERDOMAIN, /* with remote_domid's remote_port */
    PORT_VIRQ,
    PORT_IPI,
};

/* The host's end of an interdomain port: called with the baton held. */
struct event_sink {
    void (*notify)(void *context);
    void *context;
};

struct event_port {
    enum event_port_state state;
    uint8_t priority;
    uint8_t virq;
    uint32_t vcpu; /* that is notified */
    uint16_t remote_domid;
    uint32_t remote_port;
    struct event_sink sink; /* remote_domid 0 only */
    /* FIFO: the queue that it was last linked to. */
    uint32_t last_vcpu;
    uint8_t last_priority;
    /* FIFO, no array page yet: raised, to be linked when the page comes. */
    bool pending_early;
};

enum event_abi { EVENT_ABI_2L, EVENT_ABI_FIFO };

struct event_channels {
    enum event_abi abi;
    struct event_port port[EVENT_PORTS_MAX]; /* port 0 is never used */
    uint64_t array_gfn[EVENT_ARRAY_PAGES];
    uint32_t nr_array_pages;
    uint32_t next_host_port; /* numbers for the host's ends */
};

/* ---- grants ------------------------------------------------------------ */

#define GRANT_ENTRIES_PER_FRAME ((uint32_t)(PAGE_SIZE / 8))
#define GRANT_ENTRIES_MAX       (GRANT_FRAMES_MAX * GRANT_ENTRIES_PER_FRAME)

/* The uses of one entry; while there are any, what the entry said before. */
struct grant_use {
    uint32_t readers;
    uint32_t writers;
    uint16_t domid; /* whose they are: the host's (0) or a guest's */
    uint32_t frame;
};

/* A page that a guest, perhaps this one, lets this guest map. */
struct grant_map {
    bool used;
    bool writable;
    bool granter_gone; /* it has ended; the page lives on */
    uint16_t granter;
    uint32_t ref;
};

struct grant_table {
    uint32_t nr_frames;
    struct grant_use use[GRANT_ENTRIES_MAX];
    uint32_t nr_lent; /* mappings of this guest's pages */
    /* By handle; where it is, is with the memory. */
    struct grant_map map[FOREIGN_PAGES_MAX];
};

/* ---- vCPUs ------------------------------------------------------------- */

#define POLL_PORTS_MAX 128u

enum vcpu_wait {
    VCPU_RUNNABLE,
    VCPU_HALTED,  /* HLT, or SCHEDOP_block: until an upcall */
    VCPU_POLLING, /* SCHEDOP_poll: until one of the ports, or a deadline */
};

struct poll_state {
    uint32_t nr_ports;
    uint32_t port[POLL_PORTS_MAX];
    uint64_t deadline; /* guest time; 0: none */
};

/* Paging is off: virtual addresses are physical ones. */
#define CR3_NONE UINT64_MAX

/* An area of guest memory that the guest named by its virtual address. */
struct guest_area {
    uint64_t address; /* 0: not registered */
    uint64_t cr3;     /* the page tables it was named under, or CR3_NONE */
};

struct fifo_queue_state {
    uint32_t tail; /* 0: empty */
};

struct vcpu {
    unsigned int id;
    bool initialised; /* VCPUOP_initialise, or the first vCPU */
    bool up;
    enum vcpu_wait wait;
    struct poll_state poll;

    uint64_t vcpu_info_gpa; /* 0: the one in shared info */
    struct guest_area runstate_area;
    struct guest_area time_area;
    uint64_t cr3; /* page tables for addresses in hypercalls, or CR3_NONE */

    uint8_t upcall_vector; /* 0: HVM_PARAM_CALLBACK_IRQ decides */
    bool upcall_requested; /* upcall_vector raised, not delivered yet */

    uint64_t singleshot_ns; /* guest time; 0: not set */
    uint64_t periodic_ns;   /* period; 0: not set */
    uint64_t periodic_next_ns;

    uint32_t virq_port[EVENT_NR_VIRQS]; /* 0: not bound */

    uint64_t fifo_control_gfn; /* GFN_NONE: EVTCHNOP_init_control not called */
    uint32_t fifo_control_offset;
    struct fifo_queue_state fifo[EVENT_NR_PRIORITIES];

    struct vcpu_runstate_info runstate;
};

/* ---- the whole --------------------------------------------------------- */

struct machine;

/* What the machine asks of whoever executes its vCPUs. */
struct machine_ops {
    /* There may be a reason for this vCPU to run: look again. */
    void (*vcpu_wake)(struct machine *m, struct vcpu *v);
    /* The earliest timer may have changed. */
    void (*timers_changed)(struct machine *m);
    /* A vCPU's first registers, for VCPUOP_initialise. */
    bool (*vcpu_start)(struct machine *m, struct vcpu *v,
                       const struct vcpu_hvm_context *context);
    /* The guest ended itself, or was stopped: no vCPU runs again. */
    void (*stopped)(struct machine *m);
    /* Text on a debug port or by console_io. */
    void (*debug_text)(struct machine *m, const char *text, size_t length);
};

#define SHUTDOWN_NONE UINT32_MAX

struct machine {
    const struct machine_ops *ops;
    const struct log *log; /* borrowed; may be NULL */
    uint16_t domid;
    uint8_t handle[16];
    unsigned int nr_vcpus;
    struct vcpu vcpu[MACHINE_VCPUS_MAX];
    struct guest_memory memory;
    struct event_channels events;
    struct grant_table grants;
    struct guest_time time;
    uint64_t hvm_param[HVM_PARAMS_MAX];
    uint64_t max_pages;
    uint32_t vm_assist;
    uint32_t shutdown;     /* SHUTDOWN_..., or SHUTDOWN_NONE */
    char stop_reason[256]; /* why this host stopped it; "" if it did not */
};

/* 'nr_gfns' bounds the guest's addresses; no RAM yet, one vCPU up. */
must_check bool machine_init(struct machine *m, uint16_t domid,
                             unsigned int nr_vcpus, uint64_t nr_gfns,
                             const struct machine_ops *ops, struct error *err);
void machine_release(struct machine *m);

struct shared_info *machine_shared_info(const struct machine *m);

/* The vCPU's vcpu_info, wherever the guest wants it; never NULL. */
struct vcpu_info *machine_vcpu_info(const struct machine *m,
                                    const struct vcpu *v);

/* The guest wanted something that this host does not do: stop it, say why. */
void machine_stop(struct machine *m, const char *format, ...) printf_like(2, 3);

/* Whether the vCPU has an interrupt waiting, whatever its flags say. */
bool vcpu_has_upcall(const struct machine *m, const struct vcpu *v);

/* The vector of that interrupt; 0 if there is none to deliver. */
uint8_t vcpu_upcall_vector(const struct machine *m, const struct vcpu *v);

/* Asserts the upcall of 'v': its vcpu_info has just become pending. */
void vcpu_assert_upcall(struct machine *m, struct vcpu *v);

/* Make the vCPU runnable. */
void vcpu_unblock(struct machine *m, struct vcpu *v);

/* Account the time since the last change, and enter 'state'. */
void vcpu_set_runstate(struct machine *m, struct vcpu *v, int state);

/* Publish clock and run state for a vCPU that is about to run. */
void vcpu_publish(struct machine *m, struct vcpu *v);

/* ---- timers (guest_timers.c) ------------------------------------------------- */

/* The earliest guest time at which machine_run_timers() has work; 0: none. */
uint64_t machine_next_timer(const struct machine *m);
/* Raise what is due. */
void machine_run_timers(struct machine *m);

#endif
