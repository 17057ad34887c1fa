/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known about each record type of the libxc layer: a table. */
#ifndef STREAM_XC_XC_RECORDS_H
#define STREAM_XC_XC_RECORDS_H

#include "base/macros.h"
#include "stream/xc/xc_wire.h"

enum guest_set { GUEST_PV = 1, GUEST_HVM = 2, GUEST_ANY = 3 };

enum record_use {
    RECORD_CURRENT, /* written by releases, on the forward channel */
    RECORD_RETIRED, /* specified once, written by none */
    RECORD_BACK,    /* only from a COLO secondary to its primary */
    RECORD_NONCOOP, /* ours: only where the guest must not notice its move */
};

struct xcstream_record_info {
    const char *name; /* "PAGE_DATA" */
    uint32_t type;
    enum guest_set guests;
    unsigned int min_version; /* of the image */
    enum record_use use;
};

/* NULL for a type that no specification names. */
const struct xcstream_record_info *xcstream_record_find(uint32_t type);

/* The name, or "UNKNOWN" / "UNKNOWN_OPTIONAL". */
const char *xcstream_record_name(uint32_t type);

static inline bool xcstream_record_optional(uint32_t type)
{
    return type & XCREC_OPTIONAL;
}

static inline bool xcstream_record_noncoop(uint32_t type)
{
    return type >= XCREC_NONCOOP_FIRST && type < XCREC_NONCOOP_END;
}

#endif
