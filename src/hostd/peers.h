/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guests of one host to each other: how a hypercall of one gets at the
 * event channels, grants and memory of another.
 *
 * State of a guest is touched only by whoever has its baton (baton.h), so such
 * a call needs two.  Whoever has one of them never waits for the other: it
 * gives its own away and takes both in the order of their addresses, the same
 * for all.  Much can happen meanwhile; so a vCPU does that only between two
 * instructions, and its call then begins again (hypercall_serve.h).
 *
 *      vCPU of a            peers             b
 *      hypercall: needs b
 *      (not made; RIP still at it)
 *      peers_meet() ------> give a's baton
 *                           take both ------> stands still
 *      hypercall: made
 *      peers_part() ------> give b's -------> goes on
 *
 * I1  A guest that is being visited is not released: peers_leave() waits.
 * I2  Of a guest that has left, no other has a port bound to it or counts it
 *     as user of a grant.
 *
 * Lock order: a baton, then the mutex of this file.
 */
#ifndef HOSTD_PEERS_H
#define HOSTD_PEERS_H

#include <pthread.h>

#include "base/list.h"
#include "hostd/hosted.h"

struct peers {
    pthread_mutex_t mutex;
    pthread_cond_t parted; /* some guest has one visitor less */
    struct list members;   /* of struct hosted */
};

void peers_init(struct peers *p);
void peers_release(struct peers *p);

/* From now on it can be met, until peers_leave(). */
void peers_join(struct peers *p, struct hosted *h);

/* Whether 'h' shares nothing with others (machine_state.h).  Takes its baton. */
must_check bool peers_can_leave(struct hosted *h, struct error *err);

/*
 * Nothing runs in 'h' any more; all that others have with it ends.  Harmless
 * if it has not joined.  Without any baton; one guest leaves at a time.
 */
void peers_leave(struct hosted *h);

/*
 * With the baton of 'h', which is given away meanwhile: look at everything
 * again.  The guest 'domid', whose baton is then held too; NULL: there is none.
 */
struct hosted *peers_meet(struct hosted *h, uint16_t domid);

/* Gives away the baton of 'other', which was met. */
void peers_part(struct hosted *other);

#endif
