/* SPDX-License-Identifier: GPL-2.0-or-later */
/* save, restore, migrate and receive on an embedded host. */
#ifndef CLI_EMBEDDED_MOVES_H
#define CLI_EMBEDDED_MOVES_H

#include "cli/hostd_access.h"
#include "cli/moves.h"
#include "engine/handover/handover.h"

struct embedded_moves {
    struct moves *moves;
    char folder[HOST_FOLDER_MAX];
    struct host *host;
    struct keeper *keeper;
    struct handover_options options;
    struct handover_report report;
    bool has_report;
};

/*
 * As moves_begin(), for m->host_uri.  False is said on stderr; otherwise end
 * with embedded_moves_end().
 */
must_check bool embedded_moves_begin(struct embedded_moves *e, struct moves *m);
/* Without a word. */
void embedded_moves_close(struct embedded_moves *e);
/* Report the end, close everything; returns the exit status. */
int embedded_moves_end(struct embedded_moves *e, enum move_outcome outcome,
                       const struct toolstack_guest *guest,
                       const struct error *error);

must_check bool embedded_save(struct embedded_moves *e,
                              const struct save_file_request *request,
                              enum move_outcome *ret, struct error *err);
must_check bool embedded_restore(struct embedded_moves *e,
                                 const struct restore_file_request *request,
                                 struct toolstack_guest *ret_guest,
                                 enum move_outcome *ret, struct error *err);

#endif
