/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry receive: the other side of migrate. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/embedded_migrate.h"
#include "cli/moves.h"
#include "transport/transport.h"

#define FINISH_TIMEOUT_MS 5000
#define WAIT_MAX          604800

enum { OPTION_LISTEN = MOVES_OPTION_OWN, OPTION_WAIT };

/* clang-format off */
static const struct command_option options[] = {
    {"listen", OPTION_LISTEN, "ADDRESS", "Wait on tcp:ADDRESS:PORT or unix:PATH"},
    {"wait", OPTION_WAIT, "SECONDS", "Give up when nobody has connected by then"},
    {"pause", 'p', NULL, "Leave the guest paused"},
    {"no-tend", 'e', NULL, "Leave no process to act on power-off and reboot"},
    MOVES_OPTIONS,
    {NULL, 0, NULL, NULL},
};
/* clang-format on */

/*
 * The conversation gets the descriptors 0 and 1; whatever prints to standard
 * output from now on, a hotplug script say, ends up on standard error.
 */
static bool take_stdio(struct transport *ret, struct error *err)
{
    cleanup_fd int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    cleanup_fd int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    cleanup_fd int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (in < 0 || out < 0 || null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
        return error_set_errno(err, ERR_IO, errno, "standard input and output");
    transport_from_fds(ret, take_fd(&in), take_fd(&out), "stdio");
    return true;
}

static bool wait_for_one(struct moves *m, const char *address, int wait_ms,
                         struct transport *ret, struct error *err)
{
    struct transport_limits limits = {
        .connect_timeout_ms = wait_ms,
        .dead_after_ms = m->timeout_ms,
        .cancel_fd = m->cancel_fd,
    };
    cleanup(listener_release) struct listener listener = {.fd = -1};

    if (!listener_open(&listener, address, err))
        return false;
    if (!m->quiet)
        fprintf(stderr, "xenferry: receive: waiting on %s\n", listener.name);
    return listener_accept(&listener, ret, &limits, err);
}

struct receive_from {
    struct moves *moves;
    const char *address; /* NULL: standard input and output */
    int wait_ms;
};

static bool open_transport(void *context, struct transport *ret,
                           struct error *err)
{
    struct receive_from *from = context;

    return from->address ? wait_for_one(from->moves, from->address,
                                        from->wait_ms, ret, err)
                         : take_stdio(ret, err);
}

static int receive(struct moves *m, const char *address, int wait_ms,
                   bool paused, bool tend)
{
    cleanup(transport_release) struct transport transport = {.ops = NULL};
    struct migrate_target_request request = {.transport = &transport,
                                             .paused = paused};
    enum move_outcome outcome = MOVE_NOTHING;
    struct toolstack_guest guest = {0};
    struct error err, late;
    bool good;

    good = address ? wait_for_one(m, address, wait_ms, &transport, &err)
                   : take_stdio(&transport, &err);
    good =
        good && migrate_target(&m->options, &request, &guest, &outcome, &err);
    if (good) {
        if (tend)
            moves_leave_tender(m, &guest);
        if (!transport_finish(&transport, FINISH_TIMEOUT_MS, &late))
            log_info(m->options.log, "%s", late.text);
    }
    return moves_end(m, outcome, good ? &guest : NULL, good ? NULL : &err);
}

static int run(struct command_line *line)
{
    const char *argument, *address = NULL;
    bool paused = false, tend = true, good;
    uint64_t seconds = 0;
    struct moves moves;
    struct error err;
    int key;

    moves_init(&moves, line);
    while ((key = command_line_next(line, &argument)) != LINE_END) {
        if (key == LINE_BAD)
            return CLI_USAGE;
        if (moves_option(&moves, line, key, argument, &good)) {
            if (!good)
                return CLI_USAGE;
        } else if (key == OPTION_LISTEN) {
            address = argument;
        } else if (key == OPTION_WAIT) {
            if (!parse_number(argument, WAIT_MAX, "--wait", &seconds, &err))
                return command_line_wrong(line, "%s", err.text);
        } else if (key == 'p') {
            paused = true;
        } else if (key == 'e') {
            tend = false;
        }
    }
    if (command_line_operands(line) != 0)
        return command_line_wrong(line, "'%s' is too much",
                                  command_line_operand(line));
    if (!address && moves.json)
        return command_line_wrong(line,
                                  "--json needs --listen: standard output "
                                  "belongs to the other side");
    if (!address && (isatty(STDIN_FILENO) || isatty(STDOUT_FILENO)))
        return command_line_wrong(line,
                                  "standard input and output are a terminal; "
                                  "give --listen, or run it from 'migrate'");
    if (moves.host_uri) {
        struct receive_from from = {
            .moves = &moves,
            .address = address,
            .wait_ms = seconds ? (int)seconds * 1000 : -1,
        };

        return embedded_receive(&moves, open_transport, &from, paused);
    }
    if (!moves_begin(&moves))
        return CLI_FAILED;
    return receive(&moves, address, seconds ? (int)seconds * 1000 : -1, paused,
                   tend);
}

const struct command command_receive = {
    .name = "receive",
    .summary = "Receive one migrating guest, then exit",
    .arguments = "[OPTION]...",
    .details = "Talks on standard input and output, or with --listen on a "
               "socket, to 'xenferry\nmigrate' or 'xl migrate'.  A TCP port is "
               "open to whoever reaches it, and nothing on\nit is encrypted.",
    .options = options,
    .run = run,
};
