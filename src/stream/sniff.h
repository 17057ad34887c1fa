/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a run of octets is, by its first eight.
 *
 * Legacy images have no magic: octets 4 to 7 are zero (64-bit saver), all ones
 * (32-bit saver, PV) or a small chunk marker (32-bit saver, HVM), and the
 * first eight are never all ones.
 */
#ifndef STREAM_SNIFF_H
#define STREAM_SNIFF_H

#include "base/macros.h"

#define SNIFF_SIZE 8

enum stream_kind {
    STREAM_UNKNOWN,
    STREAM_XL_FILE,
    STREAM_LIBXL,
    STREAM_LIBXC,
    STREAM_LEGACY_64,
    STREAM_LEGACY_32,
    STREAM_XENSTORE,   /* xenstore state stream */
    STREAM_OXENSTORED, /* its text dump */
    STREAM_XENOPSD,    /* XenServer suspend image */
    STREAM_LIBVIRT,    /* libvirt managed save */
    STREAM_CONTAINER,  /* an image in our own form */
    STREAM_QEMU,       /* a device model's state */
    STREAM_ELF,        /* a core file, perhaps */
    STREAM_GZIP,
    STREAM_ZSTD,
    STREAM_XZ,
};

enum stream_kind sniff(const uint8_t bytes[SNIFF_SIZE]);

/* "libxl stream", "legacy image (64-bit toolstack)", ... */
const char *stream_kind_name(enum stream_kind kind);

#endif
