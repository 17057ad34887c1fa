/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/pool.h"
#include "unit.h"

#define NR 4000u

static void objects_are_apart(void **state)
{
    static const size_t sizes[] = {1, 8, 9, 72, 79, 80, 255, 256, 257, 5000};
    struct pool pool;

    pool_init(&pool);
    for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
        size_t size = sizes[s];
        uint8_t **objects = calloc(NR, sizeof(*objects));

        assert_non_null(objects);
        /* Fill, empty every other, fill again: each keeps what it holds. */
        for (unsigned int round = 0; round < 3; round++) {
            for (unsigned int i = 0; i < NR; i++) {
                if (objects[i])
                    continue;
                objects[i] = pool_get(&pool, size);
                assert_non_null(objects[i]);
                assert_int_equal((uintptr_t)objects[i] % 8, 0);
                memset(objects[i], (int)(i % 251), size);
            }
            for (unsigned int i = 0; i < NR; i++) {
                assert_int_equal(objects[i][0], i % 251);
                assert_int_equal(objects[i][size - 1], i % 251);
            }
            for (unsigned int i = round % 2; i < NR; i += 2) {
                pool_put(&pool, objects[i], size);
                objects[i] = NULL;
            }
        }
        for (unsigned int i = 0; i < NR; i++)
            pool_put(&pool, objects[i], size);
        free(objects);
    }
    pool_release(&pool);
}

static void empty_chunks_go_back(void **state)
{
    struct pool pool;
    void *objects[4000];

    pool_init(&pool);
    for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
        objects[i] = pool_get(&pool, 80);
    assert_true(pool.nr_chunks[10] >= 4);
    for (unsigned int i = 0; i < ARRAY_SIZE(objects); i++)
        pool_put(&pool, objects[i], 80);
    assert_int_equal(pool.nr_chunks[10], 1);
    pool_release(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_apart),
        cmocka_unit_test(empty_chunks_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
