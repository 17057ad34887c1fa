/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "drv_console.h"

#include "abi.h"
#include "byte_ring.h"
#include "evtchn.h"
#include "format.h"
#include "hypercall.h"
#include "layout.h"
#include "libc.h"

#include <xen/io/console.h>

#define LINE_MAX    256
#define BUFFER_SIZE 32768

static struct {
    struct xencons_interface *ring; /* NULL until console_init() */
    evtchn_port_t port;
    volatile bool event;

    struct spinlock lock; /* the buffer, its indexes, and the out ring */
    char buffer[BUFFER_SIZE];
    uint32_t prod, cons;
    uint64_t dropped;

    char line[LINE_MAX]; /* input so far */
    size_t line_len;
} console;

static void on_event(struct vcpu *v, evtchn_port_t port)
{
    (void)v;
    (void)port;
    console.event = true;
}

void console_init(void)
{
    console.ring = (struct xencons_interface *)(hvm_param(HVM_PARAM_CONSOLE_PFN)
                                                << PAGE_SHIFT);
    console.port = (evtchn_port_t)hvm_param(HVM_PARAM_CONSOLE_EVTCHN);
    console.event = true;
    evtchn_attach(console.port, "console", 0, on_event);
}

/* Under the lock. */
static void flush(void)
{
    struct xencons_interface *ring = console.ring;
    bool moved = false;

    if (!ring)
        return;
    while (console.cons != console.prod) {
        uint32_t at = console.cons % BUFFER_SIZE;
        uint32_t len = console.prod - console.cons;
        uint32_t prod = ring->out_prod, n;

        if (len > BUFFER_SIZE - at)
            len = BUFFER_SIZE - at;
        n = byte_ring_put(ring->out, sizeof(ring->out), prod,
                          READ_ONCE(ring->out_cons), console.buffer + at, len);
        if (n == 0 || n == BYTE_RING_BROKEN)
            break;
        xen_wmb();
        WRITE_ONCE(ring->out_prod, prod + n);
        console.cons += n;
        moved = true;
    }
    if (moved) {
        xen_mb();
        evtchn_send(console.port);
    }
}

void console_flush(void)
{
    bool on;

    if (console.cons == console.prod)
        return;
    on = spin_lock(&console.lock);
    flush();
    spin_unlock(&console.lock, on);
}

void console_print(const char *pattern, ...)
{
    char line[LINE_MAX + 128];
    va_list args;
    uint32_t len;
    bool on;

    va_start(args, pattern);
    len = (uint32_t)format_v(line, sizeof(line), pattern, args);
    va_end(args);

    on = spin_lock(&console.lock);
    if (len > BUFFER_SIZE - (console.prod - console.cons)) {
        console.dropped++;
    } else {
        for (uint32_t i = 0; i < len; i++)
            console.buffer[(console.prod + i) % BUFFER_SIZE] = line[i];
        console.prod += len;
    }
    flush();
    spin_unlock(&console.lock, on);
}

void console_write_raw(const char *text, size_t len)
{
    struct xencons_interface *ring = console.ring;
    uint32_t n;

    if (!ring)
        return;
    n = byte_ring_put(ring->out, sizeof(ring->out), ring->out_prod,
                      READ_ONCE(ring->out_cons), text, len);
    if (n == BYTE_RING_BROKEN)
        return;
    xen_wmb();
    WRITE_ONCE(ring->out_prod, ring->out_prod + n);
    evtchn_op(EVTCHNOP_send, &(struct evtchn_send){.port = console.port});
}

bool console_drained(void)
{
    struct xencons_interface *ring = console.ring;

    return console.cons == console.prod &&
           READ_ONCE(ring->out_cons) == ring->out_prod;
}

bool console_take_event(void)
{
    bool event = console.event;

    if (event)
        console.event = false;
    return event;
}

bool console_has_event(void)
{
    return console.event;
}

bool console_read_line(char *line, size_t size)
{
    struct xencons_interface *ring = console.ring;
    uint32_t prod = READ_ONCE(ring->in_prod);
    char c;

    xen_rmb();
    while (byte_ring_get(ring->in, sizeof(ring->in), prod, ring->in_cons, &c,
                         1) == 1) {
        xen_mb();
        WRITE_ONCE(ring->in_cons, ring->in_cons + 1);
        if (c != '\n' && c != '\r') {
            if (console.line_len < sizeof(console.line) - 1)
                console.line[console.line_len++] = c;
            continue;
        }
        if (!console.line_len)
            continue;
        console.line[console.line_len] = '\0';
        format(line, size, "%s", console.line);
        console.line_len = 0;
        return true;
    }
    return false;
}

uint64_t console_dropped(void)
{
    return console.dropped;
}
