/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/bitmap.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS ((uint64_t)(CHAR_BIT * sizeof(unsigned long)))

static size_t nr_words(const struct bitmap *b)
{
    return (size_t)((b->nr_bits + WORD_BITS - 1) / WORD_BITS);
}

static unsigned long word_bit(uint64_t bit)
{
    return 1UL << (bit % WORD_BITS);
}

size_t bitmap_size(const struct bitmap *b)
{
    return nr_words(b) * sizeof(unsigned long);
}

bool bitmap_init(struct bitmap *b, uint64_t nr_bits, struct error *err)
{
    struct bitmap made = {.nr_bits = nr_bits};
    void *words = NULL;
    size_t size;

    if (nr_bits > (uint64_t)SIZE_MAX - WORD_BITS - PAGE_SIZE)
        return error_set(err, ERR_LIMIT, "bitmap: %" PRIu64 " bits", nr_bits);
    size = bitmap_size(&made);
    /* Whole pages of its own: hypercall buffers are locked by the page. */
    size = (size + PAGE_SIZE) & ~(PAGE_SIZE - 1);
    if (posix_memalign(&words, PAGE_SIZE, size) != 0)
        return error_set(err, ERR_NO_MEMORY, "bitmap of %" PRIu64 " bits",
                         nr_bits);
    memset(words, 0, size);
    made.words = words;
    *b = made;
    return true;
}

void bitmap_release(struct bitmap *b)
{
    free(b->words);
    *b = (struct bitmap){0};
}

bool bitmap_test(const struct bitmap *b, uint64_t bit)
{
    assert(bit < b->nr_bits);
    return b->words[bit / WORD_BITS] & word_bit(bit);
}

void bitmap_set(struct bitmap *b, uint64_t bit)
{
    assert(bit < b->nr_bits);
    b->words[bit / WORD_BITS] |= word_bit(bit);
}

void bitmap_clear(struct bitmap *b, uint64_t bit)
{
    assert(bit < b->nr_bits);
    b->words[bit / WORD_BITS] &= ~word_bit(bit);
}

bool bitmap_test_and_set(struct bitmap *b, uint64_t bit)
{
    bool was_set = bitmap_test(b, bit);

    bitmap_set(b, bit);
    return was_set;
}

void bitmap_trim(struct bitmap *b)
{
    uint64_t used = b->nr_bits % WORD_BITS;

    if (used)
        b->words[nr_words(b) - 1] &= word_bit(used) - 1;
}

void bitmap_fill(struct bitmap *b)
{
    memset(b->words, 0xff, bitmap_size(b));
    bitmap_trim(b);
}

void bitmap_empty(struct bitmap *b)
{
    memset(b->words, 0, bitmap_size(b));
}

void bitmap_or(struct bitmap *b, const struct bitmap *other)
{
    assert(b->nr_bits == other->nr_bits);
    for (size_t i = 0; i < nr_words(b); i++)
        b->words[i] |= other->words[i];
}

uint64_t bitmap_count(const struct bitmap *b)
{
    uint64_t count = 0;

    for (size_t i = 0; i < nr_words(b); i++)
        count += (uint64_t)__builtin_popcountl(b->words[i]);
    return count;
}

/* The first bit at or after 'from' of the words xor-ed with 'flip'. */
static uint64_t next_bit(const struct bitmap *b, uint64_t from,
                         unsigned long flip)
{
    size_t word = (size_t)(from / WORD_BITS);
    unsigned long mask = ~0UL << (from % WORD_BITS);

    if (from >= b->nr_bits)
        return BITMAP_END;
    for (; word < nr_words(b); word++, mask = ~0UL) {
        unsigned long found = (b->words[word] ^ flip) & mask;

        if (found) {
            uint64_t bit = word * WORD_BITS + (uint64_t)__builtin_ctzl(found);

            return bit < b->nr_bits ? bit : BITMAP_END;
        }
    }
    return BITMAP_END;
}

uint64_t bitmap_next(const struct bitmap *b, uint64_t from)
{
    return next_bit(b, from, 0);
}

uint64_t bitmap_next_clear(const struct bitmap *b, uint64_t from)
{
    return next_bit(b, from, ~0UL);
}
