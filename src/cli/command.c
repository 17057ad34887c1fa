/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/command.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct command *const commands[] = {
#define COMMAND(name) &command_##name,
#include "cli/commands.def"
#undef COMMAND
};

const struct command *command_get(size_t i)
{
    return i < ARRAY_SIZE(commands) ? commands[i] : NULL;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static const struct command_option *
option_by_name(const struct command *cmd, const char *name, size_t length)
{
    for (const struct command_option *o = cmd->options; o->name; o++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static const struct command_option *option_by_key(const struct command *cmd,
                                                  int key)
{
    for (const struct command_option *o = cmd->options; o->name; o++)
        if (o->key == key)
            return o;
    return NULL;
}

/* One that may be left out is given with '=' only. */
static bool takes_argument(const struct command_option *o)
{
    return o->argument && o->argument[0] != '[';
}

static int long_option(struct command_line *line, const char *word,
                       const char **ret_argument)
{
    const char *equals = strchr(word, '=');
    size_t length = equals ? (size_t)(equals - word) : strlen(word);
    const struct command_option *o =
        option_by_name(line->command, word, length);

    if (!o) {
        command_line_wrong(line, "no option '--%.*s'", (int)length, word);
        return LINE_BAD;
    }
    if (!o->argument && equals) {
        command_line_wrong(line, "option '--%s' takes no argument", o->name);
        return LINE_BAD;
    }
    if (o->argument && equals)
        *ret_argument = equals + 1;
    else if (takes_argument(o) && line->at < line->argc)
        *ret_argument = line->argv[line->at++];
    if (takes_argument(o) && !*ret_argument) {
        command_line_wrong(line, "option '--%s' needs %s", o->name,
                           o->argument);
        return LINE_BAD;
    }
    return o->key;
}

static int short_option(struct command_line *line, const char **ret_argument)
{
    int letter = (unsigned char)*line->cluster++;
    const struct command_option *o = option_by_key(line->command, letter);

    if (!o) {
        command_line_wrong(line, "no option '-%c'", letter);
        return LINE_BAD;
    }
    if (o->argument) {
        if (*line->cluster)
            *ret_argument = line->cluster;
        else if (line->at < line->argc)
            *ret_argument = line->argv[line->at++];
        line->cluster = NULL;
        if (!*ret_argument) {
            command_line_wrong(line, "option '-%c' needs %s", letter,
                               o->argument);
            return LINE_BAD;
        }
    } else if (!*line->cluster) {
        line->cluster = NULL;
    }
    return o->key;
}

/* Kept where words that are read have made room. */
static void keep_operand(struct command_line *line)
{
    line->argv[line->operands_end++] = line->argv[line->at++];
}

int command_line_next(struct command_line *line, const char **ret_argument)
{
    const char *word;

    *ret_argument = NULL;
    if (line->cluster)
        return short_option(line, ret_argument);
    for (;;) {
        if (line->at >= line->argc)
            return LINE_END;
        word = line->argv[line->at];
        if (word[0] == '-' && word[1] != '\0')
            break;
        keep_operand(line);
    }
    line->at++;
    if (strcmp(word, "--") == 0) {
        while (line->at < line->argc)
            keep_operand(line);
        return LINE_END;
    }
    if (word[1] == '-')
        return long_option(line, word + 2, ret_argument);
    line->cluster = word + 1;
    return short_option(line, ret_argument);
}

int command_line_operands(const struct command_line *line)
{
    return line->operands_end - line->operand + line->argc - line->at;
}

const char *command_line_operand(struct command_line *line)
{
    if (line->operand < line->operands_end)
        return line->argv[line->operand++];
    return line->at < line->argc ? line->argv[line->at++] : NULL;
}

int command_line_wrong(const struct command_line *line, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "xenferry: %s: ", line->command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry 'xenferry %s --help'.\n", line->command->name);
    return CLI_USAGE;
}

bool parse_number(const char *text, uint64_t max, const char *what,
                  uint64_t *ret, struct error *err)
{
    char *end;
    uintmax_t value;

    errno = 0;
    value = strtoumax(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
        value > max)
        return error_set(err, ERR_USAGE,
                         "%s: '%s', expected a number up to %" PRIu64, what,
                         text, max);
    *ret = value;
    return true;
}

int command_failed(const struct command *command, const struct error *err)
{
    fprintf(stderr, "xenferry: %s: %s", command->name, err->text);
    if (err->code != ERR_NONE && err->offset != ERROR_NO_OFFSET &&
        !strstr(err->text, "offset"))
        fprintf(stderr, " (at offset %" PRIu64 ")", err->offset);
    fputc('\n', stderr);
    return CLI_FAILED;
}

void command_print_help(const struct command *command, FILE *file)
{
    fprintf(file, "Usage: xenferry %s %s\n%s.\n", command->name,
            command->arguments, command->summary);
    if (command->details)
        fprintf(file, "\n%s\n", command->details);
    fprintf(file, "\nOptions:\n");
    for (const struct command_option *o = command->options; o->name; o++) {
        bool optional = o->argument && !takes_argument(o);
        char left[64];

        snprintf(left, sizeof(left), "%c%c%s --%s%s%s",
                 o->key < OPTION_LONG_ONLY ? '-' : ' ',
                 o->key < OPTION_LONG_ONLY ? o->key : ' ',
                 o->key < OPTION_LONG_ONLY ? "," : " ", o->name,
                 takes_argument(o) ? "="
                 : optional        ? "[="
                                   : "",
                 o->argument ? o->argument + optional : "");
        fprintf(file, "  %-28s %s\n", left, o->help);
    }
    fprintf(file, "  %-28s %s\n", "-h, --help", "Print this, and exit");
}
