/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host/embedded/hostd_client.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* Longer than the host itself waits for anything. */
#define ANSWER_MS 60000

/* Answers that nobody has read yet: a few octets each, for which the socket has
   room. */
#define POSTED_MAX 32

bool hostd_run_folder(char *ret, size_t size, struct error *err)
{
    const char *base = secure_getenv("XDG_RUNTIME_DIR");
    int length;

    if (base && *base)
        length = snprintf(ret, size, "%s/xenferry", base);
    else
        length = snprintf(ret, size, "/tmp/xenferry-%u", (unsigned)getuid());
    return (length > 0 && (size_t)length < size) ||
           error_set(err, ERR_USAGE, "XDG_RUNTIME_DIR: too long");
}

bool hostd_folder(const char *name, char *ret, size_t size, struct error *err)
{
    char base[256];
    int length;

    if (strchr(name, '/')) {
        length = snprintf(ret, size, "%s", name);
    } else {
        if (!hostd_run_folder(base, sizeof(base), err))
            return false;
        length = snprintf(ret, size, "%s/%s", base, name);
    }
    return (*name && length > 0 && (size_t)length < size) ||
           error_set(err, ERR_USAGE, "host \"%s\": expected a name or a path",
                     name);
}

bool hostd_client_open(struct hostd_client *ret, const char *folder,
                       struct error *err)
{
    char path[512];
    int fd;

    if ((size_t)snprintf(path, sizeof(path), "%s/socket", folder) >=
        sizeof(path))
        return error_set(err, ERR_USAGE, "%s: too long", folder);
    if (!hostd_connect(path, &fd, err))
        return false;
    *ret = (struct hostd_client){.fd = fd};
    pthread_mutex_init(&ret->mutex, NULL);
    return true;
}

void hostd_client_close(struct hostd_client *c)
{
    if (c->fd > 0)
        pthread_mutex_destroy(&c->mutex);
    if (c->fd > 0)
        close(c->fd);
    c->fd = -1;
}

struct json_object *hostd_request(const char *op)
{
    struct json_object *request = json_object_new_object();

    if (request)
        json_object_object_add(request, "op", json_object_new_string(op));
    return request;
}

struct json_object *hostd_request_named(const char *op, const char *domain)
{
    struct json_object *request = hostd_request(op);

    if (request)
        json_object_object_add(request, "domain",
                               json_object_new_string(domain));
    return request;
}

struct json_object *hostd_request_about(const char *op, uint32_t domid)
{
    char text[16];

    snprintf(text, sizeof(text), "%" PRIu32, domid);
    return hostd_request_named(op, text);
}

static enum error_code code_of(const char *name)
{
    for (int code = ERR_FORMAT; code <= ERR_USAGE; code++)
        if (!strcmp(error_code_name((enum error_code)code), name))
            return (enum error_code)code;
    return ERR_HOST;
}

static bool check_answer(struct json_object *answer, struct error *err)
{
    if (!answer || !json_object_is_type(answer, json_type_object))
        return error_set(err, ERR_PEER, "host: its answer is no JSON object");
    if (hostd_flag(answer, "ok"))
        return true;
    return error_set(err, code_of(hostd_text(answer, "code")), "%s",
                     hostd_text(answer, "error"));
}

static bool receive_answer(struct hostd_client *c, struct hostd_message *ret,
                           struct error *err)
{
    bool end = false;

    return hostd_receive(c->fd, ret, deadline_after_ms(ANSWER_MS), &end, err) &&
           (!end || error_set(err, ERR_PEER, "host: it closed the connection"));
}

/* The first refusal of what was posted is '*ret_refusal'. */
static bool receive_posted(struct hostd_client *c, bool *ret_refused,
                           struct error *ret_refusal, struct error *err)
{
    for (; c->nr_posted; c->nr_posted--) {
        cleanup(hostd_message_release) struct hostd_message in = {.fd = -1};
        struct json_object *answer;

        if (!receive_answer(c, &in, err))
            return false;
        if (*ret_refused)
            continue;
        answer = json_tokener_parse((const char *)in.text.bytes);
        *ret_refused = !check_answer(answer, ret_refusal);
        json_object_put(answer);
    }
    return true;
}

/* 'ret' NULL: without waiting for the answer. */
static bool exchange(struct hostd_client *c, const struct hostd_message *out,
                     struct hostd_message *ret, struct error *err)
{
    struct error refusal;
    bool refused = false;
    bool ok;

    pthread_mutex_lock(&c->mutex);
    ok = !c->broken || error_set(err, ERR_PEER, "host: the connection is lost");
    if (ok) {
        ok = (!ret && c->nr_posted < POSTED_MAX) ||
             receive_posted(c, &refused, &refusal, err);
        if (ok && !refused) {
            ok = hostd_send(c->fd, out, deadline_after_ms(ANSWER_MS), err) &&
                 (!ret || receive_answer(c, ret, err));
            c->nr_posted += ok && !ret;
        }
        c->broken = !ok;
    }
    pthread_mutex_unlock(&c->mutex);
    if (ok && refused && err)
        *err = refusal;
    return ok && !refused;
}

/* 'request' is used up. */
static bool write_request(struct hostd_message *out,
                          struct json_object *request, const void *data,
                          size_t length, struct error *err)
{
    if (!request)
        return error_set(err, ERR_NO_MEMORY, "request: no memory");
    buffer_text(&out->text, json_object_to_json_string(request));
    json_object_put(request);
    if (length)
        buffer_bytes(&out->data, data, length);
    return true;
}

bool hostd_post(struct hostd_client *c, struct json_object *request,
                const void *data, size_t length, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message out = {.fd = -1};

    return write_request(&out, request, data, length, err) &&
           exchange(c, &out, NULL, err);
}

bool hostd_call(struct hostd_client *c, struct json_object *request,
                const void *data, size_t length, struct hostd_message *ret,
                struct json_object **ret_json, struct error *err)
{
    cleanup(hostd_message_release) struct hostd_message out = {.fd = -1};
    cleanup(hostd_message_release) struct hostd_message in = {.fd = -1};
    struct json_object *answer;

    if (!write_request(&out, request, data, length, err) ||
        !exchange(c, &out, &in, err))
        return false;
    answer = json_tokener_parse((const char *)in.text.bytes);
    if (!check_answer(answer, err)) {
        json_object_put(answer);
        return false;
    }
    if (ret_json)
        *ret_json = answer;
    else
        json_object_put(answer);
    if (ret) {
        *ret = in;
        in = (struct hostd_message){.fd = -1};
    }
    return true;
}

uint64_t hostd_number(struct json_object *answer, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(answer, name, &value))
        return 0;
    return json_object_get_uint64(value);
}

bool hostd_flag(struct json_object *answer, const char *name)
{
    struct json_object *value;

    return json_object_object_get_ex(answer, name, &value) &&
           json_object_get_boolean(value);
}

const char *hostd_text(struct json_object *answer, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(answer, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}
