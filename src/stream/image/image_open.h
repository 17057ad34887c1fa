/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an image is and what is wrapped around it, looked at from its first
 * octets and without a way back: pipes are welcome.
 *
 *  xl file, libxl stream, libxc image   for stream_reader.h
 *  legacy image, bare or in an xl file  for legacy_image.h
 *  libvirt managed save                 magic, u32 version, u32 length of the
 *                                       XML, 40 octets, the XML, an image
 *  XenServer suspend image              signature, then {u64 type, u64 length}
 *                                       and octets; a libxc image has length 0
 *                                       and stands there without a frame
 */
#ifndef STREAM_IMAGE_IMAGE_OPEN_H
#define STREAM_IMAGE_IMAGE_OPEN_H

#include "stream/legacy/legacy_image.h"
#include "stream/put_back.h"
#include "stream/sniff.h"
#include "stream/xl/xl_file.h"

enum image_form { IMAGE_STREAM, IMAGE_LEGACY };

enum image_wrapping { WRAPPED_NOT, WRAPPED_LIBVIRT, WRAPPED_XENOPSD };

/* Types of a XenServer suspend image's headers. */
enum xenopsd_type {
    XENOPSD_XENOPS = 0x000f,
    XENOPSD_LIBXC = 0x00f0,
    XENOPSD_LIBXL = 0x00f1,
    XENOPSD_LIBXC_LEGACY = 0x00f2,
    XENOPSD_QEMU_TRAD = 0x0f00,
    XENOPSD_QEMU_XEN = 0x0f01,
    XENOPSD_DEMU = 0x0f10,
    XENOPSD_VARSTORED = 0x0f11,
    XENOPSD_END = 0xffff,
};

/* Records of a suspend image before its image; real ones have one. */
#define XENOPSD_RECORDS_MAX 16

/* Octets that are kept of libvirt's XML, or of the last Xenops record. */
#define WRAPPING_TEXT_MAX 4096

/* What stood around the image, for whoever explains it. */
struct image_wrapping_head {
    uint64_t offset;
    struct {
        uint64_t offset, type, length;
    } records[XENOPSD_RECORDS_MAX]; /* XenServer */
    unsigned int nr_records;
    bool unframed;                /* XenServer's older signature: no records */
    uint32_t version, xml_length; /* libvirt */
    char text[WRAPPING_TEXT_MAX];
    size_t text_length;
};

/* XML and configurations are passed over or kept up to this length. */
#define IMAGE_CONFIG_MAX XLFILE_OPTIONAL_MAX

struct image_input {
    enum image_form form;
    enum stream_kind kind; /* of the image, without its wrapping */
    enum image_wrapping wrapping;
    struct image_wrapping_head head;
    struct stream_source source;  /* the image, from its first octet */
    struct legacy_options legacy; /* IMAGE_LEGACY: width and guest are set */
    bool has_xl_header;           /* IMAGE_LEGACY: it stood in an xl file */
    struct xlfile_header xl_header;
    struct xlfile_config xl_config; /* borrowed from 'config' */
    struct buffer config;           /* owned */
    struct put_back looked_at[4];
    struct stream_source unwrapped[2]; /* stages on the way to 'source' */
    struct stream_source xl_source;
};

/*
 * 'legacy' says what the caller knows of width and guest.  'source' must
 * outlive '*ret', which must not move.
 */
must_check bool image_open(struct image_input *ret,
                           struct stream_source *source,
                           const struct legacy_options *legacy,
                           struct error *err);
/*
 * As image_open(), where the image is known to be a legacy one: the first
 * octets are not judged.
 */
must_check bool image_open_legacy(struct image_input *ret,
                                  struct stream_source *source,
                                  const struct legacy_options *legacy,
                                  bool xl_header, struct error *err);
void image_close(struct image_input *input);

/*
 * In a XenServer image records follow a legacy image: it has one round, and no
 * device model of its own.  Set 'input->legacy' accordingly.
 */
void image_legacy_in_wrapping(struct image_input *input);

/* "Xenops", "Libxc", ...; NULL for a type that is not known. */
const char *xenopsd_type_name(uint64_t type);

/* The next header of a XenServer suspend image. */
must_check bool xenopsd_header_read(struct stream_source *source,
                                    uint64_t *ret_type, uint64_t *ret_length,
                                    struct error *err);

/*
 * Append an xl header for a libxl stream, with the configuration of another
 * header ('config' may be absent), as it is there.
 */
void xlfile_append_again(struct buffer *buffer, const struct xlfile_header *h,
                         const struct xlfile_config *config,
                         const struct buffer *optional, bool stream2);

#endif
