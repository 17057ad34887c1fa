/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry(1): find the command and run it. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static void print_help(FILE *file)
{
    fprintf(file,
            "Usage: xenferry COMMAND [OPTION]... [ARGUMENT]...\n"
            "Move running Xen guests, and read the images they travel in.\n"
            "\n"
            "Commands:\n");
    for (size_t i = 0; command_get(i); i++)
        fprintf(file, "  %-12s %s\n", command_get(i)->name,
                command_get(i)->summary);
    fprintf(file, "  %-12s %s\n", "help", "Explain a command");
    fprintf(file, "\n"
                  "Options:\n"
                  "  -h, --help     Print this, and exit\n"
                  "      --version  Print the version, and exit\n"
                  "\n"
                  "'xenferry help COMMAND' explains a command.\n");
}

static int no_command(const char *name)
{
    fprintf(stderr,
            "xenferry: no command '%s'\n"
            "Try 'xenferry --help'.\n",
            name);
    return CLI_USAGE;
}

static int run_help(const char *name)
{
    const struct command *command;

    if (!name) {
        print_help(stdout);
        return CLI_OK;
    }
    command = command_find(name);
    if (!command)
        return no_command(name);
    command_print_help(command, stdout);
    return CLI_OK;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return run_help(NULL);
    if (strcmp(argv[1], "help") == 0)
        return run_help(argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "--version") == 0) {
        printf("xenferry %s\n", XENFERRY_VERSION);
        return CLI_OK;
    }
    command = command_find(argv[1]);
    if (!command)
        return no_command(argv[1]);
    if (asks_for_help(argc - 2, argv + 2)) {
        command_print_help(command, stdout);
        return CLI_OK;
    }

    struct command_line line = {
        .command = command, .argc = argc - 2, .argv = argv + 2};
    int status = command->run(&line);

    /* What was printed must have arrived: a full disk is a failure. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (status == CLI_OK)
            status = CLI_FAILED;
        perror("xenferry: standard output");
    }
    return status;
}
