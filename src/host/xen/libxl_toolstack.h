/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pieces of the libxl toolstack: what they share.
 *
 *   libxl_toolstack.c  opening, finding guests, the short operations
 *   libxl_run.c        one libxl operation at a time, watched and cancellable
 *   libxl_log.c        what libxl and its helper say
 *   libxl_stream.c     keeps the stream's failures from libxl at the start
 *   libxl_save.c       save and resume
 *   libxl_restore.c    checks of a configuration, restore
 *   libxl_house.c      after the restore: reboots, power-off
 *
 * Our symbols begin with light_ (from libxenlight): libxl_ is theirs.
 */
#ifndef HOST_XEN_LIBXL_TOOLSTACK_H
#define HOST_XEN_LIBXL_TOOLSTACK_H

#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <poll.h>
#include <xentoollog.h>

#include "host/toolstack.h"

#define LIGHT_REASON_MAX 320
#define EVENT_LINE_MAX   4096 /* longer lines of a helper are dropped */

struct light;

/* xentoollog calls us with the address of 'vtable'. */
struct light_logger {
    xentoollog_logger vtable;
    struct light *ts;
};

/* libxl_stream.c: what libxl is given in place of the caller's stream. */
struct light_stream {
    int fd;   /* owned; libxl's; 0 or -1: none */
    int real; /* borrowed: the caller's */
    bool write_out;
    bool connected;
};

struct light {
    struct toolstack base;
    libxl_ctx *ctx;
    struct light_logger logger;

    /* Of the operation that runs. */
    const struct toolstack_work *work; /* NULL: nobody watches */
    char reason[LIGHT_REASON_MAX];     /* first error that libxl told */
    bool suspend_requested;            /* libxl asked the guest to suspend */
    bool guest_silent;                 /* and the guest did not answer */
    int event_fds[2];                  /* pipe from the helper; -1: none */
    char event_line[EVENT_LINE_MAX];
    size_t event_length;
    bool event_overlong;
    pid_t helper; /* the operation's first child; 0: none yet */
    bool expect_helper;
    struct light_stream stream;
};

/* One asynchronous operation of libxl. */
struct light_operation {
    bool done;
    int rc;
};

static inline struct light *light_of(struct toolstack *ts)
{
    return container_of(ts, struct light, base);
}

/* ---- libxl_log.c ---- */
void light_logger_init(struct light *ts);
/* ERR_HOST (or the code that fits 'rc') with the reason libxl gave. */
bool light_error(struct light *ts, int rc, struct error *err,
                 const char *format, ...) printf_like(4, 5);

/* ---- libxl_run.c ---- */
/* Before the first operation; 'ts->ctx' is there. */
void light_children_init(struct light *ts);
/*
 * Begin: forget the last operation's reason, get the helper's event pipe ready
 * and set its environment.  'work' may be NULL.
 */
must_check bool light_operation_prepare(struct light *ts,
                                        const struct toolstack_work *work,
                                        struct error *err);
/* What to hand to libxl as 'ao_how'; '*op' must outlive the operation. */
libxl_asyncop_how light_operation_how(struct light_operation *op);
/*
 * Wait for its end; 'started' is what the initiating function returned.
 * Returns libxl's verdict.  A cancelled operation is aborted, then waited for.
 */
int light_operation_wait(struct light *ts, struct light_operation *op,
                         int started);
/* Undo prepare(). */
void light_operation_end(struct light *ts);
bool light_work_cancelled(const struct toolstack_work *work);
/* Hand one line to whoever watches. */
void light_event_line(struct light *ts, const char *line);

/* ---- libxl_stream.c ---- */
/*
 * Set 'ts->stream' up for the operation to come: 'ts->stream.fd' is what libxl
 * gets.  With a 'preamble' the stream is read, else written.
 */
must_check bool light_stream_begin(struct light *ts, int real,
                                   const uint8_t *preamble, struct error *err);
/* The helper is about to start: from now on it is the caller's stream. */
void light_stream_connect(struct light *ts);
/* Accepts one that was never begun. */
void light_stream_end(struct light *ts);

/* ---- the operations ---- */
bool light_look(struct toolstack *base, uint32_t domid,
                struct toolstack_guest *ret, struct error *err);
bool light_destroy_now(struct light *ts, uint32_t domid, struct error *err);
bool light_unpause_now(struct light *ts, uint32_t domid, struct error *err);
bool light_save(struct toolstack *base, uint32_t domid, int fd,
                unsigned int flags, const struct toolstack_work *work,
                enum toolstack_save_outcome *ret, struct error *err);
bool light_resume(struct toolstack *base, uint32_t domid, struct error *err);
bool light_config_describe(struct toolstack *base, const char *config,
                           struct toolstack_guest *ret, struct error *err);
bool light_config_check(struct toolstack *base, const char *config,
                        const char *name, struct error *err);
bool light_restore(struct toolstack *base, const char *config, const char *name,
                   const uint8_t *preamble, int fd,
                   const struct toolstack_work *work, uint32_t *ret_domid,
                   struct error *err);
bool light_keep_house(struct toolstack *base, uint32_t domid,
                      struct error *err);

#endif
