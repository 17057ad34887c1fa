/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/control_server.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* A client may be silent for ever, but not in the middle of a message. */
#define ANSWER_MS 10000
/* A move has two connections to each of its hosts. */
#define CLIENTS_MAX  256u
#define REQUEST_DEEP 16

struct client {
    struct embedded_host *host;
    int fd;
    unsigned int *nr_clients; /* under the host's lock */
};

/* ---- fields ------------------------------------------------------------ */

static struct json_object *field(const struct request *r, const char *name,
                                 enum json_type type)
{
    struct json_object *value;

    if (!json_object_object_get_ex(r->json, name, &value) ||
        !json_object_is_type(value, type))
        return NULL;
    return value;
}

const char *request_text_or(const struct request *r, const char *name,
                            const char *otherwise)
{
    struct json_object *value = field(r, name, json_type_string);
    const char *text = value ? json_object_get_string(value) : otherwise;

    /* A NUL inside would hide what follows. */
    if (value && strlen(text) != (size_t)json_object_get_string_len(value))
        return otherwise;
    return text;
}

bool request_text(const struct request *r, const char *name, const char **ret,
                  struct error *err)
{
    const char *text = request_text_or(r, name, NULL);

    if (!text)
        return error_set(err, ERR_USAGE, "request: no text \"%s\"", name);
    *ret = text;
    return true;
}

bool request_number_or(const struct request *r, const char *name, uint64_t max,
                       uint64_t otherwise, uint64_t *ret, struct error *err)
{
    struct json_object *value = field(r, name, json_type_int);
    uint64_t number = value ? json_object_get_uint64(value) : otherwise;

    if (value && number > max)
        return error_set(err, ERR_USAGE,
                         "request: \"%s\" is %" PRIu64 ", at most %" PRIu64,
                         name, number, max);
    *ret = number;
    return true;
}

bool request_number(const struct request *r, const char *name, uint64_t max,
                    uint64_t *ret, struct error *err)
{
    if (!field(r, name, json_type_int))
        return error_set(err, ERR_USAGE, "request: no number \"%s\"", name);
    return request_number_or(r, name, max, 0, ret, err);
}

bool request_flag(const struct request *r, const char *name)
{
    struct json_object *value = field(r, name, json_type_boolean);

    return value && json_object_get_boolean(value);
}

bool request_domain(const struct request *r, struct tenant **ret,
                    struct error *err)
{
    const char *name;
    struct tenant *t;

    if (!request_text(r, "domain", &name, err))
        return false;
    t = embedded_host_find(r->host, name);
    if (!t)
        return error_set(err, ERR_STATE, "no domain \"%.64s\"", name);
    *ret = t;
    return true;
}

void answer_text(struct request *r, const char *name, const char *value)
{
    json_object_object_add(r->answer, name, json_object_new_string(value));
}

void answer_number(struct request *r, const char *name, uint64_t value)
{
    json_object_object_add(r->answer, name, json_object_new_uint64(value));
}

void answer_flag(struct request *r, const char *name, bool value)
{
    json_object_object_add(r->answer, name, json_object_new_boolean(value));
}

/* ---- one request ------------------------------------------------------- */

static const struct request_handler *
find_handler(const struct request_handler *table, const char *op)
{
    while (table->op && strcmp(table->op, op))
        table++;
    return table->op ? table : NULL;
}

bool control_handle(struct request *r, struct error *err)
{
    const struct request_handler *handler;
    const char *op;

    if (!request_text(r, "op", &op, err))
        return false;
    handler = find_handler(control_domain_handlers, op);
    if (!handler)
        handler = find_handler(control_state_handlers, op);
    if (!handler)
        handler = find_handler(control_noncoop_handlers, op);
    if (!handler)
        return error_set(err, ERR_USAGE, "request: no operation \"%.64s\"", op);
    return handler->handle(r, err);
}

static struct json_object *parse(const struct buffer *text, struct error *err)
{
    struct json_tokener *tokener = json_tokener_new_ex(REQUEST_DEEP);
    struct json_object *json = NULL;

    if (tokener)
        json = json_tokener_parse_ex(tokener, (const char *)text->bytes,
                                     (int)text->length + 1);
    if (tokener)
        json_tokener_free(tokener);
    if (json && json_object_is_type(json, json_type_object))
        return json;
    json_object_put(json);
    error_set(err, ERR_FORMAT, "request: not a JSON object");
    return NULL;
}

static void fill_answer(struct hostd_message *out, struct json_object *answer,
                        bool ok, const struct error *err)
{
    json_object_object_add(answer, "ok", json_object_new_boolean(ok));
    if (!ok) {
        json_object_object_add(
            answer, "code", json_object_new_string(error_code_name(err->code)));
        json_object_object_add(answer, "error",
                               json_object_new_string(err->text));
    }
    buffer_text(&out->text, json_object_to_json_string(answer));
}

static bool serve_one(struct client *c, const struct hostd_message *in,
                      struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message out = {.fd = -1};
    struct request r = {.host = c->host,
                        .data = in->data.bytes,
                        .data_length = in->data.length,
                        .answer = json_object_new_object(),
                        .answer_data = &out.data,
                        .answer_fd = -1};
    struct error refusal = {0};
    bool ok = false;

    r.json = parse(&in->text, &refusal);
    if (r.json) {
        pthread_mutex_lock(&c->host->lock);
        ok = control_handle(&r, &refusal);
        pthread_mutex_unlock(&c->host->lock);
    }
    if (!ok)
        buffer_reset(&out.data);
    out.fd = r.answer_fd;
    fill_answer(&out, r.answer, ok, &refusal);
    json_object_put(r.json);
    json_object_put(r.answer);
    return hostd_send(c->fd, &out, deadline_after_ms(ANSWER_MS), err);
}

/* Whether a request begins before the host ends. */
static bool wait_for_request(struct client *c)
{
    struct pollfd fds[2] = {
        {.fd = c->fd,           .events = POLLIN},
        {.fd = c->host->end_fd, .events = POLLIN},
    };

    while (poll(fds, 2, -1) < 0)
        if (errno != EINTR)
            return false;
    return !fds[1].revents;
}

static void *client_main(void *context)
{
    struct client *c = context;
    struct error err;
    bool end = false;

    while (!end && wait_for_request(c)) {
        cleanup(hostd_message_release) struct hostd_message in = {.fd = -1};

        if (!hostd_receive(c->fd, &in, deadline_after_ms(ANSWER_MS), &end,
                           &err) ||
            (!end && !serve_one(c, &in, &err))) {
            log_warning(c->host->log, "client: %s", err.text);
            break;
        }
    }
    close(c->fd);
    pthread_mutex_lock(&c->host->lock);
    --*c->nr_clients;
    pthread_mutex_unlock(&c->host->lock);
    free(c);
    return NULL;
}

/* ---- clients ----------------------------------------------------------- */

static void accept_one(struct embedded_host *host, int socket,
                       unsigned int *nr_clients)
{
    int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
    pthread_attr_t attr;
    struct client *c;
    pthread_t thread;
    bool room;

    if (fd < 0)
        return;
    c = calloc(1, sizeof(*c));
    pthread_mutex_lock(&host->lock);
    room = c && *nr_clients < CLIENTS_MAX;
    *nr_clients += room;
    pthread_mutex_unlock(&host->lock);
    if (!room) {
        log_warning(host->log, "client refused: more than %u", CLIENTS_MAX);
        close(fd);
        free(c);
        return;
    }
    *c = (struct client){.host = host, .fd = fd, .nr_clients = nr_clients};
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attr, client_main, c)) {
        pthread_mutex_lock(&host->lock);
        --*nr_clients;
        pthread_mutex_unlock(&host->lock);
        close(fd);
        free(c);
    }
    pthread_attr_destroy(&attr);
}

static void wait_for_clients(struct embedded_host *host,
                             const unsigned int *nr_clients)
{
    bool some = true;

    while (some) {
        struct timespec nap = {.tv_nsec = NS_PER_MS};

        nanosleep(&nap, NULL);
        pthread_mutex_lock(&host->lock);
        some = *nr_clients != 0;
        pthread_mutex_unlock(&host->lock);
    }
}

bool control_serve(struct embedded_host *host, int socket, struct error *err)
{
    unsigned int nr_clients = 0;
    bool ok = true;

    for (;;) {
        struct pollfd fds[2] = {
            {.fd = socket,       .events = POLLIN},
            {.fd = host->end_fd, .events = POLLIN},
        };

        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            ok = error_set_errno(err, ERR_IO, errno, "host socket");
            break;
        }
        if (fds[1].revents)
            break;
        if (fds[0].revents)
            accept_one(host, socket, &nr_clients);
    }
    wait_for_clients(host, &nr_clients);
    return ok;
}
