/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking an embedded host: one request at a time over one connection, from any
 * thread.
 */
#ifndef HOST_EMBEDDED_HOSTD_CLIENT_H
#define HOST_EMBEDDED_HOSTD_CLIENT_H

#include <pthread.h>

#include <json-c/json.h>

#include "host/embedded/hostd_wire.h"

struct hostd_client {
    pthread_mutex_t mutex;
    int fd;
    bool broken; /* replies may be out of step: nothing more is asked */
    unsigned int nr_posted; /* their answers have not been read */
};

/*
 * The folder of the host that 'name' means: a path as it is, if it has a
 * slash; else a folder of that name in the user's run folder.
 */
must_check bool hostd_folder(const char *name, char *ret, size_t size,
                             struct error *err);
/* The user's run folder, where hosts with plain names are. */
must_check bool hostd_run_folder(char *ret, size_t size, struct error *err);

must_check bool hostd_client_open(struct hostd_client *ret, const char *folder,
                                  struct error *err);
void hostd_client_close(struct hostd_client *c);

/* A request of this operation, to add fields to; NULL on no memory. */
struct json_object *hostd_request(const char *op);
/* The same, about a domain, by its number or by name or number in words. */
struct json_object *hostd_request_about(const char *op, uint32_t domid);
struct json_object *hostd_request_named(const char *op, const char *domain);

/*
 * Ask.  'request' is used up.  'data' may be NULL.  '*ret' (may be NULL) is the
 * caller's to release; '*ret_json' (may be NULL) to json_object_put().  What
 * the host refuses has the host's code and text.
 */
must_check bool hostd_call(struct hostd_client *c, struct json_object *request,
                           const void *data, size_t length,
                           struct hostd_message *ret,
                           struct json_object **ret_json, struct error *err);

/*
 * The same without waiting for the answer.  A refusal is the result of the next
 * hostd_call(), which is then not asked.
 */
must_check bool hostd_post(struct hostd_client *c, struct json_object *request,
                           const void *data, size_t length, struct error *err);

/* A field of an answer; 0 or "" if it is not there. */
uint64_t hostd_number(struct json_object *answer, const char *name);
bool hostd_flag(struct json_object *answer, const char *name);
const char *hostd_text(struct json_object *answer, const char *name);

#endif
