/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "panic.h"

#include "drv_console.h"
#include "format.h"
#include "hypercall.h"

void panic(const char *what, uint64_t a, uint64_t b)
{
    struct sched_shutdown shutdown = {.reason = SHUTDOWN_crash};
    char line[160];
    size_t len;

    interrupts_off();
    len = format(line, sizeof(line), "guest PANIC %s %#lx %#lx\n", what, a, b);
    for (size_t i = 0; i < len; i++)
        cpu_out8(0xe9, (uint8_t)line[i]);
    console_write_raw(line, len);
    sched_op(SCHEDOP_shutdown, &shutdown);
    for (;;)
        cpu_relax();
}
