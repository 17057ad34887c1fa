/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image, layer by layer: a pull reader of headers and records.
 *
 *    xl file header                         optional
 *      libxl header, records                optional
 *        LIBXC_CONTEXT
 *          libxc headers, records ... END
 *      records ... END
 *
 * Checkpointed images (Remus, COLO) go to and fro between the two layers:
 *
 *    ... LIBXC_CONTEXT | libxc headers ... CHECKPOINT
 *        | EMULATOR_* CHECKPOINT_END [CHECKPOINT_STATE] | PAGE_DATA ...
 *        CHECKPOINT | ...                              until the source dies
 *
 * After CHECKPOINT_END only the record itself says whose it is: a
 * CHECKPOINT_STATE has four octets where the libxc record of the same number
 * has at least eight.
 *
 * A record's body is the caller's to read, as far as it likes: the next call
 * moves past what is left of it.
 */
#ifndef STREAM_STREAM_READER_H
#define STREAM_STREAM_READER_H

#include "stream/record.h"
#include "stream/sniff.h"
#include "stream/xc/xc_headers.h"
#include "stream/xl/xl_file.h"
#include "stream/xl/xl_records.h"

enum stream_item_kind {
    ITEM_XL_FILE_HEADER, /* 'xl_file' and 'config' */
    ITEM_LIBXL_HEADER,   /* 'libxl' */
    ITEM_LIBXL_RECORD,   /* 'head' */
    ITEM_LIBXC_HEADERS,  /* 'libxc' */
    ITEM_LIBXC_RECORD,   /* 'head' */
    ITEM_END,            /* the outermost END has been read */
};

struct stream_item {
    enum stream_item_kind kind;
    uint64_t offset;
    struct record_head head;
    struct xlfile_header xl_file;
    struct xlfile_config config; /* borrowed from the reader */
    struct xlstream_header libxl;
    struct xcstream_headers libxc;
};

struct stream_reader {
    struct stream_source *source;
    int state; /* private */
    bool in_libxl;
    bool body_open; /* the last item's body ends at 'body_end' */
    bool after_checkpoint_end;
    bool libxc_open; /* headers read, no END yet */
    uint64_t body_end;
    enum stream_kind kind; /* of the outermost layer */
    struct xlstream_header libxl;
    struct xcstream_headers libxc;
    struct xlfile_header xl_file;
    struct buffer scratch; /* owned; the xl configuration */
};

void stream_reader_init(struct stream_reader *r, struct stream_source *source);
void stream_reader_release(struct stream_reader *r);

/*
 * The next header or record.  Headers are given as they are; what no reader
 * can do without is checked on the call after, so that a caller may show a
 * header that is refused.
 */
must_check bool stream_reader_next(struct stream_reader *r,
                                   struct stream_item *ret, struct error *err);

/* Move past what is left of the last record's body. */
must_check bool stream_reader_finish_body(struct stream_reader *r,
                                          struct error *err);

/* "libxl EMULATOR_CONTEXT", ...; static storage. */
const char *stream_item_name(const struct stream_item *item);

#endif
