/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "helper/helper_events.h"

#include <inttypes.h>
#include <poll.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"

static void append_numbers(struct buffer *b, const char *operation,
                           uint32_t domid, const struct engine_event *e)
{
    buffer_format(b,
                  "\"operation\":\"%s\",\"domid\":%" PRIu32
                  ",\"phase\":\"%s\",\"round\":%u,\"bytes\":%" PRIu64
                  ",\"pages\":%" PRIu64 ",\"zero_pages\":%" PRIu64
                  ",\"round_pages\":%" PRIu64 ",\"round_total\":%" PRIu64
                  ",\"rate\":%" PRIu64 ",\"dirty_pages\":%" PRIu64
                  ",\"dirty_rate\":%" PRIu64,
                  operation, domid, engine_phase_name(e->phase), e->round,
                  e->bytes, e->pages, e->zero_pages, e->round_pages,
                  e->round_total, e->rate, e->dirty_pages, e->dirty_rate);
    if (e->downtime_ms != INT64_MAX)
        buffer_format(b, ",\"downtime_ms\":%" PRId64, e->downtime_ms);
    buffer_format(b, ",\"elapsed_ms\":%" PRId64, e->elapsed_ms);
}

static void append_json_string(struct buffer *b, const char *text)
{
    buffer_u8(b, '"');
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            buffer_format(b, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            buffer_format(b, "\\u%04x", c);
        else
            buffer_u8(b, c);
    }
    buffer_u8(b, '"');
}

/* Never wait for the reader: progress must not cost downtime. */
static void write_line(int fd, struct buffer *b)
{
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    ssize_t done = -1;

    buffer_text(b, "}\n");
    if (!b->bad && poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT)
        done = write(fd, b->bytes, b->length);
    if (done < 0)
        return;
}

void helper_events_write(int fd, const char *operation, uint32_t domid,
                         const struct engine_event *event)
{
    cleanup(buffer_release) struct buffer b = {0};

    if (fd < 0)
        return;
    buffer_text(&b, "{\"event\":\"progress\",");
    append_numbers(&b, operation, domid, event);
    write_line(fd, &b);
}

void helper_events_end(int fd, const char *operation, uint32_t domid,
                       const struct engine_event *event,
                       const struct error *error)
{
    cleanup(buffer_release) struct buffer b = {0};

    if (fd < 0)
        return;
    buffer_format(&b, "{\"event\":\"%s\",", error ? "failed" : "done");
    append_numbers(&b, operation, domid, event);
    if (error) {
        buffer_format(&b, ",\"code\":\"%s\"", error_code_name(error->code));
        if (error->offset != ERROR_NO_OFFSET)
            buffer_format(&b, ",\"offset\":%" PRIu64, error->offset);
        buffer_text(&b, ",\"message\":");
        append_json_string(&b, error->text);
    }
    write_line(fd, &b);
}
