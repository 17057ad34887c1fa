/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xl/xl_xenstore.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 0x7fffu

/* "<letter><domid>". */
static bool is_permission(const char *text)
{
    size_t digits = strspn(text + (*text != '\0'), "0123456789");

    return *text && strchr("nrwb", *text) && digits >= 1 && digits <= 5 &&
           text[1 + digits] == '\0';
}

/* Decimal digits that are a number up to 'max'. */
static bool decimal(const char *text, uint32_t max, uint32_t *ret)
{
    uint64_t value = 0;

    if (!*text || strlen(text) > 10)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    if (value > max)
        return false;
    *ret = (uint32_t)value;
    return true;
}

/* Where the string that ends before 'end' begins; 'end' is behind its NUL. */
static const char *string_before(const char *start, const char *end)
{
    const char *at = end - 1;

    while (at > start && at[-1] != '\0')
        at--;
    return at;
}

/* path, value, permission+: 'value' is what the permissions leave. */
static bool split_tail(const char *rest, const char *end,
                       struct xenstore_node *ret)
{
    const char *perms = end;
    uint32_t nr = 0;

    while (perms > rest) {
        const char *last = string_before(rest, perms);

        if (last == rest || !is_permission(last))
            break;
        perms = last;
        nr++;
    }
    if (!nr)
        return false;
    ret->value = (const uint8_t *)rest;
    ret->value_length = (uint32_t)(perms - rest) - 1;
    ret->perms = perms;
    ret->nr_perms = nr;
    return true;
}

/* path, count, permission+, value. */
static bool split_counted(const struct domain_xenstore_data *data,
                          struct cursor *c, struct xenstore_node *ret)
{
    const char *count = cursor_string(c);

    if (!count || !decimal(count, data->length, &ret->nr_perms) ||
        !ret->nr_perms)
        return false;
    ret->perms = (const char *)c->at;
    for (uint32_t i = 0; i < ret->nr_perms; i++) {
        const char *perm = cursor_string(c);

        if (!perm || !is_permission(perm))
            return false;
    }
    if (!cursor_left(c))
        return false;
    ret->value = c->at;
    ret->value_length = (uint32_t)cursor_left(c) - 1;
    return true;
}

bool xenstore_node_decode(const struct record *rec, struct xenstore_node *ret,
                          struct error *err)
{
    struct domain_xenstore_data data;
    struct xenstore_node node = {0};
    struct cursor c;
    bool good;

    if (!domain_xenstore_data_decode(rec, &data, err))
        return false;
    c = cursor_over(data.strings, data.length, rec->order);
    node.path = cursor_string(&c);
    if (!node.path || data.type == XLSTREAM_XENSTORE_WATCHES ||
        data.type == XLSTREAM_XENSTORE_TRANSACTIONS)
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": type %#" PRIx32 " without a path, expected a "
                            "node",
                            rec->offset, data.type);
    if (data.type == XLSTREAM_XENSTORE_NODES)
        good = split_tail((const char *)c.at,
                          (const char *)(data.strings + data.length), &node);
    else
        good = split_counted(&data, &c, &node);
    if (!good || node.path[0] == '/')
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": node '%.64s', expected a relative path, a value "
                            "and permissions",
                            rec->offset, node.path);
    *ret = node;
    return true;
}

bool xenstore_watch_decode(const struct record *rec, struct xenstore_watch *ret,
                           struct error *err)
{
    struct domain_xenstore_data data;
    struct xenstore_watch w = {.depth = -1};
    struct cursor c;
    uint32_t depth;

    if (!domain_xenstore_data_decode(rec, &data, err))
        return false;
    c = cursor_over(data.strings, data.length, rec->order);
    w.path = cursor_string(&c);
    w.token = cursor_string(&c);
    if (data.type != XLSTREAM_XENSTORE_WATCHES || !w.path || !w.path[0] ||
        !w.token)
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": type %#" PRIx32
                            ", expected a watch's path and token",
                            rec->offset, data.type);
    if (cursor_left(&c)) {
        const char *text = cursor_string(&c);

        if (!text || !decimal(text, DEPTH_MAX, &depth) || cursor_left(&c))
            return record_error(rec, err,
                                "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                                ": %zu octets after the token, expected a "
                                "depth",
                                rec->offset, cursor_left(&c));
        w.depth = (int32_t)depth;
    }
    *ret = w;
    return true;
}

bool xenstore_transaction_decode(const struct record *rec, uint32_t *ret,
                                 struct error *err)
{
    struct domain_xenstore_data data;
    const char *text;
    struct cursor c;
    uint32_t id;

    if (!domain_xenstore_data_decode(rec, &data, err))
        return false;
    c = cursor_over(data.strings, data.length, rec->order);
    text = cursor_string(&c);
    if (data.type != XLSTREAM_XENSTORE_TRANSACTIONS || !text ||
        cursor_left(&c) || !decimal(text, UINT32_MAX, &id) || !id)
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": type %#" PRIx32 " '%.16s', expected the number "
                            "of a transaction",
                            rec->offset, data.type, text ? text : "");
    *ret = id;
    return true;
}

static size_t perms_length(const struct xenstore_node *node)
{
    const char *at = node->perms;

    for (uint32_t i = 0; i < node->nr_perms; i++)
        at += strlen(at) + 1;
    return (size_t)(at - node->perms);
}

/* Whether the value would lose its last string to the permissions. */
static bool is_ambiguous(const struct xenstore_node *node)
{
    const uint8_t *nul = memrchr(node->value ? node->value : (uint8_t *)"", 0,
                                 node->value_length);
    char tail[8];
    size_t length;

    if (!nul)
        return false;
    nul++;
    length = node->value_length - (size_t)(nul - node->value);
    if (length >= sizeof(tail))
        return false;
    memcpy(tail, nul, length);
    tail[length] = '\0';
    return is_permission(tail);
}

void xenstore_node_append(struct buffer *out, const struct xenstore_node *node)
{
    size_t begun = record_begin(out, XLREC_DOMAIN_XENSTORE_DATA);
    bool counted = is_ambiguous(node);

    buffer_u32(out,
               counted ? XLSTREAM_XENSTORE_COUNTED : XLSTREAM_XENSTORE_NODES);
    buffer_bytes(out, node->path, strlen(node->path) + 1);
    if (counted) {
        buffer_format(out, "%" PRIu32, node->nr_perms);
        buffer_u8(out, 0);
        buffer_bytes(out, node->perms, perms_length(node));
    }
    buffer_bytes(out, node->value, node->value_length);
    buffer_u8(out, 0);
    if (!counted)
        buffer_bytes(out, node->perms, perms_length(node));
    record_end(out, begun);
}

void xenstore_watch_append(struct buffer *out,
                           const struct xenstore_watch *watch)
{
    size_t begun = record_begin(out, XLREC_DOMAIN_XENSTORE_DATA);

    buffer_u32(out, XLSTREAM_XENSTORE_WATCHES);
    buffer_bytes(out, watch->path, strlen(watch->path) + 1);
    buffer_bytes(out, watch->token, strlen(watch->token) + 1);
    if (watch->depth >= 0) {
        buffer_format(out, "%" PRId32, watch->depth);
        buffer_u8(out, 0);
    }
    record_end(out, begun);
}

void xenstore_transaction_append(struct buffer *out, uint32_t id)
{
    size_t begun = record_begin(out, XLREC_DOMAIN_XENSTORE_DATA);

    buffer_u32(out, XLSTREAM_XENSTORE_TRANSACTIONS);
    buffer_format(out, "%" PRIu32, id);
    buffer_u8(out, 0);
    record_end(out, begun);
}
