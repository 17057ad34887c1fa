/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry restore: a guest out of a file. */
#include "cli/embedded_moves.h"
#include "cli/moves.h"

enum { OPTION_NAME = MOVES_OPTION_OWN };

/* clang-format off */
static const struct command_option options[] = {
    {"pause", 'p', NULL, "Leave the guest paused"},
    {"name", OPTION_NAME, "NAME", "Give it this name"},
    {"no-tend", 'e', NULL, "Leave no process to act on power-off and reboot"},
    MOVES_OPTIONS,
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

static int restore_embedded(struct moves *m,
                            const struct restore_file_request *request)
{
    enum move_outcome outcome = MOVE_NOTHING;
    struct toolstack_guest guest = {0};
    struct embedded_moves e;
    struct error err;
    bool good;

    if (!embedded_moves_begin(&e, m))
        return CLI_FAILED;
    good = embedded_restore(&e, request, &guest, &outcome, &err);
    return embedded_moves_end(&e, outcome, good ? &guest : NULL,
                              good ? NULL : &err);
}

static int run(struct command_line *line)
{
    struct restore_file_request request = {0};
    struct toolstack_guest guest = {0};
    enum move_outcome outcome;
    const char *argument;
    struct moves moves;
    bool tend = true;
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
        } else if (key == 'p') {
            request.paused = true;
        } else if (key == OPTION_NAME) {
            request.name = argument;
        } else if (key == 'e') {
            tend = false;
        }
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected a file");
    request.path = command_line_operand(line);

    if (moves.host_uri)
        return restore_embedded(&moves, &request);
    if (!moves_begin(&moves))
        return CLI_FAILED;
    good = move_from_file(&moves.options, &request, &guest, &outcome, &err);
    if (good && tend)
        moves_leave_tender(&moves, &guest);
    return moves_end(&moves, outcome, good ? &guest : NULL, good ? NULL : &err);
}

const struct command command_restore = {
    .name = "restore",
    .summary = "Restore a guest from a file",
    .arguments = "[OPTION]... FILE|-",
    .details = "The file is one of 'xenferry save' or 'xl save', or a "
               "container of\n'xenferry image' with one in it.  It is only "
               "read.  On Ctrl-C or\na failure no domain is left.",
    .options = options,
    .run = run,
};
