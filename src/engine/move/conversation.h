/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two ends of a migration say to each other besides the image: the
 * texts of 'xl migrate' and 'xl migrate-receive', so that either end may be
 * xl.
 *
 *   target  banner       "xl migration receiver ready, send binary ...\n"
 *   source               xl header, configuration, libxl stream
 *   target  ready        the domain is there, paused           with its NUL
 *   source  go           it is yours                           with its NUL
 *   target  report       then one octet: 0, or why not         with its NUL
 *   target  go           only after a report that is not 0: it is yours again
 *
 * Nothing is read beyond a message: what follows may be for another process.
 */
#ifndef ENGINE_MOVE_CONVERSATION_H
#define ENGINE_MOVE_CONVERSATION_H

#include "base/io.h"

enum move_message {
    MOVE_MESSAGE_BANNER,
    MOVE_MESSAGE_READY,
    MOVE_MESSAGE_GO,
    MOVE_MESSAGE_REPORT,
};

/* Octets on the wire. */
size_t conversation_length(enum move_message message);
const char *conversation_text(enum move_message message);

/*
 * '*ret_whole' says whether every octet was handed over: then the other side
 * may have it, whatever the result.
 */
must_check bool conversation_send(struct io *io, enum move_message message,
                                  bool *ret_whole, struct error *err);

/*
 * Read exactly this message.  Anything else is ERR_PEER and quoted as far as
 * it was read; so is the end of the connection.
 */
must_check bool conversation_expect(struct io *io, enum move_message message,
                                    struct error *err);

must_check bool conversation_send_status(struct io *io, uint8_t status,
                                         struct error *err);
must_check bool conversation_read_status(struct io *io, uint8_t *ret,
                                         struct error *err);

#endif
