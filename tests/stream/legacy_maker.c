/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "legacy_maker.h"

#include "stream/xc/xc_wire.h"

const struct legacy_shape legacy_shapes[LEGACY_SHAPES] = {
    {4, LEGACY_GUEST_HVM, 0},
    {8, LEGACY_GUEST_HVM, 0},
    {4, LEGACY_GUEST_PV,  4},
    {4, LEGACY_GUEST_PV,  8},
    {8, LEGACY_GUEST_PV,  4},
    {8, LEGACY_GUEST_PV,  8},
};

void legacy_put_ul(struct buffer *b, const struct legacy_shape *s,
                   uint64_t value)
{
    if (s->width == 8)
        buffer_u64(b, value);
    else
        buffer_u32(b, (uint32_t)value);
}

uint32_t legacy_context_size(const struct legacy_shape *s)
{
    return s->guest_width == 8 ? XCSTREAM_VCPU_BASIC_64
                               : XCSTREAM_VCPU_BASIC_32;
}

void legacy_put_head(struct buffer *b, const struct legacy_shape *s,
                     uint64_t frames)
{
    legacy_put_ul(b, s, frames);
    if (s->guest == LEGACY_GUEST_HVM)
        return;
    legacy_put_ul(b, s, UINT64_MAX);
    buffer_u32(b, 8 + legacy_context_size(s) + 8 + 8 + 4);
    buffer_text(b, "vcpu");
    buffer_u32(b, legacy_context_size(s));
    buffer_zeroes(b, legacy_context_size(s));
    buffer_text(b, "extv");
    buffer_u32(b, 0);
    buffer_text(b, "xcnt");
    buffer_u32(b, 4);
    buffer_u32(b, 16 + LEGACY_XSAVE_LENGTH);
    legacy_put_ul(b, s, 0);
}

void legacy_put_batch(struct buffer *b, const struct legacy_shape *s)
{
    buffer_u32(b, 3);
    legacy_put_ul(b, s, 0);
    legacy_put_ul(b, s, LEGACY_FILLER);
    legacy_put_ul(b, s, 0xf0000001);
    buffer_zeroes(b, PAGE_SIZE);
}

void legacy_put_chunks(struct buffer *b, const struct legacy_shape *s)
{
    legacy_put_batch(b, s);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_TSC_INFO);
    buffer_zeroes(b, 20);
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_VCPU_INFO);
    buffer_u32(b, 64);
    buffer_u64(b, 0);
    buffer_u64(b, 1);
    if (s->guest == LEGACY_GUEST_HVM) {
        buffer_u32(b, (uint32_t)LEGACY_CHUNK_X87_FIP_WIDTH);
        buffer_u32(b, 0);
        buffer_u64(b, 4);
    }
    buffer_u32(b, (uint32_t)LEGACY_CHUNK_LAST_CHECKPOINT);
    buffer_u32(b, LEGACY_CHUNK_END);
}

void legacy_put_tail(struct buffer *b, const struct legacy_shape *s)
{
    if (s->guest == LEGACY_GUEST_HVM) {
        buffer_zeroes(b, 24);
        buffer_u32(b, 5);
        buffer_text(b, "state");
        buffer_text(b, LEGACY_QEMU_0002);
        buffer_u32(b, 4);
        buffer_text(b, "QEVM");
        return;
    }
    buffer_u32(b, 1);
    legacy_put_ul(b, s, 7);
    buffer_zeroes(b, legacy_context_size(s) + 128);
    buffer_u64(b, 3);
    buffer_u64(b, LEGACY_XSAVE_LENGTH);
    buffer_zeroes(b, LEGACY_XSAVE_LENGTH + PAGE_SIZE);
}

void legacy_put_image(struct buffer *b, const struct legacy_shape *s)
{
    legacy_put_head(b, s, 2);
    legacy_put_chunks(b, s);
    legacy_put_tail(b, s);
}
