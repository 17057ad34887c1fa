/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The area that XSAVE writes, as HVM contexts and PV vCPU records carry it.
 *
 *      0  FXSAVE: x87 control, tag and last instruction, MXCSR
 *     32  8 x87 registers, 16 octets each
 *    160  16 XMM registers, 16 octets each
 *    512  header: u64 components in use, u64 compacted components, 48 octets
 *    576  the other components, where CPUID leaf 0xd of the saver put them
 */
#ifndef STREAM_HVM_XSAVE_AREA_H
#define STREAM_HVM_XSAVE_AREA_H

#include "base/cursor.h"
#include "stream/field_sink.h"

void xsave_area_explain(const uint8_t *area, size_t length,
                        enum byte_order order, struct field_sink *out);

#endif
