/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry migrate: a guest to another host. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/embedded_migrate.h"
#include "cli/moves.h"
#include "transport/transport.h"

#define REMOTE_DEFAULT "xenferry receive"
/* After the last message: how long a transport command may take to end. */
#define FINISH_TIMEOUT_MS 5000

enum {
    OPTION_REMOTE = MOVES_OPTION_OWN,
    OPTION_COMMAND,
    OPTION_OFFLINE,
    OPTION_DEBUG,
    OPTION_DOWNTIME,
    OPTION_MAX_ROUNDS,
    OPTION_NOT_CONVERGING,
    OPTION_BANDWIDTH,
};

#define DOWNTIME_MAX_MS 3600000
#define ROUNDS_MAX      1000
#define BANDWIDTH_MAX   1000000 /* MiB a second */

/* clang-format off */
static const struct command_option options[] = {
    {"ssh", 's', "COMMAND", "How to reach HOST (ssh)"},
    {"remote", OPTION_REMOTE, "COMMAND",
     "What to run there (" REMOTE_DEFAULT ")"},
    {"command", OPTION_COMMAND, "COMMAND",
     "Talk to this command instead; no HOST is given"},
    {"pause", 'p', NULL, "Leave the guest paused there"},
    {"no-tend", 'e', NULL, "No process there to act on power-off and reboot"},
    {"preserve-domid", 'D', NULL, "Ask for the same domain number there"},
    {"offline", OPTION_OFFLINE, NULL, "Suspend the guest first, then copy"},
    {"debug", OPTION_DEBUG, NULL, "Send all memory twice and compare"},
    {"downtime", OPTION_DOWNTIME, "MS",
     "Stop the guest when it will stand for at most so long (50)"},
    {"max-rounds", OPTION_MAX_ROUNDS, "N", "Copy memory at most N times (10)"},
    {"not-converging", OPTION_NOT_CONVERGING, "WHAT",
     "When memory does not settle: stop, cancel or keep-trying (stop)"},
    {"bandwidth", OPTION_BANDWIDTH, "MIB",
     "With --host: at most so many MiB a second while the guest runs"},
    MOVES_OPTIONS,
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

struct migrate_line {
    struct migrate_source_request request;
    const char *ssh;
    const char *remote;
    const char *command;
    const char *destination; /* NULL: 'command' */
    bool paused;
    bool no_tend;
    struct precopy_limits precopy; /* --host; the helper is told as well */
    uint64_t bandwidth_cap;
};

/* A name that a shell and ssh take for a host, and for nothing else. */
static bool is_host_name(const char *text)
{
    return text[0] && text[0] != '-' &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789.-_@:%[]") == strlen(text);
}

static bool is_address(const char *text)
{
    return !strncmp(text, "tcp:", 4) || !strncmp(text, "unix:", 5) ||
           !strncmp(text, "cmd:", 4) || !strncmp(text, "embedded:", 9);
}

/* The helper takes these from its environment: libxl has no way for them. */
static bool tell_helper(const char *variable, const char *text, uint64_t most,
                        const char *option, uint64_t *ret, struct error *err)
{
    char decimal[24];
    uint64_t value;

    if (!parse_number(text, most, option, &value, err))
        return false;
    *ret = value;
    snprintf(decimal, sizeof(decimal), "%" PRIu64, value);
    return setenv(variable, decimal, 1) == 0 ||
           error_set(err, ERR_NO_MEMORY, "%s", option);
}

static bool fallback_of(const char *text, enum precopy_fallback *ret)
{
    static const struct {
        const char *name;
        enum precopy_fallback fallback;
    } answers[] = {
        {"stop",        PRECOPY_STOP_ANYWAY},
        {"cancel",      PRECOPY_CANCEL     },
        {"keep-trying", PRECOPY_KEEP_TRYING},
    };

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        if (!strcmp(text, answers[i].name)) {
            *ret = answers[i].fallback;
            return true;
        }
    return false;
}

/* What transport_connect() is to connect to. */
static bool destination_of(const struct migrate_line *l, struct buffer *ret,
                           struct error *err)
{
    if (l->destination && !strncmp(l->destination, "embedded:", 9))
        return embedded_destination(l->destination, ret, err);
    if (l->command)
        buffer_format(ret, "cmd:%s", l->command);
    else if (is_address(l->destination))
        buffer_text(ret, l->destination);
    else
        buffer_format(ret, "cmd:exec %s %s %s%s%s", l->ssh, l->destination,
                      l->remote, l->paused ? " -p" : "",
                      l->no_tend ? " -e" : "");
    buffer_u8(ret, 0);
    return buffer_check(ret, "destination", err);
}

static int check_line(struct command_line *line, const struct moves *m,
                      struct migrate_line *l)
{
    int wanted = l->command ? 1 : 2;

    if (command_line_operands(line) != wanted)
        return command_line_wrong(line, l->command
                                            ? "expected a domain"
                                            : "expected a domain and a host");
    l->request.guest = command_line_operand(line);
    l->destination = command_line_operand(line);
    if (l->destination && !is_address(l->destination) &&
        !is_host_name(l->destination))
        return command_line_wrong(line, "'%s' is no host name", l->destination);
    if (!m->host_uri &&
        (l->bandwidth_cap ||
         (l->destination && !strncmp(l->destination, "embedded:", 9))))
        return command_line_wrong(line, "--bandwidth and embedded:NAME go with "
                                        "--host");
    if (m->host_uri && l->no_tend)
        return command_line_wrong(line, "-e has no meaning with --host");
    if (!m->host_uri && (l->paused || l->no_tend) &&
        (l->command || is_address(l->destination)))
        return command_line_wrong(
            line, "-p and -e go to 'xenferry receive' there, which this "
                  "command does not start");
    return CLI_OK;
}

static bool connect_and_migrate(struct moves *m, struct migrate_line *l,
                                enum move_outcome *ret, struct error *err)
{
    cleanup(transport_release) struct transport transport = {.ops = NULL};
    struct transport_limits limits = {
        .connect_timeout_ms = m->timeout_ms,
        .dead_after_ms = m->timeout_ms,
        .cancel_fd = m->cancel_fd,
    };
    cleanup(buffer_release) struct buffer destination = {0};
    struct toolstack_guest guest;
    struct error late;

    *ret = MOVE_KEPT;
    /* A wrong name is not worth a connection. */
    if (!m->toolstack->ops->find(m->toolstack, l->request.guest, &guest, err) ||
        !destination_of(l, &destination, err) ||
        !transport_connect(&transport, (const char *)destination.bytes, &limits,
                           err))
        return false;
    l->request.transport = &transport;
    if (!migrate_source(&m->options, &l->request, ret, err))
        return false;
    if (!transport_finish(&transport, FINISH_TIMEOUT_MS, &late))
        log_info(m->options.log, "%s", late.text);
    return true;
}

static int migrate_embedded(struct moves *m, const struct migrate_line *l)
{
    cleanup(buffer_release) struct buffer destination = {0};
    struct embedded_migrate_line line = {
        .guest = l->request.guest,
        .precopy = l->precopy,
        .bandwidth_cap = l->bandwidth_cap,
        .live = l->request.live,
        .paused = l->paused,
    };
    struct error err;

    if (!destination_of(l, &destination, &err))
        return command_failed(m->command, &err);
    line.destination = (const char *)destination.bytes;
    return embedded_migrate(m, &line);
}

static int run(struct command_line *line)
{
    struct migrate_line l = {
        .request = {.live = true},
        .ssh = "ssh",
        .remote = REMOTE_DEFAULT,
        .precopy = precopy_limits_default(),
    };
    enum move_outcome outcome;
    const char *argument;
    struct moves moves;
    struct error err;
    uint64_t value;
    bool good;
    int key, status;

    moves_init(&moves, line);
    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (moves_option(&moves, line, key, argument, &good)) {
            if (!good)
                return CLI_USAGE;
            continue;
        }
        switch (key) {
        case 's':
            l.ssh = argument;
            break;
        case OPTION_REMOTE:
            l.remote = argument;
            break;
        case OPTION_COMMAND:
            l.command = argument;
            break;
        case 'p':
            l.paused = true;
            break;
        case 'e':
            l.no_tend = true;
            break;
        case 'D':
            l.request.keep_domid = true;
            break;
        case OPTION_OFFLINE:
            l.request.live = false;
            break;
        case OPTION_DEBUG:
            l.request.debug = true;
            break;
        case OPTION_DOWNTIME:
            if (!tell_helper("XENFERRY_DOWNTIME_MS", argument, DOWNTIME_MAX_MS,
                             "--downtime", &value, &err))
                return command_line_wrong(line, "%s", err.text);
            l.precopy.downtime_ms = (int64_t)value;
            break;
        case OPTION_MAX_ROUNDS:
            if (!tell_helper("XENFERRY_MAX_ROUNDS", argument, ROUNDS_MAX,
                             "--max-rounds", &value, &err))
                return command_line_wrong(line, "%s", err.text);
            l.precopy.max_rounds = (unsigned int)value;
            break;
        case OPTION_NOT_CONVERGING:
            if (!fallback_of(argument, &l.precopy.fallback))
                return command_line_wrong(line, "--not-converging: '%s'",
                                          argument);
            setenv("XENFERRY_NOT_CONVERGING", argument, 1);
            break;
        case OPTION_BANDWIDTH:
            if (!parse_number(argument, BANDWIDTH_MAX, "--bandwidth", &value,
                              &err))
                return command_line_wrong(line, "%s", err.text);
            l.bandwidth_cap = value << 20;
            break;
        }
    }
    status = check_line(line, &moves, &l);
    if (status != CLI_OK)
        return status;
    if (moves.host_uri)
        return migrate_embedded(&moves, &l);
    if (!moves_begin(&moves))
        return CLI_FAILED;
    good = connect_and_migrate(&moves, &l, &outcome, &err);
    return moves_end(&moves, outcome, NULL, good ? NULL : &err);
}

const struct command command_migrate = {
    .name = "migrate",
    .summary = "Move a running guest to another host",
    .arguments = "[OPTION]... DOMAIN HOST|tcp:HOST:PORT|unix:PATH|cmd:COMMAND|"
                 "embedded:NAME",
    .details =
        "The other side runs 'xenferry receive' or 'xl migrate-receive'; "
        "with HOST it is\nstarted through ssh.  Plain TCP is neither "
        "encrypted nor authenticated.  Until the\nhand-over Ctrl-C or a "
        "failure leaves the guest running here.\n\n"
        "Exit status: 0 moved; 1 failed, the guest runs here; 2 "
        "cancelled, the guest runs\nhere; 3 handed over but not "
        "confirmed; 4 a domain is left to look at.",
    .options = options,
    .run = run,
};
