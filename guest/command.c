/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The console's commands.  Each is one line, and answered by one that starts
 * with "ok" or "refused" (report: by the summary, which ends in "info end";
 * tx: by "tx VERB ok", or the store's error instead of "ok"; peer: peer.h).
 */
#include "command.h"

#include "abi.h"
#include "drv_console.h"
#include "drv_store.h"
#include "format.h"
#include "libc.h"
#include "panic.h"
#include "peer.h"
#include "report.h"
#include "vcpu.h"

#define LINE_MAX 256

static void reset_gaps(void)
{
    for (unsigned int id = 0; id < vcpu_count(); id++)
        vcpu_get(id)->gap_max = 0;
}

/* "rate 500": as "rate=500" on the command line. */
static bool set_number(struct machine *m, const char *name, const char *line)
{
    char word[LINE_MAX];
    size_t len = strlen(name);

    if (memcmp(line, name, len) || line[len] != ' ')
        return false;
    format(word, sizeof(word), "%s=%s", name, line + len + 1);
    return options_apply(&m->options, word);
}

static bool obey(struct machine *m, const char *line)
{
    if (!strcmp(line, "reset")) {
        reset_gaps();
    } else if (!strcmp(line, "pause")) {
        m->paused = true;
    } else if (!strcmp(line, "resume")) {
        m->paused = false;
    } else if (!strcmp(line, "stop")) {
        console_print("ok stop\n");
        machine_shutdown(SHUTDOWN_poweroff);
    } else if (!strcmp(line, "crash")) {
        panic("asked to crash", 0, 0);
    } else {
        return set_number(m, "rate", line) ||
               set_number(m, "disk_rate", line) ||
               set_number(m, "disk_depth", line) ||
               set_number(m, "report_ms", line) ||
               set_number(m, "ping", line) || set_number(m, "ping_ticks", line);
    }
    return true;
}

/* "tx VERB": a transaction with the store that stays open between commands. */
static void transact(const char *verb)
{
    static uint32_t tx;
    char name[64];
    bool good = false;

    if (!strcmp(verb, "start"))
        good = store_transaction_start(&tx) &&
               store_read(tx, "name", name, sizeof(name));
    else if (!strcmp(verb, "write"))
        good = store_write(tx, "data/tx", "written");
    else if (!strcmp(verb, "read"))
        good = store_read(0, "data/tx", name, sizeof(name));
    else if (!strcmp(verb, "commit") || !strcmp(verb, "abort"))
        good = store_transaction_end(tx, *verb == 'c');
    console_print("tx %s %s\n", verb, good ? "ok" : store_error());
}

void command_poll(struct machine *m)
{
    char line[LINE_MAX];

    while (console_read_line(line, sizeof(line))) {
        if (!strcmp(line, "report"))
            report_summary(m);
        else if (!memcmp(line, "tx ", 3))
            transact(line + 3);
        else if (!memcmp(line, "peer ", 5))
            peer_command(line + 5);
        else
            console_print("%s %s\n", obey(m, line) ? "ok" : "refused", line);
    }
}
