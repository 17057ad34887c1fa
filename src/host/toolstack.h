/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a toolstack does for whoever moves its guests: it knows their names and
 * configurations, makes and destroys domains with their devices, and runs the
 * save helper that carries memory and processor state.
 *
 * One table of operations.  Every implementation sets every entry.
 *
 * Rules that hold for every operation:
 *   - One operation of a toolstack at a time; not from several threads.
 *   - On failure '*err' is set and 'ret' parameters are untouched, unless the
 *     declaration says otherwise.
 *   - What the toolstack refuses is ERR_HOST with its reason; a domain that
 *     does not exist is ERR_STATE.
 *   - Operations that take 'work' watch work->cancel_fd and return
 *     ERR_CANCELLED soon after it becomes readable, with everything they
 *     started ended; no process of theirs is left.
 */
#ifndef HOST_TOOLSTACK_H
#define HOST_TOOLSTACK_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"

#define TOOLSTACK_NAME_MAX  256
#define TOOLSTACK_ANY_DOMID UINT32_MAX

/*
 * A stream's header and the record that announces the helper's part.  libxl
 * (4.17) crashes when its stream fails before it has a helper: an
 * implementation keeps what can fail away from it until then.
 */
#define TOOLSTACK_PREAMBLE 24

struct toolstack_guest {
    uint32_t domid;
    char name[TOOLSTACK_NAME_MAX];
    char type[8]; /* "pv", "pvh" or "hvm" */
    char uuid[40];
    uint64_t memory_kib; /* allocated now */
    uint32_t vcpus;
    bool paused;
    bool suspended; /* shut down with reason suspend: saved, or being saved */
    bool dead;      /* shut down for another reason, or being destroyed */
};

/* How a long operation is watched, stopped and told about. */
struct toolstack_work {
    int cancel_fd; /* readable when the work is to stop; -1: none */
    /*
     * Called on the operation's own thread for each line that the save helper
     * writes about its progress: a JSON object, without the newline.  NULL:
     * the helper is not asked for any.
     */
    void (*event)(void *context, const char *line);
    void *context;
    /* The helper to run; NULL: the toolstack's own. */
    const char *helper;
};

enum toolstack_save_outcome {
    SAVE_DONE,       /* everything is written; the guest is suspended */
    SAVE_UNCHANGED,  /* failed or cancelled; the guest was never suspended */
    SAVE_SUSPENDED,  /* failed or cancelled; the guest is suspended */
    SAVE_GUEST_GONE, /* the domain died or was destroyed meanwhile */
};

/* Ask for the changes that matter to a save. */
#define TOOLSTACK_SAVE_LIVE  1u /* copy memory while the guest runs */
#define TOOLSTACK_SAVE_DEBUG 2u /* the helper's checks of its own work */

struct toolstack;

struct toolstack_ops {
    const char *name; /* "libxl" */

    /* Frees 'ts'. */
    void (*close)(struct toolstack *ts);

    /* By name, or by number; ERR_STATE when there is none. */
    must_check bool (*find)(struct toolstack *ts, const char *name_or_domid,
                            struct toolstack_guest *ret, struct error *err);
    /* The same domain again. */
    must_check bool (*look)(struct toolstack *ts, uint32_t domid,
                            struct toolstack_guest *ret, struct error *err);

    /*
     * The running guest's configuration as the toolstack's own JSON text, with
     * its terminating NUL, appended to '*ret'.  With 'keep_domid' it asks for
     * the same number wherever it is created.
     */
    must_check bool (*config_get)(struct toolstack *ts, uint32_t domid,
                                  bool keep_domid, struct buffer *ret,
                                  struct error *err);

    /*
     * What guest a configuration (JSON text, NUL-terminated) describes; its
     * domid is the number it asks for, or TOOLSTACK_ANY_DOMID.
     */
    must_check bool (*config_describe)(struct toolstack *ts, const char *config,
                                       struct toolstack_guest *ret,
                                       struct error *err);
    /*
     * Whether such a guest could be created here now under 'name' (NULL: its
     * own): name and number are free, and there is memory.  The toolstack may
     * make its own control domain smaller to get that.
     */
    must_check bool (*config_check)(struct toolstack *ts, const char *config,
                                    const char *name, struct error *err);

    /*
     * Suspend the guest and write its state to 'fd' from the present position,
     * in the libxl stream format.  'flags' are TOOLSTACK_SAVE_*.  '*ret' is
     * set in every case; only SAVE_DONE goes with true.
     */
    must_check bool (*save)(struct toolstack *ts, uint32_t domid, int fd,
                            unsigned int flags,
                            const struct toolstack_work *work,
                            enum toolstack_save_outcome *ret,
                            struct error *err);

    /* Let a suspended guest run on in its old domain. */
    must_check bool (*resume)(struct toolstack *ts, uint32_t domid,
                              struct error *err);

    /*
     * Create a domain from 'config', named 'name' (NULL: its own name), and
     * read its state from 'fd', in the format of save().  The first
     * TOOLSTACK_PREAMBLE octets of that, which the caller has read and found
     * right, are in 'preamble'.  It ends up paused.  On failure no domain is
     * left.
     */
    must_check bool (*restore)(struct toolstack *ts, const char *config,
                               const char *name, const uint8_t *preamble,
                               int fd, const struct toolstack_work *work,
                               uint32_t *ret_domid, struct error *err);

    /* 'from' must be its present name. */
    must_check bool (*rename)(struct toolstack *ts, uint32_t domid,
                              const char *from, const char *to,
                              struct error *err);
    must_check bool (*pause)(struct toolstack *ts, uint32_t domid,
                             struct error *err);
    must_check bool (*unpause)(struct toolstack *ts, uint32_t domid,
                               struct error *err);
    must_check bool (*destroy)(struct toolstack *ts, uint32_t domid,
                               struct error *err);

    /*
     * Stay with a domain until it is destroyed: when it shuts down do what its
     * configuration says (destroy, restart, keep).  Returns true when there is
     * nothing left to watch.
     */
    must_check bool (*keep_house)(struct toolstack *ts, uint32_t domid,
                                  struct error *err);
};

/* What every implementation starts with. */
struct toolstack {
    const struct toolstack_ops *ops;
    const struct log *log; /* borrowed; may be NULL */
};

/*
 * Load and open a toolstack; "libxl" is the one there is.  ERR_UNSUPPORTED
 * where this machine has none.  'log' outlives it.
 */
must_check bool toolstack_open(const char *name, const struct log *log,
                               struct toolstack **ret, struct error *err);

/* Accepts NULL. */
void toolstack_close(struct toolstack *ts);

/* What a module exports as 'xenferry_toolstack_module'. */
#define TOOLSTACK_MODULE_VERSION 1u

struct toolstack_module {
    uint32_t version;
    const char *name;
    must_check bool (*open)(const struct log *log, struct toolstack **ret,
                            struct error *err);
};

#endif
