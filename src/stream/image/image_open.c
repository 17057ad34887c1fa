/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/image/image_open.h"

#include <inttypes.h>
#include <string.h>

#define LIBVIRT_MAGIC       "libvirt-xml\n \0 \r"
#define LIBVIRT_MAGIC_SIZE  16
#define LIBVIRT_HEADER_SIZE 64

#define XENOPSD_SIGNATURE      "XenSavedDomv2-\n"
#define XENOPSD_SIGNATURE_OLD  "XenSavedDomain\n"
#define XENOPSD_SIGNATURE_SIZE 15

bool xenopsd_header_read(struct stream_source *source, uint64_t *ret_type,
                         uint64_t *ret_length, struct error *err)
{
    uint8_t bytes[16];
    struct cursor c = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);

    if (!source_read(source, bytes, sizeof(bytes), "suspend image header", err))
        return false;
    *ret_type = cursor_u64(&c);
    *ret_length = cursor_u64(&c);
    return true;
}

const char *xenopsd_type_name(uint64_t type)
{
    switch (type) {
    case XENOPSD_XENOPS:
        return "Xenops";
    case XENOPSD_LIBXC:
        return "Libxc";
    case XENOPSD_LIBXL:
        return "Libxl";
    case XENOPSD_LIBXC_LEGACY:
        return "Libxc_legacy";
    case XENOPSD_QEMU_TRAD:
        return "Qemu_trad";
    case XENOPSD_QEMU_XEN:
        return "Qemu_xen";
    case XENOPSD_DEMU:
        return "Demu";
    case XENOPSD_VARSTORED:
        return "Varstored";
    case XENOPSD_END:
        return "End_of_image";
    default:
        return NULL;
    }
}

/* Keep the beginning of a text, and pass over the rest. */
static bool read_text(struct image_wrapping_head *head,
                      struct stream_source *source, uint64_t length,
                      const char *what, struct error *err)
{
    head->text_length =
        length < sizeof(head->text) ? (size_t)length : sizeof(head->text);
    return source_read(source, head->text, head->text_length, what, err) &&
           source_skip(source, length - head->text_length, what, err);
}

/* Move past the signature and the records before the image. */
static bool unwrap_xenopsd(struct image_wrapping_head *head,
                           struct stream_source *source, struct error *err)
{
    uint8_t signature[XENOPSD_SIGNATURE_SIZE];

    if (!source_read(source, signature, sizeof(signature),
                     "suspend image signature", err))
        return false;
    /* The older form has no frames: the image follows. */
    head->unframed =
        memcmp(signature, XENOPSD_SIGNATURE_OLD, sizeof(signature)) == 0;
    if (head->unframed)
        return true;
    if (memcmp(signature, XENOPSD_SIGNATURE, sizeof(signature)) != 0)
        return error_set_at(err, ERR_FORMAT, source->offset - sizeof(signature),
                            "suspend image: unknown signature, expected "
                            "XenSavedDomv2- or XenSavedDomain");
    for (unsigned int i = 0; i < XENOPSD_RECORDS_MAX; i++) {
        uint64_t offset = source->offset;
        uint64_t type, length;

        if (!xenopsd_header_read(source, &type, &length, err))
            return false;
        head->records[i].offset = offset;
        head->records[i].type = type;
        head->records[i].length = length;
        head->nr_records++;
        if (type == XENOPSD_LIBXC || type == XENOPSD_LIBXL ||
            type == XENOPSD_LIBXC_LEGACY)
            return true;
        if (type == XENOPSD_END || length > IMAGE_CONFIG_MAX)
            return error_set_at(err, ERR_FORMAT, offset,
                                "suspend image: record %#" PRIx64 " of %" PRIu64
                                " octets, expected a libxc image",
                                type, length);
        if (!read_text(head, source, length, "suspend image record", err))
            return false;
    }
    return error_set_at(err, ERR_LIMIT, source->offset,
                        "suspend image: 16 records, expected a libxc image "
                        "among them");
}

static bool unwrap_libvirt(struct image_wrapping_head *head,
                           struct stream_source *source, struct error *err)
{
    uint8_t bytes[LIBVIRT_HEADER_SIZE];
    struct cursor c = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);
    uint64_t offset = source->offset;
    uint32_t version, length;

    if (!source_read(source, bytes, sizeof(bytes), "libvirt header", err))
        return false;
    if (memcmp(cursor_bytes(&c, LIBVIRT_MAGIC_SIZE), LIBVIRT_MAGIC,
               LIBVIRT_MAGIC_SIZE) != 0)
        return error_set_at(err, ERR_FORMAT, offset,
                            "libvirt header: unknown magic, expected "
                            "\"libvirt-xml\"");
    version = cursor_u32(&c);
    length = cursor_u32(&c);
    if (version != 1 && version != 2)
        return error_set_at(
            err, ERR_UNSUPPORTED, offset + LIBVIRT_MAGIC_SIZE,
            "libvirt header: version %" PRIu32 ", expected 1 or 2", version);
    if (length > IMAGE_CONFIG_MAX)
        return error_set_at(err, ERR_LIMIT, offset + LIBVIRT_MAGIC_SIZE + 4,
                            "libvirt header: %" PRIu32
                            " octets of XML, expected at most %" PRIu32,
                            length, IMAGE_CONFIG_MAX);
    head->version = version;
    head->xml_length = length;
    return read_text(head, source, length, "libvirt XML", err);
}

/* Set 'legacy' from the first octets; false without 'err' if it is none. */
static bool open_legacy(struct image_input *in, struct stream_source *source,
                        struct error *err)
{
    size_t got;

    if (!source_peek(&in->looked_at[2], source, LEGACY_DETECT_SIZE, &in->source,
                     &got, err))
        return false;
    in->form = IMAGE_LEGACY;
    if (!legacy_detect(in->looked_at[2].bytes, got, &in->legacy))
        return error_set_at(err, got < 8 ? ERR_TRUNCATED : ERR_FORMAT,
                            in->source.offset,
                            "image: unknown data, expected an xl save file, a "
                            "libxl stream, a libxc image or a legacy image");
    in->kind = in->legacy.width == 8 ? STREAM_LEGACY_64 : STREAM_LEGACY_32;
    return true;
}

static bool read_xl_header(struct image_input *in, struct stream_source *source,
                           struct error *err)
{
    uint8_t bytes[XLFILE_HEADER_SIZE];

    in->config.cap = XLFILE_OPTIONAL_MAX;
    return source_read(source, bytes, sizeof(bytes), "xl header", err) &&
           xlfile_header_decode(bytes, source->offset - sizeof(bytes),
                                &in->xl_header, err) &&
           xlfile_config_read(source, &in->xl_header, &in->config,
                              &in->xl_config, err);
}

/* An xl file: of a libxl stream, left as it is, or of a legacy image. */
static bool open_xl_file(struct image_input *in, struct stream_source *source,
                         struct error *err)
{
    struct xlfile_header h;
    size_t got;

    if (!source_peek(&in->looked_at[1], source, XLFILE_HEADER_SIZE, &in->source,
                     &got, err))
        return false;
    if (got < XLFILE_HEADER_SIZE)
        return error_set_at(err, ERR_TRUNCATED, in->source.offset,
                            "xl header: stream ends after %zu octets, expected "
                            "48",
                            got);
    if (!xlfile_header_decode(in->looked_at[1].bytes, in->source.offset, &h,
                              err))
        return false;
    /* A libxl stream, or what its reader refuses. */
    if (h.mandatory_flags &
        (XLFILE_MANDATORY_STREAM2 | ~XLFILE_MANDATORY_KNOWN))
        return true;
    in->has_xl_header = true;
    in->xl_source = in->source;
    return read_xl_header(in, &in->xl_source, err) &&
           open_legacy(in, &in->xl_source, err);
}

static bool sniff_source(struct image_input *in, struct put_back *p,
                         struct stream_source *source,
                         struct stream_source *ret, struct error *err)
{
    size_t got;

    if (!source_peek(p, source, SNIFF_SIZE, ret, &got, err))
        return false;
    if (got < SNIFF_SIZE)
        return error_set_at(err, ERR_TRUNCATED, ret->offset,
                            "image: %zu octets, expected at least 8", got);
    in->kind = sniff(p->bytes);
    return true;
}

static void image_init(struct image_input *ret,
                       const struct legacy_options *legacy)
{
    memset(ret, 0, sizeof(*ret));
    if (legacy)
        ret->legacy = *legacy;
}

static bool open_unwrapped(struct image_input *in, struct stream_source *source,
                           struct error *err)
{
    switch (in->kind) {
    case STREAM_XL_FILE:
        return open_xl_file(in, source, err);
    case STREAM_LIBXL:
    case STREAM_LIBXC:
        in->source = *source;
        return true;
    case STREAM_LEGACY_32:
    case STREAM_LEGACY_64:
    case STREAM_UNKNOWN:
        return open_legacy(in, source, err);
    default:
        return error_set_at(err, ERR_UNSUPPORTED, source->offset,
                            "image: %s, expected an image of a guest",
                            stream_kind_name(in->kind));
    }
}

bool image_open(struct image_input *ret, struct stream_source *source,
                const struct legacy_options *legacy, struct error *err)
{
    struct image_input *in = ret;
    struct stream_source *at = &in->unwrapped[0];

    image_init(in, legacy);
    if (!sniff_source(in, &in->looked_at[0], source, at, err))
        return false;
    if (in->kind == STREAM_LIBVIRT || in->kind == STREAM_XENOPSD) {
        in->wrapping =
            in->kind == STREAM_LIBVIRT ? WRAPPED_LIBVIRT : WRAPPED_XENOPSD;
        in->head.offset = at->offset;
        if (in->kind == STREAM_LIBVIRT ? !unwrap_libvirt(&in->head, at, err)
                                       : !unwrap_xenopsd(&in->head, at, err))
            return false;
        if (!sniff_source(in, &in->looked_at[3], at, &in->unwrapped[1], err))
            return false;
        at = &in->unwrapped[1];
    }
    return open_unwrapped(in, at, err);
}

bool image_open_legacy(struct image_input *ret, struct stream_source *source,
                       const struct legacy_options *legacy, bool xl_header,
                       struct error *err)
{
    image_init(ret, legacy);
    ret->form = IMAGE_LEGACY;
    ret->kind = legacy->width == 8 ? STREAM_LEGACY_64 : STREAM_LEGACY_32;
    ret->has_xl_header = xl_header;
    if (xl_header && !read_xl_header(ret, source, err))
        return false;
    ret->source = *source;
    return true;
}

void image_legacy_in_wrapping(struct image_input *input)
{
    if (input->wrapping != WRAPPED_XENOPSD || input->head.unframed)
        return;
    input->legacy.first_round_only = true;
    input->legacy.no_device_model = true;
}

void image_close(struct image_input *input)
{
    buffer_release(&input->config);
}

void xlfile_append_again(struct buffer *buffer, const struct xlfile_header *h,
                         const struct xlfile_config *config,
                         const struct buffer *optional, bool stream2)
{
    buffer_bytes(buffer, XLFILE_MAGIC, XLFILE_MAGIC_SIZE);
    buffer_u32(buffer, XLFILE_BYTEORDER);
    buffer_u32(buffer,
               h->mandatory_flags | (stream2 ? XLFILE_MANDATORY_STREAM2 : 0));
    buffer_u32(buffer, h->optional_flags);
    if (h->order == ORDER_LITTLE) {
        /* With whatever stands behind the configuration. */
        buffer_u32(buffer, h->optional_length);
        buffer_bytes(buffer, optional->bytes, h->optional_length);
        return;
    }
    buffer_u32(buffer, config->present ? 4 + config->length : 0);
    if (config->present) {
        buffer_u32(buffer, config->length);
        buffer_bytes(buffer, config->text, config->length);
    }
}
