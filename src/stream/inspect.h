/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image explained: every header and record to the field, then a summary.
 *
 * Legacy images, what libvirt and XenServer wrap around an image, xenstore state
 * streams and oxenstored's dumps are explained as well.
 *
 * Works on one pass over a source that may be a pipe, in memory that does not
 * depend on the image (bodies of more than INSPECT_BODY_MAX octets are passed
 * over with a remark).
 */
#ifndef STREAM_INSPECT_H
#define STREAM_INSPECT_H

#include "stream/field_sink.h"
#include "stream/legacy/legacy_image.h"
#include "stream/memory_map.h"
#include "stream/stream_io.h"

#define INSPECT_BODY_MAX ((uint32_t)16 << 20)

struct inspect_options {
    bool summary_only;            /* no list of records */
    bool page_contents;           /* read the pages: count those of zeroes */
    struct memory_map *map;       /* is added to; NULL: not wanted */
    struct legacy_options legacy; /* what is known of a legacy image */
};

/*
 * Emit "records" (a list) and "summary" (an object) into the object that is
 * open in 'out'.  On an error what came before it is emitted all the same, then
 * an "error"; the function returns false.
 */
must_check bool inspect_stream(struct stream_source *source,
                               const struct inspect_options *options,
                               struct field_sink *out, struct error *err);

#endif
