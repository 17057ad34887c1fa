/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One page of a compressed round (Remus): what changed since the copy that
 * the receiver has.
 *
 *    0x00                     the page is as it was
 *    0x80, 4096 octets        the whole page
 *    else runs, until the page is covered:
 *      0x80 | n               n words of 32 bits are as they were
 *      n, 4 n octets          n words of 32 bits are these; n is 1 to 127
 */
#ifndef STREAM_LEGACY_LEGACY_COMPRESS_H
#define STREAM_LEGACY_LEGACY_COMPRESS_H

#include "stream/stream_io.h"

/* 'page' has the old contents and gets the new. */
must_check bool legacy_decompress_page(struct stream_source *source,
                                       uint8_t page[PAGE_SIZE],
                                       struct error *err);

#endif
