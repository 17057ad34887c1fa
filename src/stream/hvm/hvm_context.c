/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/hvm/hvm_context.h"

#include "stream/hvm/xsave_area.h"
#include "stream/layout.h"

#define HVM_RECORD_HEAD_SIZE 8

/* Of a CPU_XSAVE record: u64 mask, u64 xcr0, u64 xcr0_accum. */
#define CPU_XSAVE_HEAD_SIZE 24

/* Of a CPU_MSR record: u32 index, u32 reserved, u64 value. */
#define CPU_MSR_ENTRY_SIZE 16

/*
 * An older CPU record: without TSC_AUX and flags.  The two layouts agree up to
 * the first octet that is missing.
 */
#define CPU_COMPAT_SIZE   1016
#define CPU_COMPAT_COMMON 1000

/* clang-format off */
static const struct {
    uint16_t type;
    uint32_t size;
    const char *name;
} records[] = {
    {HVM_RECORD_END, 0, "END"},
#define HVM_RECORD(type, name, size)               {type, size, #name},
#define HVM_FIELD(type, name, offset, size, count)
#include "stream/hvm/hvm_layout.def"
#undef HVM_RECORD
#undef HVM_FIELD
};

/* All fields of all types, in the order of the table. */
static const struct {
    uint16_t type;
    struct layout_field field;
} record_fields[] = {
#define HVM_RECORD(type, name, size)
#define HVM_FIELD(type, name, offset, size, count) \
    {type, {#name, offset, size, count}},
#include "stream/hvm/hvm_layout.def"
#undef HVM_RECORD
#undef HVM_FIELD
};
/* clang-format on */

enum hvm_record_outcome hvm_record_next(struct cursor *c, size_t total,
                                        struct hvm_record *ret)
{
    struct hvm_record rec = {.offset = total - cursor_left(c)};

    rec.type = cursor_u16(c);
    rec.instance = cursor_u16(c);
    rec.length = cursor_u32(c);
    rec.data = cursor_bytes(c, rec.length);
    if (c->bad)
        return HVM_RECORD_SHORT;
    *ret = rec;
    return rec.type == HVM_RECORD_END ? HVM_RECORD_LAST : HVM_RECORD_FOUND;
}

const char *hvm_record_name(uint16_t type)
{
    for (size_t i = 0; i < ARRAY_SIZE(records); i++)
        if (records[i].type == type)
            return records[i].name;
    return NULL;
}

/* What older releases wrote; the rest is zero to those that read it. */
static const struct {
    uint16_t type;
    uint32_t size;
} older_sizes[] = {
    {HVM_RECORD_CPU,       CPU_COMPAT_SIZE},
    {HVM_RECORD_CPU,       1024           }, /* before the flags */
    {HVM_RECORD_VMCE_VCPU, 8              }, /* before the banks' ctl2 */
    {HVM_RECORD_VMCE_VCPU, 24             }, /* before mcg_ext_ctl */
};

bool hvm_record_length_known(const struct hvm_record *rec)
{
    switch (rec->type) {
    case HVM_RECORD_CPU_XSAVE:
        return rec->length >= 24;
    case HVM_RECORD_CPU_MSR:
        return rec->length >= 4 + 4 &&
               (rec->length - 8) % CPU_MSR_ENTRY_SIZE == 0;
    default:
        break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(older_sizes); i++)
        if (older_sizes[i].type == rec->type &&
            older_sizes[i].size == rec->length)
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(records); i++)
        if (records[i].type == rec->type)
            return rec->length == records[i].size;
    return true;
}

static void explain_msrs(const struct hvm_record *rec, struct field_sink *out)
{
    struct cursor c = cursor_over(rec->data, rec->length, ORDER_LITTLE);

    cursor_u32(&c); /* the count; the length says it as well */
    cursor_u32(&c);
    fields_begin(out, "msrs", FIELDS_LIST);
    while (cursor_left(&c) >= CPU_MSR_ENTRY_SIZE) {
        uint32_t index = cursor_u32(&c);

        cursor_u32(&c);
        fields_begin(out, NULL, FIELDS_ROW);
        fields_hex(out, "index", index);
        fields_hex(out, "value", cursor_u64(&c));
        fields_end(out);
    }
    fields_end(out);
}

void hvm_record_explain(const struct hvm_record *rec, struct field_sink *out)
{
    size_t length = rec->length;

    if (rec->type == HVM_RECORD_CPU && length == CPU_COMPAT_SIZE)
        length = CPU_COMPAT_COMMON;
    for (size_t i = 0; i < ARRAY_SIZE(record_fields); i++)
        if (record_fields[i].type == rec->type)
            layout_explain(&record_fields[i].field, 1, rec->data, length,
                           ORDER_LITTLE, out);
    if (rec->type == HVM_RECORD_CPU_MSR)
        explain_msrs(rec, out);
    if (rec->type == HVM_RECORD_CPU_XSAVE && length > CPU_XSAVE_HEAD_SIZE)
        xsave_area_explain(rec->data + CPU_XSAVE_HEAD_SIZE,
                           length - CPU_XSAVE_HEAD_SIZE, ORDER_LITTLE, out);
}
