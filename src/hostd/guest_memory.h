/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's physical addresses stand for.
 *
 *   RAM       a memfd in which octet n is guest physical address n, so that a
 *             frame's place never changes: populating and giving back frames
 *             (ballooning) allocates and frees parts of a sparse file
 *   Xen's     shared info and grant frames: pages of a second, small memfd,
 *             which the guest may put at any gfn where no RAM is
 *   foreign   RAM of another guest that lets this one map it, by a mapping of
 *             our own, so that it lives on when that guest ends
 *
 * I1  A gfn is RAM, one of Xen's pages, foreign, or nothing; never two of them.
 * I2  'generation' grows whenever the answer for any gfn changes: processors
 *     compare it before they run on.
 * I3  Foreign pages are for the guest's own instructions: the host does not
 *     look into them on its behalf.
 *
 * Not locked: whoever calls holds the domain's baton.
 */
#ifndef HOSTD_GUEST_MEMORY_H
#define HOSTD_GUEST_MEMORY_H

#include "base/bitmap.h"
#include "base/error.h"

#define GFN_NONE UINT64_MAX

/* Xen's pages, by number. */
#define XEN_PAGE_SHARED_INFO 0u
#define XEN_PAGE_GRANT_FIRST 1u
#define GRANT_FRAMES_MAX     32u
#define XEN_PAGES_MAX        (XEN_PAGE_GRANT_FIRST + GRANT_FRAMES_MAX)

/* Foreign pages that a guest can have. */
#define FOREIGN_PAGES_MAX 1024u

/* 1 TiB: what a bitmap of frames and a reservation of addresses can bear. */
#define GUEST_GFNS_MAX (UINT64_C(1) << 28)

struct guest_memory {
    int ram_fd;           /* owned */
    int xen_fd;           /* owned */
    uint8_t *ram;         /* owned; nr_gfns pages, 2 MiB aligned */
    uint8_t *reservation; /* owned: what 'ram' was cut from */
    size_t reserved;
    uint8_t *xen_pages; /* owned; XEN_PAGES_MAX pages */
    uint64_t nr_gfns;
    struct bitmap populated; /* RAM */
    uint64_t nr_populated;
    uint64_t xen_gfn[XEN_PAGES_MAX]; /* GFN_NONE: the guest does not see it */
    uint8_t *foreign; /* owned; FOREIGN_PAGES_MAX pages, or NULL: never one */
    uint64_t foreign_gfn[FOREIGN_PAGES_MAX]; /* GFN_NONE: free */
    bool foreign_writable[FOREIGN_PAGES_MAX];
    unsigned int nr_foreign;
    uint64_t generation;
    /* A dirty tracker's, or NULL: frames that were looked up are set ... */
    struct bitmap *touched;
    struct bitmap *covered; /* ... and frames that become RAM are cleared */
};

/* A run of gfns that are consecutive in our address space too. */
struct memory_run {
    uint64_t gfn;
    uint64_t nr;
    uint8_t *host; /* borrowed */
    bool read_only;
};

/* No RAM yet.  'nr_gfns' is one more than the highest gfn there can be. */
must_check bool guest_memory_init(struct guest_memory *ret, const char *name,
                                  uint64_t nr_gfns, struct error *err);
void guest_memory_release(struct guest_memory *m);

/* Fresh zeroed RAM; frames that are RAM already stay as they are. */
must_check bool guest_memory_populate(struct guest_memory *m, uint64_t gfn,
                                      uint64_t nr, struct error *err);

/* Give one frame of RAM back.  False if 'gfn' is none. */
bool guest_memory_give_back(struct guest_memory *m, uint64_t gfn);

/* Put Xen's page at 'gfn', from wherever it was; RAM there is given back. */
must_check bool guest_memory_place(struct guest_memory *m,
                                   unsigned int xen_page, uint64_t gfn,
                                   struct error *err);

/* Whether one of Xen's pages is there. */
bool guest_memory_is_xen(const struct guest_memory *m, uint64_t gfn);

/* Take Xen's page that is at 'gfn' away.  False if there is none. */
bool guest_memory_displace(struct guest_memory *m, uint64_t gfn);

/*
 * RAM of 'from' as foreign page 'slot', which is free, at 'gfn', where RAM may
 * be that is given back then.  Without 'writable' stores of the guest fault.
 */
must_check bool guest_memory_borrow(struct guest_memory *m, unsigned int slot,
                                    uint64_t gfn,
                                    const struct guest_memory *from,
                                    uint64_t from_gfn, bool writable,
                                    struct error *err);
void guest_memory_return(struct guest_memory *m, unsigned int slot);

bool guest_memory_is_ram(const struct guest_memory *m, uint64_t gfn);

/* The page at 'gfn', or NULL: there is none, or it is foreign. */
uint8_t *guest_memory_page(const struct guest_memory *m, uint64_t gfn);

/* 'length' octets at 'gpa' within one page, or NULL. */
void *guest_memory_at(const struct guest_memory *m, uint64_t gpa,
                      size_t length);

/* The first run at or after 'gfn'.  False if there is none. */
bool guest_memory_next_run(const struct guest_memory *m, uint64_t gfn,
                           struct memory_run *ret);

#endif
