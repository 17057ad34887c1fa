/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry resolve: moves that a crash or a lost connection left behind. */
#include <string.h>

#include "base/cleanup.h"
#include "cli/embedded_migrate.h"
#include "cli/embedded_moves.h"

enum {
    OPTION_HOST = OPTION_LONG_ONLY,
    OPTION_PEER,
    OPTION_TIMEOUT,
    OPTION_LIST,
};

#define TIMEOUT_DEFAULT 30
#define TIMEOUT_MAX     86400

static const struct command_option options[] = {
    {"host",    OPTION_HOST,    "HOST",    "The host: embedded:NAME or embedded:PATH"},
    {"peer",    OPTION_PEER,    "ADDRESS",
     "Where the other side is, if not where it was"                                  },
    {"list",    OPTION_LIST,    NULL,      "Only tell what the journals say"         },
    {"json",    'j',            NULL,      "A JSON object for each move, one a line" },
    {"verbose", 'v',            NULL,      "Also what was tried"                     },
    {"timeout", OPTION_TIMEOUT, "SECONDS",
     "Longest wait for the other side (30)"                                          },
    {NULL,      0,              NULL,      NULL                                      },
};

struct resolve_line {
    struct moves moves;
    const char *peer;
    const char *move; /* NULL: all of the host */
    bool list;
    bool json;
    struct embedded_moves e;
    unsigned int found;
    unsigned int waiting;
    struct error error; /* of the last that could not be resolved */
    bool failed;
};

static bool connect_peer(void *context, const char *peer, struct transport *ret,
                         struct error *err)
{
    cleanup(buffer_release) struct buffer address = {0};
    struct resolve_line *l = context;
    struct transport_limits limits = {
        .connect_timeout_ms = l->moves.timeout_ms,
        .dead_after_ms = l->moves.timeout_ms,
        .cancel_fd = l->moves.cancel_fd,
    };

    if (l->peer)
        peer = l->peer;
    if (strncmp(peer, "embedded:", strlen("embedded:")) != 0)
        return transport_connect(ret, peer, &limits, err);
    return embedded_destination(peer, &address, err) &&
           transport_connect(ret, (const char *)address.bytes, &limits, err);
}

static void print_move(const struct resolve_line *l, const struct move_facts *f,
                       enum handover_role role, const char *state,
                       const char *result, bool told, const struct error *error)
{
    struct json_object *json;

    if (!l->json) {
        printf("%s  %s (domid %u)  %s  %s%s%s%s%s\n", f->move, f->guest,
               f->domid, handover_role_name(role), state, *result ? " -> " : "",
               result,
               *result && !told ? ", the other side has yet to hear" : "",
               error ? ": could not be resolved" : "");
        return;
    }
    json = json_object_new_object();
    json_object_object_add(json, "move", json_object_new_string(f->move));
    json_object_object_add(json, "guest", json_object_new_string(f->guest));
    json_object_object_add(json, "domid", json_object_new_int64(f->domid));
    json_object_object_add(json, "role",
                           json_object_new_string(handover_role_name(role)));
    json_object_object_add(json, "state", json_object_new_string(state));
    if (*result) {
        json_object_object_add(json, "result", json_object_new_string(result));
        json_object_object_add(json, "told", json_object_new_boolean(told));
    }
    if (error)
        json_object_object_add(json, "error",
                               json_object_new_string(error->text));
    puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
    json_object_put(json);
}

static bool resolve_one(void *context, struct journal *j)
{
    struct resolve_line *l = context;
    struct move_facts facts = j->facts;
    const char *state = handover_state_name(j->state);
    enum handover_role role = j->role;
    enum resolve_result result;
    bool told;

    if (l->move && strcmp(l->move, facts.move) != 0)
        return true;
    l->found++;
    if (l->list) {
        print_move(l, &facts, role, state, "", false, NULL);
        return true;
    }
    if (!handover_resolve(&l->e.options, j, connect_peer, l, &result, &told,
                          &l->error)) {
        l->failed = true;
        print_move(l, &facts, role, state, "", false, &l->error);
        return true;
    }
    l->waiting += result == RESOLVED_WAITING;
    print_move(l, &facts, role, state, resolve_result_name(result), told, NULL);
    return true;
}

static int resolve(struct resolve_line *l)
{
    unsigned int busy;
    struct error err;
    int status;
    bool ok;

    l->moves.quiet = true;
    if (!embedded_moves_begin(&l->e, &l->moves))
        return CLI_FAILED;
    ok = journal_each(l->e.folder, resolve_one, l, &busy, &err);
    if (ok && l->move && !l->found)
        ok = error_set(&err, ERR_STATE, "move %s: %s", l->move,
                       busy ? "another process is at it"
                            : "no journal of it on this host");
    if (ok && l->failed) {
        err = l->error;
        ok = false;
    }
    if (!ok)
        command_failed(l->moves.command, &err);
    if (busy)
        fprintf(stderr, "xenferry: resolve: %u moves are still at work\n",
                busy);
    status = ok ? l->waiting ? MOVES_UNDECIDED : CLI_OK : CLI_FAILED;
    embedded_moves_close(&l->e);
    return status;
}

static int resolve_run(struct command_line *line)
{
    struct resolve_line l = {.peer = NULL};
    const char *argument;
    struct error err;
    uint64_t seconds = TIMEOUT_DEFAULT;
    int key;

    moves_init(&l.moves, line);
    while ((key = command_line_next(line, &argument)) != LINE_END) {
        switch (key) {
        case OPTION_HOST:
            l.moves.host_uri = argument;
            break;
        case OPTION_PEER:
            l.peer = argument;
            break;
        case OPTION_LIST:
            l.list = true;
            break;
        case 'j':
            l.json = true;
            break;
        case 'v':
            l.moves.verbose = true;
            break;
        case OPTION_TIMEOUT:
            if (!parse_number(argument, TIMEOUT_MAX, "--timeout", &seconds,
                              &err))
                return command_line_wrong(line, "%s", err.text);
            break;
        default:
            return CLI_USAGE;
        }
    }
    if (command_line_operands(line) > 1)
        return command_line_wrong(line, "expected at most one MOVE");
    l.move = command_line_operand(line);
    l.moves.timeout_ms = seconds ? (int)seconds * 1000 : -1;
    return resolve(&l);
}

const struct command command_resolve = {
    .name = "resolve",
    .summary = "Finish or roll back moves that were left behind",
    .arguments = "[OPTION]... [MOVE]",
    .details =
        "For every journal of the host, or the one of MOVE: finds out who has "
        "the guest, and\nlets exactly that side run it.  Run it at the source; "
        "it reaches the target as the\nmove did, or through --peer.\n\n"
        "Exit status: 0 all resolved; 3 one has to wait for the source; 1 "
        "failed.",
    .options = options,
    .run = resolve_run,
};
