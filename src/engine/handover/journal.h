/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of one side of a hand-over: a small file in the host's folder,
 *
 *     moves/<move>.source or moves/<move>.target
 *
 * with a line for each state, appended and forced to the disk before anybody
 * acts on it:
 *
 *     <crc32 of the rest, 8 hexadecimal digits> <JSON object>\n
 *
 * The first line has the facts of the move, the others a "state".  A last line
 * that is cut or does not match its checksum was never acted on, and is not
 * there; zeroes behind the last are room for more.  The file is locked as long
 * as it is open, so one process at a time decides about a move.
 */
#ifndef ENGINE_HANDOVER_JOURNAL_H
#define ENGINE_HANDOVER_JOURNAL_H

#include "base/error.h"
#include "engine/handover/states.h"
#include "host/keeper.h"

#define MOVE_ID_MAX     33 /* 32 hexadecimal digits */
#define JOURNAL_PEER    512
#define JOURNAL_MAX_LEN ((size_t)64 << 10)

enum handover_role { ROLE_SOURCE, ROLE_TARGET };

const char *handover_role_name(enum handover_role role);

struct move_facts {
    char move[MOVE_ID_MAX];
    char guest[KEEPER_NAME_MAX];
    uint32_t domid;
    bool paused;             /* target: it is not to be started there */
    char peer[JOURNAL_PEER]; /* source: where to connect; target: who came */
};

struct journal {
    int fd;        /* owned, locked; -1: none */
    size_t length; /* of its lines; the file is longer */
    char path[512];
    enum handover_role role;
    struct move_facts facts;
    enum handover_state state;
};

#define JOURNAL_NONE ((struct journal){.fd = -1})

bool move_id_is_good(const char *id);
/* A new one, random. */
must_check bool move_id_make(char ret[MOVE_ID_MAX], struct error *err);

/* With its first state on the disk.  'folder' is the host's. */
must_check bool journal_create(struct journal *ret, const char *folder,
                               enum handover_role role,
                               const struct move_facts *facts,
                               enum handover_state state, struct error *err);

/*
 * An existing one; '*ret_found' false: there is none.  ERR_STATE while another
 * process has it.
 */
must_check bool journal_open(struct journal *ret, const char *folder,
                             enum handover_role role, const char *move,
                             bool *ret_found, struct error *err);

/* 'sync': on the disk when the call returns. */
must_check bool journal_write(struct journal *j, enum handover_state state,
                              bool sync, struct error *err);

/* Close it; it stays in its folder. */
void journal_release(struct journal *j);
/* The move is over and both sides know: remove it, and release. */
void journal_remove(struct journal *j);

/*
 * Call 'each' for every journal of the host, opened and locked, until it
 * answers false.  Those that another process has are skipped; '*ret_busy'
 * counts them.
 */
must_check bool journal_each(const char *folder,
                             bool (*each)(void *context, struct journal *j),
                             void *context, unsigned int *ret_busy,
                             struct error *err);

#endif
