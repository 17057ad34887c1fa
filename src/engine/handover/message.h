/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two sides of a hand-over say to each other:
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | "XFm1"                | length, big-endian      |
 *    +-----------------------+-------------------------+
 *    | one JSON object with "type", length octets      |
 *    +-------------------------------------------------+
 *
 *   source   move      who wants to come, what it needs
 *   target   accept    or refuse: error, code
 *   source   the libxc image, in runs (base/io.h): zeroes are only counted
 *   target   ready     a whole copy is here, paused; or failed: error, code
 *   source   release   it is yours
 *   target   running   or failed: it never ran here, and is yours again
 *   source   forget    we have discarded ours; your journal may go
 *
 *   source   resolve   about a move that lost its connection
 *   target   state     what the journal says, and whether the copy is there
 *   source   release, kept or forget, answered by running, failed, dropped
 *
 * Nothing is read beyond a message.
 */
#ifndef ENGINE_HANDOVER_MESSAGE_H
#define ENGINE_HANDOVER_MESSAGE_H

#include <json-c/json.h>

#include "base/io.h"

#define MESSAGE_JSON_MAX ((size_t)16 << 10)

/* An object of this type, to add fields to. */
struct json_object *message_make(const char *type);
void message_add(struct json_object *m, const char *name, const char *text);
void message_add_number(struct json_object *m, const char *name,
                        uint64_t number);

/* 'm' is used up. */
must_check bool message_send(struct io *io, struct json_object *m,
                             struct error *err);

/* '*ret' is the caller's to json_object_put(); it has a "type". */
must_check bool message_receive(struct io *io, struct json_object **ret,
                                struct error *err);

/*
 * Receive one of this type.  "failed" and "refuse" of the other side are
 * returned as its error, with '*ret_refused' set; the rest is ERR_PEER.
 */
must_check bool message_expect(struct io *io, const char *type,
                               struct json_object **ret, bool *ret_refused,
                               struct error *err);

const char *message_type(struct json_object *m);
/* "" and 0 where there is none. */
const char *message_text(struct json_object *m, const char *name);
uint64_t message_number(struct json_object *m, const char *name);
bool message_flag(struct json_object *m, const char *name);

/* "failed" or "refuse" with an error, so that the other side has it. */
must_check bool message_send_error(struct io *io, const char *type,
                                   const struct error *error,
                                   struct error *err);

#endif
