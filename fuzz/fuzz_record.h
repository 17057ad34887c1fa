/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A record of an input: one octet for its type, one for its order, its body. */
#ifndef FUZZ_RECORD_H
#define FUZZ_RECORD_H

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stream/record.h"

/*
 * 'size' is at least 2.  The body is a copy of its own, so that the sanitizer
 * sees a read past its end; the caller frees it.
 */
static inline uint8_t *record_of_input(const uint8_t *data, size_t size,
                                       uint32_t nr_types, struct record *ret)
{
    uint8_t *body = malloc(size - 2 ? size - 2 : 1);

    assert(body);
    if (size > 2)
        memcpy(body, data + 2, size - 2);
    *ret = record_over(data[0] % nr_types, body, (uint32_t)(size - 2),
                       data[1] & 1 ? ORDER_BIG : ORDER_LITTLE);
    return body;
}

#endif
