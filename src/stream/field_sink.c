/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/field_sink.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fields_begin(struct field_sink *f, const char *key, enum fields_kind kind)
{
    f->ops->begin(f->context, key, kind);
}

void fields_end(struct field_sink *f)
{
    f->ops->end(f->context);
}

void fields_number(struct field_sink *f, const char *key, uint64_t value)
{
    f->ops->number(f->context, key, value);
}

void fields_hex(struct field_sink *f, const char *key, uint64_t value)
{
    f->ops->hex(f->context, key, value);
}

void fields_flag(struct field_sink *f, const char *key, bool value)
{
    f->ops->flag(f->context, key, value);
}

void fields_text(struct field_sink *f, const char *key, const char *text)
{
    f->ops->text(f->context, key, text, strlen(text));
}

void fields_octets(struct field_sink *f, const char *key, const void *octets,
                   size_t length)
{
    f->ops->text(f->context, key, octets, length);
}

void fields_dump(struct field_sink *f, const char *key, const uint8_t *octets,
                 size_t length, size_t max)
{
    char digits[2 * 64 + 1];
    size_t shown = size_min(size_min(length, max), 64);

    for (size_t i = 0; i < shown; i++)
        snprintf(digits + 2 * i, 3, "%02x", octets[i]);
    f->ops->text(f->context, key, digits, 2 * shown);
}

void fields_format(struct field_sink *f, const char *key, const char *format,
                   ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fields_text(f, key, text);
}

static void drop_begin(void *context, const char *key, enum fields_kind kind)
{
}

static void drop_end(void *context)
{
}

static void drop_number(void *context, const char *key, uint64_t value)
{
}

static void drop_flag(void *context, const char *key, bool value)
{
}

static void drop_text(void *context, const char *key, const char *text,
                      size_t length)
{
}

static const struct field_ops drop_ops = {
    .begin = drop_begin,
    .end = drop_end,
    .number = drop_number,
    .hex = drop_number,
    .flag = drop_flag,
    .text = drop_text,
};

struct field_sink fields_dropped(void)
{
    return (struct field_sink){.ops = &drop_ops};
}
