/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What save, restore, migrate and receive have in common. */
#ifndef CLI_MOVES_H
#define CLI_MOVES_H

#include "cli/command.h"
#include "cli/progress.h"

/* Exit statuses of these commands, besides CLI_OK and CLI_USAGE. */
enum moves_status {
    MOVES_FAILED = CLI_FAILED, /* the guest is where it was, or nowhere new */
    MOVES_CANCELLED = 2,       /* the same, because of a signal */
    MOVES_UNDECIDED = 3,       /* handed over, not confirmed */
    MOVES_ATTENTION = 4,       /* a domain is left that somebody must look at */
};

/* Keys of the options in MOVES_OPTIONS. */
enum {
    MOVES_OPTION_JSON = OPTION_LONG_ONLY,
    MOVES_OPTION_STOCK_HELPER,
    MOVES_OPTION_HELPER,
    MOVES_OPTION_TIMEOUT,
    MOVES_OPTION_HOST,
    MOVES_OPTION_OWN, /* commands count from here */
};

/* clang-format off */
#define MOVES_OPTIONS \
    {"json", MOVES_OPTION_JSON, NULL, \
     "Events on standard output, a JSON object a line"}, \
    {"quiet", 'q', NULL, "No progress on standard error"}, \
    {"verbose", 'v', NULL, "Also what the toolstack says"}, \
    {"stock-helper", MOVES_OPTION_STOCK_HELPER, NULL, \
     "Use the toolstack's own save helper"}, \
    {"helper", MOVES_OPTION_HELPER, "FILE", "Use this save helper"}, \
    {"timeout", MOVES_OPTION_TIMEOUT, "SECONDS", \
     "Longest wait for the other side (120)"}, \
    {"host", MOVES_OPTION_HOST, "HOST", \
     "An embedded host: embedded:NAME or embedded:PATH"}
/* clang-format on */

struct moves {
    const struct command *command;
    bool json;
    bool quiet;
    bool verbose;
    bool stock_helper;
    const char *helper;
    const char *host_uri; /* of an embedded host; NULL: Xen */
    int timeout_ms;

    /* From moves_begin() on. */
    int cancel_fd;
    int64_t told_ns; /* when who asked was told that it is too late; 0: never */
    struct log log;
    struct toolstack *toolstack;
    struct progress progress;
    struct move_watcher watcher;
    struct move_options options;
    char helper_path[4096];
};

void moves_init(struct moves *m, const struct command_line *line);

/* Whether 'key' was one of MOVES_OPTIONS; false in '*ret_good' is said. */
bool moves_option(struct moves *m, const struct command_line *line, int key,
                  const char *argument, bool *ret_good);

/*
 * Take over the signals that cancel, find the helper and open the toolstack.
 * False is said on stderr.
 */
must_check bool moves_begin(struct moves *m);

/* The part of it that needs no toolstack; undone by moves_abandon(). */
must_check bool moves_prepare(struct moves *m, struct error *err);
void moves_abandon(struct moves *m);

/*
 * Somebody asks to stop, and it is too late: takes the signals that are there.
 * '*ret_first': nobody has asked before.  False: asked again, by somebody who
 * may have read what was said then.
 */
must_check bool moves_take_signals(struct moves *m, bool *ret_first);

/* Which exit status says so. */
int moves_status(enum move_outcome outcome, const struct error *error);

/* Whoever asked to stop has to know that it has been done all the same. */
void moves_say_too_late(const struct moves *m, enum move_outcome outcome,
                        const struct error *error);

/* Report the end, close everything; returns the exit status. */
int moves_end(struct moves *m, enum move_outcome outcome,
              const struct toolstack_guest *guest, const struct error *error);

/*
 * Leave a process behind that acts on the guest's power-off and reboots, as xl
 * does.  A failure is said, and no reason to give up the guest.
 */
void moves_leave_tender(struct moves *m, const struct toolstack_guest *guest);

#endif
