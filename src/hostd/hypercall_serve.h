/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypercalls: the number, arguments and result of each, and who serves it.
 *
 * A call is served whole or not at all, with the baton held, before the
 * caller's next instruction: there is no half-done one to save.
 *
 * What this host does not know stops the guest with a message that names the
 * call, its arguments and where it came from; a call that Xen itself would
 * refuse returns Xen's error number.
 */
#ifndef HOSTD_HYPERCALL_SERVE_H
#define HOSTD_HYPERCALL_SERVE_H

#include "hostd/guest_machine.h"

#define HYPERCALL_ARGS 3

struct hypercall {
    struct machine *m;
    struct vcpu *v; /* the caller */
    uint64_t rip;   /* for messages */
    uint64_t nr;
    uint64_t arg[HYPERCALL_ARGS];
};

/* The value for RAX. */
int64_t hypercall_serve(struct hypercall *c);

/* Fill the guest's hypercall page: 32 octets for each call. */
void hypercall_page_fill(uint8_t *page);

/* The port of the 'out' in it, by which a call reaches the emulator's hook. */
#define HYPERCALL_PORT 0x58

/* ---- for those who serve them ------------------------------------------ */

/* Stop the guest: it wants what we do not have.  The value to return. */
int64_t hypercall_unknown(struct hypercall *c);

/* The argument structure at 'address'; false is -EFAULT. */
bool hypercall_read(struct hypercall *c, uint64_t address, void *to,
                    size_t length);
bool hypercall_write(struct hypercall *c, uint64_t address, const void *from,
                     size_t length);

int64_t hypercall_xen_version(struct hypercall *c);
int64_t hypercall_memory_op(struct hypercall *c);
int64_t hypercall_event_channel_op(struct hypercall *c);
int64_t hypercall_grant_table_op(struct hypercall *c);
int64_t hypercall_hvm_op(struct hypercall *c);
int64_t hypercall_vcpu_op(struct hypercall *c);
int64_t hypercall_sched_op(struct hypercall *c);

#endif
