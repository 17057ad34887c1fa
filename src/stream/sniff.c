/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/sniff.h"

#include <string.h>

#include "base/cursor.h"

static const struct {
    const char *magic;
    size_t length;
    enum stream_kind kind;
} magics[] = {
    {"\xff\xff\xff\xff\xff\xff\xff\xff", 8, STREAM_LIBXC     },
    {"LibxlFmt",                         8, STREAM_LIBXL     },
    {"Xen save",                         8, STREAM_XL_FILE   },
    {"xenstore",                         8, STREAM_XENSTORE  },
    {"$xenstor",                         8, STREAM_OXENSTORED},
    {"XenSaved",                         8, STREAM_XENOPSD   },
    {"libvirt-",                         8, STREAM_LIBVIRT   },
    {"\x89XFI\r\n\x1a\n",                8, STREAM_CONTAINER },
    {"QEVM",                             4, STREAM_QEMU      },
    {"\x7f"
     "ELF",                         4, STREAM_ELF       },
    {"\x1f\x8b",                         2, STREAM_GZIP      },
    {"\x28\xb5\x2f\xfd",                 4, STREAM_ZSTD      },
    {"\xfd"
     "7zXZ",                        5, STREAM_XZ        },
};

/* A legacy image begins with the size of the guest, 1 frame at the least. */
static enum stream_kind sniff_legacy(const uint8_t *bytes)
{
    struct cursor c = cursor_over(bytes, SNIFF_SIZE, ORDER_LITTLE);
    uint32_t frames = cursor_u32(&c);
    int32_t next = (int32_t)cursor_u32(&c);

    /* 28 bits of pfn: no legacy guest has more frames. */
    if (frames == 0 || frames > UINT32_C(0x10000000))
        return STREAM_UNKNOWN;
    if (next == 0)
        return STREAM_LEGACY_64;
    if (next >= -21 && next <= 1024)
        return STREAM_LEGACY_32;
    return STREAM_UNKNOWN;
}

enum stream_kind sniff(const uint8_t bytes[SNIFF_SIZE])
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
        if (memcmp(bytes, magics[i].magic, magics[i].length) == 0)
            return magics[i].kind;
    return sniff_legacy(bytes);
}

const char *stream_kind_name(enum stream_kind kind)
{
    switch (kind) {
    case STREAM_UNKNOWN:
        break;
    case STREAM_XL_FILE:
        return "xl save file";
    case STREAM_LIBXL:
        return "libxl stream";
    case STREAM_LIBXC:
        return "libxc image";
    case STREAM_LEGACY_64:
        return "legacy image (64-bit toolstack)";
    case STREAM_LEGACY_32:
        return "legacy image (32-bit toolstack)";
    case STREAM_XENSTORE:
        return "xenstore state stream";
    case STREAM_OXENSTORED:
        return "oxenstored dump";
    case STREAM_XENOPSD:
        return "XenServer suspend image";
    case STREAM_LIBVIRT:
        return "libvirt managed save";
    case STREAM_CONTAINER:
        return "xenferry container";
    case STREAM_QEMU:
        return "QEMU device state";
    case STREAM_ELF:
        return "ELF file";
    case STREAM_GZIP:
        return "gzip data";
    case STREAM_ZSTD:
        return "zstd data";
    case STREAM_XZ:
        return "xz data";
    }
    return "unknown data";
}
