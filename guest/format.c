/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "format.h"

#include <stdbool.h>
#include <stdint.h>

struct output {
    char *to;
    size_t size, len;
};

static void put(struct output *o, char c)
{
    if (o->len + 1 < o->size)
        o->to[o->len++] = c;
}

static void put_number(struct output *o, uint64_t value, unsigned int base,
                       unsigned int width)
{
    char digits[20];
    unsigned int n = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (unsigned int i = n; i < width; i++)
        put(o, '0');
    while (n)
        put(o, digits[--n]);
}

size_t format_v(char *to, size_t size, const char *pattern, va_list args)
{
    struct output o = {to, size, 0};

    for (const char *p = pattern; *p; p++) {
        bool wide = false, prefix = false;
        unsigned int width = 0;
        const char *s;

        if (*p != '%') {
            put(&o, *p);
            continue;
        }
        p++;
        if (*p == '#') {
            prefix = true;
            p++;
        }
        while (*p >= '0' && *p <= '9')
            width = width * 10 + (unsigned int)(*p++ - '0');
        while (*p == 'l') {
            wide = true;
            p++;
        }
        switch (*p) {
        case 's':
            for (s = va_arg(args, const char *); *s; s++)
                put(&o, *s);
            break;
        case 'c':
            put(&o, (char)va_arg(args, int));
            break;
        case 'd': {
            int64_t v = wide ? va_arg(args, long) : va_arg(args, int);

            if (v < 0)
                put(&o, '-');
            put_number(&o, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, width);
            break;
        }
        case 'u':
        case 'x': {
            uint64_t v =
                wide ? va_arg(args, unsigned long) : va_arg(args, unsigned int);

            if (prefix) {
                put(&o, '0');
                put(&o, 'x');
            }
            put_number(&o, v, *p == 'x' ? 16 : 10, width);
            break;
        }
        case '%':
            put(&o, '%');
            break;
        default: /* a pattern of our own that is wrong: show it */
            put(&o, '%');
            p--;
            break;
        }
    }
    o.to[o.len] = '\0';
    return o.len;
}

size_t format(char *to, size_t size, const char *pattern, ...)
{
    va_list args;
    size_t len;

    va_start(args, pattern);
    len = format_v(to, size, pattern, args);
    va_end(args);
    return len;
}
