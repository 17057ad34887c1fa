/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry save: a guest into a file. */
#include <string.h>

#include "cli/embedded_moves.h"
#include "cli/moves.h"

enum { OPTION_LIVE = MOVES_OPTION_OWN, OPTION_NO_SYNC };

/* clang-format off */
static const struct command_option options[] = {
    {"keep-running", 'c', NULL, "Let the guest run on after its image is made"},
    {"leave-paused", 'p', NULL, "Leave the guest here, paused"},
    {"live", OPTION_LIVE, NULL, "Copy memory while the guest still runs"},
    {"preserve-domid", 'D', NULL, "Ask for the same number at the restore"},
    {"no-sync", OPTION_NO_SYNC, NULL, "Do not wait for the disk"},
    MOVES_OPTIONS,
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

static int save_embedded(struct moves *m,
                         const struct save_file_request *request)
{
    enum move_outcome outcome;
    struct embedded_moves e;
    struct error err;
    bool good;

    if (!embedded_moves_begin(&e, m))
        return CLI_FAILED;
    good = embedded_save(&e, request, &outcome, &err);
    return embedded_moves_end(&e, outcome, NULL, good ? NULL : &err);
}

static int run(struct command_line *line)
{
    struct save_file_request request = {.after = AFTER_SAVE_DESTROY,
                                        .sync = true};
    enum move_outcome outcome;
    const char *argument;
    struct moves moves;
    struct error err;
    bool good;
    int key;

    moves_init(&moves, line);
    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (moves_option(&moves, line, key, argument, &good)) {
            if (!good)
                return CLI_USAGE;
        } else if (key == 'c') {
            request.after = AFTER_SAVE_RUN;
        } else if (key == 'p') {
            request.after = AFTER_SAVE_PAUSE;
        } else if (key == OPTION_LIVE) {
            request.live = true;
        } else if (key == 'D') {
            request.keep_domid = true;
        } else if (key == OPTION_NO_SYNC) {
            request.sync = false;
        }
    }
    if (command_line_operands(line) != 2)
        return command_line_wrong(line, "expected a domain and a file");
    request.guest = command_line_operand(line);
    request.path = command_line_operand(line);
    if (moves.json && strcmp(request.path, "-") == 0)
        return command_line_wrong(
            line, "--json and the image cannot both have standard output");

    if (moves.host_uri)
        return save_embedded(&moves, &request);
    if (!moves_begin(&moves))
        return CLI_FAILED;
    good = move_to_file(&moves.options, &request, &outcome, &err);
    return moves_end(&moves, outcome, NULL, good ? NULL : &err);
}

const struct command command_save = {
    .name = "save",
    .summary = "Save a guest to a file",
    .arguments = "[OPTION]... DOMAIN FILE|-",
    .details = "The file is one that 'xl restore' reads too.  It appears under "
               "its name when it\nis complete.  Until then Ctrl-C or a failure "
               "leaves the guest running.",
    .options = options,
    .run = run,
};
