/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event channels: ports, what they are bound to, and how raising one reaches
 * the guest.
 *
 *   FREE -> UNBOUND -> INTERDOMAIN       alloc_unbound; the other end binds
 *   FREE -> INTERDOMAIN, VIRQ, IPI       bind_...
 *   any -> FREE                          close
 *   INTERDOMAIN -> UNBOUND               the other end closes
 *
 * The other end of an interdomain port is a port of the same guest, of another
 * guest of this host, or the host's (domid 0), which has a function to call
 * instead of a port.  All functions return 0 or a negative Xen error number,
 * and leave everything as it was when they fail.
 *
 * I1  Of two guests' ports that are bound to each other, each names the other.
 *
 * Where a function takes the 'remote' of a port, that is the machine of
 * events_remote(): another guest's stands still as well; NULL if it has none.
 */
#ifndef HOSTD_EVENTS_H
#define HOSTD_EVENTS_H

#include "hostd/guest_machine.h"

void events_init(struct machine *m);

/* Ports that the present ABI allows, port 0 included. */
uint32_t events_port_limit(const struct machine *m);

/* The port, or NULL if there is none of that number. */
struct event_port *events_port(struct machine *m, uint32_t port);

int events_alloc_unbound(struct machine *m, uint16_t remote,
                         uint32_t *ret_port);
int events_bind_virq(struct machine *m, uint32_t virq, uint32_t vcpu,
                     uint32_t *ret_port);
int events_bind_ipi(struct machine *m, uint32_t vcpu, uint32_t *ret_port);
/* To a port of 'remote' that waits for 'm'; they may be the same. */
int events_bind_interdomain(struct machine *m, struct machine *remote,
                            uint32_t remote_port, uint32_t *ret_port);
int events_bind_vcpu(struct machine *m, uint32_t port, uint32_t vcpu);
int events_close(struct machine *m, struct machine *remote, uint32_t port);
int events_send(struct machine *m, struct machine *remote, uint32_t port);
int events_unmask(struct machine *m, uint32_t port);
int events_status(struct machine *m, struct evtchn_status *status);
int events_set_priority(struct machine *m, uint32_t port, uint32_t priority);
int events_init_control(struct machine *m, struct evtchn_init_control *op);
int events_expand_array(struct machine *m, uint64_t array_gfn);
/* Ports that are bound to other guests have been closed. */
int events_reset(struct machine *m);

/* The guest that the other end of 'port' is in; 'm' itself if none is. */
uint16_t events_remote(struct machine *m, uint32_t port);

/* That guest is gone: ports that are bound to it wait for it again. */
void events_forget_guest(struct machine *m, uint16_t domid);

bool events_is_pending(struct machine *m, uint32_t port);
bool events_is_masked(struct machine *m, uint32_t port);

/* Raise a bound virtual interrupt of 'v'; without a port it is lost. */
void events_raise_virq(struct machine *m, struct vcpu *v, uint32_t virq);

/* ---- the host's ends --------------------------------------------------- */

/*
 * Bind the host to the guest's unbound port, and call 'sink' once: what was
 * sent before is lost otherwise.
 */
int events_attach_host(struct machine *m, uint32_t port,
                       const struct event_sink *sink);
/* The guest's port is unbound again. */
void events_detach_host(struct machine *m, uint32_t port);
/* The host notifies the guest. */
void events_notify_guest(struct machine *m, uint32_t port);

/* ---- what the ABIs give to the above ----------------------------------- */

/* Make 'port' pending, and see to it that the guest notices. */
void event_2l_set_pending(struct machine *m, uint32_t port);
void event_2l_clear_pending(struct machine *m, uint32_t port);
bool event_2l_is_pending(const struct machine *m, uint32_t port);
bool event_2l_is_masked(const struct machine *m, uint32_t port);
void event_2l_unmask(struct machine *m, uint32_t port);

/* NULL: the guest has given no page for it, or taken it away. */
event_word_t *event_fifo_word(const struct machine *m, uint32_t port);
void event_fifo_set_pending(struct machine *m, uint32_t port);
void event_fifo_clear_pending(struct machine *m, uint32_t port);
bool event_fifo_is_pending(struct machine *m, uint32_t port);
bool event_fifo_is_masked(struct machine *m, uint32_t port);
/* Still on a queue of the guest: not to be given out again. */
bool event_fifo_is_busy(struct machine *m, uint32_t port);
void event_fifo_unmask(struct machine *m, uint32_t port);
int event_fifo_init_control(struct machine *m, struct vcpu *v, uint64_t gfn,
                            uint32_t offset);
int event_fifo_expand_array(struct machine *m, uint64_t gfn);

/* The upcall of 'v': its selector or ready bits have just changed. */
void events_mark_pending(struct machine *m, struct vcpu *v);
/* SCHEDOP_poll of any vCPU on 'port' ends. */
void events_wake_pollers(struct machine *m, uint32_t port);

#endif
