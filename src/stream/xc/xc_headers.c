/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_headers.h"

#include <inttypes.h>

struct xcstream_headers
xcstream_headers_decode(const uint8_t bytes[XCSTREAM_HEADERS_SIZE],
                        uint64_t offset)
{
    struct xcstream_headers h = {.offset = offset};
    struct cursor c = cursor_over(bytes, XCSTREAM_HEADERS_SIZE, ORDER_BIG);

    h.marker = cursor_u64(&c);
    h.id = cursor_u32(&c);
    h.version = cursor_u32(&c);
    h.options = cursor_u16(&c);
    h.image_reserved = (uint64_t)cursor_u16(&c) << 32;
    h.image_reserved |= cursor_u32(&c);

    h.order = h.options & XCSTREAM_OPTION_BIG ? ORDER_BIG : ORDER_LITTLE;
    c.order = h.order;
    h.type = cursor_u32(&c);
    h.page_shift = cursor_u16(&c);
    h.domain_reserved = cursor_u16(&c);
    h.xen_major = cursor_u32(&c);
    h.xen_minor = cursor_u32(&c);
    return h;
}

bool xcstream_headers_check(const struct xcstream_headers *h, struct error *err)
{
    if (h->marker != XCSTREAM_MARKER)
        return error_set_at(
            err, ERR_FORMAT, h->offset,
            "image header: marker %#" PRIx64 ", expected all ones", h->marker);
    if (h->id != XCSTREAM_ID)
        return error_set_at(err, ERR_FORMAT, h->offset + 8,
                            "image header: id %#" PRIx32 ", expected %#" PRIx32,
                            h->id, XCSTREAM_ID);
    if (h->version < XCSTREAM_VERSION_2 || h->version > XCSTREAM_VERSION_3)
        return error_set_at(
            err, ERR_UNSUPPORTED, h->offset + 12,
            "image header: version %" PRIu32 ", expected 2 or 3", h->version);
    if (h->type != XCSTREAM_DOMAIN_PV && h->type != XCSTREAM_DOMAIN_HVM)
        return error_set_at(err, ERR_UNSUPPORTED,
                            h->offset + XCSTREAM_IMAGE_HEADER_SIZE,
                            "domain header: type %" PRIu32
                            ", expected 1 (x86 PV) or 2 (x86 HVM)",
                            h->type);
    if (h->page_shift != PAGE_SHIFT)
        return error_set_at(err, ERR_UNSUPPORTED,
                            h->offset + XCSTREAM_IMAGE_HEADER_SIZE + 4,
                            "domain header: page shift %u, expected %u",
                            h->page_shift, PAGE_SHIFT);
    return true;
}

bool xcstream_headers_read(struct stream_source *source,
                           struct xcstream_headers *ret, struct error *err)
{
    uint8_t bytes[XCSTREAM_HEADERS_SIZE];
    uint64_t offset = source->offset;
    struct xcstream_headers h;

    if (!source_read(source, bytes, sizeof(bytes), "image and domain header",
                     err))
        return false;
    h = xcstream_headers_decode(bytes, offset);
    if (!xcstream_headers_check(&h, err))
        return false;
    *ret = h;
    return true;
}

void xcstream_headers_append(struct buffer *buffer,
                             const struct xcstream_headers *h)
{
    enum byte_order order = buffer->order;

    buffer->order = ORDER_BIG;
    buffer_u64(buffer, XCSTREAM_MARKER);
    buffer_u32(buffer, XCSTREAM_ID);
    buffer_u32(buffer, h->version);
    buffer_u16(buffer, order == ORDER_BIG ? XCSTREAM_OPTION_BIG : 0);
    buffer_zeroes(buffer, 6);
    buffer->order = order;
    buffer_u32(buffer, h->type);
    buffer_u16(buffer, h->page_shift);
    buffer_u16(buffer, 0);
    buffer_u32(buffer, h->xen_major);
    buffer_u32(buffer, h->xen_minor);
}

const char *xcstream_domain_type_name(uint32_t type)
{
    switch (type) {
    case XCSTREAM_DOMAIN_PV:
        return "x86 PV";
    case XCSTREAM_DOMAIN_HVM:
        return "x86 HVM";
    case XCSTREAM_DOMAIN_DRAFT_PVH:
        return "x86 PVH (draft)";
    case XCSTREAM_DOMAIN_DRAFT_ARM:
        return "ARM (draft)";
    default:
        return "unknown";
    }
}
