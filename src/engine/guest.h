/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the save and restore algorithms ask of a guest type.
 *
 * Every hook of a table is set; a type with nothing to do returns true.  A hook
 * that returns false has set '*err'.  Unless said otherwise hooks run on the
 * operation's own thread.
 */
#ifndef ENGINE_GUEST_H
#define ENGINE_GUEST_H

#include "engine/engine.h"
#include "stream/record.h"
#include "stream/xc/xc_headers.h"

struct save;
struct restore;

#define INVALID_FRAME UINT64_MAX

enum page_outcome {
    PAGE_READY,
    PAGE_RETRY_LATER, /* not consistent now; once more when the guest stands */
    PAGE_FAILED,
};

struct save_hooks {
    const char *guest_type; /* for people */
    uint32_t stream_type;   /* enum xcstream_domain_type */
    bool normalises;        /* normalise_page() may need room of its own */
    bool lists_ordinary;    /* list_pfns() lists ordinary memory only */

    /*
     * Once, before any octet is written.  Sets s->nr_pfns, and may keep
     * private state in s->guest.  Undone by release(), even on failure.
     */
    bool (*prepare)(struct save *s, struct error *err);

    /* Append the records that precede the CPU policies. */
    bool (*write_static)(struct save *s, struct buffer *out, struct error *err);

    /* Append the records between the static data and the first page. */
    bool (*write_memory_map)(struct save *s, struct buffer *out,
                             struct error *err);

    /*
     * Set in 'pfns', which is empty, everything that a full pass must send.
     * Called for the first pass, and for verification.
     */
    bool (*list_pfns)(struct save *s, struct bitmap *pfns, struct error *err);

    /*
     * The guest stands still after live rounds: add what list_pfns() could not
     * see and the log of written pages does not show.
     */
    bool (*list_latecomers)(struct save *s, struct bitmap *pfns,
                            struct error *err);

    /* frames[i] is the frame of pfns[i], or INVALID_FRAME. */
    void (*frames_of)(struct save *s, const uint64_t *pfns, size_t nr,
                      uint64_t *frames);

    /*
     * Make one page independent of this host.  '*page' may map a running
     * guest: never write through it; to change it, fill 'scratch' and point
     * '*page' there.  Runs on the scanning thread.
     */
    enum page_outcome (*normalise_page)(struct save *s, uint64_t pfn,
                                        unsigned int type, const uint8_t **page,
                                        uint8_t *scratch, struct error *err);

    /* Between rounds: whether what was sent so far is still meaningful. */
    bool (*check_round)(struct save *s, struct error *err);

    /* Append everything that is not memory, after X86_TSC_INFO. */
    bool (*write_state)(struct save *s, struct buffer *out, struct error *err);

    /* Exactly once, whatever happened. */
    void (*release)(struct save *s);
};

extern const struct save_hooks save_x86_hvm;
extern const struct save_hooks save_x86_pv;

enum record_outcome { RECORD_TAKEN, RECORD_NOT_MINE, RECORD_FAILED };

struct restore_hooks {
    const char *guest_type;
    uint32_t stream_type;
    /*
     * Batches that may be placed at the same time: more than 1 only where the
     * hooks that run on placing threads share nothing.
     */
    unsigned int nr_placers;

    /*
     * Once, before the first record; as in save_hooks.  No pfn is accepted
     * until a hook has called restore_limit_pfns().
     */
    bool (*prepare)(struct restore *r, struct error *err);

    /*
     * A record that is not common to all types; the order table has let it
     * pass.  It is gone after the call: keep what is to be kept.
     */
    enum record_outcome (*take_record)(struct restore *r,
                                       const struct record *rec,
                                       struct error *err);

    /* Placing thread: give the guest memory at these pfns, seen first now. */
    bool (*allocate)(struct restore *r, const uint64_t *pfns, size_t nr,
                     struct error *err);

    /* Placing thread: frames[i] is the frame of pfns[i], allocated before. */
    void (*frames_of)(struct restore *r, const uint64_t *pfns, size_t nr,
                      uint64_t *frames);

    /* Whether pages of this type change on their way into the guest. */
    bool (*needs_localising)(unsigned int type);
    /*
     * Placing thread: the opposite of normalise_page(), in place, before
     * 'page' is copied into the guest.
     */
    bool (*localise_page)(struct restore *r, uint64_t pfn, unsigned int type,
                          uint8_t *page, struct error *err);

    /* Note what a frame is, for when all memory is there. */
    void (*note_type)(struct restore *r, uint64_t pfn, unsigned int type);

    /* END was read and all memory is placed: put together what was kept. */
    bool (*complete)(struct restore *r, struct error *err);

    /* Exactly once, whatever happened. */
    void (*release)(struct restore *r);
};

extern const struct restore_hooks restore_x86_hvm;
extern const struct restore_hooks restore_x86_pv;

#endif
