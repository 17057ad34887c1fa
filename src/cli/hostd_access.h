/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which embedded host a command means, and asking it. */
#ifndef CLI_HOSTD_ACCESS_H
#define CLI_HOSTD_ACCESS_H

#include "cli/command.h"
#include "host/embedded/hostd_client.h"

#define HOST_NAME_DEFAULT "default"
#define HOST_FOLDER_MAX   256

/*
 * The folder that 'uri' names: "embedded:NAME", "embedded:PATH", or just the
 * name or path; NULL: $XENFERRY_HOST, else the host named "default".
 */
must_check bool host_folder_of(const char *uri, char ret[HOST_FOLDER_MAX],
                               struct error *err);
must_check bool host_access(const char *uri, struct hostd_client *ret,
                            struct error *err);

/* One object or array, on lines of its own. */
void print_json(struct json_object *json);

#endif
