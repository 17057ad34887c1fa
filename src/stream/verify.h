/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An image judged: every rule of the specifications, every check of real
 * restorers, and whether a named release would take it.
 *
 * One pass over a source that may be a pipe, in memory that does not depend on
 * the image; a page that a PV guest's registers name at the end is read again,
 * where the source has a way back.  Findings are reported as they are made.
 */
#ifndef STREAM_VERIFY_H
#define STREAM_VERIFY_H

#include "base/error.h"
#include "stream/legacy/legacy_image.h"
#include "stream/stream_io.h"
#include "stream/xc/xc_order.h"

/* Of one identifier no more findings than this are reported; all count. */
#define VERIFY_REPEAT_MAX 16

/* A body longer than this is passed over. */
#define VERIFY_BODY_MAX ((uint32_t)16 << 20)

struct finding {
    const char *id; /* stable: "xc-page-data-count" */
    enum severity severity;
    bool refused;            /* real restorers refuse on this */
    uint64_t offset;         /* of the record or header */
    const char *where;       /* "PAGE_DATA", "libxl header", ... */
    const char *explanation; /* what is expected */
    const char *found;       /* what is there; may be empty */
};

struct verify_options {
    unsigned int release;         /* minor of Xen 4.x to judge for; 0: none */
    struct legacy_options legacy; /* what is known of a legacy image */
    void (*report)(void *context, const struct finding *finding);
    void *context;
};

struct verify_result {
    uint64_t nr_by_severity[SEVERITY_ERROR + 1];
    uint64_t nr_refused; /* findings that make restorers refuse */
    uint64_t nr_records;
    uint64_t nr_pages;
    uint64_t octets; /* read */
};

/* Releases that --for knows: 4.6 to 4.23. */
#define VERIFY_RELEASE_MIN 6
#define VERIFY_RELEASE_MAX 23

/*
 * False only where the source itself fails (a read error, no memory): what is
 * wrong with the image is findings.
 */
must_check bool verify_stream(struct stream_source *source,
                              const struct verify_options *options,
                              struct verify_result *ret, struct error *err);

/* "note", "warning", "error". */
const char *severity_name(enum severity severity);

/*
 * The i-th of all rules, those of xc_order.h included; false after the last.
 * 'where' and 'found' are NULL.
 */
bool verify_rule(size_t i, struct finding *ret);

#endif
