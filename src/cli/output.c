/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static struct output_level *top(struct output *o)
{
    return &o->levels[o->depth];
}

static void indent(struct output *o, unsigned int depth)
{
    fprintf(o->file, "%*s", (int)(2 * depth), "");
}

/* JSON ------------------------------------------------------------------ */

static void json_string(FILE *file, const char *text, size_t length)
{
    fputc('"', file);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '"' || c == '\\')
            fprintf(file, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", file);
        else if (c < 0x20 || c >= 0x7f) /* octets, not characters */
            fprintf(file, "\\u%04x", c);
        else
            fputc(c, file);
    }
    fputc('"', file);
}

static void json_key(struct output *o, const char *key)
{
    if (o->depth == 0 && !top(o)->used) {
        top(o)->used = true;
        return;
    }
    if (top(o)->used)
        fputc(',', o->file);
    top(o)->used = true;
    if (top(o)->kind != FIELDS_ROW || o->depth <= 2) {
        fputc('\n', o->file);
        indent(o, o->depth);
    }
    if (top(o)->kind != FIELDS_LIST) {
        assert(key);
        json_string(o->file, key, strlen(key));
        fputs(": ", o->file);
    }
}

static void json_begin(void *context, const char *key, enum fields_kind kind)
{
    struct output *o = context;

    json_key(o, key);
    fputc(kind == FIELDS_LIST ? '[' : '{', o->file);
    assert(o->depth + 1 < OUTPUT_DEPTH_MAX);
    o->levels[++o->depth] = (struct output_level){.kind = kind};
}

static void json_end(void *context)
{
    struct output *o = context;
    struct output_level level = *top(o);

    assert(o->depth > 0);
    o->depth--;
    if (level.used && (level.kind != FIELDS_ROW || o->depth <= 1)) {
        fputc('\n', o->file);
        indent(o, o->depth);
    }
    fputc(level.kind == FIELDS_LIST ? ']' : '}', o->file);
}

static void json_number(void *context, const char *key, uint64_t value)
{
    struct output *o = context;

    json_key(o, key);
    fprintf(o->file, "%" PRIu64, value);
}

static void json_hex(void *context, const char *key, uint64_t value)
{
    struct output *o = context;

    json_key(o, key);
    fprintf(o->file, "\"%#" PRIx64 "\"", value);
}

static void json_flag(void *context, const char *key, bool value)
{
    struct output *o = context;

    json_key(o, key);
    fputs(value ? "true" : "false", o->file);
}

static void json_text(void *context, const char *key, const char *text,
                      size_t length)
{
    struct output *o = context;

    json_key(o, key);
    json_string(o->file, text, length);
}

static const struct field_ops json_ops = {
    .begin = json_begin,
    .end = json_end,
    .number = json_number,
    .hex = json_hex,
    .flag = json_flag,
    .text = json_text,
};

/* Text ------------------------------------------------------------------- */

/* Depth in the text: the outermost object is not indented. */
static unsigned int text_depth(const struct output *o)
{
    return o->depth > 0 ? o->depth - 1 : 0;
}

static void text_close_line(struct output *o)
{
    if (o->line_open)
        fputc('\n', o->file);
    o->line_open = false;
}

/* What stands before a value. */
static void text_key(struct output *o, const char *key)
{
    struct output_level *level = top(o);

    if (level->kind == FIELDS_ROW) {
        if (!o->line_open) {
            indent(o, text_depth(o));
            o->line_open = true;
        } else if (level->used) {
            fputs("  ", o->file);
        }
        fprintf(o->file, "%s=", key);
    } else {
        text_close_line(o);
        indent(o, text_depth(o));
        if (key)
            fprintf(o->file, "%s: ", key);
    }
    level->used = true;
}

static void text_value_done(struct output *o)
{
    if (top(o)->kind != FIELDS_ROW)
        fputc('\n', o->file);
}

static void text_begin(void *context, const char *key, enum fields_kind kind)
{
    struct output *o = context;

    if (kind == FIELDS_ROW) {
        text_close_line(o);
        indent(o, text_depth(o));
        if (key)
            fprintf(o->file, "%s: ", key);
        o->line_open = true;
    } else if (key) {
        text_close_line(o);
        indent(o, text_depth(o));
        fprintf(o->file, "%s:\n", key);
    }
    top(o)->used = true;
    assert(o->depth + 1 < OUTPUT_DEPTH_MAX);
    o->levels[++o->depth] = (struct output_level){.kind = kind};
}

static void text_end(void *context)
{
    struct output *o = context;

    assert(o->depth > 0);
    if (top(o)->kind == FIELDS_ROW)
        text_close_line(o);
    o->depth--;
}

static void text_number(void *context, const char *key, uint64_t value)
{
    struct output *o = context;

    text_key(o, key);
    fprintf(o->file, "%" PRIu64, value);
    text_value_done(o);
}

static void text_hex(void *context, const char *key, uint64_t value)
{
    struct output *o = context;

    text_key(o, key);
    fprintf(o->file, "%#" PRIx64, value);
    text_value_done(o);
}

static void text_flag(void *context, const char *key, bool value)
{
    struct output *o = context;

    text_key(o, key);
    fputs(value ? "yes" : "no", o->file);
    text_value_done(o);
}

static void text_text(void *context, const char *key, const char *text,
                      size_t length)
{
    struct output *o = context;

    text_key(o, key);
    /* A hostile image must not drive the terminal. */
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '\n') {
            fputc('\n', o->file);
            indent(o, text_depth(o) + 1);
        } else if (isascii(c) && isprint(c)) {
            fputc(c, o->file);
        } else {
            fprintf(o->file, "\\x%02x", c);
        }
    }
    text_value_done(o);
}

static const struct field_ops text_ops = {
    .begin = text_begin,
    .end = text_end,
    .number = text_number,
    .hex = text_hex,
    .flag = text_flag,
    .text = text_text,
};

struct field_sink output_begin(struct output *output, FILE *file, bool json)
{
    struct field_sink sink = {.ops = json ? &json_ops : &text_ops,
                              .context = output};

    *output = (struct output){.file = file, .json = json};
    fields_begin(&sink, NULL, FIELDS_OBJECT);
    return sink;
}

void output_finish(struct output *output)
{
    while (output->depth > 0) {
        if (output->json)
            json_end(output);
        else
            text_end(output);
    }
    if (output->json)
        fputc('\n', output->file);
    else
        text_close_line(output);
}
