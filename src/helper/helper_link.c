/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/helper_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

/* A message's length has 16 bits: long text is cut. */
#define TEXT_MAX 4096

#define NATIVE_ORDER \
    (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ORDER_LITTLE : ORDER_BIG)

bool helper_link_wired(const struct helper_link *link,
                       enum helper_message message)
{
    return link->wired & 1u << message;
}

static void append_string(struct buffer *b, const char *text)
{
    size_t length = strnlen(text, TEXT_MAX);

    buffer_u32(b, (uint32_t)length + 1);
    buffer_bytes(b, text, length);
    buffer_u8(b, 0);
}

static struct buffer message_begin(enum helper_message message)
{
    struct buffer b = {.order = NATIVE_ORDER};

    buffer_u16(&b, 0); /* the length, when it is known */
    buffer_u16(&b, (uint16_t)message);
    return b;
}

static bool write_all(int fd, const uint8_t *octets, size_t length,
                      struct error *err)
{
    while (length > 0) {
        ssize_t done = write(fd, octets, length);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return error_set_errno(err, ERR_PEER, errno, "message to libxl");
        octets += done;
        length -= (size_t)done;
    }
    return true;
}

/* Also releases the message. */
static bool message_send(struct helper_link *link, struct buffer *b,
                         struct error *err)
{
    bool ok = buffer_check(b, "message to libxl", err);

    if (ok) {
        uint16_t length = (uint16_t)(b->length - sizeof(length));

        memcpy(b->bytes, &length, sizeof(length));
        pthread_mutex_lock(&link->lock);
        ok = write_all(link->out_fd, b->bytes, b->length, err);
        pthread_mutex_unlock(&link->lock);
    }
    buffer_release(b);
    return ok;
}

void helper_link_log(void *context, enum log_level level, const char *text)
{
    /* Numbers of Xen's toollog library. */
    static const uint32_t level_of[] = {
        [LOG_LEVEL_DEBUG] = 1,
        [LOG_LEVEL_INFO] = 5,
        [LOG_LEVEL_WARNING] = 7,
        [LOG_LEVEL_ERROR] = 8,
    };
    struct helper_link *link = context;
    struct buffer b = message_begin(MESSAGE_LOG);

    buffer_u32(&b, level_of[level]);
    buffer_u32(&b, UINT32_MAX); /* errno: none, the text has it */
    append_string(&b, link->context);
    append_string(&b, text);
    /* Nobody is left to be told that a log message was lost. */
    if (!message_send(link, &b, NULL))
        return;
}

void helper_link_progress(struct helper_link *link, const char *what,
                          uint64_t done, uint64_t total)
{
    struct buffer b = message_begin(MESSAGE_PROGRESS);

    append_string(&b, link->context);
    append_string(&b, what);
    buffer_u64(&b, done);
    buffer_u64(&b, total);
    if (!message_send(link, &b, NULL))
        return;
}

/* libxl decides how long a callback takes; only its death ends the wait. */
static bool read_reply(struct helper_link *link, int *ret, struct error *err)
{
    uint8_t octets[sizeof(int)];
    size_t got = 0;

    while (got < sizeof(octets)) {
        ssize_t part = read(link->in_fd, octets + got, sizeof(octets) - got);

        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return error_set_errno(err, ERR_PEER, errno, "reply from libxl");
        if (part == 0)
            return error_set(err, ERR_PEER,
                             "reply from libxl: end of file after %zu octets, "
                             "expected %zu",
                             got, sizeof(octets));
        got += (size_t)part;
    }
    memcpy(ret, octets, sizeof(octets));
    return true;
}

bool helper_link_call(struct helper_link *link, enum helper_message message,
                      const uint32_t *args, size_t nr_args, int *ret_reply,
                      struct error *err)
{
    struct buffer b = message_begin(message);

    for (size_t i = 0; i < nr_args; i++)
        buffer_u32(&b, args[i]);
    return message_send(link, &b, err) && read_reply(link, ret_reply, err);
}

bool helper_link_restore_results(struct helper_link *link, uint64_t store_gfn,
                                 uint64_t console_gfn, struct error *err)
{
    struct buffer b = message_begin(MESSAGE_RESTORE_RESULTS);

    buffer_u64(&b, store_gfn);
    buffer_u64(&b, console_gfn);
    return message_send(link, &b, err);
}
