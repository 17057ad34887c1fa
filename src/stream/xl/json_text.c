/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream/xl/json_text.h"

#include <string.h>

/* All below move 'at' behind what they take, or stop at what is wrong. */
struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static bool value(struct scan *s, unsigned int depth);

/* 0, which JSON never has where we ask, at the end. */
static uint8_t peek(const struct scan *s)
{
    return s->at < s->end ? *s->at : 0;
}

static bool take(struct scan *s, char wanted)
{
    if (s->at == s->end || *s->at != (uint8_t)wanted)
        return false;
    s->at++;
    return true;
}

static void skip_space(struct scan *s)
{
    while (s->at < s->end && memchr(" \t\n\r", *s->at, 4))
        s->at++;
}

static bool word(struct scan *s, const char *wanted)
{
    for (; *wanted; wanted++)
        if (!take(s, *wanted))
            return false;
    return true;
}

static bool digits(struct scan *s)
{
    const uint8_t *from = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at > from;
}

static bool number(struct scan *s)
{
    take(s, '-');
    if (!take(s, '0') && !digits(s))
        return false;
    if (take(s, '.') && !digits(s))
        return false;
    if (!take(s, 'e') && !take(s, 'E'))
        return true;
    if (!take(s, '+'))
        take(s, '-');
    return digits(s);
}

static bool escape(struct scan *s)
{
    if (take(s, 'u')) {
        for (unsigned int i = 0; i < 4; i++, s->at++)
            if (!peek(s) || !memchr("0123456789abcdefABCDEF", peek(s), 22))
                return false;
        return true;
    }
    if (!peek(s) || !memchr("\"\\/bfnrt", peek(s), 8))
        return false;
    s->at++;
    return true;
}

/*
 * One character of several octets: neither longer than it needs to be, nor a
 * surrogate, nor beyond U+10FFFF.
 */
static bool character(struct scan *s)
{
    static const struct {
        uint8_t first, last; /* of the first octet */
        uint8_t from, to;    /* of the second */
        unsigned int more;   /* octets behind the second */
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 0},
        {0xe0, 0xe0, 0xa0, 0xbf, 1},
        {0xe1, 0xec, 0x80, 0xbf, 1},
        {0xed, 0xed, 0x80, 0x9f, 1},
        {0xee, 0xef, 0x80, 0xbf, 1},
        {0xf0, 0xf0, 0x90, 0xbf, 2},
        {0xf1, 0xf3, 0x80, 0xbf, 2},
        {0xf4, 0xf4, 0x80, 0x8f, 2},
    };
    size_t form = 0;

    while (form < ARRAY_SIZE(forms) &&
           (peek(s) < forms[form].first || peek(s) > forms[form].last))
        form++;
    if (form == ARRAY_SIZE(forms))
        return false;
    s->at++;
    if (peek(s) < forms[form].from || peek(s) > forms[form].to)
        return false;
    s->at++;
    for (unsigned int i = 0; i < forms[form].more; i++, s->at++)
        if (peek(s) < 0x80 || peek(s) > 0xbf)
            return false;
    return true;
}

static bool string(struct scan *s)
{
    if (!take(s, '"'))
        return false;
    while (!take(s, '"')) {
        if (take(s, '\\')) {
            if (!escape(s))
                return false;
        } else if (peek(s) >= 0x80) {
            if (!character(s))
                return false;
        } else if (peek(s) < 0x20) {
            return false;
        } else {
            s->at++;
        }
    }
    return true;
}

static bool member(struct scan *s, unsigned int depth)
{
    skip_space(s);
    if (!string(s))
        return false;
    skip_space(s);
    return take(s, ':') && value(s, depth);
}

/* Behind the opening bracket. */
static bool list(struct scan *s, char closing,
                 bool (*item)(struct scan *s, unsigned int depth),
                 unsigned int depth)
{
    skip_space(s);
    if (take(s, closing))
        return true;
    do {
        if (!item(s, depth))
            return false;
        skip_space(s);
    } while (take(s, ','));
    return take(s, closing);
}

static bool value(struct scan *s, unsigned int depth)
{
    if (depth == 0)
        return false;
    skip_space(s);
    switch (peek(s)) {
    case '{':
        s->at++;
        return list(s, '}', member, depth - 1);
    case '[':
        s->at++;
        return list(s, ']', value, depth - 1);
    case '"':
        return string(s);
    case 't':
        return word(s, "true");
    case 'f':
        return word(s, "false");
    case 'n':
        return word(s, "null");
    default:
        return number(s);
    }
}

bool json_text_check(const char *text, size_t length, size_t *ret_bad)
{
    const uint8_t *begin = (const uint8_t *)text;
    struct scan s = {begin, begin + length};
    bool ok = value(&s, JSON_DEPTH_MAX);

    if (ok)
        skip_space(&s);
    *ret_bad = (size_t)(s.at - begin);
    return ok && s.at == s.end;
}
