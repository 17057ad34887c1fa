/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A legacy image into a libxc image of version 3, bare or in a libxl stream.
 *
 *    libxl header (converted), LIBXC_CONTEXT
 *      libxc headers (xen_major 0), [X86_PV_INFO], STATIC_DATA_END,
 *      [X86_PV_P2M_FRAMES]
 *      as they come: PAGE_DATA, X86_TSC_INFO, VERIFY
 *      [HVM_PARAMS from chunks, HVM_PARAMS from the tail, HVM_CONTEXT]
 *      [X86_PV_VCPU_*, SHARED_INFO], END
 *    [EMULATOR_XENSTORE_DATA], [EMULATOR_CONTEXT], END
 *
 * A plain image is converted as it comes, in constant memory.  An image of
 * several rounds (Remus) cannot be: what a round says counts only when the
 * round is complete, and compressed pages build on earlier ones.  For it the
 * caller lends scratch files, and all pages are written once, at the end, in
 * the order of their pfns.
 *
 * docs/formats/legacy.md says where this differs from the stock converter.
 */
#ifndef STREAM_LEGACY_LEGACY_CONVERT_H
#define STREAM_LEGACY_LEGACY_CONVERT_H

#include "base/log.h"
#include "stream/legacy/legacy_image.h"

enum legacy_scratch { SCRATCH_PAGES, SCRATCH_WORDS, SCRATCH_DATA, SCRATCH_MAX };

struct legacy_convert_options {
    struct legacy_options image; /* width and guest are set */
    bool libxl;                  /* a libxl stream; else a bare libxc image */
    bool find_zeroes;            /* the sink is a file: leave holes */
    const int *scratch; /* SCRATCH_MAX empty files, open for both; or NULL */
    const struct log *log;
    /* After each batch; may be NULL. */
    void (*progress)(void *context, uint64_t pages, uint64_t source_offset);
    void *context;
};

struct legacy_convert_result {
    struct legacy_start start;
    uint64_t nr_pages;   /* read, compressed ones included */
    uint64_t nr_written; /* to the sink */
    uint64_t nr_holes;   /* of those, zeroes in runs worth a hole */
    uint64_t nr_fillers;
    uint64_t nr_tmem;  /* octets of tmem that were left out */
    uint32_t nr_vcpus; /* PV */
    uint32_t rounds;
    bool verify;
    bool cut_off;        /* the last round was incomplete and does not count */
    bool several_rounds; /* without scratch: why the conversion failed */
};

/*
 * '*result' is filled as far as it went, on failure too.  ERR_UNSUPPORTED with
 * 'several_rounds': start over with scratch files.
 */
must_check bool legacy_convert(struct stream_source *source,
                               struct stream_sink *sink,
                               const struct legacy_convert_options *options,
                               struct legacy_convert_result *result,
                               struct error *err);

#endif
