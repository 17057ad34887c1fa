/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry domain console: reading, typing, and sitting at it. */
#ifndef CLI_DOMAIN_CONSOLE_H
#define CLI_DOMAIN_CONSOLE_H

#include "cli/hostd_access.h"

/* Print what the guest has printed on this host; 'follow': and go on. */
must_check bool console_print_log(struct hostd_client *client, const char *name,
                                  bool follow, struct error *err);

/* Type a line.  Waits for room, but not for ever. */
must_check bool console_type_line(struct hostd_client *client, const char *name,
                                  const char *text, struct error *err);

/*
 * Give the guest this terminal until Ctrl-] or until the guest has left.  A
 * signal that asks to stop is obeyed once the terminal is as it was.
 */
must_check bool console_attach(struct hostd_client *client, const char *name,
                               struct error *err);

#endif
