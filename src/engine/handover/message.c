/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "engine/handover/message.h"

#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "base/cleanup.h"

#define MAGIC       "XFm1"
#define HEADER_SIZE 8
#define DEEPEST     8

struct json_object *message_make(const char *type)
{
    struct json_object *m = json_object_new_object();

    message_add(m, "type", type);
    return m;
}

void message_add(struct json_object *m, const char *name, const char *text)
{
    json_object_object_add(m, name, json_object_new_string(text));
}

void message_add_number(struct json_object *m, const char *name,
                        uint64_t number)
{
    json_object_object_add(m, name, json_object_new_uint64(number));
}

bool message_send(struct io *io, struct json_object *m, struct error *err)
{
    cleanup(buffer_release) struct buffer out = {.order = ORDER_BIG};
    const char *text =
        json_object_to_json_string_ext(m, JSON_C_TO_STRING_PLAIN);

    buffer_text(&out, MAGIC);
    buffer_u32(&out, (uint32_t)strlen(text));
    buffer_text(&out, text);
    if (!buffer_check(&out, "message", err)) {
        json_object_put(m);
        return false;
    }
    if (!io_write_all(io, out.bytes, out.length, err)) {
        error_wrap(err, "sending \"%s\"", message_type(m));
        json_object_put(m);
        return false;
    }
    json_object_put(m);
    return true;
}

static struct json_object *parse(const char *text, size_t length)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEEPEST);
    struct json_object *json = NULL;

    if (tokener)
        json = json_tokener_parse_ex(tokener, text, (int)length);
    if (tokener)
        json_tokener_free(tokener);
    if (json && (!json_object_is_type(json, json_type_object) ||
                 !*message_type(json))) {
        json_object_put(json);
        json = NULL;
    }
    return json;
}

bool message_receive(struct io *io, struct json_object **ret, struct error *err)
{
    uint8_t header[HEADER_SIZE];
    cleanup_free char *text = NULL;
    struct json_object *json;
    struct cursor c;
    uint32_t length;

    if (!io_read_exact(io, header, sizeof(header), err)) {
        if (err && err->code == ERR_TRUNCATED)
            error_set(err, ERR_PEER, "the other side closed the connection");
        return false;
    }
    if (memcmp(header, MAGIC, 4) != 0)
        return error_set(err, ERR_PEER,
                         "message: it begins with %02x %02x %02x %02x, "
                         "expected \"" MAGIC "\": the other side is no "
                         "'xenferry receive' or 'migrate' of an embedded host",
                         header[0], header[1], header[2], header[3]);
    c = cursor_over(header + 4, 4, ORDER_BIG);
    length = cursor_u32(&c);
    if (length == 0 || length > MESSAGE_JSON_MAX)
        return error_set(err, ERR_PEER,
                         "message: %" PRIu32 " octets, expected 1 to %zu",
                         length, MESSAGE_JSON_MAX);
    text = malloc(length + 1);
    if (!text)
        return error_set(err, ERR_NO_MEMORY, "message: no memory");
    if (!io_read_exact(io, text, length, err))
        return false;
    text[length] = '\0';
    json = parse(text, length + 1);
    if (!json)
        return error_set(err, ERR_PEER,
                         "message: \"%.40s\", expected a JSON object with a "
                         "type",
                         text);
    *ret = json;
    return true;
}

static enum error_code code_of(const char *name)
{
    for (int code = ERR_FORMAT; code <= ERR_USAGE; code++)
        if (!strcmp(error_code_name((enum error_code)code), name))
            return (enum error_code)code;
    return ERR_PEER;
}

bool message_expect(struct io *io, const char *type, struct json_object **ret,
                    bool *ret_refused, struct error *err)
{
    struct json_object *m;

    *ret_refused = false;
    if (!message_receive(io, &m, err))
        return error_wrap(err, "waiting for \"%s\"", type);
    if (!strcmp(message_type(m), type)) {
        *ret = m;
        return true;
    }
    if (!strcmp(message_type(m), "failed") ||
        !strcmp(message_type(m), "refuse")) {
        *ret_refused = true;
        error_set(err, code_of(message_text(m, "code")), "%.400s",
                  message_text(m, "error"));
    } else {
        error_set(err, ERR_PEER,
                  "the other side said \"%.32s\", expected \"%s\"",
                  message_type(m), type);
    }
    json_object_put(m);
    return false;
}

const char *message_text(struct json_object *m, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(m, name, &value) ||
        !json_object_is_type(value, json_type_string))
        return "";
    return json_object_get_string(value);
}

const char *message_type(struct json_object *m)
{
    return message_text(m, "type");
}

uint64_t message_number(struct json_object *m, const char *name)
{
    struct json_object *value;

    if (!json_object_object_get_ex(m, name, &value) ||
        !json_object_is_type(value, json_type_int))
        return 0;
    return json_object_get_uint64(value);
}

bool message_flag(struct json_object *m, const char *name)
{
    struct json_object *value;

    return json_object_object_get_ex(m, name, &value) &&
           json_object_is_type(value, json_type_boolean) &&
           json_object_get_boolean(value);
}

bool message_send_error(struct io *io, const char *type,
                        const struct error *error, struct error *err)
{
    struct json_object *m = message_make(type);

    message_add(m, "error", error->text);
    message_add(m, "code", error_code_name(error->code));
    return message_send(io, m, err);
}
