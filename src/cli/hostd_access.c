/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/hostd_access.h"

#include <stdlib.h>
#include <string.h>

#define SCHEME "embedded:"

bool host_folder_of(const char *uri, char ret[HOST_FOLDER_MAX],
                    struct error *err)
{
    if (!uri)
        uri = getenv("XENFERRY_HOST");
    if (!uri || !*uri)
        uri = HOST_NAME_DEFAULT;
    if (!strncmp(uri, SCHEME, strlen(SCHEME)))
        uri += strlen(SCHEME);
    return hostd_folder(uri, ret, HOST_FOLDER_MAX, err);
}

bool host_access(const char *uri, struct hostd_client *ret, struct error *err)
{
    char folder[HOST_FOLDER_MAX];

    return host_folder_of(uri, folder, err) &&
           hostd_client_open(ret, folder, err);
}

void print_json(struct json_object *json)
{
    puts(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PRETTY |
                                                  JSON_C_TO_STRING_SPACED));
}
