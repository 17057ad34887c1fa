/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry tend: act on a guest's power-off, reboot or crash. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "host/toolstack.h"

/* clang-format off */
static const struct command_option options[] = {
    {"verbose", 'v', NULL, "Say what happens"},
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

static void close_toolstack(struct toolstack **ts)
{
    toolstack_close(*ts);
}

static int run(struct command_line *line)
{
    struct log log = {.level = LOG_LEVEL_WARNING,
                      .sink = log_to_stderr,
                      .context = (void *)"xenferry"};
    cleanup(close_toolstack) struct toolstack *ts = NULL;
    struct toolstack_guest guest;
    const char *argument;
    struct error err;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (key == 'v')
            log.level = LOG_LEVEL_INFO;
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected a domain");
    if (!toolstack_open("libxl", &log, &ts, &err) ||
        !ts->ops->find(ts, command_line_operand(line), &guest, &err) ||
        !ts->ops->keep_house(ts, guest.domid, &err))
        return command_failed(line->command, &err);
    return CLI_OK;
}

const struct command command_tend = {
    .name = "tend",
    .summary = "Act on a guest's power-off, reboot or crash",
    .arguments = "[OPTION]... DOMAIN",
    .details = "Does what on_poweroff, on_reboot and on_crash of the guest's "
               "configuration say,\nuntil the domain is gone.  'restore' and "
               "'receive' leave one running.",
    .options = options,
    .run = run,
};
