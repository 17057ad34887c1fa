/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/legacy/legacy_image.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stream/legacy/legacy_tmem.h"
#include "stream/xc/xc_page_data.h"
#include "stream/xc/xc_x86_hvm.h"

enum legacy_state {
    STATE_START,
    STATE_P2M,
    STATE_CHUNKS,
    STATE_UNMAPPED,
    STATE_VCPUS,
    STATE_MAGIC_PFNS,
    STATE_HVM_CONTEXT,
    STATE_DEVICE_MODEL,
    STATE_ROUND_END,
    STATE_NEXT_ROUND,
    STATE_DONE,
};

#define EXTENDED_LENGTH 128

/* Far above what any CPU has, and small enough to hold. */
#define XSAVE_MAX       (UINT32_C(1) << 20)
#define HVM_CONTEXT_MAX (UINT32_C(8) << 20)
#define TOOLSTACK_MAX   (UINT32_C(4) << 20)

/* Detection --------------------------------------------------------------- */

static unsigned int detect_width(const uint8_t *bytes)
{
    struct cursor c = cursor_over(bytes, 8, ORDER_LITTLE);
    uint32_t frames = cursor_u32(&c);
    int32_t next = (int32_t)cursor_u32(&c);

    /* 28 bits of pfn: no legacy guest has more frames. */
    if (frames == 0 || frames > LEGACY_P2M_MAX)
        return 0;
    if (next == 0)
        return 8;
    return next >= LEGACY_CHUNK_X87_FIP_WIDTH && next <= LEGACY_BATCH_MAX ? 4
                                                                          : 0;
}

/*
 * A PV image has all ones here.  So would an HVM image that begins in verify
 * mode, but none does: there is nothing to verify yet.
 */
static enum legacy_guest detect_guest(const uint8_t *bytes, unsigned int width)
{
    for (unsigned int i = 0; i < width; i++)
        if (bytes[width + i] != 0xff)
            return LEGACY_GUEST_HVM;
    return LEGACY_GUEST_PV;
}

bool legacy_detect(const uint8_t *bytes, size_t length,
                   struct legacy_options *options)
{
    unsigned int width = options->width;

    if (width == 0)
        width = length >= 8 ? detect_width(bytes) : 0;
    if (width == 0)
        return false;
    if (options->guest == LEGACY_GUEST_DETECT) {
        if (length < 2 * width)
            return false;
        options->guest = detect_guest(bytes, width);
    }
    options->width = width;
    return true;
}

/* Reading ------------------------------------------------------------------ */

static bool legacy_error(uint64_t offset, struct error *err, const char *what,
                         uint64_t found, const char *expected)
{
    return error_set_at(err, ERR_FORMAT, offset,
                        "%s at offset %" PRIu64 ": %" PRIu64 " (%#" PRIx64
                        "), expected %s",
                        what, offset, found, found, expected);
}

/* Up to 32 octets into a cursor. */
struct fixed {
    uint8_t bytes[32];
    struct cursor c;
};

static bool read_fixed(struct legacy_reader *r, struct fixed *f, size_t length,
                       const char *what, struct error *err)
{
    assert(length <= sizeof(f->bytes));
    if (!source_read(r->source, f->bytes, length, what, err))
        return false;
    f->c = cursor_over(f->bytes, length, ORDER_LITTLE);
    return true;
}

static bool read_u32(struct legacy_reader *r, const char *what, uint32_t *ret,
                     struct error *err)
{
    struct fixed f;

    if (!read_fixed(r, &f, 4, what, err))
        return false;
    *ret = cursor_u32(&f.c);
    return true;
}

static bool read_ul(struct legacy_reader *r, const char *what, uint64_t *ret,
                    struct error *err)
{
    struct fixed f;

    if (!read_fixed(r, &f, r->start.width, what, err))
        return false;
    *ret = r->start.width == 8 ? cursor_u64(&f.c) : cursor_u32(&f.c);
    return true;
}

uint64_t legacy_word(const struct legacy_reader *r, const uint8_t *bytes,
                     size_t i)
{
    uint64_t word = 0;

    /* Little endian: the octets that a narrow one lacks are the high ones. */
    memcpy(&word, bytes + i * r->start.width, r->start.width == 8 ? 8 : 4);
    return le64toh(word);
}

static bool read_bytes(struct legacy_reader *r, size_t length, const char *what,
                       struct legacy_item *item, struct error *err)
{
    buffer_reset(&r->buffer);
    if (!source_read_buffer(r->source, &r->buffer, length, what, err))
        return false;
    item->bytes = r->buffer.bytes;
    item->length = length;
    return true;
}

static void leave_in_source(struct legacy_reader *r, uint64_t length)
{
    r->body_end = r->source->offset + length;
}

/* The start ---------------------------------------------------------------- */

static void guest_width_is(struct legacy_start *start, unsigned int width)
{
    start->guest_width = width;
    start->guest_levels = width == 8 ? 4 : 3;
}

static bool read_ext_block(struct legacy_reader *r, const char id[4],
                           uint32_t length, struct error *err)
{
    uint64_t offset = r->source->offset;
    struct legacy_start *start = &r->start;
    uint32_t used = 0;

    if (start->nr_blocks < LEGACY_BLOCKS_MAX) {
        start->blocks[start->nr_blocks].offset = offset - 8;
        memcpy(start->blocks[start->nr_blocks].id, id, 4);
        start->blocks[start->nr_blocks].length = length;
        start->nr_blocks++;
    }
    if (memcmp(id, "vcpu", 4) == 0) {
        if (length == XCSTREAM_VCPU_BASIC_64)
            guest_width_is(start, 8);
        else if (length == XCSTREAM_VCPU_BASIC_32)
            guest_width_is(start, 4);
        else
            return legacy_error(offset, err, "vCPU context size", length,
                                "5168 or 2800");
    } else if (memcmp(id, "extv", 4) == 0) {
        start->extended = true;
    } else if (memcmp(id, "xcnt", 4) == 0) {
        uint32_t size;

        if (length < 4)
            return legacy_error(offset, err, "\"xcnt\" block length", length,
                                "at least 4");
        if (!read_u32(r, "\"xcnt\" block", &size, err))
            return false;
        used = 4;
        if (size != 0 && (size < 16 || size - 16 > XSAVE_MAX))
            return legacy_error(offset, err, "XSAVE size", size,
                                "0, or 16 to 1048592");
        start->xsave = size != 0;
        start->xsave_length = size ? size - 16 : 0;
    } else {
        start->unknown_blocks++;
    }
    return source_skip(r->source, length - used, "extended info block", err);
}

static bool read_ext_info(struct legacy_reader *r, struct error *err)
{
    uint64_t offset = r->source->offset;
    uint32_t total;
    uint64_t done = 0;

    if (!read_u32(r, "extended info", &total, err))
        return false;
    while (done < total) {
        struct fixed f;
        const char *id;
        uint32_t length;

        if (!read_fixed(r, &f, 8, "extended info block", err))
            return false;
        id = (const char *)cursor_bytes(&f.c, 4);
        length = cursor_u32(&f.c);
        done += 8 + (uint64_t)length;
        if (done > total)
            return legacy_error(offset, err, "extended info length", total,
                                "what its blocks add up to");
        if (!read_ext_block(r, id, length, err))
            return false;
    }
    if (r->start.guest_width == 0)
        return error_set_at(err, ERR_FORMAT, offset,
                            "extended info at offset %" PRIu64
                            ": no \"vcpu\" block, expected one",
                            offset);
    return true;
}

static bool read_start(struct legacy_reader *r, struct legacy_item *item,
                       struct error *err)
{
    struct legacy_start *start = &r->start;
    uint64_t first;

    start->width = r->options.width;
    start->guest = r->options.guest;
    if (!read_ul(r, "p2m_size", &start->p2m_size, err))
        return false;
    if (start->p2m_size == 0 || start->p2m_size > LEGACY_P2M_MAX)
        return legacy_error(item->offset, err, "p2m_size", start->p2m_size,
                            "1 to 0x10000000 (is the width right?)");
    r->state = STATE_CHUNKS;
    if (start->guest == LEGACY_GUEST_PV) {
        r->state = STATE_P2M;
        if (!read_ul(r, "extended info marker", &first, err))
            return false;
        if (first != (start->width == 8 ? UINT64_MAX : UINT32_MAX)) {
            /* A guest that was saved before there was extended info. */
            start->no_ext_info = true;
            r->first_p2m = first;
            guest_width_is(start, start->width);
        } else if (!read_ext_info(r, err)) {
            return false;
        }
    }
    item->kind = LEGACY_START;
    item->start = *start;
    return true;
}

static bool read_p2m(struct legacy_reader *r, struct legacy_item *item,
                     struct error *err)
{
    uint64_t per_frame = PAGE_SIZE / r->start.guest_width;
    uint64_t nr = (r->start.p2m_size - 1) / per_frame + 1;
    size_t have = r->start.no_ext_info ? 1 : 0;

    /* p2m_size is at most 2^28: no more than 4 MiB. */
    buffer_reset(&r->buffer);
    if (have) {
        if (r->start.width == 8)
            buffer_u64(&r->buffer, r->first_p2m);
        else
            buffer_u32(&r->buffer, (uint32_t)r->first_p2m);
    }
    if (!source_read_buffer(r->source, &r->buffer,
                            (size_t)(nr - have) * r->start.width,
                            "P2M frame list", err))
        return false;
    for (size_t i = 0; i < nr; i++) {
        uint64_t pfn = legacy_word(r, r->buffer.bytes, i);

        if (pfn >= r->start.p2m_size)
            return legacy_error(item->offset, err, "P2M frame list: frame", pfn,
                                "a pfn below p2m_size");
    }
    item->kind = LEGACY_P2M;
    item->bytes = r->buffer.bytes;
    item->length = r->buffer.length;
    item->nr = nr;
    r->state = STATE_CHUNKS;
    return true;
}

/* Chunks ------------------------------------------------------------------- */

static int compare_pfns(const void *a, const void *b)
{
    uint64_t x = frame_pfn(*(const uint64_t *)a);
    uint64_t y = frame_pfn(*(const uint64_t *)b);

    return x < y ? -1 : x > y;
}

/* Savers go upwards; anything else is sorted to see whether one is twice. */
static bool frames_distinct(const uint64_t *words, uint32_t nr,
                            uint64_t *ret_twice)
{
    uint64_t sorted[LEGACY_BATCH_MAX];
    uint32_t i;

    for (i = 1; i < nr; i++)
        if (frame_pfn(words[i]) <= frame_pfn(words[i - 1]))
            break;
    if (i >= nr)
        return true;
    memcpy(sorted, words, nr * sizeof(*sorted));
    qsort(sorted, nr, sizeof(*sorted), compare_pfns);
    for (i = 1; i < nr; i++) {
        if (frame_pfn(sorted[i]) == frame_pfn(sorted[i - 1])) {
            *ret_twice = frame_pfn(sorted[i]);
            return false;
        }
    }
    return true;
}

static bool read_pages(struct legacy_reader *r, uint32_t count,
                       struct legacy_item *item, struct error *err)
{
    uint32_t nr = 0;
    uint64_t twice;

    if (!read_bytes(r, (size_t)count * r->start.width, "page batch", item, err))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = legacy_word(r, item->bytes, i);
        unsigned int type = (unsigned int)(word >> LEGACY_TYPE_SHIFT);
        uint64_t pfn = word & LEGACY_PFN_MASK;

        if (word == LEGACY_FILLER)
            continue;
        if (word > UINT32_MAX || !frame_type_known(type))
            return legacy_error(item->offset, err, "page batch: frame word",
                                word, "a type of 0-4 or 9-15, and a pfn");
        if (pfn >= r->start.p2m_size)
            return legacy_error(item->offset, err, "page batch: pfn", pfn,
                                "one below p2m_size");
        r->words[nr++] = frame_word(type, pfn);
        item->frames.nr_pages += frame_type_has_page(type);
    }
    if (!frames_distinct(r->words, nr, &twice))
        return legacy_error(item->offset, err, "page batch: pfn twice", twice,
                            "each once");
    item->kind = LEGACY_PAGES;
    item->frames.words = r->words;
    item->frames.nr_frames = nr;
    item->frames.nr_fillers = count - nr;
    item->frames.here = !r->compressing;
    if (item->frames.here)
        leave_in_source(r, (uint64_t)item->frames.nr_pages * PAGE_SIZE);
    return true;
}

static bool read_vcpus(struct legacy_reader *r, struct legacy_item *item,
                       struct error *err)
{
    uint32_t max_id;

    if (!read_u32(r, "VCPU_INFO", &max_id, err))
        return false;
    if (max_id > LEGACY_VCPU_ID_MAX)
        return legacy_error(item->offset, err, "VCPU_INFO: highest vCPU",
                            max_id, "at most 4095");
    memset(r->vcpu_map, 0, sizeof(r->vcpu_map));
    for (uint32_t i = 0; i <= max_id / 64; i++) {
        struct fixed f;

        if (!read_fixed(r, &f, 8, "VCPU_INFO", err))
            return false;
        r->vcpu_map[i] = cursor_u64(&f.c);
    }
    r->vcpu_max_id = max_id;
    r->seen_vcpus = true;
    item->kind = LEGACY_VCPUS;
    return true;
}

/* The chunks that set an HVM parameter: u32 padding, u64 value. */
static const struct {
    int32_t marker;
    uint32_t index;
} param_chunks[] = {
    {LEGACY_CHUNK_IDENT_PT,         HVM_PARAM_INDEX_IDENT_PT             },
    {LEGACY_CHUNK_VM86_TSS,         HVM_PARAM_INDEX_VM86_TSS             },
    {LEGACY_CHUNK_CONSOLE_PFN,      HVM_PARAM_INDEX_CONSOLE_PFN          },
    {LEGACY_CHUNK_ACPI_IOPORTS,     HVM_PARAM_INDEX_ACPI_IOPORTS_LOCATION},
    {LEGACY_CHUNK_VIRIDIAN,         HVM_PARAM_INDEX_VIRIDIAN             },
    {LEGACY_CHUNK_GENERATION_ID,    HVM_PARAM_INDEX_VM_GENERATION_ID_ADDR},
    {LEGACY_CHUNK_PAGING_RING,      HVM_PARAM_INDEX_PAGING_RING_PFN      },
    {LEGACY_CHUNK_MONITOR_RING,     HVM_PARAM_INDEX_MONITOR_RING_PFN     },
    {LEGACY_CHUNK_SHARING_RING,     HVM_PARAM_INDEX_SHARING_RING_PFN     },
    {LEGACY_CHUNK_IOREQ_SERVER_PFN, HVM_PARAM_INDEX_IOREQ_SERVER_PFN     },
    {LEGACY_CHUNK_NR_IOREQ_PAGES,   HVM_PARAM_INDEX_NR_IOREQ_SERVER_PAGES},
    {LEGACY_CHUNK_X87_FIP_WIDTH,    HVM_PARAM_INDEX_X87_FIP_WIDTH        },
};

static bool read_param(struct legacy_reader *r, int32_t marker,
                       struct legacy_item *item, struct error *err)
{
    struct fixed f;

    for (size_t i = 0; i < ARRAY_SIZE(param_chunks); i++) {
        if (param_chunks[i].marker != marker)
            continue;
        if (r->start.guest == LEGACY_GUEST_PV)
            return error_set_at(err, ERR_FORMAT, item->offset,
                                "chunk %s at offset %" PRIu64
                                ": in a PV image, expected in HVM only",
                                legacy_chunk_name(marker), item->offset);
        if (!read_fixed(r, &f, 12, legacy_chunk_name(marker), err))
            return false;
        cursor_u32(&f.c);
        item->kind = LEGACY_PARAM;
        item->param.index = param_chunks[i].index;
        item->param.value = cursor_u64(&f.c);
        return true;
    }
    return error_set_at(err, ERR_FORMAT, item->offset,
                        "chunk at offset %" PRIu64 ": marker %" PRId32
                        ", expected -21 to 1024",
                        item->offset, marker);
}

static bool read_tsc(struct legacy_reader *r, struct legacy_item *item,
                     struct error *err)
{
    struct fixed f;

    if (!read_fixed(r, &f, 20, "TSC_INFO", err))
        return false;
    item->kind = LEGACY_TSC;
    item->tsc.mode = cursor_u32(&f.c);
    item->tsc.nsec = cursor_u64(&f.c);
    item->tsc.khz = cursor_u32(&f.c);
    item->tsc.incarnation = cursor_u32(&f.c);
    return true;
}

static bool read_toolstack(struct legacy_reader *r, struct legacy_item *item,
                           struct error *err)
{
    uint32_t length;

    if (!read_u32(r, "TOOLSTACK", &length, err))
        return false;
    if (length > TOOLSTACK_MAX)
        return legacy_error(item->offset, err, "TOOLSTACK: length", length,
                            "at most 4194304");
    item->kind = LEGACY_TOOLSTACK;
    return read_bytes(r, length, "TOOLSTACK", item, err);
}

static bool read_compressed(struct legacy_reader *r, struct legacy_item *item,
                            struct error *err)
{
    if (!r->compressing)
        return error_set_at(err, ERR_FORMAT, item->offset,
                            "COMPRESSED_DATA at offset %" PRIu64
                            ": before ENABLE_COMPRESSION, expected after it",
                            item->offset);
    if (!read_ul(r, "COMPRESSED_DATA", &item->length, err))
        return false;
    item->kind = LEGACY_COMPRESSED;
    /* One round of the largest guest, with a header in front of each page. */
    if (item->length > (uint64_t)LEGACY_P2M_MAX * (PAGE_SIZE + 1))
        return legacy_error(item->offset, err, "COMPRESSED_DATA: length",
                            item->length, "less than a guest's memory");
    leave_in_source(r, item->length);
    return true;
}

static bool read_end_of_chunks(struct legacy_reader *r,
                               struct legacy_item *item, struct error *err)
{
    if (!r->seen_vcpus) {
        /* What the restorer of those days assumed. */
        r->vcpu_max_id = 0;
        r->vcpu_map[0] = 1;
    }
    r->next_vcpu = 0;
    r->state =
        r->start.guest == LEGACY_GUEST_PV ? STATE_UNMAPPED : STATE_MAGIC_PFNS;
    item->kind = LEGACY_CHUNKS_END;
    return true;
}

static bool read_chunk(struct legacy_reader *r, int32_t marker,
                       struct legacy_item *item, struct error *err)
{
    switch (marker) {
    case LEGACY_CHUNK_END:
        return read_end_of_chunks(r, item, err);
    case LEGACY_CHUNK_VERIFY:
        item->kind = LEGACY_VERIFY;
        return true;
    case LEGACY_CHUNK_VCPU_INFO:
        return read_vcpus(r, item, err);
    case LEGACY_CHUNK_TMEM:
        item->kind = LEGACY_TMEM;
        return legacy_tmem_skip(r->source, &item->length, err);
    case LEGACY_CHUNK_TMEM_EXTRA:
        item->kind = LEGACY_TMEM;
        return legacy_tmem_extra_skip(r->source, &item->length, err);
    case LEGACY_CHUNK_TSC_INFO:
        return read_tsc(r, item, err);
    case LEGACY_CHUNK_LAST_CHECKPOINT:
        r->last_checkpoint = true;
        item->kind = LEGACY_LAST_CHECKPOINT;
        return true;
    case LEGACY_CHUNK_COMPRESSED_DATA:
        return read_compressed(r, item, err);
    case LEGACY_CHUNK_ENABLE_COMPRESSION:
        r->compressing = true;
        item->kind = LEGACY_ENABLE_COMPRESSION;
        return true;
    case LEGACY_CHUNK_TOOLSTACK:
        return read_toolstack(r, item, err);
    default:
        if (marker > LEGACY_BATCH_MAX)
            return legacy_error(item->offset, err, "page batch: frames",
                                (uint64_t)marker, "at most 1024");
        if (marker > 0)
            return read_pages(r, (uint32_t)marker, item, err);
        return read_param(r, marker, item, err);
    }
}

static bool read_next_chunk(struct legacy_reader *r, struct legacy_item *item,
                            struct error *err)
{
    uint32_t marker;

    return read_u32(r, "chunk marker", &marker, err) &&
           read_chunk(r, (int32_t)marker, item, err);
}

/* Tails -------------------------------------------------------------------- */

static bool read_unmapped(struct legacy_reader *r, struct legacy_item *item,
                          struct error *err)
{
    uint32_t nr;

    if (!read_u32(r, "unmapped frames", &nr, err))
        return false;
    if (nr > LEGACY_P2M_MAX)
        return legacy_error(item->offset, err, "unmapped frames", nr,
                            "at most 0x10000000");
    leave_in_source(r, (uint64_t)nr * r->start.width);
    item->kind = LEGACY_UNMAPPED;
    item->nr = nr;
    r->state = STATE_VCPUS;
    return true;
}

static bool vcpu_online(const struct legacy_reader *r, uint32_t id)
{
    return r->vcpu_map[id / 64] >> (id % 64) & 1;
}

static bool read_xsave(struct legacy_reader *r, uint64_t offset,
                       struct legacy_vcpu *vcpu, struct error *err)
{
    struct fixed f;
    uint64_t size;

    if (!read_fixed(r, &f, 16, "vCPU XSAVE", err))
        return false;
    vcpu->xfeature_mask = cursor_u64(&f.c);
    size = cursor_u64(&f.c);
    if (size != r->start.xsave_length)
        return legacy_error(offset, err, "vCPU XSAVE: size", size,
                            "what the extended info says");
    return source_read_buffer(r->source, &r->buffer, (size_t)size, "vCPU XSAVE",
                              err);
}

static bool read_vcpu(struct legacy_reader *r, struct legacy_item *item,
                      struct error *err)
{
    struct legacy_vcpu *vcpu = &item->vcpu;
    uint32_t basic = r->start.guest_width == 8 ? XCSTREAM_VCPU_BASIC_64
                                               : XCSTREAM_VCPU_BASIC_32;
    size_t fixed = basic + (r->start.extended ? EXTENDED_LENGTH : 0);

    if (!read_bytes(r, fixed, "vCPU context", item, err) ||
        (r->start.xsave && !read_xsave(r, item->offset, vcpu, err)))
        return false;
    item->kind = LEGACY_VCPU;
    vcpu->id = r->next_vcpu++;
    vcpu->basic = r->buffer.bytes;
    vcpu->basic_length = basic;
    vcpu->extended = r->start.extended ? r->buffer.bytes + basic : NULL;
    vcpu->xsave = r->start.xsave ? r->buffer.bytes + fixed : NULL;
    return true;
}

static bool read_vcpu_or_shared_info(struct legacy_reader *r,
                                     struct legacy_item *item,
                                     struct error *err)
{
    while (r->next_vcpu <= r->vcpu_max_id && !vcpu_online(r, r->next_vcpu))
        r->next_vcpu++;
    if (r->next_vcpu <= r->vcpu_max_id)
        return read_vcpu(r, item, err);
    item->kind = LEGACY_SHARED_INFO;
    r->state = STATE_ROUND_END;
    return read_bytes(r, PAGE_SIZE, "shared info", item, err);
}

static bool read_magic_pfns(struct legacy_reader *r, struct legacy_item *item,
                            struct error *err)
{
    struct fixed f;

    if (!read_fixed(r, &f, 24, "magic pfns", err))
        return false;
    item->kind = LEGACY_MAGIC_PFNS;
    item->magic.ioreq = cursor_u64(&f.c);
    item->magic.bufioreq = cursor_u64(&f.c);
    item->magic.store = cursor_u64(&f.c);
    r->state = STATE_HVM_CONTEXT;
    return true;
}

static bool read_hvm_context(struct legacy_reader *r, struct legacy_item *item,
                             struct error *err)
{
    uint32_t length;

    if (!read_u32(r, "HVM context", &length, err))
        return false;
    if (length == 0 || length > HVM_CONTEXT_MAX)
        return legacy_error(item->offset, err, "HVM context: length", length,
                            "1 to 8388608");
    item->kind = LEGACY_HVM_CONTEXT;
    r->state =
        r->options.no_device_model ? STATE_ROUND_END : STATE_DEVICE_MODEL;
    return read_bytes(r, length, "HVM context", item, err);
}

static bool read_device_model(struct legacy_reader *r, struct legacy_item *item,
                              struct error *err)
{
    uint8_t *signature = item->device_model.signature;
    uint32_t length;

    if (!source_read(r->source, signature, LEGACY_QEMU_SIGNATURE_SIZE,
                     "device model signature", err))
        return false;
    item->kind = LEGACY_DEVICE_MODEL;
    r->state = STATE_ROUND_END;
    if (memcmp(signature, LEGACY_QEMU_OLD, LEGACY_QEMU_SIGNATURE_SIZE) == 0) {
        item->device_model.to_end = true;
        return true;
    }
    if (memcmp(signature, LEGACY_QEMU_0002, LEGACY_QEMU_SIGNATURE_SIZE) != 0 &&
        memcmp(signature, LEGACY_QEMU_REMUS, LEGACY_QEMU_SIGNATURE_SIZE) != 0)
        return error_set_at(
            err, ERR_FORMAT, item->offset,
            "device model at offset %" PRIu64
            ": unknown signature, expected one of " LEGACY_QEMU_OLD
            ", " LEGACY_QEMU_0002 ", " LEGACY_QEMU_REMUS,
            item->offset);
    if (!read_u32(r, "device model", &length, err))
        return false;
    item->length = length;
    leave_in_source(r, length);
    return true;
}

/* Rounds ------------------------------------------------------------------- */

static bool end_round(struct legacy_reader *r, struct legacy_item *item)
{
    item->kind = LEGACY_ROUND_END;
    r->rounds++;
    r->state = r->last_checkpoint || r->options.first_round_only
                   ? STATE_DONE
                   : STATE_NEXT_ROUND;
    return true;
}

/* A stream without LAST_CHECKPOINT ends where the saver went away. */
static bool next_round(struct legacy_reader *r, struct legacy_item *item,
                       struct error *err)
{
    uint8_t bytes[4];
    size_t got;
    struct cursor c = cursor_over(bytes, sizeof(bytes), ORDER_LITTLE);

    if (!source_read_some(r->source, bytes, sizeof(bytes), &got, err))
        return false;
    if (got == 0) {
        r->state = STATE_DONE;
        item->kind = LEGACY_END;
        return true;
    }
    if (!source_read(r->source, bytes + got, sizeof(bytes) - got,
                     "chunk marker", err))
        return false;
    r->state = STATE_CHUNKS;
    return read_chunk(r, (int32_t)cursor_u32(&c), item, err);
}

static bool read_item(struct legacy_reader *r, struct legacy_item *item,
                      struct error *err)
{
    switch ((enum legacy_state)r->state) {
    case STATE_START:
        return read_start(r, item, err);
    case STATE_P2M:
        return read_p2m(r, item, err);
    case STATE_CHUNKS:
        return read_next_chunk(r, item, err);
    case STATE_UNMAPPED:
        return read_unmapped(r, item, err);
    case STATE_VCPUS:
        return read_vcpu_or_shared_info(r, item, err);
    case STATE_MAGIC_PFNS:
        return read_magic_pfns(r, item, err);
    case STATE_HVM_CONTEXT:
        return read_hvm_context(r, item, err);
    case STATE_DEVICE_MODEL:
        return read_device_model(r, item, err);
    case STATE_ROUND_END:
        return end_round(r, item);
    case STATE_NEXT_ROUND:
        return next_round(r, item, err);
    case STATE_DONE:
        item->kind = LEGACY_END;
        return true;
    }
    return error_set(err, ERR_STATE, "legacy reader: state %d", r->state);
}

static bool skip_rest_of_body(struct legacy_reader *r, struct error *err)
{
    uint64_t left;

    if (r->body_end == 0)
        return true;
    assert(r->source->offset <= r->body_end); /* callers read only the body */
    left = r->body_end - r->source->offset;
    r->body_end = 0;
    return source_skip(r->source, left, "legacy image", err);
}

void legacy_reader_init(struct legacy_reader *r, struct stream_source *source,
                        const struct legacy_options *options)
{
    assert(options->width == 4 || options->width == 8);
    assert(options->guest != LEGACY_GUEST_DETECT);
    memset(r, 0, sizeof(*r));
    r->source = source;
    r->options = *options;
    r->state = STATE_START;
}

void legacy_reader_release(struct legacy_reader *r)
{
    buffer_release(&r->buffer);
}

bool legacy_reader_next(struct legacy_reader *r, struct legacy_item *ret,
                        struct error *err)
{
    struct legacy_item item = {0};
    struct error why = {0};

    if (skip_rest_of_body(r, &why)) {
        item.offset = r->source->offset;
        if (read_item(r, &item, &why)) {
            *ret = item;
            return true;
        }
    }
    if (why.code == ERR_TRUNCATED && r->rounds > 0) {
        /* The source died on the way: the last complete round counts. */
        r->cut_off = why;
        r->state = STATE_DONE;
        *ret = (struct legacy_item){.kind = LEGACY_CUT_OFF,
                                    .offset = r->source->offset,
                                    .why = &r->cut_off};
        return true;
    }
    if (err)
        *err = why;
    return false;
}

/* Names -------------------------------------------------------------------- */

const char *legacy_item_name(enum legacy_item_kind kind)
{
    static const char *const names[] = {
        [LEGACY_START] = "start",
        [LEGACY_P2M] = "P2M frame list",
        [LEGACY_PAGES] = "page batch",
        [LEGACY_COMPRESSED] = "compressed pages",
        [LEGACY_VERIFY] = "verify mode",
        [LEGACY_VCPUS] = "vCPU map",
        [LEGACY_PARAM] = "HVM parameter",
        [LEGACY_TSC] = "TSC info",
        [LEGACY_TMEM] = "tmem",
        [LEGACY_LAST_CHECKPOINT] = "last checkpoint",
        [LEGACY_ENABLE_COMPRESSION] = "compression begins",
        [LEGACY_TOOLSTACK] = "toolstack",
        [LEGACY_CHUNKS_END] = "end of chunks",
        [LEGACY_UNMAPPED] = "unmapped frames",
        [LEGACY_VCPU] = "vCPU",
        [LEGACY_SHARED_INFO] = "shared info",
        [LEGACY_MAGIC_PFNS] = "magic pfns",
        [LEGACY_HVM_CONTEXT] = "HVM context",
        [LEGACY_DEVICE_MODEL] = "device model",
        [LEGACY_ROUND_END] = "end of round",
        [LEGACY_END] = "end of image",
        [LEGACY_CUT_OFF] = "cut off",
    };

    return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : "unknown";
}

const char *legacy_chunk_name(int32_t marker)
{
    static const char *const names[] = {
        "END",
        "VERIFY",
        "VCPU_INFO",
        "IDENT_PT",
        "VM86_TSS",
        "TMEM",
        "TMEM_EXTRA",
        "TSC_INFO",
        "CONSOLE_PFN",
        "LAST_CHECKPOINT",
        "ACPI_IOPORTS_LOCATION",
        "VIRIDIAN",
        "COMPRESSED_DATA",
        "ENABLE_COMPRESSION",
        "GENERATION_ID_ADDR",
        "PAGING_RING_PFN",
        "MONITOR_RING_PFN",
        "SHARING_RING_PFN",
        "TOOLSTACK",
        "IOREQ_SERVER_PFN",
        "NR_IOREQ_SERVER_PAGES",
        "X87_FIP_WIDTH",
    };

    if (marker > 0)
        return "page batch";
    return marker > -(int32_t)ARRAY_SIZE(names) ? names[-marker] : NULL;
}
