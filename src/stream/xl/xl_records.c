/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xl/xl_records.h"

#include <inttypes.h>

struct xlstream_header
xlstream_header_decode(const uint8_t bytes[XLSTREAM_HEADER_SIZE],
                       uint64_t offset)
{
    struct cursor c = cursor_over(bytes, XLSTREAM_HEADER_SIZE, ORDER_BIG);
    struct xlstream_header h = {.offset = offset};

    h.ident = cursor_u64(&c);
    h.version = cursor_u32(&c);
    h.options = cursor_u32(&c);
    h.order = h.options & XLSTREAM_OPTION_BIG ? ORDER_BIG : ORDER_LITTLE;
    return h;
}

bool xlstream_header_check(const struct xlstream_header *h, struct error *err)
{
    if (h->ident != XLSTREAM_IDENT)
        return error_set_at(err, ERR_FORMAT, h->offset,
                            "libxl header: ident %#" PRIx64
                            ", expected %#" PRIx64 " (\"LibxlFmt\")",
                            h->ident, XLSTREAM_IDENT);
    if (h->version != XLSTREAM_VERSION)
        return error_set_at(err, ERR_UNSUPPORTED, h->offset + 8,
                            "libxl header: version %" PRIu32 ", expected %d",
                            h->version, XLSTREAM_VERSION);
    return true;
}

void xlstream_header_append(struct buffer *buffer, bool converted)
{
    enum byte_order order = buffer->order;

    buffer->order = ORDER_BIG;
    buffer_u64(buffer, XLSTREAM_IDENT);
    buffer_u32(buffer, XLSTREAM_VERSION);
    buffer_u32(buffer, (order == ORDER_BIG ? XLSTREAM_OPTION_BIG : 0) |
                           (converted ? XLSTREAM_OPTION_LEGACY : 0));
    buffer->order = order;
}

static const char *record_name(uint32_t type)
{
    switch (type) {
#define XLSTREAM_RECORD(name, value) \
    case value:                      \
        return #name;
#include "stream/xl/xl_records.def"
#undef XLSTREAM_RECORD
    default:
        return NULL;
    }
}

bool xlstream_record_known(uint32_t type)
{
    return record_name(type);
}

const char *xlstream_record_name(uint32_t type)
{
    const char *name = record_name(type);

    if (name)
        return name;
    return type & XLREC_OPTIONAL ? "UNKNOWN_OPTIONAL" : "UNKNOWN";
}

bool emulator_data_decode(const struct record *rec, struct emulator_data *ret,
                          struct error *err)
{
    struct cursor c = record_cursor(rec);
    struct emulator_data data = {0};

    data.emulator = cursor_u32(&c);
    data.index = cursor_u32(&c);
    if (c.bad)
        return record_error(rec, err,
                            "%s at offset %" PRIu64 ": body of %" PRIu32
                            " octets, expected at least 8",
                            xlstream_record_name(rec->type), rec->offset,
                            rec->length);
    data.bytes = c.at;
    data.length = (uint32_t)cursor_left(&c);
    *ret = data;
    return true;
}

void emulator_data_append(struct buffer *buffer, uint32_t type,
                          const struct emulator_data *data)
{
    size_t begun = record_begin(buffer, type);

    buffer_u32(buffer, data->emulator);
    buffer_u32(buffer, data->index);
    buffer_bytes(buffer, data->bytes, data->length);
    record_end(buffer, begun);
}

const char *emulator_name(uint32_t emulator)
{
    switch (emulator) {
    case XLSTREAM_EMULATOR_QEMU_TRADITIONAL:
        return "qemu-xen-traditional";
    case XLSTREAM_EMULATOR_QEMU:
        return "qemu-xen";
    default:
        return "unknown";
    }
}

bool xenstore_pair_next(struct cursor *c, const char **ret_key,
                        const char **ret_value)
{
    const char *key;
    const char *value;

    if (c->bad || cursor_left(c) == 0)
        return false;
    key = cursor_string(c);
    value = cursor_string(c);
    if (!key || !value)
        return false;
    *ret_key = key;
    *ret_value = value;
    return true;
}

bool checkpoint_state_decode(const struct record *rec, uint32_t *ret_id,
                             struct error *err)
{
    struct cursor c = record_cursor(rec);
    uint32_t id = cursor_u32(&c);

    if (c.bad || rec->length > 8)
        return record_error(rec, err,
                            "CHECKPOINT_STATE at offset %" PRIu64
                            ": body of %" PRIu32 " octets, expected 4",
                            rec->offset, rec->length);
    *ret_id = id;
    return true;
}

void checkpoint_state_append(struct buffer *buffer, uint32_t id)
{
    size_t begun = record_begin(buffer, XLREC_CHECKPOINT_STATE);

    buffer_u32(buffer, id);
    record_end(buffer, begun);
}

const char *checkpoint_state_name(uint32_t id)
{
    static const char *const names[] = {
        [XLSTREAM_CHECKPOINT_NEW] = "NEW",
        [XLSTREAM_CHECKPOINT_SVM_SUSPENDED] = "SVM_SUSPENDED",
        [XLSTREAM_CHECKPOINT_SVM_READY] = "SVM_READY",
        [XLSTREAM_CHECKPOINT_SVM_RESUMED] = "SVM_RESUMED",
    };

    return id < ARRAY_SIZE(names) ? names[id] : "unknown";
}

bool domain_xenstore_data_decode(const struct record *rec,
                                 struct domain_xenstore_data *ret,
                                 struct error *err)
{
    struct cursor c = record_cursor(rec);
    struct domain_xenstore_data data = {.type = cursor_u32(&c)};

    if (c.bad || (data.type != XLSTREAM_XENSTORE_NODES &&
                  data.type != XLSTREAM_XENSTORE_WATCHES &&
                  data.type != XLSTREAM_XENSTORE_COUNTED &&
                  data.type != XLSTREAM_XENSTORE_TRANSACTIONS))
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": type %" PRIu32 " in %" PRIu32
                            " octets, expected 1 (nodes) or 2 (watches)",
                            rec->offset, data.type, rec->length);
    data.strings = c.at;
    data.length = (uint32_t)cursor_left(&c);
    if (data.length > 0 && data.strings[data.length - 1] != 0)
        return record_error(rec, err,
                            "DOMAIN_XENSTORE_DATA at offset %" PRIu64
                            ": last string has no NUL",
                            rec->offset);
    *ret = data;
    return true;
}

void domain_xenstore_data_append(struct buffer *buffer,
                                 const struct domain_xenstore_data *data)
{
    size_t begun = record_begin(buffer, XLREC_DOMAIN_XENSTORE_DATA);

    buffer_u32(buffer, data->type);
    buffer_bytes(buffer, data->strings, data->length);
    record_end(buffer, begun);
}
