/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's processors as Xen's HVM context: a HEADER record, a CPU record for
 * each vCPU that is up, an END record.  There are no devices to add.
 *
 * Spec: Xen's public/arch-x86/hvm/save.h.
 */
#ifndef HOSTD_HVM_CONTEXT_H
#define HOSTD_HVM_CONTEXT_H

#include "base/buffer.h"
#include "hostd/hosted.h"

/* With the baton held, the guest paused. */
must_check bool hvm_context_save(struct hosted *h, struct buffer *ret,
                                 struct error *err);

/*
 * vCPUs without a record end up down.  On failure nothing has changed.
 * Records of other kinds are ignored: devices that this host does not have.
 */
must_check bool hvm_context_load(struct hosted *h, const uint8_t *bytes,
                                 size_t length, struct error *err);

#endif
