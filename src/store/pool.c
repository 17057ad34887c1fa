/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "store/pool.h"

#include <stdlib.h>
#include <sys/mman.h>

/* Says nothing where there is no sanitizer. */
#include <sanitizer/asan_interface.h>

#define CHUNK_SIZE 65536u

struct chunk {
    struct list link; /* on pool.room; self-linked when full */
    void **free;      /* objects that were put back, each points to the next */
    uint32_t used;
    uint32_t fresh; /* octets behind the head that were never given out */
};

static size_t class_of(size_t size)
{
    return (size + 7) / 8;
}

static struct chunk *chunk_of(const void *object)
{
    return (struct chunk *)((uintptr_t)object & ~(uintptr_t)(CHUNK_SIZE - 1));
}

void pool_init(struct pool *pool)
{
    *pool = (struct pool){0};
    for (size_t i = 0; i < ARRAY_SIZE(pool->room); i++)
        list_init(&pool->room[i]);
}

void pool_release(struct pool *pool)
{
    for (size_t i = 0; i < ARRAY_SIZE(pool->room); i++)
        while (pool->room[i].next && !list_is_empty(&pool->room[i])) {
            struct chunk *c =
                list_object(pool->room[i].next, struct chunk, link);

            list_remove(&c->link);
            ASAN_UNPOISON_MEMORY_REGION(c, CHUNK_SIZE);
            munmap(c, CHUNK_SIZE);
        }
}

/* Aligned: malloc() would leave a hole between any two of them. */
static void *chunk_map(void)
{
    char *p = mmap(NULL, 2 * (size_t)CHUNK_SIZE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t before;

    if (p == MAP_FAILED)
        return NULL;
    before = -(uintptr_t)p & (CHUNK_SIZE - 1);
    if (before)
        munmap(p, before);
    munmap(p + before + CHUNK_SIZE, CHUNK_SIZE - before);
    return p + before;
}

static struct chunk *chunk_new(struct pool *pool, size_t class)
{
    struct chunk *c = chunk_map();

    if (!c)
        return NULL;
    *c = (struct chunk){.fresh = CHUNK_SIZE - sizeof(*c)};
    list_init(&c->link);
    list_append(&pool->room[class], &c->link);
    pool->nr_chunks[class]++;
    ASAN_POISON_MEMORY_REGION(c + 1, CHUNK_SIZE - sizeof(*c));
    return c;
}

void *pool_get(struct pool *pool, size_t size)
{
    size_t class = class_of(size);
    struct chunk *c;
    void *object;

    if (size > POOL_OBJECT_MAX || !size)
        return malloc(size);
    if (list_is_empty(&pool->room[class]))
        c = chunk_new(pool, class);
    else
        c = list_object(pool->room[class].next, struct chunk, link);
    if (!c)
        return NULL;
    if (c->free) {
        object = c->free;
        ASAN_UNPOISON_MEMORY_REGION(object, class * 8);
        c->free = *(void **)object;
    } else {
        object = (char *)c + CHUNK_SIZE - c->fresh;
        c->fresh -= (uint32_t) class * 8;
        ASAN_UNPOISON_MEMORY_REGION(object, class * 8);
    }
    c->used++;
    if (!c->free && c->fresh < class * 8)
        list_remove(&c->link);
    return object;
}

void pool_put(struct pool *pool, void *object, size_t size)
{
    size_t class = class_of(size);
    struct chunk *c = chunk_of(object);

    if (size > POOL_OBJECT_MAX || !size || !object) {
        free(object);
        return;
    }
    *(void **)object = c->free;
    c->free = object;
    ASAN_POISON_MEMORY_REGION(object, class * 8);
    c->used--;
    if (list_is_empty(&c->link))
        list_append(&pool->room[class], &c->link);
    if (!c->used && pool->nr_chunks[class] > 1) {
        list_remove(&c->link);
        pool->nr_chunks[class]--;
        ASAN_UNPOISON_MEMORY_REGION(c, CHUNK_SIZE);
        munmap(c, CHUNK_SIZE);
    }
}
