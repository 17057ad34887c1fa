/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A toolstack with one guest in memory, that notes what is asked of it and
 * fails where it is told to.
 *
 * Its image is the 8 octets of FAKE_IMAGE after a libxl stream's preamble.
 */
#ifndef TESTS_FAKE_TOOLSTACK_H
#define TESTS_FAKE_TOOLSTACK_H

#include "host/toolstack.h"

#define FAKE_IMAGE    "[image!]"
#define FAKE_PREAMBLE "LibxlFmt\0\0\0\2\0\0\0\0\1\0\0\0\0\0\0\0"
#define FAKE_CONFIG   "{\"name\":\"g1\"}"
#define FAKE_DOMID    7u

struct fake_toolstack {
    struct toolstack base;
    bool exists;
    struct toolstack_guest guest;
    char calls[1024]; /* "save;rename g1 g1--migratedaway;...": what happened */
    const char *fail; /* the call of this name fails; NULL: none */
    const char *fail_also;
    enum toolstack_save_outcome save_failure;
    /* Runs inside the call of this name, before it does anything. */
    const char *hook_at;
    void (*hook)(void *context);
    void *hook_context;
};

/* With a running guest "g1", or with none. */
void fake_toolstack_init(struct fake_toolstack *f, bool with_guest);

#endif
