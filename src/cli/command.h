/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands of xenferry(1): a table (commands.def), and reading a command
 * line by the command's own table of options, which --help prints as well.
 *
 * To add a command: a line in commands.def, a file cmd_<name>.c that defines
 * 'const struct command command_<name>', its line in meson.build, and
 * docs/xenferry-<name>.1.scd.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdio.h>

#include "base/error.h"

/* How a command ends.  Those that report findings say so in their page. */
enum cli_status {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 64, /* the command line makes no sense */
};

struct command_option {
    const char *name;     /* long: "json"; NULL ends the table */
    int key;              /* a letter is the short form; above 255: none */
    const char *argument; /* what follows it, "FILE"; NULL: nothing;
                             "[FILE]": only as --name=FILE, or nothing */
    const char *help;     /* one line, without a full stop */
};

/* Keys of options that have no short form start here. */
#define OPTION_LONG_ONLY 256

struct command_line {
    const struct command *command;
    int argc; /* what follows the command's name */
    char **argv;
    /* All below is private. */
    int at;                    /* where the reading stands */
    int operand, operands_end; /* those that were passed, from and to */
    const char *cluster;       /* short options that are left of a word */
};

struct command {
    const char *name;
    const char *summary;   /* one line for the list of commands */
    const char *arguments; /* "[OPTION]... FILE|-" */
    const char *details;   /* a few lines more for --help; may be NULL */
    const struct command_option *options;
    /* Returns an exit status; 'line' is unread. */
    int (*run)(struct command_line *line);
};

/* What command_line_next() returns besides an option's key. */
#define LINE_END (-1) /* no option is left; operands follow */
#define LINE_BAD (-2) /* said on stderr; return CLI_USAGE */

/*
 * The key of the next option, its argument in '*ret_argument' (NULL if it
 * takes none).  Options may come before, between and behind operands; "--" ends
 * them.
 */
int command_line_next(struct command_line *line, const char **ret_argument);

/*
 * After LINE_END: how many operands there are, and the next or NULL.  Before any
 * option was read, the next is the first word.
 */
int command_line_operands(const struct command_line *line);
const char *command_line_operand(struct command_line *line);

/*
 * Say on stderr that the command line makes no sense, and where help is.
 * Returns CLI_USAGE.
 */
int command_line_wrong(const struct command_line *line, const char *format, ...)
    printf_like(2, 3);

/* A number in an option's argument, decimal or 0x..., at most 'max'. */
must_check bool parse_number(const char *text, uint64_t max, const char *what,
                             uint64_t *ret, struct error *err);

/* "xenferry: <command>: <text>" on stderr; returns CLI_FAILED. */
int command_failed(const struct command *command, const struct error *err);

/* NULL if there is none of that name; the i-th, NULL after the last. */
const struct command *command_find(const char *name);
const struct command *command_get(size_t i);

void command_print_help(const struct command *command, FILE *file);

#define COMMAND(name) extern const struct command command_##name;
#include "cli/commands.def"
#undef COMMAND

#endif
