/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's kernel in its memory, ready to start in long mode.
 *
 *   00009000  struct hvm_start_info, command line, memory map
 *   00010000  page tables: 4 GiB one to one
 *   p_paddr   each segment of the ELF file
 *   feffc000  xenstore ring
 *   fefff000  console ring
 *
 * The vCPU starts at the ELF entry point with RBX = 0x9000, interrupts off,
 * and the page named by the note XEN_ELFNOTE_HYPERCALL_PAGE filled.
 */
#ifndef HOSTD_KERNEL_IMAGE_H
#define HOSTD_KERNEL_IMAGE_H

#include "hostd/cpu_state.h"
#include "hostd/guest_machine.h"

#define STORE_GFN   UINT64_C(0xfeffc)
#define CONSOLE_GFN UINT64_C(0xfefff)

/* RAM below this gfn; what is more goes above 4 GiB. */
#define LOW_RAM_GFNS UINT64_C(0xf0000)

#define GUEST_CMDLINE_MAX 2048u
#define GUEST_KERNEL_MAX  ((size_t)64 << 20)

/* One more than the highest gfn of a guest with this much RAM. */
uint64_t kernel_image_gfns(uint64_t nr_pages);

/* RAM of 'nr_pages', and the two ring pages. */
must_check bool kernel_image_populate(struct machine *m, uint64_t nr_pages,
                                      struct error *err);

must_check bool kernel_image_load(struct machine *m, const uint8_t *elf,
                                  size_t length, const char *cmdline,
                                  struct cpu_state *ret, struct error *err);

#endif
