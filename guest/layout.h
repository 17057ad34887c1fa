/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes and places that assembly and C share.
 *
 *   00100000  this image: code, data, page tables, stacks, ring pages
 *   00400000  the memory workload's pages, up to mem= bytes or the end of RAM
 *   fe700000  shared_info (mapped by us, unpopulated before)
 *   fe710000  grant table frames (likewise)
 *   fe720000  two pages of another guest (likewise)
 *   feff....  xenstore and console ring pages, where the host put them
 */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define PAGE_SIZE  4096
#define PAGE_SHIFT 12

#define MAX_VCPUS  8
#define STACK_SIZE 16384

/* Exceptions, then the one vector that event channels use. */
#define NR_VECTORS    0x41
#define UPCALL_VECTOR 0x40

#define IMAGE_BASE      0x00100000
#define WORK_BASE       0x00400000
#define SHARED_INFO_GFN 0xfe700
#define GRANT_TABLE_GFN 0xfe710
#define PEER_GFN        0xfe720

#endif
