/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The NC_... records, field by field (docs/formats/noncoop.md). */
#ifndef STREAM_INSPECT_NONCOOP_H
#define STREAM_INSPECT_NONCOOP_H

#include "stream/field_sink.h"
#include "stream/record.h"

/*
 * Explain what the record holds, whether it makes sense or not; a field
 * "problem" says what makes none.  False if it cannot be decoded.
 */
must_check bool inspect_noncoop(const struct record *rec,
                                struct field_sink *out, struct error *err);

#endif
