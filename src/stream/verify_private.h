/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the verifier share. */
#ifndef STREAM_VERIFY_PRIVATE_H
#define STREAM_VERIFY_PRIVATE_H

#include "state/guest_state.h"
#include "stream/image/image_open.h"
#include "stream/pfn_set.h"
#include "stream/stream_reader.h"
#include "stream/verify.h"
#include "stream/xc/pv_layout.h"
#include "stream/xc/xc_order.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_x86_pv.h"

enum verify_rule_id {
#define VERIFY_RULE(symbol, id, severity, refused, explanation) RULE_##symbol,
#include "stream/verify_rules.def"
#undef VERIFY_RULE
    NR_VERIFY_RULES,
};

#define VCPU_KINDS 4

/* Which vCPUs have had which record in this round. */
struct vcpu_seen {
    uint8_t kinds[XCSTREAM_PV_VCPUS_MAX]; /* bit per kind */
};

/* Frames that the registers of a PV guest's vCPU name. */
struct vcpu_frames {
    uint64_t offset; /* of the record; 0: none in this round */
    uint64_t start_info;
    uint64_t cr3, cr1;
    bool has_cr1;
    uint32_t nr_gdt;
    uint64_t gdt[PV_GDT_FRAMES];
};

/* Of a P2M no more frames than this are kept: those of a guest of 1 TiB. */
#define P2M_FRAMES_KEPT ((size_t)1 << 19)

/* Chunks of those sets that need not hold a guest's whole memory: 4 MiB. */
#define SMALL_SET_CHUNKS 128

/* Parameters that name a frame which a restore maps, to find it empty. */
#define RING_PARAMS 4

struct ring_param {
    bool given;
    uint64_t gfn;
    uint64_t offset; /* of the record that has it */
    const char *where;
};

struct verify {
    struct image_input image;
    struct stream_reader reader;
    const struct verify_options *options;
    struct verify_result result;
    struct buffer body;
    struct page_data batch;
    uint64_t repeats[256]; /* per rule: those of verify_rules.def, then order */

    /* The record at hand. */
    uint64_t offset;
    const char *where;

    /* libxl. */
    bool seen_libxc_context;
    bool libxc_ended;
    bool emulator_context; /* in this round */
    uint32_t emulators;    /* set of ids with a context in this round */

    /* libxc. */
    struct ring_param rings[RING_PARAMS]; /* of this round */
    bool have_headers;
    struct xcstream_headers headers;
    struct xcstream_order order;
    uint8_t width; /* 0: not known */
    bool have_p2m;
    uint64_t max_pfn; /* of the P2M */
    uint64_t nr_checkpoints;
    uint64_t nr_complete;    /* checkpoints that libxl has ended as well */
    struct vcpu_seen *vcpus; /* owned */
    struct pfn_set scratch;  /* empty between records */

    /* What the frames are that have come: verify_memory.c. */
    struct pfn_set memory;     /* pages; of a PV guest, no page tables */
    struct pfn_set top_tables; /* of a PV guest */
    bool memory_partial;       /* there were more than can be kept */

    /* What a PV guest has in them, and says of them: verify_pv.c. */
    struct stream_source *outside; /* as it was given; borrowed */
    uint64_t *p2m_pfns;            /* owned: pfn + 1, or 0 */
    size_t nr_p2m_pfns;
    uint64_t p2m_offset;             /* of the record that has them */
    struct vcpu_frames *vcpu_frames; /* owned; NULL before the first */
    uint32_t nr_vcpu_frames;         /* of this round; one past the last */
    uint64_t pages_offset;           /* of the first PAGE_DATA; 0: none */

    /* A guest that does not help: verify_noncoop.c. */
    struct guest_state state; /* the parts so far */
    bool state_bad;           /* reported */
    uint64_t hvm_cpus;        /* set of vCPUs with registers */

    /* A legacy image. */
    bool legacy;
    uint32_t legacy_rounds;
    uint64_t legacy_params; /* set of indices in this round */
    bool legacy_vcpu0;      /* in this round */
};

/* Report that the record at hand breaks a rule. */
void verify_found(struct verify *v, enum verify_rule_id rule,
                  const char *format, ...) printf_like(3, 4);

/* verify_xl.c */
void verify_xl_file(struct verify *v, const struct stream_item *item);
void verify_libxl_header(struct verify *v, const struct stream_item *item);
must_check bool verify_libxl_record(struct verify *v,
                                    const struct stream_item *item,
                                    struct error *err);

/* verify_xc.c */
void verify_libxc_headers(struct verify *v, const struct stream_item *item);
must_check bool verify_libxc_record(struct verify *v,
                                    const struct stream_item *item,
                                    struct error *err);

/* The body of HVM_CONTEXT, or what a legacy image has of it. */
void verify_hvm_context(struct verify *v, const uint8_t *bytes,
                        uint32_t length);

/* verify_memory.c */
/* Frames that have come, in the order in which they come. */
void verify_memory_note(struct verify *v, uint64_t pfn, uint32_t nr,
                        unsigned int type);
/* Whether a frame was last sent as a page, as far as that is known. */
bool verify_memory_has(const struct verify *v, uint64_t pfn);
/* Whether a PV guest's frame was last sent as a table of the top level. */
bool verify_memory_has_top(const struct verify *v, uint64_t pfn);

/* verify_pv.c: of a guest whose width is known. */
/* The pages of these frames, which come next; page tables are looked at. */
must_check bool verify_pv_pages(struct verify *v, const uint64_t *frames,
                                uint32_t nr_frames, struct error *err);
/* Frame 'index' of the P2M, below P2M_FRAMES_KEPT. */
void verify_pv_p2m(struct verify *v, uint64_t index, uint64_t pfn);
void verify_pv_context(struct verify *v, const struct vcpu_blob *basic);
/*
 * The end of a round: everything named must be there by now.  Start info is
 * looked at in a plain image, at its END.
 */
must_check bool verify_pv_round_end(struct verify *v, bool end,
                                    struct error *err);

/* A parameter of the record at hand, which may name a ring's frame. */
void verify_ring(struct verify *v, uint64_t index, uint64_t gfn);
/*
 * At the end of a round, as pages may follow the parameters.  A restorer of ours
 * fails without such a frame; stock's goes on, and the guest has no ring.  Of a
 * guest that does not help more is asked (verify_noncoop.c).
 */
void verify_rings_round_end(struct verify *v);

/* verify_noncoop.c */
void verify_noncoop(struct verify *v, const struct record *rec);
/* A vCPU with registers, for the parts to come. */
void verify_noncoop_cpu(struct verify *v, uint32_t vcpu);

/* verify_legacy.c: 'v->image' is open. */
must_check bool verify_legacy(struct verify *v, struct error *err);

/*
 * Read the body if it is of a size to look at; *ret_have says so.  Padding is
 * judged here.
 */
must_check bool verify_read_body(struct verify *v,
                                 const struct record_head *head,
                                 struct record *ret, bool *ret_have,
                                 struct error *err);

/* Leave the body unread; its padding is judged all the same. */
must_check bool verify_pass_over(struct verify *v,
                                 const struct record_head *head,
                                 struct error *err);

/* Whether the release asked for is older than Xen 4.'minor'. */
static inline bool verify_before(const struct verify *v, unsigned int minor)
{
    return v->options->release != 0 && v->options->release < minor;
}

#endif
