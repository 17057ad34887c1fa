/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The states of a guest's hand-over from one host to another, and what two
 * sides that lost each other do about them.
 *
 *   source   PRECOPY -> STOPPED -> SENT -> RELEASED -> GONE -> DONE
 *               |          |        |         |
 *               +----------+--------+-> KEPT <+ only if the target gave it back
 *                                        |
 *                                        +-> BACK
 *
 *   target   RECEIVING -> READY -> RUNNING
 *                |          |
 *                +----------+-> DROPPED
 *
 *   state      means                              the guest may run
 *   PRECOPY    a move has begun                   at the source
 *   STOPPED    it stands still                    at the source, once resumed
 *   SENT       the target may have all of it      at the source, once resumed
 *   RELEASED   the target was perhaps told to go  at the target only
 *   GONE       the target runs it: discard ours   at the target
 *   DONE       ours is discarded                  at the target
 *   KEPT       the source has it: resume it       at the source
 *   BACK       it is resumed                      at the source
 *   RECEIVING  a copy that is not whole           not here
 *   READY      a whole copy, paused               not here, yet
 *   RUNNING    released to us                     here
 *   DROPPED    the copy is no more                not here, ever
 *
 * Each side journals a state before it acts on it.  The source resumes its
 * guest in every state before RELEASED and in none after, but KEPT.  The target
 * gives a READY copy up only when the source says that it has KEPT the guest,
 * or when the copy is lost.  DONE and BACK say that the guest may move again:
 * from then on this move touches it no more.
 *
 * I1  At most one copy of the guest ever runs.
 * I2  At every moment at least one side has a complete copy.
 * I3  After any one crash or lost connection the two journals say who has the
 *     guest, as soon as the two sides can talk.
 */
#ifndef ENGINE_HANDOVER_STATES_H
#define ENGINE_HANDOVER_STATES_H

#include "base/macros.h"

enum handover_state {
    HANDOVER_NONE, /* no journal */
    SOURCE_PRECOPY,
    SOURCE_STOPPED,
    SOURCE_SENT,
    SOURCE_RELEASED,
    SOURCE_GONE,
    SOURCE_DONE,
    SOURCE_KEPT,
    SOURCE_BACK,
    TARGET_RECEIVING,
    TARGET_READY,
    TARGET_RUNNING,
    TARGET_DROPPED,
};

/* "precopy", ... */
const char *handover_state_name(enum handover_state state);
enum handover_state handover_state_of(const char *name);

/* What the source does with what it knows of both sides. */
enum resolve_step {
    RESOLVE_KEEP,    /* the guest goes on here; the target drops its copy */
    RESOLVE_RELEASE, /* the target may start its copy */
    RESOLVE_DISCARD, /* it runs there: our copy goes */
    RESOLVE_LOST,    /* the host that had it last is gone, and it with it */
    RESOLVE_ASK,     /* the other side has to be heard first */
};

/*
 * 'here' and 'there': whether the guest's domain exists on the two hosts.
 * 'target' is HANDOVER_NONE when the target has no journal.  'heard' false:
 * nothing is known of the target.
 */
enum resolve_step handover_resolve_step(enum handover_state source, bool here,
                                        bool heard, enum handover_state target,
                                        bool there);

#endif
