/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two headers that begin a libxc image.
 *
 *     0     1     2     3     4     5     6     7 octet
 *    +-------------------------------------------------+
 *    | marker: all ones                                |
 *    +-----------------------+-------------------------+   always
 *    | id "XENF"             | version                 |   big-endian
 *    +-----------+-----------+-------------------------+
 *    | options   | (reserved)                          |
 *    +-----------+-----------+-----------+-------------+
 *    | type                  | page_shift| (reserved)  |   as options
 *    +-----------------------+-----------+-------------+   bit 0 says
 *    | xen_major             | xen_minor               |
 *    +-----------------------+-------------------------+
 */
#ifndef STREAM_XC_XC_HEADERS_H
#define STREAM_XC_XC_HEADERS_H

#include "stream/record.h"
#include "stream/xc/xc_wire.h"

#define XCSTREAM_HEADERS_SIZE \
    (XCSTREAM_IMAGE_HEADER_SIZE + XCSTREAM_DOMAIN_HEADER_SIZE)

struct xcstream_headers {
    uint64_t marker;
    uint32_t id;
    uint32_t version;
    uint16_t options;
    uint64_t image_reserved; /* 48 bits */

    uint32_t type; /* enum xcstream_domain_type */
    uint16_t page_shift;
    uint16_t domain_reserved;
    uint32_t xen_major;
    uint32_t xen_minor;

    uint64_t offset;       /* of the image header */
    enum byte_order order; /* of everything after the image header */
};

/* What the fields say, unjudged. */
struct xcstream_headers
xcstream_headers_decode(const uint8_t bytes[XCSTREAM_HEADERS_SIZE],
                        uint64_t offset);

/*
 * What no reader can do without: marker, id, a version we know, pages of 4096
 * octets, a type that is PV or HVM.  Reserved fields are not looked at.
 */
must_check bool xcstream_headers_check(const struct xcstream_headers *h,
                                       struct error *err);

/* Read, decode and check. */
must_check bool xcstream_headers_read(struct stream_source *source,
                                      struct xcstream_headers *ret,
                                      struct error *err);

/* Reserved fields are zero; 'marker' and 'id' need not be set. */
void xcstream_headers_append(struct buffer *buffer,
                             const struct xcstream_headers *h);

/* "x86 PV", "x86 HVM", ... or "unknown". */
const char *xcstream_domain_type_name(uint32_t type);

#endif
