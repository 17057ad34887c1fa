/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images for tests, made with the project's own writers: every guest type,
 * version, layer and nesting that a real saver writes, and the byte order that
 * none does.  The same options give the same octets.
 */
#ifndef TESTS_STREAM_IMAGE_MAKER_H
#define TESTS_STREAM_IMAGE_MAKER_H

#include "base/buffer.h"
#include "base/error.h"

enum image_guest { IMAGE_HVM, IMAGE_PV64, IMAGE_PV32 };
enum made_layer { IMAGE_LIBXC, IMAGE_LIBXL, IMAGE_XL };

struct image_options {
    enum image_guest guest;
    enum made_layer layer;
    uint32_t version;         /* 2 or 3 */
    enum byte_order order;    /* of everything that may have one */
    uint32_t nr_frames;       /* guest frames; 0: 40 */
    uint32_t nr_vcpus;        /* 0: 1 */
    unsigned int rounds;      /* precopy rounds before the last; */
    unsigned int checkpoints; /* 0: a plain image that ends in END */
    bool colo;                /* checkpoints with CHECKPOINT_STATE */
    bool verify;              /* a VERIFY pass */
    bool emulator;            /* HVM: EMULATOR_CONTEXT */
    bool physmap;             /* HVM: EMULATOR_XENSTORE_DATA */
    bool optional;            /* a record of an unknown optional type */
    uint64_t seed;            /* of the pages' contents */
};

/* Append the image to 'out', whose order is overwritten. */
must_check bool image_make(const struct image_options *options,
                           struct buffer *out, struct error *err);

#endif
