/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where an explanation goes: named fields, in order, nested.
 *
 * Whoever explains something calls these once; text and JSON are two sinks of
 * the same fields.  Nothing is collected on the way, so an explanation may be
 * longer than memory.
 *
 *  FIELDS_OBJECT  named fields, in text each on its own line
 *  FIELDS_ROW     named fields, in text all on one line
 *  FIELDS_LIST    objects, rows or values without names
 */
#ifndef STREAM_FIELD_SINK_H
#define STREAM_FIELD_SINK_H

#include <inttypes.h>

#include "base/macros.h"

enum fields_kind { FIELDS_OBJECT, FIELDS_ROW, FIELDS_LIST };

struct field_ops {
    /* 'key' is NULL inside a list. */
    void (*begin)(void *context, const char *key, enum fields_kind kind);
    void (*end)(void *context);
    void (*number)(void *context, const char *key, uint64_t value);
    /* Shown in base 16; in JSON a string, as 2^53 is not enough. */
    void (*hex)(void *context, const char *key, uint64_t value);
    void (*flag)(void *context, const char *key, bool value);
    /* Any octets: what is not printable is escaped. */
    void (*text)(void *context, const char *key, const char *text,
                 size_t length);
};

struct field_sink {
    const struct field_ops *ops;
    void *context;
};

void fields_begin(struct field_sink *f, const char *key, enum fields_kind kind);
void fields_end(struct field_sink *f);
void fields_number(struct field_sink *f, const char *key, uint64_t value);
void fields_hex(struct field_sink *f, const char *key, uint64_t value);
void fields_flag(struct field_sink *f, const char *key, bool value);
void fields_text(struct field_sink *f, const char *key, const char *text);
void fields_octets(struct field_sink *f, const char *key, const void *octets,
                   size_t length);
/* Octets as a string of hex digits, the first 'max' of them. */
void fields_dump(struct field_sink *f, const char *key, const uint8_t *octets,
                 size_t length, size_t max);
/* Cut at 255 octets. */
void fields_format(struct field_sink *f, const char *key, const char *format,
                   ...) printf_like(3, 4);

/* A sink that drops everything. */
struct field_sink fields_dropped(void);

#endif
