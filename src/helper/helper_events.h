/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Engine events as lines of JSON on a descriptor that libxl's caller inherited
 * to us, because libxl's own messages have no room for them.
 */
#ifndef HELPER_EVENTS_H
#define HELPER_EVENTS_H

#include "engine/engine.h"

/* "save" or "restore"; one write() each; a slow reader loses events. */
void helper_events_write(int fd, const char *operation, uint32_t domid,
                         const struct engine_event *event);

/* The last line: how it ended.  'error' is NULL for success. */
void helper_events_end(int fd, const char *operation, uint32_t domid,
                       const struct engine_event *event,
                       const struct error *error);

#endif
