/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Helpers of the codec tests: records over exact-size copies of bytes. */
#ifndef TESTS_UNIT_STREAM_H
#define TESTS_UNIT_STREAM_H

#include "stream/record.h"
#include "unit.h"

/* Some offset, so that messages have one to show. */
#define TEST_OFFSET 0x28

/*
 * A record whose body is a copy on the heap with not an octet to spare: the
 * sanitizers see every read past it.  Free rec.body.
 */
static inline struct record exact_record(uint32_t type, const void *bytes,
                                         uint32_t length, enum byte_order order)
{
    uint8_t *copy = malloc(length ? length : 1);
    struct record rec;

    assert_non_null(copy);
    if (length > 0)
        memcpy(copy, bytes, length);
    rec = record_over(type, copy, length, order);
    rec.offset = TEST_OFFSET;
    return rec;
}

static inline void exact_record_free(struct record *rec)
{
    free((void *)(uintptr_t)rec->body);
    rec->body = NULL;
}

/* 'decode' of every shorter body must be refused, never crash. */
#define assert_truncations_refused(type_, bytes, order_, decode_call)     \
    for (uint32_t length_ = 0; length_ < sizeof(bytes); length_++) {      \
        struct record rec = exact_record(type_, bytes, length_, order_);  \
        struct error err = {0};                                           \
                                                                          \
        if (decode_call)                                                  \
            fail_msg("%u of %zu octets were accepted", length_,           \
                     sizeof(bytes));                                      \
        assert_true(err.code == ERR_FORMAT || err.code == ERR_TRUNCATED); \
        assert_int_equal(err.offset, TEST_OFFSET);                        \
        exact_record_free(&rec);                                          \
    }

#endif
