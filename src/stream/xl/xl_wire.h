/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers of the libxl stream and of the xl file header, and nothing else.
 *
 * Spec: "LibXenLight Domain Image Format" (libxl-migration-stream.pandoc).
 */
#ifndef STREAM_XL_XL_WIRE_H
#define STREAM_XL_XL_WIRE_H

#include <stdint.h>

/* xl file header. */
#define XLFILE_MAGIC             "Xen saved domain, xl format\n \0 \r"
#define XLFILE_MAGIC_SIZE        32
#define XLFILE_HEADER_SIZE       48
#define XLFILE_BYTEORDER         UINT32_C(0x01020304)
#define XLFILE_MANDATORY_JSON    UINT32_C(0x1) /* else a text configuration */
#define XLFILE_MANDATORY_STREAM2 UINT32_C(0x2) /* else a legacy image */
#define XLFILE_MANDATORY_KNOWN   UINT32_C(0x3)

/* libxl stream header: big-endian. */
#define XLSTREAM_IDENT         UINT64_C(0x4c6962786c466d74) /* "LibxlFmt" */
#define XLSTREAM_VERSION       2
#define XLSTREAM_OPTION_BIG    UINT32_C(0x1)
#define XLSTREAM_OPTION_LEGACY UINT32_C(0x2) /* converted from legacy */
#define XLSTREAM_OPTION_KNOWN  UINT32_C(0x3)
#define XLSTREAM_HEADER_SIZE   16

enum xlstream_record_type {
#define XLSTREAM_RECORD(name, value) XLREC_##name = value,
#include "stream/xl/xl_records.def"
#undef XLSTREAM_RECORD
};

/* The specification's optional bit; no libxl knows what to do with it. */
#define XLREC_OPTIONAL UINT32_C(0x80000000)

enum xlstream_emulator {
    XLSTREAM_EMULATOR_UNKNOWN = 0, /* only from the legacy converter */
    XLSTREAM_EMULATOR_QEMU_TRADITIONAL = 1,
    XLSTREAM_EMULATOR_QEMU = 2,
};

enum xlstream_checkpoint_state {
    XLSTREAM_CHECKPOINT_NEW = 0,           /* primary to secondary */
    XLSTREAM_CHECKPOINT_SVM_SUSPENDED = 1, /* the others: back */
    XLSTREAM_CHECKPOINT_SVM_READY = 2,
    XLSTREAM_CHECKPOINT_SVM_RESUMED = 3,
};

/* What the kinds of DOMAIN_XENSTORE_DATA carry: see xl_xenstore.h. */
enum xlstream_xenstore_data {
    XLSTREAM_XENSTORE_NODES = 1,
    XLSTREAM_XENSTORE_WATCHES = 2,
    XLSTREAM_XENSTORE_COUNTED = 0x46520001, /* our own, as the next */
    XLSTREAM_XENSTORE_TRANSACTIONS = 0x46520002,
};

#endif
