/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A xenstore explained: the state stream of versions 1 and 2, and the text
 * that oxenstored dumps.  One pass, record by record or line by line.
 */
#ifndef STREAM_INSPECT_XENSTORE_H
#define STREAM_INSPECT_XENSTORE_H

#include "stream/field_sink.h"
#include "stream/sniff.h"
#include "stream/stream_io.h"

/* A line of the dump may have this many octets. */
#define OXENSTORED_LINE_MAX ((size_t)64 << 10)

/* 'kind' is STREAM_XENSTORE or STREAM_OXENSTORED; see inspect_stream(). */
must_check bool inspect_xenstore(struct stream_source *source,
                                 enum stream_kind kind,
                                 struct field_sink *records,
                                 struct field_sink *out, struct error *err);

#endif
