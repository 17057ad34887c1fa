/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a guest that must not notice its move has beside memory and processor
 * contexts: by meaning, whatever hypervisor keeps it.
 *
 *   part          what                                     loaded after
 *   IDENTITY      number, handle, vCPUs, HVM parameters    memory, contexts
 *   CLOCK         its time                                 IDENTITY
 *   SHARED_INFO   where that page is                       CLOCK
 *   GRANT_FRAMES  where the grant table's pages are        SHARED_INFO
 *   EVENTS        ABI and its pages, then ports            GRANT_FRAMES
 *   VCPUS         registrations, timers, what they wait on EVENTS
 *   GRANTS        entries                                  GRANT_FRAMES, VCPUS
 *   STORE         nodes, watches, half-read requests       all others
 *
 * A part is loaded only when those before it are: the owners of pages before
 * grants of them, the ABI of event channels before ports.
 *
 * docs/formats/noncoop.md draws how parts are encoded.
 */
#ifndef STATE_GUEST_STATE_H
#define STATE_GUEST_STATE_H

#include "base/buffer.h"
#include "base/error.h"

enum state_part {
    STATE_IDENTITY,
    STATE_CLOCK,
    STATE_SHARED_INFO,
    STATE_GRANT_FRAMES,
    STATE_EVENTS,
    STATE_VCPUS,
    STATE_GRANTS,
    STATE_STORE,
    STATE_NR_PARTS,
};

/* Version of every part's encoding. */
#define STATE_VERSION 1u

#define STATE_GFN_NONE         UINT64_MAX
#define STATE_VCPUS_MAX        128u
#define STATE_PARAMS_MAX       64u
#define STATE_PORTS_2L         4096u
#define STATE_PORTS_MAX        (1u << 17)
#define STATE_ARRAY_PAGES      128u
#define STATE_PORTS_PER_PAGE   1024u
#define STATE_PRIORITIES       16u
#define STATE_VIRQS            24u
#define STATE_POLL_MAX         128u
#define STATE_GRANT_FRAMES_MAX 1024u
#define STATE_GRANTS_PER_FRAME 512u
#define STATE_DOMIDS           0x7ff0u
#define STATE_STORE_MAX        ((uint32_t)64 << 20)
#define STATE_CARRY_MAX        ((uint32_t)16 << 20)
/* 146 years, so that sums of two times fit. */
#define STATE_TIME_MAX ((uint64_t)1 << 62)
/* A periodic timer that is shorter would leave no time for anything else. */
#define STATE_PERIOD_LEAST   100000u
#define STATE_VECTOR_FIRST   0x10u
#define STATE_PAGE_SIZE      4096u
#define STATE_CONTROL_SIZE   72u /* of a FIFO control block */
#define STATE_VCPU_INFO_SIZE 64u
/* HVM parameters that this state refers to, as Xen numbers them. */
#define STATE_PARAM_STORE_PFN    1u
#define STATE_PARAM_STORE_PORT   2u
#define STATE_PARAM_CONSOLE_PFN  17u
#define STATE_PARAM_CONSOLE_PORT 18u

struct state_param {
    uint32_t index;
    uint64_t value;
};

struct state_identity {
    uint32_t domid;
    uint8_t handle[16];
    uint32_t nr_vcpus;
    uint32_t vm_assist;
    uint32_t nr_params;
    struct state_param param[STATE_PARAMS_MAX]; /* ascending; none is 0 */
};

struct state_clock {
    uint64_t now_ns; /* the guest's time when it stood still */
};

struct state_shared_info {
    uint64_t gfn; /* STATE_GFN_NONE: the guest has not placed it */
};

struct state_grant_frames {
    uint32_t version;
    uint32_t nr_frames;
    uint64_t gfn[STATE_GRANT_FRAMES_MAX]; /* each perhaps STATE_GFN_NONE */
};

enum state_port_kind {
    STATE_PORT_FREE, /* but with something left: see the other fields */
    STATE_PORT_UNBOUND,
    STATE_PORT_INTERDOMAIN,
    STATE_PORT_VIRQ,
    STATE_PORT_IPI,
    STATE_PORT_KINDS,
};

struct state_port {
    uint32_t port;
    uint8_t kind; /* enum state_port_kind */
    uint8_t priority;
    uint8_t virq;         /* VIRQ only */
    uint8_t early;        /* FIFO: raised before its page was there */
    uint32_t vcpu;        /* that is notified */
    uint32_t remote;      /* domid; UNBOUND and INTERDOMAIN only */
    uint32_t remote_port; /* INTERDOMAIN only */
    /* FIFO: the queue that it was put on last. */
    uint32_t last_vcpu;
    uint8_t last_priority;
};

struct state_queue {
    uint32_t vcpu;
    uint32_t priority;
    uint32_t tail; /* port put on it last */
};

enum state_event_abi { STATE_EVENTS_2L, STATE_EVENTS_FIFO };

/*
 * Pending and masked bits: with 2-level here; with FIFO in the event words,
 * which are the guest's memory.
 */
struct state_events {
    uint32_t abi; /* enum state_event_abi */
    uint64_t pending[STATE_PORTS_2L / 64];
    uint64_t masked[STATE_PORTS_2L / 64];
    uint32_t nr_array_pages;
    uint64_t array_gfn[STATE_ARRAY_PAGES];
    uint64_t control_gfn[STATE_VCPUS_MAX]; /* or STATE_GFN_NONE */
    uint32_t control_offset[STATE_VCPUS_MAX];
    uint32_t nr_queues;
    struct state_queue *queue; /* owned; those that are not empty */
    uint32_t nr_ports;
    struct state_port *port; /* owned; ascending */
};

enum state_wait { STATE_RUNNABLE, STATE_HALTED, STATE_POLLING, STATE_WAITS };

/* Named by the guest's virtual address, under these page tables. */
struct state_area {
    uint64_t address; /* 0: none */
    uint64_t cr3;     /* all ones: addresses are physical */
};

struct state_vcpu {
    uint8_t initialised;
    uint8_t up;
    uint8_t wait; /* enum state_wait */
    uint8_t upcall_vector;
    uint8_t upcall_requested; /* the vector is raised, not delivered yet */
    /* Of its vcpu_info; written only where that is in shared info. */
    uint8_t upcall_pending;
    uint8_t upcall_mask;
    uint64_t selector;
    uint64_t info_gpa; /* 0: in shared info */
    struct state_area runstate_area;
    struct state_area time_area;
    uint64_t cr3; /* for addresses in hypercalls */
    /* Guest time; 0: not set. */
    uint64_t singleshot_ns;
    uint64_t periodic_ns;
    uint64_t periodic_next_ns;
    uint64_t poll_deadline_ns;
    uint32_t runstate;
    uint64_t runstate_entry_ns;
    uint64_t runstate_ns[4];
    uint32_t nr_polled;
    uint32_t polled[STATE_POLL_MAX];
};

struct state_vcpus {
    uint32_t nr;
    struct state_vcpu *vcpu; /* owned */
};

struct state_grant {
    uint32_t ref;
    uint16_t flags; /* as the guest wrote them: in nobody's use */
    uint16_t domid;
    uint32_t frame;
};

struct state_grants {
    uint32_t nr;
    struct state_grant *grant; /* owned; ascending, none all zero */
};

struct state_store {
    struct buffer data; /* records DOMAIN_XENSTORE_DATA, little-endian */
    /* What stands between the store and the ring, and where the ring stood. */
    uint32_t req_cons;
    uint32_t rsp_prod;
    uint32_t out_partial; /* octets of 'out': the rest of a half-sent message */
    struct buffer in;     /* taken off the ring: part of a request */
    struct buffer out;    /* replies that the ring had no room for */
};

struct guest_state {
    uint32_t present; /* set of parts, 1 << part */
    struct state_identity identity;
    struct state_clock clock;
    struct state_shared_info shared_info;
    struct state_grant_frames grant_frames;
    struct state_events events;
    struct state_vcpus vcpus;
    struct state_grants grants;
    struct state_store store;
};

/* "event channels", ... */
const char *state_part_name(enum state_part part);

/* "unbound", ... */
const char *state_port_kind_name(unsigned int kind);
/* "runnable", ... */
const char *state_wait_name(unsigned int wait);

/* The value of an HVM parameter; 0 if it is not there. */
uint64_t state_param_value(const struct state_identity *i, uint32_t index);

/* Free what it owns; safe on {0}, which it leaves behind. */
void guest_state_release(struct guest_state *s);

/*
 * Append the part's body, little-endian.  's' is not changed; what is encoded
 * need not make sense.
 */
void guest_state_encode(struct guest_state *s, enum state_part part,
                        struct buffer *ret);

/*
 * Take one part from outside.  Counts are bounded and every octet is
 * accounted for; guest_state_check() looks at the rest.  On failure 's' is
 * only fit to be released.  'offset' is for messages, or ERROR_NO_OFFSET.
 */
must_check bool guest_state_decode(struct guest_state *s, enum state_part part,
                                   const void *body, size_t length,
                                   enum byte_order order, uint64_t offset,
                                   struct error *err);

/*
 * Whether the parts that are present make sense, each and together.  A part
 * that refers to one that is not there is not looked at in that respect.
 */
must_check bool guest_state_check(const struct guest_state *s,
                                  struct error *err);

/* ... and all are there. */
must_check bool guest_state_check_whole(const struct guest_state *s,
                                        struct error *err);

#endif
