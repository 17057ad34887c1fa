/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry resume: let a suspended guest run on where it is. */
#include <string.h>

#include "base/cleanup.h"
#include "cli/command.h"
#include "engine/move/move.h"

/* clang-format off */
static const struct command_option options[] = {
    {"force", 'f', NULL, "Even one that was handed over to another host"},
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

static void close_toolstack(struct toolstack **ts)
{
    toolstack_close(*ts);
}

/* "g1" of "g1--migratedaway"; false where that does not end the name. */
static bool name_before(const char *name, char *ret, size_t size)
{
    size_t length = strlen(name), suffix = strlen(MOVE_NAME_AWAY);

    if (length <= suffix || length - suffix >= size ||
        strcmp(name + length - suffix, MOVE_NAME_AWAY) != 0)
        return false;
    memcpy(ret, name, length - suffix);
    ret[length - suffix] = '\0';
    return true;
}

static bool resume(struct toolstack *ts, const char *name, bool force,
                   struct error *err)
{
    char before[TOOLSTACK_NAME_MAX];
    struct toolstack_guest guest;
    bool away;

    if (!ts->ops->find(ts, name, &guest, err))
        return false;
    if (!guest.suspended)
        return error_set(err, ERR_STATE, "domain %u (%.128s): is not suspended",
                         guest.domid, guest.name);
    away = name_before(guest.name, before, sizeof(before));
    if (away && !force)
        return error_set(err, ERR_STATE,
                         "domain %u (%.128s): was handed over to another host; "
                         "--force resumes it, which loses data if it runs "
                         "there",
                         guest.domid, guest.name);
    if (away && !ts->ops->rename(ts, guest.domid, guest.name, before, err))
        return false;
    return ts->ops->resume(ts, guest.domid, err);
}

static int run(struct command_line *line)
{
    struct log log = {.level = LOG_LEVEL_ERROR,
                      .sink = log_to_stderr,
                      .context = (void *)"xenferry"};
    cleanup(close_toolstack) struct toolstack *ts = NULL;
    const char *argument;
    bool force = false;
    struct error err;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (key == 'f')
            force = true;
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected a domain");
    if (!toolstack_open("libxl", &log, &ts, &err) ||
        !resume(ts, command_line_operand(line), force, &err))
        return command_failed(line->command, &err);
    return CLI_OK;
}

const struct command command_resume = {
    .name = "resume",
    .summary = "Let a suspended guest run on where it is",
    .arguments = "[OPTION]... DOMAIN",
    .details =
        "After a migration that was handed over and never confirmed, the "
        "guest is here as\nNAME" MOVE_NAME_AWAY
        ".  Make sure that the other host does "
        "not run it, then resume it\nwith --force; it gets its name "
        "back.",
    .options = options,
    .run = run,
};
