/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/embedded_moves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/embedded/embedded_keeper.h"

bool embedded_moves_begin(struct embedded_moves *e, struct moves *m)
{
    char uri[HOST_FOLDER_MAX + 16];
    struct error err;

    *e = (struct embedded_moves){.moves = m};
    if (!moves_prepare(m, &err) ||
        !host_folder_of(m->host_uri, e->folder, &err) ||
        !embedded_keeper_open(e->folder, &e->keeper, &err)) {
        command_failed(m->command, &err);
        moves_abandon(m);
        return false;
    }
    snprintf(uri, sizeof(uri), "embedded:%s", e->folder);
    if (!host_open(uri, m->options.log, &e->host, &err)) {
        command_failed(m->command, &err);
        keeper_close(&e->keeper);
        moves_abandon(m);
        return false;
    }
    e->options = (struct handover_options){
        .host = e->host,
        .keeper = e->keeper,
        .folder = e->folder,
        .log = m->options.log,
        .watcher = &m->watcher,
        .cancel_fd = m->cancel_fd,
        .timeout_ms = m->timeout_ms,
    };
    return true;
}

void embedded_moves_close(struct embedded_moves *e)
{
    host_close(e->host);
    keeper_close(&e->keeper);
    moves_abandon(e->moves);
}

static void say_what_to_do(const struct embedded_moves *e,
                           enum move_outcome outcome)
{
    const char *command = e->moves->command->name;
    const char *guest = e->moves->progress.guest;

    if (outcome == MOVE_KEPT && guest[0])
        fprintf(stderr, "xenferry: %s: the guest runs on here\n", command);
    if (outcome == MOVE_STUCK)
        fprintf(stderr,
                "xenferry: %s: guest %s is left suspended here; 'xenferry "
                "resolve --host embedded:%s' takes it up\n",
                command, guest, e->folder);
    if (outcome == MOVE_UNDECIDED)
        fprintf(stderr,
                "xenferry: %s: the other side did not answer; 'xenferry "
                "resolve' at the source finds out who has the guest\n",
                command);
}

static void add_part(char *text, size_t size, const char *name, int64_t ns)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s %.2f", used ? ", " : "", name,
             (double)ns / 1e6);
}

/* The report that every move ends with, for people. */
static void print_report(const struct embedded_moves *e)
{
    const struct handover_report *r = &e->report;
    char bytes[24], parts[160] = "";

    if (e->moves->quiet || e->moves->json)
        return;
    format_bytes(r->bytes, bytes, sizeof(bytes));
    add_part(parts, sizeof(parts), "stop", r->stop_ns);
    add_part(parts, sizeof(parts), "final copy", r->final_ns);
    add_part(parts, sizeof(parts), "state", r->state_ns);
    add_part(parts, sizeof(parts), "hand-over", r->handover_ns);
    add_part(parts, sizeof(parts), "resume", r->resume_ns);
    fprintf(stderr,
            "  rounds    %u\n"
            "  pages     %" PRIu64 " (%" PRIu64 " of zeroes)\n"
            "  octets    %s\n"
            "  blackout  %.2f ms: %s\n",
            r->rounds, r->pages, r->zero_pages, bytes,
            (double)r->blackout_ns / 1e6, parts);
}

int embedded_moves_end(struct embedded_moves *e, enum move_outcome outcome,
                       const struct toolstack_guest *guest,
                       const struct error *error)
{
    int status;

    progress_finish(&e->moves->progress, outcome, guest, error);
    moves_say_too_late(e->moves, outcome, error);
    if (error) {
        command_failed(e->moves->command, error);
        say_what_to_do(e, outcome);
    } else if (e->has_report) {
        print_report(e);
    }
    status = moves_status(outcome, error);
    embedded_moves_close(e);
    return status;
}
