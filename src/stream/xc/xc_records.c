/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_records.h"

static const struct xcstream_record_info records[] = {
#define XCSTREAM_RECORD(name, value, guests, min_version, use) \
    [value] = {#name, value, guests, min_version, RECORD_##use},
#include "stream/xc/xc_records.def"
#undef XCSTREAM_RECORD
};

static const struct xcstream_record_info noncoop[] = {
#define NONCOOP(name)                                                          \
    [XCREC_##name - XCREC_NONCOOP_FIRST] = {#name, XCREC_##name, GUEST_HVM, 3, \
                                            RECORD_NONCOOP}
    NONCOOP(NC_IDENTITY),     NONCOOP(NC_CLOCK),  NONCOOP(NC_SHARED_INFO),
    NONCOOP(NC_GRANT_FRAMES), NONCOOP(NC_EVENTS), NONCOOP(NC_VCPUS),
    NONCOOP(NC_GRANTS),       NONCOOP(NC_STORE),
#undef NONCOOP
};

const struct xcstream_record_info *xcstream_record_find(uint32_t type)
{
    if (xcstream_record_noncoop(type))
        return &noncoop[type - XCREC_NONCOOP_FIRST];
    if (type >= ARRAY_SIZE(records) || !records[type].name)
        return NULL;
    return &records[type];
}

const char *xcstream_record_name(uint32_t type)
{
    const struct xcstream_record_info *info = xcstream_record_find(type);

    if (info)
        return info->name;
    return xcstream_record_optional(type) ? "UNKNOWN_OPTIONAL" : "UNKNOWN";
}
