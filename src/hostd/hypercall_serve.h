/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hypercalls: the number, arguments and result of each, and who serves it.
 *
 * A call is served whole or not at all, with the baton held, before the
 * caller's next instruction: there is no half-done one to save.  One that
 * touches another guest may have to be put off until that stands still as well
 * (peers.h): the caller makes it again then, with the arguments that are left.
 *
 * What this host does not know stops the guest with a message that names the
 * call, its arguments and where it came from; a call that Xen itself would
 * refuse returns Xen's error number.
 */
#ifndef HOSTD_HYPERCALL_SERVE_H
#define HOSTD_HYPERCALL_SERVE_H

#include "hostd/guest_machine.h"

#define HYPERCALL_ARGS 3

/* The other guest that stands still as well. */
struct other_guest {
    bool sought; /* false: none does, and nobody has looked */
    uint16_t domid;
    struct machine *m; /* NULL: there is no guest of that number */
};

struct hypercall {
    struct machine *m;
    struct vcpu *v; /* the caller */
    uint64_t rip;   /* for messages */
    uint64_t nr;
    uint64_t arg[HYPERCALL_ARGS];
    struct other_guest other;
    bool put_off;   /* result: not made, for want of ... */
    uint16_t needs; /* ... this guest; 'arg' is what is left to be done */
};

/* The value for RAX, unless c->put_off is set by it. */
int64_t hypercall_serve(struct hypercall *c);

/* Fill the guest's hypercall page: 32 octets for each call. */
void hypercall_page_fill(uint8_t *page);

/* Whether the code at c->rip is the entry of this call there. */
bool hypercall_is_from_page(struct hypercall *c);

/* The port of the 'out' in it, by which a call reaches the emulator's hook. */
#define HYPERCALL_PORT 0x58

/* ---- for those who serve them ------------------------------------------ */

/* Stop the guest: it wants what we do not have.  The value to return. */
int64_t hypercall_unknown(struct hypercall *c);

/* Whether a guest means itself by it. */
bool hypercall_means_self(const struct hypercall *c, domid_t domid);

/*
 * The guest 'domid', which may be the caller; NULL if there is none.  False:
 * the call is put off, and what it returns does not matter.
 */
bool hypercall_guest(struct hypercall *c, domid_t domid, struct machine **ret);

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
