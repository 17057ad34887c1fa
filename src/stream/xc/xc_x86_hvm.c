/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_x86_hvm.h"

#include <assert.h>
#include <inttypes.h>

const char *hvm_param_name(uint64_t index)
{
    static const char *const names[] = {
#define XCSTREAM_HVM_PARAM(index, name) [index] = #name,
#include "stream/xc/xc_hvm_params.def"
#undef XCSTREAM_HVM_PARAM
    };

    return index < ARRAY_SIZE(names) ? names[index] : NULL;
}

const uint32_t *hvm_params_saved(size_t *ret_nr)
{
    static const uint32_t saved[] = {
        HVM_PARAM_INDEX_STORE_PFN,
        HVM_PARAM_INDEX_IOREQ_PFN,
        HVM_PARAM_INDEX_BUFIOREQ_PFN,
        HVM_PARAM_INDEX_PAGING_RING_PFN,
        HVM_PARAM_INDEX_MONITOR_RING_PFN,
        HVM_PARAM_INDEX_SHARING_RING_PFN,
        HVM_PARAM_INDEX_VM86_TSS_SIZED,
        HVM_PARAM_INDEX_CONSOLE_PFN,
        HVM_PARAM_INDEX_ACPI_IOPORTS_LOCATION,
        HVM_PARAM_INDEX_VIRIDIAN,
        HVM_PARAM_INDEX_IDENT_PT,
        HVM_PARAM_INDEX_VM_GENERATION_ID_ADDR,
        HVM_PARAM_INDEX_IOREQ_SERVER_PFN,
        HVM_PARAM_INDEX_NR_IOREQ_SERVER_PAGES,
        HVM_PARAM_INDEX_X87_FIP_WIDTH,
        HVM_PARAM_INDEX_MCA_CAP,
    };

    *ret_nr = ARRAY_SIZE(saved);
    return saved;
}

bool hvm_params_decode(const struct record *rec, struct hvm_params *ret,
                       struct error *err)
{
    struct cursor c = record_cursor(rec);
    struct hvm_params params = {.order = rec->order};

    params.nr_params = cursor_u32(&c);
    params.reserved = cursor_u32(&c);
    if (c.bad)
        return record_error(rec, err,
                            "HVM_PARAMS at offset %" PRIu64 ": body of %" PRIu32
                            " octets, expected at least 8",
                            rec->offset, rec->length);
    if (cursor_left(&c) != (uint64_t)params.nr_params * 16)
        return record_error(rec, err,
                            "HVM_PARAMS at offset %" PRIu64 ": %" PRIu32
                            " parameters in %zu octets, expected %" PRIu64,
                            rec->offset, params.nr_params, cursor_left(&c),
                            (uint64_t)params.nr_params * 16);
    params.entries = c.at;
    *ret = params;
    return true;
}

struct hvm_param hvm_params_get(const struct hvm_params *params, uint32_t i)
{
    struct cursor c =
        cursor_over(params->entries + (size_t)i * 16, 16, params->order);
    struct hvm_param param = {0};

    assert(i < params->nr_params);
    param.index = cursor_u64(&c);
    param.value = cursor_u64(&c);
    return param;
}

void hvm_params_append(struct buffer *buffer, const struct hvm_param *params,
                       uint32_t nr_params)
{
    size_t begun = record_begin(buffer, XCREC_HVM_PARAMS);

    buffer_u32(buffer, nr_params);
    buffer_u32(buffer, 0);
    for (uint32_t i = 0; i < nr_params; i++) {
        buffer_u64(buffer, params[i].index);
        buffer_u64(buffer, params[i].value);
    }
    record_end(buffer, begun);
}

bool hvm_context_record_decode(const struct record *rec,
                               const uint8_t **ret_bytes, uint32_t *ret_length,
                               struct error *err)
{
    if (rec->length == 0)
        return record_error(rec, err,
                            "HVM_CONTEXT at offset %" PRIu64
                            ": empty body, expected a context",
                            rec->offset);
    *ret_bytes = rec->body;
    *ret_length = rec->length;
    return true;
}

void hvm_context_record_append(struct buffer *buffer, const void *bytes,
                               uint32_t length)
{
    record_append(buffer, XCREC_HVM_CONTEXT, bytes, length);
}
