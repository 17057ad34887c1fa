/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * With --journal the daemon is two processes:
 *
 *   holder    accepts clients, keeps a copy of every descriptor (clients, the
 *             event channels, the journal's memory), starts the worker, and
 *             starts it again when it dies of anything but its own decision
 *   worker    everything else; it inherits what the holder keeps
 *
 * The holder knows nothing of the protocol and reads no client's octets: there
 * is little in it that could fail.
 *
 * Between them is a socket of messages:
 *
 *   holder -> worker   'c' serial, with the descriptor: a new client
 *                      'p': no more clients come
 *   worker -> holder   'x' serial: this client is gone
 *                      'p': accept nobody; the answer is the same
 *                      'g': go on accepting
 *                      's': what a predecessor left was taken over
 *                      'u' what, with a pipe's end: become that, see update.h
 */
#ifndef STORE_HOLDER_H
#define STORE_HOLDER_H

#include "store/daemon.h"

struct held_client {
    uint32_t serial; /* counts clients, never reused */
    int fd;
};

struct holder {
    int control_fd; /* this process's end */
    int listen_fd;
    struct held_client *clients; /* owned */
    uint32_t nr_clients, capacity;
    uint32_t last_serial;
    /* How the last worker ended: 0 at first, or the signal that killed it. */
    int worker_signal;
    bool restarted;
    bool paused;
};

#define HOLDER_TEXT_MAX 8192u

struct holder_message {
    uint32_t kind;
    uint32_t serial;
    int32_t fd; /* of a new client: its number in the holder */
    uint32_t rehearsed;
    /* After an 'u': the file and the line, each with its NUL. */
};

/*
 * Runs in the holder until the daemon is to end; '*ret_status' is then its
 * exit status.  Returns true in each worker, which goes on from there.
 */
must_check bool holder_run(struct daemon *d, struct holder *h, int *ret_status);

/* In the worker: take what the holder sends. */
must_check bool holder_attach(struct daemon *d, struct holder *h,
                              struct error *err);
void holder_tell_gone(struct holder *h, uint32_t serial);
/* Have all clients that there are; until holder_go_on() there come no more. */
must_check bool holder_pause(struct daemon *d);
void holder_go_on(struct holder *h);
void holder_tell_serving(struct holder *h);
struct update_target;
must_check bool holder_tell_update(struct holder *h,
                                   const struct update_target *target,
                                   int ready_fd);

/* In the holder: one more client; false: no memory. */
must_check bool holder_add(struct holder *h, int fd);
/* Whose descriptor that is; 0: nobody's. */
uint32_t holder_serial(const struct holder *h, int fd);
/* The holder's copy of the descriptor, as it was at the fork; -1: none. */
int holder_fd(const struct holder *h, uint32_t serial);

#endif
