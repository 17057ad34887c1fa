/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processors of the guest in an image: what extract, core and diff need of
 * the records that are not pages, for PV and HVM guests alike.
 */
#ifndef STREAM_IMAGE_GUEST_STATE_H
#define STREAM_IMAGE_GUEST_STATE_H

#include "stream/stream_reader.h"
#include "stream/xc/xc_records.h"

/* A context, or an HVM context, longer than this is not kept. */
#define GUEST_STATE_BODY_MAX ((uint32_t)16 << 20)

/* In the order in which x86-64 core files have them. */
enum guest_register {
    REG_R15,
    REG_R14,
    REG_R13,
    REG_R12,
    REG_RBP,
    REG_RBX,
    REG_R11,
    REG_R10,
    REG_R9,
    REG_R8,
    REG_RAX,
    REG_RCX,
    REG_RDX,
    REG_RSI,
    REG_RDI,
    REG_ORIG_RAX,
    REG_RIP,
    REG_CS,
    REG_RFLAGS,
    REG_RSP,
    REG_SS,
    REG_FS_BASE,
    REG_GS_BASE,
    REG_DS,
    REG_ES,
    REG_FS,
    REG_GS,
    NR_CORE_REGISTERS,
    /* Not in a core file's set. */
    REG_CR0 = NR_CORE_REGISTERS,
    REG_CR3,
    REG_CR4,
    REG_EFER,
    NR_GUEST_REGISTERS,
};

struct guest_registers {
    uint64_t value[NR_GUEST_REGISTERS];
    bool known[NR_GUEST_REGISTERS];
    unsigned int levels; /* of its page tables: 5, 4, 3 or 2; 0: no paging */
};

struct guest_vcpu {
    uint32_t id;
    uint32_t length;
    uint8_t *bytes; /* owned; a PV guest's basic context */
};

struct guest_state {
    struct xcstream_headers headers;
    bool is_pv;
    uint8_t width;            /* PV: 4 or 8; 0: not known */
    struct guest_vcpu *vcpus; /* owned; PV */
    uint32_t nr_vcpus;
    struct buffer hvm_context;    /* owned */
    uint64_t records_by_type[32]; /* libxc records, how many of each */
};

/*
 * Read an image to its END, or (not 0) to the end of that checkpoint: the
 * last state of each kind stays.
 */
must_check bool guest_state_read(struct stream_source *source,
                                 uint32_t checkpoint, struct guest_state *ret,
                                 struct error *err);
void guest_state_release(struct guest_state *state);

/* How many vCPUs, and their registers; false if the i-th has no state. */
uint32_t guest_state_vcpus(const struct guest_state *state);
bool guest_state_registers(const struct guest_state *state, uint32_t i,
                           struct guest_registers *ret);

/* "rip", ... */
const char *guest_register_name(enum guest_register reg);

#endif
