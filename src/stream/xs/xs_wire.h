/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Constants of the xenstore state stream, nothing else.
 *
 * Spec: Xen's docs/designs/xenstore-migration.md.
 */
#ifndef STREAM_XS_WIRE_H
#define STREAM_XS_WIRE_H

#define XSDUMP_MAGIC       UINT64_C(0x78656e73746f7265) /* "xenstore" */
#define XSDUMP_HEADER_SIZE 16u
#define XSDUMP_VERSION_MAX 2u
#define XSDUMP_FLAG_BIG    1u

enum xsdump_type {
    XSDUMP_END = 0,
    XSDUMP_GLOBAL = 1,
    XSDUMP_CONNECTION = 2,
    XSDUMP_WATCH = 3,
    XSDUMP_TRANSACTION = 4,
    XSDUMP_NODE = 5,
    XSDUMP_QUOTA = 6,
    XSDUMP_DOMAIN = 7,
    XSDUMP_WATCH_EXTENDED = 8,
};

#define XSDUMP_CONNECTION_RING   0u
#define XSDUMP_CONNECTION_SOCKET 1u
#define XSDUMP_FIELD_UNIQUE_ID   1u
#define XSDUMP_NO_DOMID          0x7ff4u
#define XSDUMP_NO_DEPTH          0xffffu

#define XSDUMP_ACCESS_DELETED 0u
#define XSDUMP_ACCESS_READ    1u
#define XSDUMP_ACCESS_WRITTEN 2u

#define XSDUMP_PERM_STALE 1u

/* Longer records than this are refused: no writer needs them. */
#define XSDUMP_BODY_MAX (1u << 20)

#endif
