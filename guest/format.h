/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * printf in small: %s %c %% and %d %u %x with an optional 'l' for 64 bits,
 * '#' before x for "0x", and a zero-padded width.
 */
#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/*
 * Both write at most 'size' bytes with the final NUL and return the number of
 * bytes before it; what does not fit is cut off.  'size' is at least 1.
 */
__attribute__((format(printf, 3, 4))) size_t format(char *to, size_t size,
                                                    const char *pattern, ...);
size_t format_v(char *to, size_t size, const char *pattern, va_list args);

#endif
