/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event channels: ports, their handlers, and the two ways Xen may say which
 * of them are pending, behind one table.
 *
 * Handlers run in the upcall, on the vCPU that the port is bound to, with
 * interrupts off.  They only count, set flags, and send.
 */
#ifndef GUEST_EVTCHN_H
#define GUEST_EVTCHN_H

#include "cmdline.h"
#include "vcpu.h"

#define NR_PORTS 256

/* How pending events are found.  Every operation is set. */
struct evtchn_abi {
    const char *name;

    /* Once per domain, on vCPU 0, before any port is opened. */
    void (*init)(void);

    /* On vCPU 0, for each vCPU, after init(). */
    void (*init_vcpu)(struct vcpu *v);

    /* Keep 'port' from being delivered; ask whether it is pending. */
    void (*mask)(evtchn_port_t port);
    bool (*pending)(evtchn_port_t port);

    /* Ports of the timer go before all others; nothing where Xen cannot. */
    void (*raise)(evtchn_port_t port);

    /* Take each unmasked pending port of 'v' once: clear it, deliver it. */
    void (*scan)(struct vcpu *v);
};

extern const struct evtchn_abi evtchn_abi_2l, evtchn_abi_fifo;

/* 'port' was pending; called by scan(). */
void evtchn_deliver(struct vcpu *v, evtchn_port_t port);

/* Whether 'port' is to be taken on vCPU 'id'; false for unknown ports. */
bool evtchn_belongs(evtchn_port_t port, unsigned int id);

typedef void evtchn_handler(struct vcpu *v, evtchn_port_t port);

/* Choose the ABI and start it for 'nr' vCPUs, forgetting all ports. */
void evtchn_init(const struct options *o, unsigned int nr);

/* The name of the ABI in use. */
const char *evtchn_abi_name(void);

/* Everything pending for the calling vCPU. */
void evtchn_upcall(void);

/* Ports.  All stop the guest when Xen refuses. */
void evtchn_attach(evtchn_port_t port, const char *name, unsigned int vcpu,
                   evtchn_handler *handler);
void evtchn_detach(evtchn_port_t port);
evtchn_port_t evtchn_open_virq(unsigned int virq, unsigned int vcpu,
                               const char *name, evtchn_handler *handler);
evtchn_port_t evtchn_open_ipi(unsigned int vcpu, const char *name,
                              evtchn_handler *handler);
evtchn_port_t evtchn_open_unbound(domid_t remote, const char *name,
                                  evtchn_handler *handler);
evtchn_port_t evtchn_open_loopback(evtchn_port_t remote, const char *name,
                                   evtchn_handler *handler);
void evtchn_set_vcpu(evtchn_port_t port, unsigned int vcpu);
void evtchn_close(evtchn_port_t port);
void evtchn_mask(evtchn_port_t port);
bool evtchn_pending(evtchn_port_t port);
void evtchn_raise(evtchn_port_t port);
void evtchn_send(evtchn_port_t port);

/*
 * Ask Xen about every open port and compare with what it said when the port
 * was first seen: kind, vCPU, and for ports to ourselves the other end, whose
 * domain is our own.  The other end of a back end's port may change.
 */
void evtchn_verify(void);

/* For the report: the name of an open port, or NULL, and its counters. */
const char *evtchn_port_name(evtchn_port_t port, unsigned int *ret_vcpu,
                             uint64_t *ret_count);

/* Events on ports that nobody had open. */
uint64_t evtchn_strays(void);

#endif
