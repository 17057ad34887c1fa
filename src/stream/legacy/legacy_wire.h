/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The numbers of legacy images (Xen up to 4.5), and nothing else.
 *
 * All integers are little-endian and unaligned; "ul" is an unsigned long of
 * the toolstack that saved, 4 or 8 octets.
 */
#ifndef STREAM_LEGACY_LEGACY_WIRE_H
#define STREAM_LEGACY_LEGACY_WIRE_H

#include <stdint.h>

/* A page batch has at most this many frames; its marker is their number. */
#define LEGACY_BATCH_MAX 1024

/* A frame word: type in bits 31 to 28, pfn in 27 to 0. */
#define LEGACY_TYPE_SHIFT 28
#define LEGACY_PFN_MASK   UINT32_C(0x0fffffff)
#define LEGACY_P2M_MAX    (UINT32_C(1) << LEGACY_TYPE_SHIFT)

/* What a saver leaves in a batch for a frame that it could not map. */
#define LEGACY_FILLER UINT32_C(0xf0000000)

/* Highest vCPU number. */
#define LEGACY_VCPU_ID_MAX 4095

/* Chunk markers, i32. */
enum legacy_chunk {
    LEGACY_CHUNK_END = 0,
    LEGACY_CHUNK_VERIFY = -1,
    LEGACY_CHUNK_VCPU_INFO = -2,
    LEGACY_CHUNK_IDENT_PT = -3,
    LEGACY_CHUNK_VM86_TSS = -4,
    LEGACY_CHUNK_TMEM = -5,
    LEGACY_CHUNK_TMEM_EXTRA = -6,
    LEGACY_CHUNK_TSC_INFO = -7,
    LEGACY_CHUNK_CONSOLE_PFN = -8,
    LEGACY_CHUNK_LAST_CHECKPOINT = -9,
    LEGACY_CHUNK_ACPI_IOPORTS = -10,
    LEGACY_CHUNK_VIRIDIAN = -11,
    LEGACY_CHUNK_COMPRESSED_DATA = -12,
    LEGACY_CHUNK_ENABLE_COMPRESSION = -13,
    LEGACY_CHUNK_GENERATION_ID = -14,
    LEGACY_CHUNK_PAGING_RING = -15,
    LEGACY_CHUNK_MONITOR_RING = -16,
    LEGACY_CHUNK_SHARING_RING = -17,
    LEGACY_CHUNK_TOOLSTACK = -18,
    LEGACY_CHUNK_IOREQ_SERVER_PFN = -19,
    LEGACY_CHUNK_NR_IOREQ_PAGES = -20,
    LEGACY_CHUNK_X87_FIP_WIDTH = -21,
};

/* What stands before a device model's state; no NUL. */
#define LEGACY_QEMU_SIGNATURE_SIZE 21
#define LEGACY_QEMU_OLD            "QemuDeviceModelRecord" /* to the end */
#define LEGACY_QEMU_0002           "DeviceModelRecord0002" /* u32 length */
#define LEGACY_QEMU_REMUS          "RemusDeviceModelState" /* u32 length */

/* tmem: a pool's flags. */
#define LEGACY_TMEM_PERSISTENT     UINT32_C(0x1)
#define LEGACY_TMEM_PAGESIZE_SHIFT 4
#define LEGACY_TMEM_PAGESIZE_MASK  UINT32_C(0xf)

#endif
