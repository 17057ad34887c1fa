/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/layout.h"

#include <stdio.h>

/* Of an array of octets, how many are shown. */
#define DUMP_MAX 16

uint64_t layout_integer(const uint8_t *bytes, size_t offset, size_t size,
                        enum byte_order order)
{
    struct cursor c = cursor_over(bytes + offset, size, order);

    switch (size) {
    case 1:
        return cursor_u8(&c);
    case 2:
        return cursor_u16(&c);
    case 4:
        return cursor_u32(&c);
    default:
        return cursor_u64(&c);
    }
}

void layout_explain(const struct layout_field *fields, size_t nr_fields,
                    const uint8_t *bytes, size_t length, enum byte_order order,
                    struct field_sink *out)
{
    for (size_t i = 0; i < nr_fields; i++) {
        const struct layout_field *f = &fields[i];
        size_t end = (size_t)f->offset + (size_t)f->size * f->count;

        if (end > length)
            continue;
        if (f->count == 1) {
            fields_hex(out, f->name,
                       layout_integer(bytes, f->offset, f->size, order));
        } else if (f->size == 1) {
            fields_dump(out, f->name, bytes + f->offset, f->count, DUMP_MAX);
        } else {
            char text[20 * 48 + 1];
            size_t used = 0;

            /* A row of numbers stays one value: arrays here are short. */
            text[0] = '\0';
            for (uint16_t j = 0; j < f->count && used + 20 < sizeof(text); j++)
                used += (size_t)snprintf(
                    text + used, sizeof(text) - used, "%s%#" PRIx64,
                    j ? " " : "",
                    layout_integer(bytes, f->offset + (size_t)j * f->size,
                                   f->size, order));
            fields_text(out, f->name, text);
        }
    }
}
