/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The libxl stream: its header and its records.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-------------------------------------------------+
 *    | ident "LibxlFmt"                                |   always
 *    +-----------------------+-------------------------+   big-endian
 *    | version 2             | options                 |
 *    +-----------------------+-------------------------+
 *
 * Options bit 0: what follows is big-endian; bit 1: converted from legacy.
 * After a LIBXC_CONTEXT, which has no body, a whole libxc image stands between
 * this record and the next, with neither a length nor an escape.
 *
 *  EMULATOR_XENSTORE_DATA  u32 emulator, u32 index, (key NUL value NUL)*
 *  EMULATOR_CONTEXT        u32 emulator, u32 index, the emulator's octets
 *  CHECKPOINT_STATE        u32 id
 *  DOMAIN_XENSTORE_DATA    u32 type, then strings, each with its NUL
 *  END, LIBXC_CONTEXT, CHECKPOINT_END: no body
 */
#ifndef STREAM_XL_XL_RECORDS_H
#define STREAM_XL_XL_RECORDS_H

#include "stream/record.h"
#include "stream/xl/xl_wire.h"

struct xlstream_header {
    uint64_t ident;
    uint32_t version;
    uint32_t options;
    uint64_t offset;
    enum byte_order order; /* of the records */
};

struct xlstream_header
xlstream_header_decode(const uint8_t bytes[XLSTREAM_HEADER_SIZE],
                       uint64_t offset);
/* Ident and version; reserved options are not looked at. */
must_check bool xlstream_header_check(const struct xlstream_header *h,
                                      struct error *err);
/* In the buffer's byte order; 'converted' sets the legacy option. */
void xlstream_header_append(struct buffer *buffer, bool converted);

/* "EMULATOR_CONTEXT", or "UNKNOWN" / "UNKNOWN_OPTIONAL". */
const char *xlstream_record_name(uint32_t type);
bool xlstream_record_known(uint32_t type);

/* EMULATOR_CONTEXT, and the start of EMULATOR_XENSTORE_DATA. */
struct emulator_data {
    uint32_t emulator; /* enum xlstream_emulator */
    uint32_t index;
    const uint8_t *bytes; /* borrowed */
    uint32_t length;
};

must_check bool emulator_data_decode(const struct record *rec,
                                     struct emulator_data *ret,
                                     struct error *err);
void emulator_data_append(struct buffer *buffer, uint32_t type,
                          const struct emulator_data *data);
/* "qemu-xen", ... or "unknown". */
const char *emulator_name(uint32_t emulator);

/*
 * Walk the strings of a body: start with cursor_over() at emulator_data.bytes.
 * Returns false at the end, and on a string without its NUL, which sets
 * cursor.bad.
 */
bool xenstore_pair_next(struct cursor *c, const char **ret_key,
                        const char **ret_value);

/* Some writers give four octets, the specification eight: either is read. */
must_check bool checkpoint_state_decode(const struct record *rec,
                                        uint32_t *ret_id, struct error *err);
void checkpoint_state_append(struct buffer *buffer, uint32_t id);
/* "NEW", ... or "unknown". */
const char *checkpoint_state_name(uint32_t id);

struct domain_xenstore_data {
    uint32_t type;          /* enum xlstream_xenstore_data */
    const uint8_t *strings; /* borrowed */
    uint32_t length;
};

must_check bool domain_xenstore_data_decode(const struct record *rec,
                                            struct domain_xenstore_data *ret,
                                            struct error *err);
void domain_xenstore_data_append(struct buffer *buffer,
                                 const struct domain_xenstore_data *data);

#endif
