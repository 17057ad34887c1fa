/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pull reader of legacy images, as Xen up to 4.5 wrote them.
 *
 *    ul p2m_size
 *    PV:   ul ~0, u32 length, blocks {char id[4], u32 length, octets}
 *          ul p2m_frame[]
 *    chunks: i32 marker, then
 *          > 0   that many ul frame words, a page for each that has one
 *          < 0   see legacy_wire.h
 *          = 0   the last
 *    tail  PV:   u32 n, ul unmapped[n], vCPU contexts, shared info page
 *          HVM:  u64 ioreq, u64 bufioreq, u64 store, u32 length, context,
 *                signature, device model
 *    A checkpointed image (Remus) goes on with further chunks and tails,
 *    until LAST_CHECKPOINT was among the chunks or the octets end.
 *
 * Neither the toolstack's width nor the guest's type is in the image; both are
 * guessed from the first octets, or said by the caller.
 *
 * Items come in the order of the image.  Contents that may be long (pages,
 * compressed pages, the device model) stay in the source for the caller to
 * read as far as it likes; the next call moves past what is left of them.
 * Everything else is bounded: the largest is the list of P2M frames, 4 MiB.
 */
#ifndef STREAM_LEGACY_LEGACY_IMAGE_H
#define STREAM_LEGACY_LEGACY_IMAGE_H

#include "stream/legacy/legacy_wire.h"
#include "stream/stream_io.h"

enum legacy_guest { LEGACY_GUEST_DETECT, LEGACY_GUEST_PV, LEGACY_GUEST_HVM };

struct legacy_options {
    unsigned int width; /* of the toolstack's words: 4, 8; 0: detect */
    enum legacy_guest guest;
    bool no_device_model;  /* an HVM image ends after its context */
    bool first_round_only; /* never look for another after a tail */
};

/* Octets that legacy_detect() wants. */
#define LEGACY_DETECT_SIZE 16

/*
 * Fill in what 'options' leaves to detection, from an image's first octets.
 * Returns false where they are no legacy image's.
 */
bool legacy_detect(const uint8_t *bytes, size_t length,
                   struct legacy_options *options);

enum legacy_item_kind {
    LEGACY_START,      /* 'start' */
    LEGACY_P2M,        /* PV: 'bytes', nr ul words; legacy_word() */
    LEGACY_PAGES,      /* 'frames', nr_pages pages in the source (or none) */
    LEGACY_COMPRESSED, /* 'length' octets in the source */
    LEGACY_VERIFY,
    LEGACY_VCPUS, /* 'vcpu_map' of the reader is new */
    LEGACY_PARAM, /* 'param' */
    LEGACY_TSC,   /* 'tsc' */
    LEGACY_TMEM,  /* skipped; 'length' octets */
    LEGACY_LAST_CHECKPOINT,
    LEGACY_ENABLE_COMPRESSION,
    LEGACY_TOOLSTACK, /* 'bytes' */
    LEGACY_CHUNKS_END,
    LEGACY_UNMAPPED,     /* PV tail: 'nr' frames, skipped */
    LEGACY_VCPU,         /* PV tail: 'vcpu' */
    LEGACY_SHARED_INFO,  /* PV tail: 'bytes', a page */
    LEGACY_MAGIC_PFNS,   /* HVM tail: 'magic' */
    LEGACY_HVM_CONTEXT,  /* HVM tail: 'bytes' */
    LEGACY_DEVICE_MODEL, /* HVM tail: 'device_model', octets in the source */
    LEGACY_ROUND_END,    /* a tail is complete: a guest could be restored */
    LEGACY_END,          /* nothing more */
    LEGACY_CUT_OFF,      /* as END: a later round is incomplete, see 'why' */
};

/* Blocks of extended info that are kept account of. */
#define LEGACY_BLOCKS_MAX 8

struct legacy_start {
    unsigned int width; /* of the toolstack */
    enum legacy_guest guest;
    uint64_t p2m_size;
    /* PV only: */
    unsigned int guest_width;  /* 4 or 8 */
    unsigned int guest_levels; /* 3 or 4 */
    bool extended;             /* 128 more octets per vCPU */
    uint32_t xsave_length;     /* per vCPU, without mask and size; 0: none */
    bool xsave;
    bool no_ext_info;        /* from before there was any */
    uint32_t unknown_blocks; /* of the extended info, skipped */
    struct {
        uint64_t offset;
        char id[4];
        uint32_t length;
    } blocks[LEGACY_BLOCKS_MAX]; /* of the extended info, the first ones */
    uint32_t nr_blocks;
};

struct legacy_vcpu {
    uint32_t id;
    const uint8_t *basic; /* borrowed */
    uint32_t basic_length;
    const uint8_t *extended; /* 128 octets, or NULL */
    const uint8_t *xsave;    /* xsave_length octets, or NULL */
    uint64_t xfeature_mask;
};

struct legacy_item {
    enum legacy_item_kind kind;
    uint64_t offset; /* where it begins */
    struct legacy_start start;
    const uint8_t *bytes; /* borrowed until the next call */
    uint64_t length;
    uint64_t nr;
    struct {
        const uint64_t *words; /* as frame_word() makes them; no fillers */
        uint32_t nr_frames;
        uint32_t nr_pages; /* frames that carry contents */
        uint32_t nr_fillers;
        bool here; /* the pages follow in the source, uncompressed */
    } frames;
    struct {
        uint32_t index;
        uint64_t value;
    } param;
    struct {
        uint32_t mode, khz, incarnation;
        uint64_t nsec;
    } tsc;
    struct legacy_vcpu vcpu;
    struct {
        uint64_t ioreq, bufioreq, store;
    } magic;
    struct {
        uint8_t signature[LEGACY_QEMU_SIGNATURE_SIZE];
        bool to_end; /* no length: up to the end of the stream */
    } device_model;
    const struct error *why; /* LEGACY_CUT_OFF */
};

struct legacy_reader {
    struct stream_source *source;
    struct legacy_options options;
    struct legacy_start start;
    int state;         /* private */
    uint64_t body_end; /* contents left in the source end here; 0: none */
    uint32_t next_vcpu;
    uint32_t rounds; /* complete ones */
    bool compressing;
    bool last_checkpoint;
    bool seen_vcpus;
    uint32_t vcpu_max_id;
    uint64_t vcpu_map[(LEGACY_VCPU_ID_MAX + 1) / 64];
    uint64_t first_p2m; /* no_ext_info: the list's first word, read already */
    uint64_t words[LEGACY_BATCH_MAX];
    struct buffer buffer; /* owned; lends items' bytes */
    struct error cut_off;
};

/*
 * Width and guest type must be set in 'options'.  'source' is borrowed.  The
 * reader is large: it does not belong on a stack.
 */
void legacy_reader_init(struct legacy_reader *r, struct stream_source *source,
                        const struct legacy_options *options);
void legacy_reader_release(struct legacy_reader *r);

must_check bool legacy_reader_next(struct legacy_reader *r,
                                   struct legacy_item *ret, struct error *err);

/* The i-th ul of an item's bytes. */
uint64_t legacy_word(const struct legacy_reader *r, const uint8_t *bytes,
                     size_t i);

/* "page batch", "toolstack", ... */
const char *legacy_item_name(enum legacy_item_kind kind);
/* Of a chunk marker: "TSC_INFO", ...; NULL for one that nobody wrote. */
const char *legacy_chunk_name(int32_t marker);

#endif
