/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What libvirt and XenServer put around an image. */
#include "stream/inspect_private.h"

static void explain_libvirt(struct inspect *in)
{
    const struct image_wrapping_head *head = &in->image.head;
    size_t length = head->text_length;

    inspect_row(in, "libvirt", "managed save header", head->offset);
    fields_number(in->records, "version", head->version);
    fields_number(in->records, "xml_length", head->xml_length);
    while (length > 0 && head->text[length - 1] == '\0')
        length--;
    fields_octets(in->records, "xml", head->text, length);
    fields_end(in->records);
}

static void xenopsd_row(struct inspect *in, uint64_t offset, uint64_t type,
                        uint64_t length)
{
    const char *name = xenopsd_type_name(type);

    inspect_row(in, "xenopsd", name ? name : "unknown", offset);
    fields_hex(in->records, "type", type);
    fields_number(in->records, "length", length);
}

static void explain_xenopsd(struct inspect *in)
{
    const struct image_wrapping_head *head = &in->image.head;

    inspect_row(in, "xenopsd", "suspend image signature", head->offset);
    fields_text(in->records, "form", head->unframed ? "without records" : "v2");
    fields_end(in->records);
    for (unsigned int i = 0; i < head->nr_records; i++) {
        xenopsd_row(in, head->records[i].offset, head->records[i].type,
                    head->records[i].length);
        if (head->records[i].type == XENOPSD_XENOPS)
            fields_octets(in->records, "text", head->text, head->text_length);
        fields_end(in->records);
    }
}

void inspect_wrapping_begin(struct inspect *in)
{
    switch (in->image.wrapping) {
    case WRAPPED_NOT:
        break;
    case WRAPPED_LIBVIRT:
        if (in->image.head.version)
            explain_libvirt(in);
        break;
    case WRAPPED_XENOPSD:
        explain_xenopsd(in);
        break;
    }
}

/* The first octets of a record tell whose state it is. */
static bool explain_xenopsd_state(struct inspect *in, uint64_t length,
                                  struct error *err)
{
    struct stream_source *source = in->reader.source;
    uint8_t bytes[4];
    size_t n = length < sizeof(bytes) ? (size_t)length : sizeof(bytes);

    if (!source_read(source, bytes, n, "suspend image record", err))
        return false;
    if (n > 0)
        fields_octets(in->records, "starts_with", bytes, n);
    return source_skip(source, length - n, "suspend image record", err);
}

bool inspect_wrapping_end(struct inspect *in, struct error *err)
{
    uint64_t type = XENOPSD_LIBXC;

    if (in->image.wrapping != WRAPPED_XENOPSD || in->image.head.unframed)
        return true;
    while (type != XENOPSD_END) {
        uint64_t offset = in->reader.source->offset;
        uint64_t length;
        bool ok;

        if (!xenopsd_header_read(in->reader.source, &type, &length, err))
            return false;
        xenopsd_row(in, offset, type, length);
        ok = type == XENOPSD_END || explain_xenopsd_state(in, length, err);
        fields_end(in->records);
        if (!ok)
            return false;
    }
    return true;
}
