/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What both sides of a hand-over need. */
#ifndef ENGINE_HANDOVER_HANDOVER_COMMON_H
#define ENGINE_HANDOVER_HANDOVER_COMMON_H

#include "engine/handover/handover.h"
#include "engine/handover/message.h"

/* The two directions of a transport. */
struct talk {
    struct io in, out;
};

must_check bool talk_begin(struct talk *t, const struct handover_options *o,
                           struct transport *transport, struct error *err);
void talk_end(struct talk *t);

/*
 * Wait for the beginning of the other side's next message, past the point of no
 * return of the move of 'j': 'too_late' hears of whoever asks to stop.
 */
must_check bool talk_await(struct talk *t, const struct handover_options *o,
                           const struct journal *j, struct error *err);

void handover_tell(const struct handover_options *o, enum move_step step,
                   const char *name, uint32_t domid);

/* False: somebody asked to stop. */
must_check bool handover_goes_on(const struct handover_options *o,
                                 struct error *err);

/* One line of JSON for the watcher, as a save helper would write it. */
void handover_event(const struct handover_options *o,
                    const struct engine_event *e);
/* And one with a report. */
void handover_event_report(const struct handover_options *o,
                           const struct handover_report *r);

/* The guest of this number, and whether it is there under this name. */
must_check bool find_same(struct keeper *k, uint32_t domid, const char *name,
                          bool *ret_found, struct keeper_guest *ret,
                          struct error *err);

/*
 * Points at which a test build may be killed; nothing otherwise.  'fd' is the
 * connection, for a test that cuts it.
 */
#ifdef XENFERRY_FAULTS
void fault_point(const char *name, int fd);
#else
static inline void fault_point(const char *name, int fd)
{
}
#endif

#endif
