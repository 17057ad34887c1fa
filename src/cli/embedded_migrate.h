/* SPDX-License-Identifier: GPL-2.0-or-later */
/* migrate and receive on embedded hosts: the two ends of a hand-over. */
#ifndef CLI_EMBEDDED_MIGRATE_H
#define CLI_EMBEDDED_MIGRATE_H

#include "base/buffer.h"
#include "cli/moves.h"
#include "engine/precopy_policy.h"

struct embedded_migrate_line {
    const char *guest;
    const char *destination; /* as transport_connect() takes it */
    struct precopy_limits precopy;
    uint64_t bandwidth_cap; /* octets a second; 0: none */
    bool live;
    bool paused;
};

/* Each is the whole command; returns the exit status. */
int embedded_migrate(struct moves *m, const struct embedded_migrate_line *l);
int embedded_receive(struct moves *m,
                     bool (*open)(void *context, struct transport *ret,
                                  struct error *err),
                     void *context, bool paused);

/*
 * What transport_connect() takes for "embedded:NAME" of this machine: a child
 * of ours that receives.
 */
must_check bool embedded_destination(const char *uri, struct buffer *ret,
                                     struct error *err);

#endif
