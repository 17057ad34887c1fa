/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A ball that goes between two guests of one host: an event channel, a page
 * that both write, and one that the second guest may only read.
 *
 *   "peer offer D"         lets guest D bind a port, and map both pages
 *   "peer join D PORT"     in guest D: binds, maps, and throws
 *
 *   joined                               offered
 *   writes round n on the shared page
 *   event                      ------->  checks it, writes its answer on the
 *   checks both pages, once by reading   shared page and round n on the other
 *   and once as a copy         <-------  event
 *
 * Thrown as ping= says.  A ball that does not come back is a failed check.
 */
#ifndef GUEST_PEER_H
#define GUEST_PEER_H

#include "cmdline.h"

/* No peer, in this domain. */
void peer_init(void);

/* "offer D", "join D PORT" or "part": does it, and answers on the console. */
void peer_command(const char *line);

/* On vCPU 0: take the ball, throw the next. */
void peer_step(const struct options *o);

/* Whether peer_step() has something to do before the next event. */
bool peer_busy(const struct options *o);

/* One line of the report, if there is a peer. */
void peer_report(void);

#endif
