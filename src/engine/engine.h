/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saving a guest to an image, and restoring one: the libxc layer of a move.
 *
 * The engine owns memory and machine state.  The domain's life cycle, devices
 * and store are the toolstack's, which the engine reaches by callbacks.
 *
 * Until a save has succeeded the guest is the caller's to resume: whatever
 * fails, the engine leaves it as suspended or running as it was, without
 * log-dirty mode, mappings or threads of ours.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/error.h"
#include "base/log.h"
#include "engine/precopy_policy.h"
#include "host/host.h"

enum stream_kind {
    STREAM_PLAIN = 0,
    STREAM_REMUS = 1,
    STREAM_COLO = 2,
};

enum engine_phase {
    PHASE_SETUP,   /* headers and static data */
    PHASE_PRECOPY, /* the guest runs, its memory is on the way */
    PHASE_SUSPEND, /* waiting for the guest to stop */
    PHASE_FINAL,   /* the guest stands still, the rest is on the way */
    PHASE_STATE,   /* everything that is not memory */
    PHASE_VERIFY,  /* all memory once more, for comparison */
    PHASE_MEMORY,  /* restore: memory arrives */
    PHASE_DONE,
};

const char *engine_phase_name(enum engine_phase phase);

/* Where a move stands.  Pages are of 4096 octets. */
struct engine_event {
    enum engine_phase phase;
    unsigned int round;   /* of precopy, from 1; 0 outside */
    uint64_t bytes;       /* of the stream, so far */
    uint64_t pages;       /* sent or placed so far, all rounds */
    uint64_t zero_pages;  /* of these, without I/O */
    uint64_t round_pages; /* sent in this round */
    uint64_t round_total; /* to be sent in this round; 0: not known */
    uint64_t rate;        /* octets a second over the last round's part */
    uint64_t dirty_pages; /* written by the guest during the last round */
    uint64_t dirty_rate;  /* pages a second */
    int64_t downtime_ms;  /* predicted in precopy, measured at the end */
    int64_t elapsed_ms;
};

/* What both directions take. */
struct engine_options {
    const struct log *log; /* may be NULL */
    /* May be NULL.  Called on the operation's thread, a few times a second. */
    void (*event)(void *context, const struct engine_event *event);
    void *event_context;
    int cancel_fd;       /* readable: stop; -1: none */
    int idle_timeout_ms; /* longest wait for the stream; -1: for ever */
    bool process_ends;   /* soon after: it may undo what we mapped */
};

/*
 * What a save asks of the toolstack.  Every entry is set; all are called on
 * the operation's thread and answer false with '*err' set to end the save.
 */
struct save_callbacks {
    /* Have the guest suspend itself, and wait until it has. */
    bool (*suspend)(void *context, struct error *err);
    /* Have the device model note what it writes; only for HVM and live. */
    bool (*device_model_log_dirty)(void *context, bool enable,
                                   struct error *err);
    /* Remus: the guest may run on. */
    bool (*postcopy)(void *context, struct error *err);
    /* Remus: the other layers' records go out; when back, the next round. */
    bool (*checkpoint)(void *context, struct error *err);
};

struct save_report {
    uint64_t bytes;
    uint64_t pages;
    uint64_t zero_pages;
    unsigned int rounds;
    int64_t downtime_ms; /* from asking the guest to stop to the END record */
    int64_t elapsed_ms;
};

struct save_request {
    struct host *host;
    uint32_t domid;
    int fd;      /* the stream; stays the caller's */
    bool live;   /* else the guest is suspended before its memory is read */
    bool verify; /* send all memory twice, for comparison (live only) */
    /*
     * The guest must not notice: suspend() stops it from outside, with reason
     * suspend and its store and backends at rest, and the image brings what
     * it would otherwise build up again (noncoop/).  HVM and PVH only;
     * ERR_UNSUPPORTED where the host cannot tell that state.
     */
    bool noncoop;
    enum stream_kind kind;
    bool runs; /* the other side reads runs (base/io.h): zeroes are elided */
    struct precopy_limits precopy;
    uint64_t rate_limit; /* octets a second while the guest runs; 0: none */
    const struct save_callbacks *callbacks;
    void *callback_context;
    /*
     * May be NULL.  All of the image is on its way: what follows is done before
     * the save ends log-dirty mode and unmaps, for which the guest need not
     * wait.  False ends the save with '*err', as any failure.
     */
    bool (*sent)(void *context, const struct save_report *report,
                 struct error *err);
    struct engine_options options;
};

must_check bool engine_save(const struct save_request *request,
                            struct save_report *ret, struct error *err);

/* What the image did not bring along, for static_data_done(). */
#define MISSING_CPUID_POLICY 1u
#define MISSING_MSR_POLICY   2u

enum checkpoint_outcome {
    CHECKPOINT_FAILED,
    CHECKPOINT_TAKEN,
    CHECKPOINT_FAILOVER, /* the sender is gone: go on from the last one */
};

struct restore_callbacks {
    /* Static data is complete; 'missing' is a set of MISSING_ values. */
    bool (*static_data_done)(void *context, uint32_t missing,
                             struct error *err);
    /* Remus: the other layers read their records. */
    enum checkpoint_outcome (*checkpoint)(void *context, struct error *err);
};

struct restore_request {
    struct host *host;
    uint32_t domid; /* created, paused, without memory */
    int fd;         /* the stream; stays the caller's, read to END exactly */
    /*
     * The image must be of a guest that does not notice.  Its backends are
     * connected when this returns; they begin when the domain is unpaused.
     * Ports and domains below are not used.
     */
    bool noncoop;
    bool runs; /* the stream comes in runs, see base/io.h */
    enum stream_kind kind;
    uint32_t store_evtchn;
    uint32_t store_domid;
    uint32_t console_evtchn;
    uint32_t console_domid;
    const struct restore_callbacks *callbacks;
    void *callback_context;
    /*
     * May be NULL.  All is in place: what follows is done before the restore
     * cleans up behind itself, for which the guest need not wait.  Its failure
     * is not the restore's, whose result stays that the guest is whole.
     */
    void (*whole)(void *context);
    struct engine_options options;
};

struct restore_report {
    uint64_t store_gfn;
    uint64_t console_gfn;
    uint64_t bytes;
    uint64_t pages;
    uint64_t zero_pages;
    uint64_t superpages;        /* extents of 2 MiB that were allocated */
    uint64_t verify_mismatches; /* pages that differed from the second copy */
    int64_t elapsed_ms;
};

/* On failure the domain is only fit to be destroyed. */
must_check bool engine_restore(const struct restore_request *request,
                               struct restore_report *ret, struct error *err);

/*
 * Callbacks of moves that need nobody beside the engine: no device model, no
 * other layers, and so no checkpoints, which a restore refuses.
 */
bool plain_device_model(void *context, bool enable, struct error *err);
bool plain_checkpoint(void *context, struct error *err);
extern const struct restore_callbacks plain_restore;

#endif
