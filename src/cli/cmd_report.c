/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry report: the events of a move as a page. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file_replace.h"
#include "base/io.h"
#include "cli/command.h"
#include "cli/move_page.h"

#define PAGE_MODE 0644

static const struct command_option options[] = {
    {"events", 'e', "FILE",
     "Events of 'migrate --json'; without it standard input"},
    {NULL,     0,   NULL,   NULL                            },
};

static bool read_events(FILE *file, const char *name, struct move_story *ret,
                        struct error *err)
{
    cleanup_free char *line = NULL;
    size_t size = 0;
    bool ok = true;

    while (ok && getline(&line, &size, file) >= 0)
        ok = move_story_line(ret, line, err);
    if (ok && ferror(file))
        return error_set_errno(err, ERR_IO, errno, "%s", name);
    return ok && (ret->nr_samples || ret->has_report ||
                  error_set(err, ERR_FORMAT,
                            "%s: no events of a move, expected the output of "
                            "'xenferry migrate --json'",
                            name));
}

static bool write_page(const char *path, const struct buffer *page,
                       struct error *err)
{
    cleanup(file_replace_release) struct file_replace file = FILE_REPLACE_NONE;
    cleanup(io_release) struct io io = {.own_fd = -1};

    return file_replace_open(&file, path, PAGE_MODE, err) &&
           io_attach(&io, file.fd, true, -1, -1, err) &&
           io_write_all(&io, page->bytes, page->length, err) &&
           file_replace_commit(&file, false, err);
}

static bool report(const char *events, const char *path, struct error *err)
{
    cleanup(move_story_release) struct move_story story = {.samples = NULL};
    cleanup(buffer_release) struct buffer page = {0};
    FILE *file = events ? fopen(events, "re") : stdin;
    bool ok;

    if (!file)
        return error_set_errno(err, ERR_IO, errno, "%s", events);
    ok = read_events(file, events ? events : "standard input", &story, err);
    if (events)
        fclose(file);
    if (!ok)
        return false;
    move_page_write(&story, &page);
    return buffer_check(&page, "page", err) && write_page(path, &page, err);
}

static int report_run(struct command_line *line)
{
    const char *argument, *events = NULL;
    struct error err;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key != 'e')
            return CLI_USAGE;
        events = argument;
    }
    if (command_line_operands(line) != 1)
        return command_line_wrong(line, "expected one FILE.html");
    if (!report(events, command_line_operand(line), &err))
        return command_failed(line->command, &err);
    return CLI_OK;
}

const struct command command_report = {
    .name = "report",
    .summary = "Draw the events of a move as a page",
    .arguments = "[OPTION]... FILE.html",
    .details = "The page needs nothing else: rates over time, the rounds, and "
               "the blackout in its\nparts.",
    .options = options,
    .run = report_run,
};
