/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef GUEST_COMMAND_H
#define GUEST_COMMAND_H

#include "machine.h"

/* Obey what was typed on the console. */
void command_poll(struct machine *m);

#endif
