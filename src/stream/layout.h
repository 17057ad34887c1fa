/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structures that an image carries as Xen laid them out: tables that say where
 * each field is, and one function that explains by such a table.
 */
#ifndef STREAM_LAYOUT_H
#define STREAM_LAYOUT_H

#include "base/cursor.h"
#include "stream/field_sink.h"

struct layout_field {
    const char *name;
    uint16_t offset;
    uint8_t size;   /* octets of one element: 1, 2, 4 or 8 */
    uint16_t count; /* elements */
};

/* One integer of 'size' octets at 'offset', which must be inside 'bytes'. */
uint64_t layout_integer(const uint8_t *bytes, size_t offset, size_t size,
                        enum byte_order order);

/*
 * Emit each field that lies within 'length' octets: numbers in base 16, arrays
 * of octets as a dump.
 */
void layout_explain(const struct layout_field *fields, size_t nr_fields,
                    const uint8_t *bytes, size_t length, enum byte_order order,
                    struct field_sink *out);

#endif
