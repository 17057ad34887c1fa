/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the toolstack asks for in xenstore's control/shutdown.
 */
#ifndef GUEST_CONTROL_H
#define GUEST_CONTROL_H

enum control_request {
    CONTROL_NOTHING,
    CONTROL_SUSPEND,
    CONTROL_POWEROFF,
    CONTROL_REBOOT,
};

/* Say what we can do and watch for requests (again, after a move). */
void control_init(void);

/* The request that is there, if any; it is acknowledged by removing it. */
enum control_request control_take(void);

#endif
