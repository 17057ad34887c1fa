/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers of the libxc image format, and nothing else.
 *
 * Spec: "LibXenCtrl Domain Image Format" (libxc-migration-stream.pandoc).
 */
#ifndef STREAM_XC_XC_WIRE_H
#define STREAM_XC_XC_WIRE_H

#include <stdint.h>

/* Image header: always big-endian. */
#define XCSTREAM_MARKER             UINT64_MAX
#define XCSTREAM_ID                 UINT32_C(0x58454e46) /* "XENF" */
#define XCSTREAM_VERSION_2          2                    /* Xen 4.6 to 4.13 */
#define XCSTREAM_VERSION_3          3 /* Xen 4.14 and later */
#define XCSTREAM_OPTION_BIG         0x0001
#define XCSTREAM_IMAGE_HEADER_SIZE  24
#define XCSTREAM_DOMAIN_HEADER_SIZE 16

enum xcstream_domain_type {
    XCSTREAM_DOMAIN_PV = 1,
    XCSTREAM_DOMAIN_HVM = 2, /* and PVH */
    /* Draft G (2015) named these two; no release wrote them. */
    XCSTREAM_DOMAIN_DRAFT_PVH = 3,
    XCSTREAM_DOMAIN_DRAFT_ARM = 4,
};

/* A record of a type with this bit may be skipped by who does not know it. */
#define XCREC_OPTIONAL UINT32_C(0x80000000)

enum xcstream_record_type {
#define XCSTREAM_RECORD(name, value, guests, min_version, use) \
    XCREC_##name = value,
#include "stream/xc/xc_records.def"
#undef XCSTREAM_RECORD
};

/*
 * Ours, for moves that the guest does not notice: one for each part of
 * state/guest_state.h, in its order.
 */
#define XCREC_NONCOOP_FIRST UINT32_C(0x46520001)

enum xcstream_noncoop_type {
    XCREC_NC_IDENTITY = XCREC_NONCOOP_FIRST,
    XCREC_NC_CLOCK,
    XCREC_NC_SHARED_INFO,
    XCREC_NC_GRANT_FRAMES,
    XCREC_NC_EVENTS,
    XCREC_NC_VCPUS,
    XCREC_NC_GRANTS,
    XCREC_NC_STORE,
    XCREC_NONCOOP_END,
};

/* A PAGE_DATA word: type in bits 63 to 60, 59 to 52 zero, pfn in 51 to 0. */
#define XCSTREAM_PFN_TYPE_SHIFT 60
#define XCSTREAM_PFN_MASK       ((UINT64_C(1) << 52) - 1)
#define XCSTREAM_PFN_RESERVED   (UINT64_C(0xff) << 52)

enum frame_type {
    FRAME_NOTAB = 0x0, /* ordinary memory */
    FRAME_L1TAB = 0x1,
    FRAME_L2TAB = 0x2,
    FRAME_L3TAB = 0x3,
    FRAME_L4TAB = 0x4,
    FRAME_PIN_BIT = 0x8, /* L1 to L4: pinned */
    FRAME_BROKEN = 0xd,
    FRAME_XALLOC = 0xe, /* allocate, contents undefined */
    FRAME_XTAB = 0xf,   /* no frame here */
};

/* Savers put no more frames than this in one record. */
#define XCSTREAM_BATCH_MAX 1024

/* xen_major of a domain header written by the legacy converter. */
#define XCSTREAM_MAJOR_CONVERTED 0

/* The parameter indices of HVM_PARAMS are in xc_hvm_params.def. */

/* Sizes of a vCPU's basic context. */
#define XCSTREAM_VCPU_BASIC_64     5168
#define XCSTREAM_VCPU_BASIC_32     2800
#define XCSTREAM_VCPU_EXTENDED_MAX 128

/* One past the highest vCPU number that a PV guest can have. */
#define XCSTREAM_PV_VCPUS_MAX 8192

#endif
