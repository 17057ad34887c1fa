/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xc/xc_x86_pv.h"

#include <assert.h>
#include <inttypes.h>

#include "stream/xc/xc_records.h"

bool pv_info_known(const struct pv_info *info)
{
    return (info->width == 8 && info->levels == 4) ||
           (info->width == 4 && info->levels == 3);
}

bool pv_info_decode(const struct record *rec, struct pv_info *ret,
                    struct error *err)
{
    struct cursor c = record_cursor(rec);
    struct pv_info info = {0};

    info.width = cursor_u8(&c);
    info.levels = cursor_u8(&c);
    info.reserved_zero = cursor_zeroes(&c, 6);
    if (c.bad)
        return record_error(rec, err,
                            "X86_PV_INFO at offset %" PRIu64
                            ": body of %" PRIu32 " octets, expected 8",
                            rec->offset, rec->length);
    info.exact = cursor_left(&c) == 0;
    *ret = info;
    return true;
}

void pv_info_append(struct buffer *buffer, const struct pv_info *info)
{
    size_t begun = record_begin(buffer, XCREC_X86_PV_INFO);

    buffer_u8(buffer, info->width);
    buffer_u8(buffer, info->levels);
    buffer_zeroes(buffer, 6);
    record_end(buffer, begun);
}

uint64_t p2m_frames_expected(uint32_t first_pfn, uint32_t last_pfn,
                             uint8_t width)
{
    uint32_t per_frame = p2m_entries_per_frame(width);

    return (uint64_t)last_pfn / per_frame - first_pfn / per_frame + 1;
}

bool p2m_frames_decode(const struct record *rec, uint8_t width,
                       struct p2m_frames *ret, struct error *err)
{
    struct cursor c = record_cursor(rec);
    struct p2m_frames list = {.order = rec->order};

    assert(width == 0 || width == 4 || width == 8);
    list.first_pfn = cursor_u32(&c);
    list.last_pfn = cursor_u32(&c);
    if (c.bad || cursor_left(&c) % 8 != 0)
        return record_error(rec, err,
                            "X86_PV_P2M_FRAMES at offset %" PRIu64
                            ": body of %" PRIu32
                            " octets, expected 8 and a multiple of 8",
                            rec->offset, rec->length);
    if (list.first_pfn > list.last_pfn)
        return record_error(rec, err,
                            "X86_PV_P2M_FRAMES at offset %" PRIu64
                            ": first pfn %#" PRIx32 " above last pfn %#" PRIx32,
                            rec->offset, list.first_pfn, list.last_pfn);
    list.nr_frames = cursor_left(&c) / 8;
    list.frames = c.at;
    if (width != 0 &&
        list.nr_frames !=
            p2m_frames_expected(list.first_pfn, list.last_pfn, width))
        return record_error(
            rec, err,
            "X86_PV_P2M_FRAMES at offset %" PRIu64
            ": %zu frames for pfn %#" PRIx32 " to %#" PRIx32
            ", expected %" PRIu64,
            rec->offset, list.nr_frames, list.first_pfn, list.last_pfn,
            p2m_frames_expected(list.first_pfn, list.last_pfn, width));
    *ret = list;
    return true;
}

uint64_t p2m_frames_pfn(const struct p2m_frames *list, size_t i)
{
    struct cursor c = cursor_over(list->frames + i * 8, 8, list->order);

    assert(i < list->nr_frames);
    return cursor_u64(&c);
}

void p2m_frames_append(struct buffer *buffer, uint32_t first_pfn,
                       uint32_t last_pfn, const uint64_t *pfns,
                       size_t nr_frames)
{
    size_t begun = record_begin(buffer, XCREC_X86_PV_P2M_FRAMES);

    buffer_u32(buffer, first_pfn);
    buffer_u32(buffer, last_pfn);
    for (size_t i = 0; i < nr_frames; i++)
        buffer_u64(buffer, pfns[i]);
    record_end(buffer, begun);
}

static bool vcpu_blob_length_right(const struct vcpu_blob *blob, uint8_t width,
                                   const char **ret_expected)
{
    switch (blob->type) {
    case XCREC_X86_PV_VCPU_BASIC:
        *ret_expected = width == 4   ? "2800"
                        : width == 8 ? "5168"
                                     : "2800 or 5168";
        return (blob->length == XCSTREAM_VCPU_BASIC_32 && width != 8) ||
               (blob->length == XCSTREAM_VCPU_BASIC_64 && width != 4);
    case XCREC_X86_PV_VCPU_EXTENDED:
        *ret_expected = "at most 128";
        return blob->length <= XCSTREAM_VCPU_EXTENDED_MAX;
    case XCREC_X86_PV_VCPU_XSAVE:
        *ret_expected = "at least 16";
        return blob->length >= 16;
    default:
        *ret_expected = "a multiple of 16";
        return blob->length % 16 == 0;
    }
}

bool vcpu_blob_decode(const struct record *rec, uint8_t width,
                      struct vcpu_blob *ret, struct error *err)
{
    const char *name = xcstream_record_name(rec->type);
    struct cursor c = record_cursor(rec);
    struct vcpu_blob blob = {.type = rec->type};
    const char *expected;

    blob.vcpu = cursor_u32(&c);
    blob.reserved = cursor_u32(&c);
    if (c.bad)
        return record_error(rec, err,
                            "%s at offset %" PRIu64 ": body of %" PRIu32
                            " octets, expected at least 8",
                            name, rec->offset, rec->length);
    blob.bytes = c.at;
    blob.length = (uint32_t)cursor_left(&c);
    if (blob.vcpu >= XCSTREAM_PV_VCPUS_MAX)
        return record_error(
            rec, err,
            "%s at offset %" PRIu64 ": vCPU %" PRIu32 ", expected at most %d",
            name, rec->offset, blob.vcpu, XCSTREAM_PV_VCPUS_MAX - 1);
    if (blob.length > 0 && !vcpu_blob_length_right(&blob, width, &expected))
        return record_error(rec, err,
                            "%s at offset %" PRIu64 ": vCPU %" PRIu32
                            " has %" PRIu32 " octets, expected %s",
                            name, rec->offset, blob.vcpu, blob.length,
                            expected);
    *ret = blob;
    return true;
}

void vcpu_blob_append(struct buffer *buffer, const struct vcpu_blob *blob)
{
    size_t begun = record_begin(buffer, blob->type);

    buffer_u32(buffer, blob->vcpu);
    buffer_u32(buffer, 0);
    buffer_bytes(buffer, blob->bytes, blob->length);
    record_end(buffer, begun);
}

size_t vcpu_msrs_count(const struct vcpu_blob *blob)
{
    return blob->length / 16;
}

struct vcpu_msr vcpu_msrs_get(const struct vcpu_blob *blob,
                              enum byte_order order, size_t i)
{
    struct cursor c = cursor_over(blob->bytes + i * 16, 16, order);
    struct vcpu_msr msr = {0};

    assert(i < vcpu_msrs_count(blob));
    msr.index = cursor_u32(&c);
    msr.reserved = cursor_u32(&c);
    msr.value = cursor_u64(&c);
    return msr;
}

bool shared_info_decode(const struct record *rec, const uint8_t **ret_page,
                        struct error *err)
{
    if (rec->length != PAGE_SIZE)
        return record_error(rec, err,
                            "SHARED_INFO at offset %" PRIu64
                            ": body of %" PRIu32 " octets, expected 4096",
                            rec->offset, rec->length);
    *ret_page = rec->body;
    return true;
}

void shared_info_append(struct buffer *buffer, const uint8_t page[PAGE_SIZE])
{
    record_append(buffer, XCREC_SHARED_INFO, page, PAGE_SIZE);
}
