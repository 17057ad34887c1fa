/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/move/conversation.h"

#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 64

static const struct {
    const char *name; /* in messages */
    const char *text;
    size_t length; /* the banner goes without its NUL, the rest with it */
} messages[] = {
#define WITH_NUL(t)    t, sizeof(t)
#define WITHOUT_NUL(t) t, sizeof(t) - 1
    [MOVE_MESSAGE_BANNER] = {"the receiver's banner",
                             WITHOUT_NUL("xl migration receiver ready, send "
                                         "binary domain data.\n")         },
    [MOVE_MESSAGE_READY] = {"the receiver's readiness",
                             WITH_NUL("domain received, ready to unpause")},
    [MOVE_MESSAGE_GO] = {"the guest's release",
                             WITH_NUL("domain is yours, you are cleared to "
                                  "unpause")                              },
    [MOVE_MESSAGE_REPORT] = {"the receiver's report",
                             WITH_NUL("my copy unpause results are as "
                                      "follows")                          },
};

size_t conversation_length(enum move_message message)
{
    return messages[message].length;
}

const char *conversation_text(enum move_message message)
{
    return messages[message].text;
}

bool conversation_send(struct io *io, enum move_message message,
                       bool *ret_whole, struct error *err)
{
    uint64_t before = io->offset;
    bool sent =
        io_write_all(io, messages[message].text, messages[message].length, err);

    *ret_whole = io->offset - before == messages[message].length;
    return sent || error_wrap(err, "sending %s", messages[message].name);
}

/* What came instead, so that a person recognises it; one line. */
static void quote(const char *bytes, size_t length, char *ret, size_t size)
{
    size_t at = 0;

    for (size_t i = 0; i < length && at + 5 < size; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c >= ' ' && c < 0x7f)
            ret[at++] = (char)c;
        else
            at += (size_t)snprintf(ret + at, size - at, "\\x%02x", c);
    }
    ret[at] = '\0';
}

bool conversation_expect(struct io *io, enum move_message message,
                         struct error *err)
{
    const char *name = messages[message].name;
    size_t length = messages[message].length, have = 0;
    char bytes[MESSAGE_MAX];

    while (have < length) {
        size_t got;

        if (!io_read_some(io, bytes + have, length - have, &got, err))
            return error_wrap(err, "waiting for %s", name);
        if (got == 0)
            return error_set(err, ERR_PEER,
                             "%s: the connection ended after %zu octets, "
                             "expected %zu",
                             name, have, length);
        have += got;
        if (memcmp(bytes, messages[message].text, have) != 0) {
            char quoted[4 * MESSAGE_MAX + 8];

            quote(bytes, have, quoted, sizeof(quoted));
            return error_set(err, ERR_PEER,
                             "%s: got \"%s\", expected \"%.24s\"", name, quoted,
                             messages[message].text);
        }
    }
    return true;
}

bool conversation_send_status(struct io *io, uint8_t status, struct error *err)
{
    return io_write_all(io, &status, 1, err) ||
           error_wrap(err, "sending the report's status");
}

bool conversation_read_status(struct io *io, uint8_t *ret, struct error *err)
{
    size_t got;

    if (!io_read_some(io, ret, 1, &got, err))
        return error_wrap(err, "waiting for the report's status");
    if (got == 0)
        return error_set(err, ERR_PEER,
                         "the report's status: the connection ended, expected "
                         "1 octet");
    return true;
}
