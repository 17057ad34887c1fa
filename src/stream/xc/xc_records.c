/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_records.h"

static const struct xcstream_record_info records[] = {
#define XCSTREAM_RECORD(name, value, guests, min_version, use) \
    [value] = {#name, value, guests, min_version, RECORD_##use},
#include "stream/xc/xc_records.def"
#undef XCSTREAM_RECORD
};

const struct xcstream_record_info *xcstream_record_find(uint32_t type)
{
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
