/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records that only an HVM (or PVH) guest's image has.
 *
 *  HVM_CONTEXT   Xen's own blob; hvm/hvm_context.h looks into it
 *  HVM_PARAMS    u32 count, u32 reserved, {u64 index, u64 value}[count]
 *
 * Savers write the context before the parameters although the specification
 * asks for the opposite: a restorer keeps the context until END.
 *
 * Spec: libxc-migration-stream.pandoc, "HVM_CONTEXT" and "HVM_PARAMS".
 */
#ifndef STREAM_XC_XC_X86_HVM_H
#define STREAM_XC_XC_X86_HVM_H

#include "stream/record.h"
#include "stream/xc/xc_wire.h"

enum hvm_param_index {
#define XCSTREAM_HVM_PARAM(index, name) HVM_PARAM_INDEX_##name = index,
#include "stream/xc/xc_hvm_params.def"
#undef XCSTREAM_HVM_PARAM
};

/* "STORE_PFN", or NULL for an index that has no name. */
const char *hvm_param_name(uint64_t index);

/*
 * The indices that a saver asks the hypervisor for, in the order in which it
 * writes those whose value is not zero.
 */
const uint32_t *hvm_params_saved(size_t *ret_nr);

struct hvm_param {
    uint64_t index;
    uint64_t value;
};

struct hvm_params {
    uint32_t nr_params; /* 0 is legal: Xen 4.6-4.8 wrote such records */
    uint32_t reserved;
    const uint8_t *entries; /* borrowed; see hvm_params_get() */
    enum byte_order order;
};

must_check bool hvm_params_decode(const struct record *rec,
                                  struct hvm_params *ret, struct error *err);
struct hvm_param hvm_params_get(const struct hvm_params *params, uint32_t i);
void hvm_params_append(struct buffer *buffer, const struct hvm_param *params,
                       uint32_t nr_params);

/* An empty context is refused; its contents are not looked at. */
must_check bool hvm_context_record_decode(const struct record *rec,
                                          const uint8_t **ret_bytes,
                                          uint32_t *ret_length,
                                          struct error *err);
void hvm_context_record_append(struct buffer *buffer, const void *bytes,
                               uint32_t length);

#endif
