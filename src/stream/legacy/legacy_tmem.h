/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks of transcendent memory in a legacy image, only to get past them: no
 * hypervisor since Xen 4.13 has anything to load them into.
 *
 *  TMEM        u32 version, u32 pools, u32 ~0, u32 flags, u32 weight,
 *              u32 cap, u32 ~0, then pools, then u32 ~0
 *    a pool    u32 id, u32 flags, u32 pages, u64 uuid[2], then its pages
 *    a page    u64 object[3], u32 index, octets; an object of all ones ends
 *              the pool early
 *  TMEM_EXTRA  {u32 pool, u64 object[3], u32 index}*, u32 ~0
 */
#ifndef STREAM_LEGACY_LEGACY_TMEM_H
#define STREAM_LEGACY_LEGACY_TMEM_H

#include "stream/stream_io.h"

/* From behind the marker; '*ret_length' is how many octets that was. */
must_check bool legacy_tmem_skip(struct stream_source *source,
                                 uint64_t *ret_length, struct error *err);
must_check bool legacy_tmem_extra_skip(struct stream_source *source,
                                       uint64_t *ret_length, struct error *err);

#endif
