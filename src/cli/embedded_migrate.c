/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/embedded_migrate.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/cleanup.h"
#include "cli/embedded_moves.h"

#define FINISH_TIMEOUT_MS 5000

bool embedded_destination(const char *uri, struct buffer *ret,
                          struct error *err)
{
    char self[PATH_MAX], folder[HOST_FOLDER_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0 || !host_folder_of(uri, folder, err))
        return length >= 0 || error_set(err, ERR_IO, "/proc/self/exe");
    self[length] = '\0';
    if (strchr(self, '\'') || strchr(folder, '\''))
        return error_set(err, ERR_USAGE, "%s: a quote in its name", folder);
    buffer_format(ret, "cmd:exec '%s' receive --quiet --host 'embedded:%s'",
                  self, folder);
    buffer_u8(ret, 0);
    return buffer_check(ret, "destination", err);
}

static bool connect_and_move(struct embedded_moves *e,
                             const struct embedded_migrate_line *l,
                             enum move_outcome *ret, struct error *err)
{
    cleanup(transport_release) struct transport transport = {.ops = NULL};
    struct transport_limits limits = {
        .connect_timeout_ms = e->moves->timeout_ms,
        .dead_after_ms = e->moves->timeout_ms,
        .cancel_fd = e->moves->cancel_fd,
    };
    struct handover_source_request request = {
        .guest = l->guest,
        .peer = l->destination,
        .transport = &transport,
        .precopy = l->precopy,
        .bandwidth_cap = l->bandwidth_cap,
        .live = l->live,
        .paused = l->paused,
    };
    struct keeper_guest guest;
    struct error late;
    bool found;

    *ret = MOVE_KEPT;
    /* A wrong name is not worth a connection. */
    if (!e->keeper->ops->find(e->keeper, l->guest, &found, &guest, err))
        return false;
    if (!found)
        return error_set(err, ERR_STATE, "no guest \"%s\" on this host",
                         l->guest);
    if (!transport_connect(&transport, l->destination, &limits, err) ||
        !handover_source(&e->options, &request, &e->report, ret, err))
        return false;
    e->has_report = true;
    if (!transport_finish(&transport, FINISH_TIMEOUT_MS, &late))
        log_info(e->options.log, "%s", late.text);
    return true;
}

int embedded_migrate(struct moves *m, const struct embedded_migrate_line *l)
{
    struct embedded_moves e;
    enum move_outcome outcome;
    struct error err;
    bool good;

    if (!embedded_moves_begin(&e, m))
        return CLI_FAILED;
    good = connect_and_move(&e, l, &outcome, &err);
    return embedded_moves_end(&e, outcome, NULL, good ? NULL : &err);
}

int embedded_receive(struct moves *m,
                     bool (*open)(void *context, struct transport *ret,
                                  struct error *err),
                     void *context, bool paused)
{
    cleanup(transport_release) struct transport transport = {.ops = NULL};
    struct handover_target_request request = {.transport = &transport,
                                              .paused = paused};
    enum move_outcome outcome = MOVE_NOTHING;
    struct toolstack_guest guest = {0};
    struct embedded_moves e;
    struct error err, late;
    bool good;

    if (!embedded_moves_begin(&e, m))
        return CLI_FAILED;
    good = open(context, &transport, &err) &&
           handover_target(&e.options, &request, &guest, &outcome, &err);
    if (good && !transport_finish(&transport, FINISH_TIMEOUT_MS, &late))
        log_info(e.options.log, "%s", late.text);
    return embedded_moves_end(&e, outcome, good ? &guest : NULL,
                              good ? NULL : &err);
}
