/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The records that only a PV guest's image has.
 *
 *  X86_PV_INFO          u8 width, u8 levels, 6 octets reserved
 *  X86_PV_P2M_FRAMES    u32 first, u32 last (inclusive), u64 pfn[]
 *  X86_PV_VCPU_*        u32 vCPU, u32 reserved, then octets of that kind
 *  SHARED_INFO          one page
 *
 * Decoders return views that borrow from the record.
 *
 * Spec: libxc-migration-stream.pandoc, "X86_PV_INFO" and following.
 */
#ifndef STREAM_XC_XC_X86_PV_H
#define STREAM_XC_XC_X86_PV_H

#include "stream/record.h"
#include "stream/xc/xc_wire.h"

/* X86_PV_INFO ------------------------------------------------------------ */

struct pv_info {
    uint8_t width;  /* octets of a guest word: 4 or 8 */
    uint8_t levels; /* of its page tables: 3 with 4, 4 with 8 */
    bool reserved_zero;
    bool exact; /* the body has no octets beyond the fields */
};

/* Whether width and levels make one of the two guests that exist. */
bool pv_info_known(const struct pv_info *info);

/* Only what cannot be read is an error; pv_info_known() judges. */
must_check bool pv_info_decode(const struct record *rec, struct pv_info *ret,
                               struct error *err);
void pv_info_append(struct buffer *buffer, const struct pv_info *info);

/* X86_PV_P2M_FRAMES ------------------------------------------------------ */

struct p2m_frames {
    uint32_t first_pfn; /* of the guest frames that the list covers */
    uint32_t last_pfn;  /* inclusive */
    size_t nr_frames;
    const uint8_t *frames; /* borrowed; see p2m_frames_pfn() */
    enum byte_order order;
};

/* P2M entries in one frame of a guest with that width. */
static inline uint32_t p2m_entries_per_frame(uint8_t width)
{
    return (uint32_t)(PAGE_SIZE / width);
}

/* How many frames a list for first to last has. */
uint64_t p2m_frames_expected(uint32_t first_pfn, uint32_t last_pfn,
                             uint8_t width);

/*
 * 'width' is the guest's, or 0 where it is not known: then the number of
 * frames is not judged.
 */
must_check bool p2m_frames_decode(const struct record *rec, uint8_t width,
                                  struct p2m_frames *ret, struct error *err);

/* The pfn of the i-th frame of the list. */
uint64_t p2m_frames_pfn(const struct p2m_frames *list, size_t i);

/* 'pfns' has p2m_frames_expected() entries. */
void p2m_frames_append(struct buffer *buffer, uint32_t first_pfn,
                       uint32_t last_pfn, const uint64_t *pfns,
                       size_t nr_frames);

/* X86_PV_VCPU_BASIC, _EXTENDED, _XSAVE, _MSRS ---------------------------- */

struct vcpu_blob {
    uint32_t type; /* which of the four */
    uint32_t vcpu;
    uint32_t reserved;
    const uint8_t *bytes; /* borrowed */
    uint32_t length;      /* 0 is legal: Xen 4.6-4.8 wrote such records */
};

/*
 * 'width' decides which length a basic context has; 0 accepts either.  A blob
 * that is empty passes.
 */
must_check bool vcpu_blob_decode(const struct record *rec, uint8_t width,
                                 struct vcpu_blob *ret, struct error *err);
void vcpu_blob_append(struct buffer *buffer, const struct vcpu_blob *blob);

struct vcpu_msr {
    uint32_t index;
    uint32_t reserved;
    uint64_t value;
};

/* Of a vcpu_blob of type X86_PV_VCPU_MSRS: how many, and each. */
size_t vcpu_msrs_count(const struct vcpu_blob *blob);
struct vcpu_msr vcpu_msrs_get(const struct vcpu_blob *blob,
                              enum byte_order order, size_t i);

/* SHARED_INFO ------------------------------------------------------------ */

/* '*ret_page' borrows the page. */
must_check bool shared_info_decode(const struct record *rec,
                                   const uint8_t **ret_page, struct error *err);
void shared_info_append(struct buffer *buffer, const uint8_t page[PAGE_SIZE]);

#endif
