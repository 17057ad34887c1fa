/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/embedded_moves.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "host/embedded/embedded_keeper.h"

/* ---- too late to cancel --------------------------------------------------- */

/* Why it cannot be cancelled; "that" is what is being waited for. */
static const char *why_not(enum handover_state state)
{
    switch (state) {
    case SOURCE_RELEASED:
        return "too late to cancel: the guest has been released to the other "
               "side, which has not said that it runs there";
    case TARGET_READY:
        return "not to be cancelled here: the guest is whole and paused, and "
               "the source has not said whether it is to run here";
    case TARGET_RUNNING:
        return "too late to cancel: the guest runs here, and the source has "
               "not said that it knows";
    default:
        return "not to be cancelled here: the other side has not answered";
    }
}

static void add_text(struct json_object *o, const char *name, const char *text)
{
    json_object_object_add(o, name, json_object_new_string(text));
}

static struct json_object *too_late_event(const struct handover_wait *w,
                                          const char *resolve)
{
    struct json_object *o = json_object_new_object();

    add_text(o, "event", "too-late");
    add_text(o, "guest", w->facts->guest);
    json_object_object_add(o, "domid", json_object_new_int64(w->facts->domid));
    add_text(o, "move", w->facts->move);
    add_text(o, "state", handover_state_name(w->state));
    if (w->left_ms >= 0)
        json_object_object_add(o, "left_ms", json_object_new_int(w->left_ms));
    add_text(o, "resolve", resolve);
    return o;
}

/* The command that answers what the wait does not; at the source. */
static void resolve_command(const struct embedded_moves *e,
                            const struct handover_wait *w, struct buffer *ret)
{
    if (w->role == ROLE_SOURCE)
        buffer_format(ret, "xenferry resolve --host embedded:%s %s", e->folder,
                      w->facts->move);
    else
        buffer_format(ret, "xenferry resolve %s", w->facts->move);
    buffer_u8(ret, '\0');
}

static void say_too_late(struct embedded_moves *e,
                         const struct handover_wait *w)
{
    cleanup(buffer_release) struct buffer resolve = {0};
    cleanup(buffer_release) struct buffer text = {0};
    const char *command = e->moves->command->name;
    char left[24];

    resolve_command(e, w, &resolve);
    if (w->left_ms >= 0)
        format_ms(w->left_ms, left, sizeof(left));
    buffer_format(&text,
                  "xenferry: %s: %s: %s (state %s)\n"
                  "xenferry: %s: waiting for that %s%s%s; another signal ends "
                  "the wait, nothing is lost\n"
                  "  Then%s: %s\n",
                  command, w->facts->guest, why_not(w->state),
                  handover_state_name(w->state), command,
                  w->left_ms < 0 ? "without a limit" : "at most ",
                  w->left_ms < 0 ? "" : left, w->left_ms < 0 ? "" : " more",
                  w->role == ROLE_SOURCE ? "" : ", at the source",
                  (const char *)resolve.bytes);
    buffer_u8(&text, '\0');
    if (!text.bad && !resolve.bad)
        progress_notice(&e->moves->progress, (const char *)text.bytes,
                        too_late_event(w, (const char *)resolve.bytes));
}

static bool on_too_late(void *context, const struct handover_wait *w)
{
    struct embedded_moves *e = context;
    bool first, goes_on = moves_take_signals(e->moves, &first);

    if (first)
        say_too_late(e, w);
    return goes_on;
}

/* ---- begin and end -------------------------------------------------------- */

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
        .too_late = on_too_late,
        .too_late_context = e,
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
