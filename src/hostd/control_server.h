/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of clients: host/embedded/hostd_wire.h says how they come,
 * docs/embedded-host.md which there are.
 */
#ifndef HOSTD_CONTROL_SERVER_H
#define HOSTD_CONTROL_SERVER_H

#include <json-c/json.h>

#include "host/embedded/hostd_wire.h"
#include "hostd/embedded_host.h"

struct request {
    struct embedded_host *host;
    struct json_object *json; /* borrowed */
    const uint8_t *data;      /* borrowed */
    size_t data_length;
    struct json_object *answer; /* an object to add to */
    struct buffer *answer_data;
    int answer_fd; /* owned, or -1 */
};

/* Until host->end_fd is readable.  'socket' listens, and stays the caller's. */
must_check bool control_serve(struct embedded_host *host, int socket,
                              struct error *err);

/* One request, with the host's lock held, which may be given up on the way. */
must_check bool control_handle(struct request *r, struct error *err);

/* ---- for those who handle them ----------------------------------------- */

/* A field of the request.  Those without "or" must be there. */
must_check bool request_text(const struct request *r, const char *name,
                             const char **ret, struct error *err);
const char *request_text_or(const struct request *r, const char *name,
                            const char *otherwise);
must_check bool request_number(const struct request *r, const char *name,
                               uint64_t max, uint64_t *ret, struct error *err);
must_check bool request_number_or(const struct request *r, const char *name,
                                  uint64_t max, uint64_t otherwise,
                                  uint64_t *ret, struct error *err);
bool request_flag(const struct request *r, const char *name);
/* The domain that "domain" names. */
must_check bool request_domain(const struct request *r, struct tenant **ret,
                               struct error *err);

void answer_text(struct request *r, const char *name, const char *value);
void answer_number(struct request *r, const char *name, uint64_t value);
void answer_flag(struct request *r, const char *name, bool value);

/* One part of a suspended domain's state, encoded, to the end of '*ret'. */
must_check bool control_append_part(struct tenant *t, enum state_part part,
                                    struct buffer *ret, struct error *err);

/* control_domain.c, control_state.c, control_noncoop.c: what each serves, to an
   entry without a name. */
struct request_handler {
    const char *op;
    bool (*handle)(struct request *r, struct error *err);
};

extern const struct request_handler control_domain_handlers[];
extern const struct request_handler control_state_handlers[];
extern const struct request_handler control_noncoop_handlers[];

#endif
