/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One call fails: a read of the source, a write of the sink, a call on a file,
 * an allocation.  A sweep arms it with 0, 1, 2 ... until nothing fails any
 * more; the calls on files and the allocations of the whole program count (the
 * linker wraps them), so that only what is between arming and disarming may
 * make any.
 *
 * While anything is armed, files are read and written in odd pieces, and calls
 * on them are interrupted.
 */
#ifndef TESTS_STREAM_FAULTS_H
#define TESTS_STREAM_FAULTS_H

#include "base/buffer.h"
#include "stream/stream_io.h"

enum fault_kind { FAULT_READ, FAULT_WRITE, FAULT_FILE, FAULT_MEMORY };
#define FAULT_KINDS 4

/* The call of this kind after 'n' others will fail, and those after it. */
void fault_arm(enum fault_kind kind, unsigned long n);

/* Whether it came to that. */
bool fault_disarm(void);

/* What the error of a failed call of the kind must be. */
enum error_code fault_code(enum fault_kind kind);

/*
 * Octets in memory, 'chunk' at a time (0: all that is asked for).  With 'holes'
 * a run of zero octets is a hole.
 */
struct faulty_source {
    struct memory_source memory;
    struct stream_source inner;
    bool holes;
};
struct stream_source source_with_faults(struct faulty_source *f,
                                        const struct buffer *image,
                                        size_t chunk, bool holes);

/* Appends to a buffer. */
struct stream_sink sink_with_faults(struct buffer *out);

#endif
