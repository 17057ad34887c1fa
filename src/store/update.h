/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Live update: another program takes the store over while it is in use.
 *
 *   live-update -f FILE     a session begins, of the connection that asks
 *   live-update -c LINE     other options for the successor
 *   live-update -s ...      the request is parked, and
 *
 *   REHEARSING   FILE loads the present state beside us, which goes on to
 *     |          serve, and says what it has; it must be what we have
 *     |   (a program that cannot rehearse is taken with -F alone, and then
 *   DRAINING      the transactions have time to end: others' state streams
 *     |           do not carry them)
 *   GOING        the state is written, and the main process, which keeps its
 *     |          pid, becomes FILE; the process with the store waits
 *     +-- it serves     the waiting process ends
 *     +-- no exec       the answer is the reason; all goes on
 *     +-- it dies       the waiting process starts the old program again, with
 *                       the same state and an error as the answer
 *
 * Without a journal the waiting process is a fork; with one it is the worker,
 * and the main process is the holder.  Descriptors keep their numbers in the
 * main process: the state stream has them, so that a stock daemon can hand
 * over to us, and we to one.
 */
#ifndef STORE_UPDATE_H
#define STORE_UPDATE_H

#include "store/daemon.h"

/* words[0] is "live-update". */
enum outcome update_control(struct daemon *d, struct connection *from,
                            unsigned int nr, char **words,
                            struct buffer *reply);
/*
 * At the end of a turn, with nothing half done.  True: the store has more to
 * do now.
 */
bool update_turn(struct daemon *d);
/* When update_turn() is due; DEADLINE_NONE: never. */
int64_t update_deadline(const struct daemon *d);
void update_release(struct daemon *d);

/* What the main process becomes, as the worker tells its holder. */
struct update_target {
    const char *file;
    const char *line; /* instead of our own options; "": those */
    bool rehearsed;
};

/*
 * Become 'target'; 'fds' go along.  Comes back only if that was impossible,
 * and then 'ready_fd' has been told why.
 */
struct holder;
void update_become(struct daemon *d, const struct holder *h,
                   const struct update_target *target, int ready_fd);

/* --- on the other side --- */

/* A state that a predecessor left; in struct daemon. */
struct predecessor {
    struct buffer stream;
    bool complete; /* with records of our own */
    bool loaded;
    int listen_fd, evtchn_fd, ready_fd;
};

/* Read the state, and check the descriptors that come with it. */
must_check bool predecessor_open(struct daemon *d, struct error *err);
/* Its clients become the holder's. */
must_check bool predecessor_clients(struct daemon *d, struct holder *h,
                                    struct error *err);
/* Into the store that was just opened. */
must_check bool predecessor_load(struct daemon *d, struct error *err);
/* All is well: the predecessor may go. */
void predecessor_served(struct daemon *d);
void predecessor_release(struct daemon *d);

/* --check-state: load the state on standard input, print a summary. */
int update_check_state(struct daemon *d);

/* What of a state both sides count. */
must_check bool update_summary(const void *bytes, size_t length,
                               struct buffer *out, struct error *err);

#endif
