/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the parts of the inspector share: inspect.c for current images,
 * inspect_legacy.c for legacy ones, inspect_wrapping.c for what neighbours put
 * around either.
 */
#ifndef STREAM_INSPECT_PRIVATE_H
#define STREAM_INSPECT_PRIVATE_H

#include "stream/image/image_open.h"
#include "stream/inspect.h"
#include "stream/pfn_set.h"
#include "stream/stream_reader.h"
#include "stream/xc/xc_page_data.h"

#define INSPECT_TEXT_MAX    4096 /* octets shown of a configuration or string */
#define INSPECT_PAGES_CHUNK 64   /* pages read at a time */

struct inspect {
    struct put_back looked_at;
    struct stream_source source;
    struct stream_reader reader;
    const struct inspect_options *options;
    struct field_sink *out;
    struct field_sink silent; /* where records go if only a summary is asked */
    struct field_sink *records;
    struct buffer body;
    struct page_data batch;   /* of the libxc reader */
    struct image_input image; /* what is neither of stream_reader.h */
    uint8_t *pages;           /* PAGES_CHUNK of them */

    uint8_t width; /* of a PV guest, once known */
    bool have_headers;
    struct xcstream_headers headers;

    /* For the summary. */
    uint64_t nr_records;
    uint64_t nr_batches;
    uint64_t frames_by_type[16];
    uint64_t nr_pages;
    uint64_t nr_zero_pages;
    uint64_t nr_repeated;
    uint64_t nr_beyond;
    uint64_t rounds;
    uint64_t max_pfn;
    uint64_t nr_checkpoints;
    uint64_t nr_vcpus; /* since the last checkpoint */
    uint64_t checkpoint_vcpus;
    bool have_verify;
    bool have_policies;
    bool converted;
    uint64_t last_pfn;
    struct legacy_start legacy_start;
    unsigned int legacy_newest; /* minor of the release that its chunks want */
    uint64_t sent_at_end;       /* distinct frames with contents */
    struct pfn_set seen;
};

/* Begin the row of a header or record; fields_end() ends it. */
void inspect_row(struct inspect *in, const char *layer, const char *name,
                 uint64_t offset);

void inspect_xl_file(struct inspect *in, uint64_t offset,
                     const struct xlfile_header *h,
                     const struct xlfile_config *config);

/*
 * The frames of one batch, as frame_word() makes them: counted, drawn, shown in
 * ranges.  If 'source' is not NULL the 'nr_pages' that they carry are read
 * from it where the options want that.
 */
must_check bool inspect_batch(struct inspect *in, const uint64_t *frames,
                              uint32_t nr_frames, uint64_t nr_pages,
                              struct stream_source *source, struct error *err);

/* Keys and values, each with its NUL, as far as they are whole. */
void inspect_pairs(struct inspect *in, struct cursor *c);

/* A list of P2M frames, in runs. */
void inspect_extents(struct inspect *in,
                     uint64_t (*get)(const void *context, size_t i),
                     const void *context, size_t nr);

/* {u64 xcr0, u64 xcr0_accum} and the area, of a PV guest's vCPU. */
void inspect_xsave(struct inspect *in, const uint8_t *bytes, uint32_t length,
                   enum byte_order order);
void inspect_hvm_context(struct inspect *in, const uint8_t *bytes,
                         uint32_t length);
void inspect_hvm_param(struct inspect *in, uint64_t index, uint64_t value);

/* The part of the summary that every form has. */
void inspect_counts(struct inspect *in);

/* inspect_legacy.c: 'in->image' is open. */
must_check bool inspect_legacy(struct inspect *in, struct error *err);
void inspect_legacy_summary(struct inspect *in);

/* inspect_wrapping.c: before and after the image. */
void inspect_wrapping_begin(struct inspect *in);
must_check bool inspect_wrapping_end(struct inspect *in, struct error *err);

#endif
