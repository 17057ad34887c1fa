/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest as an ELF core file, for gdb and its like.
 *
 *    ELF header, program headers, [one section header]
 *    PT_NOTE   per vCPU: "CORE" NT_PRSTATUS, "XENFERRY" 1
 *    pages     in the order of their pfns, from a multiple of 4096 on
 *
 * The file is always ELF64 for x86-64.  Each PT_LOAD has the guest-physical
 * address in p_paddr.  In p_vaddr it has either the same, one PT_LOAD for each
 * run of frames, or the address at which a vCPU's page tables map it, one for
 * each stretch; several of these may share pages.  From 65535 program headers
 * on the section header says how many there are.
 *
 * The note "XENFERRY" of type 1: u64 cr0, cr2, cr3, cr4, efer.
 */
#ifndef STREAM_IMAGE_CORE_FILE_H
#define STREAM_IMAGE_CORE_FILE_H

#include "stream/image/guest_image.h"
#include "stream/page_copy.h"

/* PT_LOADs at most; an image of scattered pages has many. */
#define CORE_LOADS_MAX (UINT32_C(1) << 20)

struct core_options {
    bool by_virtual;  /* p_vaddr as the page tables of 'vcpu' say */
    uint32_t vcpu;    /* an index for guest_registers_get() */
    bool find_zeroes; /* the sink is a file: leave holes */
    void (*progress)(void *context, uint64_t pages, uint64_t octets);
    void *context;
};

struct core_result {
    uint64_t nr_vcpus;
    uint64_t nr_loads;
    uint64_t nr_pages;
};

must_check bool core_write(const struct guest_image *g,
                           struct stream_sink *sink,
                           const struct core_options *options,
                           struct core_result *result, struct error *err);

#endif
