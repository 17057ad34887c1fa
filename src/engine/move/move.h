/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Moving whole guests with the help of a toolstack: into a file, out of one,
 * to another host, from another host.
 *
 * Nothing is lost: every function here says in its outcome where the guest is.
 */
#ifndef ENGINE_MOVE_MOVE_H
#define ENGINE_MOVE_MOVE_H

#include "base/error.h"
#include "base/log.h"
#include "host/toolstack.h"
#include "transport/transport.h"

enum move_outcome {
    MOVE_DONE,
    /* Failed or cancelled; the guest is where it was, and runs as before. */
    MOVE_KEPT,
    /* Failed, and the guest, still here and whole, could not be resumed. */
    MOVE_STUCK,
    /*
     * The target was told to start the guest and did not confirm.  The guest
     * is here, suspended, under NAME--migratedaway.
     */
    MOVE_UNDECIDED,
    /* The guest ended by itself meanwhile. */
    MOVE_GUEST_GONE,
    /* Restore and receive: no guest is here. */
    MOVE_NOTHING,
};

const char *move_outcome_name(enum move_outcome outcome);

/* What a move is doing; in this order, not each in every move. */
enum move_step {
    MOVE_STEP_CONNECT,  /* waiting for the other side's banner */
    MOVE_STEP_CHECK,    /* whether this guest can be here */
    MOVE_STEP_SAVE,     /* the helper reads the guest and writes the image */
    MOVE_STEP_RESTORE,  /* the helper reads the image */
    MOVE_STEP_SYNC,     /* the file is being made durable */
    MOVE_STEP_READY,    /* waiting until the other side has all of it */
    MOVE_STEP_HANDOVER, /* the other side may start the guest */
    MOVE_STEP_START,    /* the guest is being started here */
    MOVE_STEP_TAKEBACK, /* the guest is being resumed here */
    MOVE_STEP_DISCARD,  /* the old domain is being destroyed */
    MOVE_STEP_END,
};

const char *move_step_name(enum move_step step);

struct move_watcher {
    /* A step begins.  'guest' is NULL until it is known. */
    void (*step)(void *context, enum move_step step,
                 const struct toolstack_guest *guest);
    /* One JSON line of the helper. */
    void (*helper_event)(void *context, const char *line);
    void *context;
};

struct move_options {
    struct toolstack *toolstack;
    const struct log *log;              /* may be NULL */
    const struct move_watcher *watcher; /* may be NULL */
    const char *helper;                 /* NULL: the toolstack's own */
    const char *lock_folder;            /* where guests are locked */
    int cancel_fd;                      /* readable: stop; -1: none */
    int answer_timeout_ms;              /* longest wait for a message */
};

/* What becomes of the guest after its image is on disk. */
enum after_save { AFTER_SAVE_DESTROY, AFTER_SAVE_RUN, AFTER_SAVE_PAUSE };

struct save_file_request {
    const char *guest; /* name or number */
    const char *path;  /* replaced as a whole or not at all; "-": stdout */
    bool live;
    bool keep_domid; /* ask for the same number at the restore */
    bool sync;       /* wait until the image is on the disk */
    enum after_save after;
};

must_check bool move_to_file(const struct move_options *options,
                             const struct save_file_request *request,
                             enum move_outcome *ret, struct error *err);

struct restore_file_request {
    const char *path; /* "-": standard input */
    const char *name; /* NULL: the guest's own */
    bool paused;      /* leave it paused */
};

must_check bool move_from_file(const struct move_options *options,
                               const struct restore_file_request *request,
                               struct toolstack_guest *ret_guest,
                               enum move_outcome *ret, struct error *err);

struct migrate_source_request {
    const char *guest;
    struct transport *transport; /* connected; stays the caller's */
    bool live;
    bool keep_domid;
    bool debug;
};

must_check bool migrate_source(const struct move_options *options,
                               const struct migrate_source_request *request,
                               enum move_outcome *ret, struct error *err);

struct migrate_target_request {
    struct transport *transport; /* connected; stays the caller's */
    bool paused;                 /* leave it paused */
};

must_check bool migrate_target(const struct move_options *options,
                               const struct migrate_target_request *request,
                               struct toolstack_guest *ret_guest,
                               enum move_outcome *ret, struct error *err);

/* Names that operators know from xl. */
#define MOVE_NAME_INCOMING "--incoming"
#define MOVE_NAME_AWAY     "--migratedaway"

#endif
