/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "pattern.h"

static uint64_t seed_of(uint64_t number, uint64_t generation)
{
    uint64_t x = number * 0x9e3779b97f4a7c15 ^ generation * 0xd1342543de82ef95;

    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9;
    return x ^ x >> 32;
}

static uint64_t word_of(uint64_t seed, uint64_t number, uint64_t generation,
                        unsigned int i)
{
    switch (i) {
    case 0:
        return generation;
    case 1:
        return number;
    default:
        return seed + i * 0x2545f4914f6cdd1d;
    }
}

void pattern_fill(uint64_t *page, uint64_t number, uint64_t generation)
{
    uint64_t seed = seed_of(number, generation);

    for (unsigned int i = 0; i < PATTERN_WORDS; i++)
        page[i] = word_of(seed, number, generation, i);
}

bool pattern_check(const uint64_t *page, uint64_t number, uint64_t generation,
                   struct pattern_fault *ret)
{
    uint64_t seed = seed_of(number, generation);

    for (unsigned int i = 0; i < PATTERN_WORDS; i++) {
        uint64_t expected = word_of(seed, number, generation, i);
        uint64_t found = page[i];

        if (found != expected) {
            *ret = (struct pattern_fault){i, expected, found};
            return false;
        }
    }
    return true;
}
