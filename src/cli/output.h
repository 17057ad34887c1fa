/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text and JSON from the same fields: two sinks for stream/field_sink.h that
 * write as the fields come and keep nothing but the nesting.
 *
 * A command's output is one object: begin it, fill it, end it.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdio.h>

#include "stream/field_sink.h"

#define OUTPUT_DEPTH_MAX 16

struct output {
    FILE *file;
    bool json;
    unsigned int depth;
    bool line_open; /* text: a row has begun and not ended its line */
    struct output_level {
        enum fields_kind kind;
        bool used; /* something is in it */
    } levels[OUTPUT_DEPTH_MAX];
};

/* 'output' must outlive the sink. */
struct field_sink output_begin(struct output *output, FILE *file, bool json);
/* The last newline; whatever is still open is closed. */
void output_finish(struct output *output);

#endif
