/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small things every file may need: attributes, sizes, rounding that cannot
 * wrap.
 */
#ifndef BASE_MACROS_H
#define BASE_MACROS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define must_check __attribute__((warn_unused_result))
#define printf_like(format_at, args_at) \
    __attribute__((format(printf, format_at, args_at)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) \
    ((type *)((char *)(ptr)-offsetof(type, member)))

/* x86 page size.  Every format and interface here uses 4 KiB frames. */
#define PAGE_SHIFT 12
#define PAGE_SIZE  ((size_t)1 << PAGE_SHIFT)

/*
 * 'length' rounded up to a multiple of 8, the alignment of every Xen record.
 * Takes 32 bits and answers in 64, so that 0xfffffff9 does not become 0.
 */
static inline uint64_t padded_to_8(uint32_t length)
{
    return ((uint64_t)length + 7) & ~(uint64_t)7;
}

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
