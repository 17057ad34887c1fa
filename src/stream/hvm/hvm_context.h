/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is inside HVM_CONTEXT: Xen's own records, one after the other.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-----------+-----------+-------------------------+
 *    | type      | instance  | length                  |
 *    +-----------+-----------+-------------------------+
 *    | data, 'length' octets, no padding               |
 *    +-------------------------------------------------+
 *
 * The first is HEADER, the last END, which is empty.  Integers are
 * little-endian: only x86 writes them.
 */
#ifndef STREAM_HVM_HVM_CONTEXT_H
#define STREAM_HVM_HVM_CONTEXT_H

#include "base/cursor.h"
#include "base/error.h"
#include "stream/field_sink.h"

#define HVM_CONTEXT_MAGIC UINT32_C(0x54381286)

enum hvm_record_type {
    HVM_RECORD_END = 0,
#define HVM_RECORD(type, name, size) HVM_RECORD_##name = type,
#define HVM_FIELD(type, name, offset, size, count)
#include "stream/hvm/hvm_layout.def"
#undef HVM_RECORD
#undef HVM_FIELD
};

struct hvm_record {
    uint16_t type;
    uint16_t instance;
    uint32_t length;
    const uint8_t *data; /* borrowed */
    size_t offset;       /* from the start of the context */
};

/* Start with a cursor over the whole context, ORDER_LITTLE. */
enum hvm_record_outcome {
    HVM_RECORD_FOUND,
    HVM_RECORD_LAST,  /* it was END; 'ret' is filled */
    HVM_RECORD_SHORT, /* the octets end within a record, or before END */
};
enum hvm_record_outcome hvm_record_next(struct cursor *c, size_t total,
                                        struct hvm_record *ret);

/* "CPU", or NULL for a type without a name. */
const char *hvm_record_name(uint16_t type);

/*
 * Whether the length is one that a release gives to this type.  Types without
 * a name pass.
 */
bool hvm_record_length_known(const struct hvm_record *rec);

/* The fields of one record. */
void hvm_record_explain(const struct hvm_record *rec, struct field_sink *out);

#endif
