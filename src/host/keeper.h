/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of guests on a host without a toolstack of its own: what a move
 * needs of it besides memory and state, which are 'struct host_ops'.
 *
 * Every entry of the table is set.  What the host refuses has the host's code;
 * ERR_PEER and ERR_TIMEOUT mean that nobody knows whether it was done.
 */
#ifndef HOST_KEEPER_H
#define HOST_KEEPER_H

#include "base/error.h"

#define KEEPER_NAME_MAX 64
#define KEEPER_PATH_MAX 256

struct keeper_host {
    char identity[128]; /* no other host, wherever, has the same */
    char version[48];
    uint64_t tsc_khz;
    uint64_t memory_free; /* octets that guests could have */
};

enum keeper_state {
    KEPT_RUNNING,
    KEPT_PAUSED,
    KEPT_SUSPENDED, /* from outside, with reason suspend */
    KEPT_ENDED,     /* shut down or crashed */
};

struct keeper_guest {
    char name[KEEPER_NAME_MAX];
    uint32_t domid;
    uint32_t vcpus;
    uint64_t memory_mib;
    enum keeper_state state;
    char disk[KEEPER_PATH_MAX]; /* "" if there is none */
    bool disk_read_only;
    char cannot_leave[256]; /* why it has to stay on this host; "": nothing */
};

enum keeper_outcome {
    KEEPER_DONE,
    KEEPER_REFUSED, /* certainly not done */
    KEEPER_UNKNOWN, /* the host went away: perhaps done */
};

struct keeper;

struct keeper_ops {
    /* Ends every use of 'k' and frees it. */
    void (*close)(struct keeper *k);
    must_check bool (*describe)(struct keeper *k, struct keeper_host *ret,
                                struct error *err);
    /* By name or number.  '*ret_found' false: there is none of this name. */
    must_check bool (*find)(struct keeper *k, const char *name, bool *ret_found,
                            struct keeper_guest *ret, struct error *err);
    /* From outside, whatever the guest does; nothing of it changes any more. */
    must_check bool (*suspend)(struct keeper *k, uint32_t domid,
                               struct error *err);
    /* Undo suspend(). */
    must_check bool (*resume)(struct keeper *k, uint32_t domid,
                              struct error *err);
    /* A paused guest without memory, to be restored into. */
    must_check bool (*create)(struct keeper *k,
                              const struct keeper_guest *guest,
                              struct error *err);
    /* Let a restored guest run for the first time. */
    enum keeper_outcome (*start)(struct keeper *k, uint32_t domid,
                                 struct error *err);
    must_check bool (*destroy)(struct keeper *k, uint32_t domid,
                               struct error *err);
};

struct keeper {
    const struct keeper_ops *ops;
};

static inline void keeper_close(struct keeper **k)
{
    if (*k)
        (*k)->ops->close(*k);
    *k = NULL;
}

#endif
