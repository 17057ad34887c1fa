/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk workload: numbered blocks, written in turn and read back.
 *
 * Each slot takes the next block, reads and verifies what the last round left
 * there, writes the next generation, reads it back and verifies it.  Block b
 * lies at byte b * 4096, its pattern's number is b.  After every 64 writes
 * the back end is asked to flush.
 */
#ifndef GUEST_WORK_DISK_H
#define GUEST_WORK_DISK_H

#include "cmdline.h"

/* Take what is done, start up to 'credit' new blocks; returns how many. */
uint64_t work_disk_step(const struct options *o, uint64_t credit);

/* Blocks written and verified, and flushes done. */
uint64_t work_disk_sequence(void);
uint64_t work_disk_flushes(void);

#endif
