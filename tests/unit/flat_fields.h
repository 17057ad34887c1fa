/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A field sink for tests: fields as "key=value;" in the buffer that is its
 * context, nesting as "key{", of a list "key[", and "}".
 */
#ifndef FLAT_FIELDS_H
#define FLAT_FIELDS_H

#include <inttypes.h>

#include "base/buffer.h"
#include "stream/field_sink.h"

static inline void flat_begin(void *context, const char *key,
                              enum fields_kind kind)
{
    buffer_format(context, "%s%c", key ? key : "",
                  kind == FIELDS_LIST ? '[' : '{');
}

static inline void flat_end(void *context)
{
    buffer_text(context, "}");
}

static inline void flat_number(void *context, const char *key, uint64_t value)
{
    buffer_format(context, "%s=%" PRIu64 ";", key, value);
}

static inline void flat_hex(void *context, const char *key, uint64_t value)
{
    buffer_format(context, "%s=%#" PRIx64 ";", key, value);
}

static inline void flat_flag(void *context, const char *key, bool value)
{
    buffer_format(context, "%s=%s;", key, value ? "yes" : "no");
}

static inline void flat_text(void *context, const char *key, const char *text,
                             size_t length)
{
    buffer_format(context, "%s=%.*s;", key ? key : "", (int)length, text);
}

static const struct field_ops flat_ops = {
    .begin = flat_begin,
    .end = flat_end,
    .number = flat_number,
    .hex = flat_hex,
    .flag = flat_flag,
    .text = flat_text,
};

#endif
