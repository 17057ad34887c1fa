/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages between xenferry-hostd and its clients, over a Unix socket.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------------------+-------------------------+
 *    | text_length           | data_length             |
 *    +-----------------------+-------------------------+
 *    | text[text_length]: one JSON object              |
 *    +-------------------------------------------------+
 *    | data[data_length]                               |
 *    +-------------------------------------------------+
 *
 * Integers are little-endian.  A request is answered by exactly one reply,
 * in order.  A descriptor may come with the first octet of a reply.
 */
#ifndef HOST_EMBEDDED_HOSTD_WIRE_H
#define HOST_EMBEDDED_HOSTD_WIRE_H

#include "base/buffer.h"
#include "base/error.h"

#define HOSTD_TEXT_MAX ((uint32_t)1 << 20)
#define HOSTD_DATA_MAX ((uint32_t)64 << 20)

struct hostd_message {
    struct buffer text; /* with a NUL behind it after hostd_receive() */
    struct buffer data;
    int fd; /* owned, or -1 */
};

void hostd_message_release(struct hostd_message *m);

/* Within the deadline, or ERR_TIMEOUT. */
must_check bool hostd_send(int socket, const struct hostd_message *m,
                           int64_t deadline_ns, struct error *err);

/* '*ret_end': the peer closed the connection before a message began. */
must_check bool hostd_receive(int socket, struct hostd_message *ret,
                              int64_t deadline_ns, bool *ret_end,
                              struct error *err);

/* Connect to the host that listens at 'path'. */
must_check bool hostd_connect(const char *path, int *ret_fd, struct error *err);

#endif
