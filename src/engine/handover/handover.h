/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest moves to another host without its help, and is in one of the two
 * places whatever happens; states.h has the states and the invariants.
 *
 *   source                                   target
 *   move      -- who, what it needs -->      checked; RECEIVING; domain made
 *             <-- accept or refuse --
 *   PRECOPY   -- image: rounds of memory,    restored as it comes
 *   STOPPED      rest, state, END -->
 *   SENT                                     READY
 *             <-- ready --
 *   RELEASED  -- release -->                 RUNNING; started
 *             <-- running --
 *   GONE      destroyed here
 *             -- forget -->                  its journal goes
 *
 * A failure, a lost connection or a signal before RELEASED ends with the guest
 * running at the source.  Afterwards only a wait can be ended early, as its time
 * limit would end it: the journals stand, and 'xenferry resolve' goes on there.
 */
#ifndef ENGINE_HANDOVER_HANDOVER_H
#define ENGINE_HANDOVER_HANDOVER_H

#include "engine/engine.h"
#include "engine/handover/journal.h"
#include "engine/move/move.h"
#include "host/keeper.h"
#include "transport/transport.h"

/* A wait for the other side that must not be taken for a way back. */
struct handover_wait {
    const struct move_facts *facts;
    enum handover_role role;
    enum handover_state state; /* as the journal has it */
    int left_ms;               /* -1: no limit */
};

struct handover_options {
    struct host *host;     /* memory and state */
    struct keeper *keeper; /* guests; of the same host */
    const char *folder;    /* of the host: journals and locks */
    const struct log *log; /* may be NULL */
    const struct move_watcher *watcher;
    int cancel_fd;  /* readable: stop; -1: none */
    int timeout_ms; /* longest wait for the other side; -1: for ever */
    /*
     * 'cancel_fd' is readable during such a wait.  Takes off it what came, so
     * that more can be told from it; false ends the wait.  NULL: nothing does
     * but its time limit.
     */
    bool (*too_late)(void *context, const struct handover_wait *wait);
    void *too_late_context;
};

struct handover_source_request {
    const char *guest;           /* name or domid */
    const char *peer;            /* what 'transport' is connected to */
    struct transport *transport; /* stays the caller's */
    struct precopy_limits precopy;
    uint64_t bandwidth_cap; /* octets a second while the guest runs; 0: none */
    bool live;
    bool paused; /* leave it paused there */
};

/* What every move ends with.  Times in ns. */
struct handover_report {
    char move[MOVE_ID_MAX];
    unsigned int rounds;
    uint64_t pages;
    uint64_t zero_pages; /* of these, all zero */
    uint64_t bytes;      /* on the wire */
    uint64_t rest_pages; /* sent while the guest stood */
    int64_t elapsed_ns;
    int64_t blackout_ns; /* from asking it to stop to hearing that it runs */
    int64_t stop_ns;     /* until it stood still, disk requests answered */
    int64_t final_ns;    /* its last written pages */
    int64_t state_ns;    /* everything that is not memory */
    int64_t handover_ns; /* the target is ready, both journals say so */
    int64_t resume_ns;   /* release, start, answer */
};

/*
 * '*ret_outcome' says where the guest is, always; '*ret_guest' (name and domid)
 * once it is known.
 */
must_check bool handover_source(const struct handover_options *options,
                                const struct handover_source_request *request,
                                struct handover_report *ret,
                                enum move_outcome *ret_outcome,
                                struct error *err);

struct handover_target_request {
    struct transport *transport; /* stays the caller's */
    bool paused;                 /* leave it paused */
};

/*
 * Answer one connection: a guest that comes, or a source that asks about a move
 * whose connection was lost.
 */
must_check bool handover_target(const struct handover_options *options,
                                const struct handover_target_request *request,
                                struct toolstack_guest *ret_guest,
                                enum move_outcome *ret_outcome,
                                struct error *err);

/*
 * Remove what a receiver that was killed has left behind, where that was not a
 * whole copy: of this journal, which nobody else has open.  Others stay.
 */
must_check bool handover_drop_partial(const struct handover_options *options,
                                      struct journal *j, struct error *err);

/* How a move that was left behind ended. */
enum resolve_result {
    RESOLVED_KEPT,    /* it runs at the source */
    RESOLVED_MOVED,   /* it runs at the target */
    RESOLVED_LOST,    /* its host ended, and no other had a whole copy */
    RESOLVED_WAITING, /* the source has to be asked, or could not be heard */
};

const char *resolve_result_name(enum resolve_result result);

/*
 * Finish or roll back the move of an open journal.  'connect' reaches the other
 * side of a source's journal; it may fail.  A journal that both sides are done
 * with is removed.  '*ret_told' false: the other side has yet to hear.
 */
must_check bool
handover_resolve(const struct handover_options *options, struct journal *j,
                 bool (*connect)(void *context, const char *peer,
                                 struct transport *ret, struct error *err),
                 void *context, enum resolve_result *ret, bool *ret_told,
                 struct error *err);

#endif
