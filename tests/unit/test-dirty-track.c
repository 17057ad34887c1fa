/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No write is ever missed: writers race with collecting, and a copy that is
 * brought up to date only by what was collected must end up equal.
 */
#include <pthread.h>

#include "test_machine.h"

#include "hostd/dirty_track.h"

#define FIRST   512u
#define PAGES   1024u
#define ROUNDS  200u
#define WRITERS 2u

struct writer {
    struct test_machine *t;
    unsigned int seed;
    bool stop;
    int pipe[2];
};

/* Stores, and writes by the kernel as a disk's worker causes them. */
static void *write_pages(void *context)
{
    struct writer *w = context;
    uint64_t count = 0;

    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        uint64_t gfn = FIRST + (uint64_t)rand_r(&w->seed) % PAGES;
        uint8_t *page = test_ram(w->t, gfn * PAGE_SIZE);

        count++;
        /* Each writer has words of its own. */
        if (count % 16) {
            ((uint64_t *)page)[w->seed % 64 * 8 + (size_t)w->pipe[0] % 8] =
                count;
        } else if (write(w->pipe[1], &count, 8) == 8) {
            if (read(w->pipe[0], page + 2048 + 8 * w->pipe[0] % 1024, 8) != 8)
                break;
        }
    }
    return NULL;
}

static void copy(struct test_machine *t, struct dirty_tracker *tracker,
                 uint8_t *to)
{
    struct error err;

    assert_ok(dirty_collect(tracker, &err), err);
    for (uint64_t gfn = bitmap_next(&tracker->written, 0); gfn != BITMAP_END;
         gfn = bitmap_next(&tracker->written, gfn + 1)) {
        bitmap_clear(&tracker->written, gfn);
        if (gfn < TEST_PAGES)
            memcpy(to + gfn * PAGE_SIZE, test_ram(t, gfn * PAGE_SIZE),
                   PAGE_SIZE);
    }
}

static bool can_protect(void)
{
    if (dirty_method_probe() == DIRTY_WRITE_PROTECT)
        return true;
    print_message("this kernel has no asynchronous write protection\n");
    return false;
}

static void no_write_is_missed(void **state)
{
    struct test_machine *t = *state;
    struct dirty_tracker tracker = {.uffd = -1, .pagemap = -1};
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint8_t *to;
    struct error err;

    if (!can_protect())
        skip();
    assert_ok(dirty_start(&tracker, &t->m, DIRTY_WRITE_PROTECT, &err), err);
    to = malloc(TEST_PAGES * PAGE_SIZE);
    assert_non_null(to);
    memcpy(to, test_ram(t, 0), TEST_PAGES * PAGE_SIZE);
    for (unsigned int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.t = t, .seed = i + 1};
        assert_int_equal(pipe(writers[i].pipe), 0);
        assert_int_equal(
            pthread_create(&threads[i], NULL, write_pages, &writers[i]), 0);
    }
    for (unsigned int i = 0; i < ROUNDS; i++)
        copy(t, &tracker, to);
    for (unsigned int i = 0; i < WRITERS; i++) {
        __atomic_store_n(&writers[i].stop, true, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
        close(writers[i].pipe[0]);
        close(writers[i].pipe[1]);
    }
    copy(t, &tracker, to);
    assert_memory_equal(to, test_ram(t, 0), TEST_PAGES * PAGE_SIZE);
    free(to);
    dirty_stop(&tracker);
}

static void what_is_not_written_is_clean(void **state)
{
    struct test_machine *t = *state;
    struct dirty_tracker tracker = {.uffd = -1, .pagemap = -1};
    struct error err;

    if (!can_protect())
        skip();
    memset(test_ram(t, 0), 1, 100 * PAGE_SIZE);
    assert_ok(dirty_start(&tracker, &t->m, DIRTY_WRITE_PROTECT, &err), err);
    assert_ok(dirty_collect(&tracker, &err), err);
    assert_int_equal(bitmap_count(&tracker.written), 0);
    *(volatile uint8_t *)test_ram(t, 5 * PAGE_SIZE) = 2;
    *(volatile uint8_t *)test_ram(t, 3000 * PAGE_SIZE) = 2; /* never touched */
    assert_ok(dirty_collect(&tracker, &err), err);
    assert_int_equal(bitmap_count(&tracker.written), 2);
    assert_true(bitmap_test(&tracker.written, 5));
    assert_true(bitmap_test(&tracker.written, 3000));
    bitmap_empty(&tracker.written);
    assert_ok(dirty_collect(&tracker, &err), err);
    assert_int_equal(bitmap_count(&tracker.written), 0);
    dirty_stop(&tracker);
}

static void frames_that_become_ram_count_as_written(void **state)
{
    struct test_machine *t = *state;

    for (enum dirty_method method = DIRTY_WRITE_PROTECT;
         method <= DIRTY_ENGINE_HOOKS; method++) {
        struct dirty_tracker tracker = {.uffd = -1, .pagemap = -1};
        struct error err;

        if (method == DIRTY_WRITE_PROTECT && !can_protect())
            continue;
        assert_ok(dirty_start(&tracker, &t->m, method, &err), err);
        assert_true(guest_memory_give_back(&t->m.memory, 77));
        assert_ok(guest_memory_populate(&t->m.memory, 77, 1, &err), err);
        assert_ok(guest_memory_populate(&t->m.memory, 0xe0000, 1, &err), err);
        assert_ok(dirty_collect(&tracker, &err), err);
        assert_true(bitmap_test(&tracker.written, 77));
        assert_true(bitmap_test(&tracker.written, 0xe0000));
        assert_true(guest_memory_give_back(&t->m.memory, 0xe0000));
        dirty_stop(&tracker);
    }
}

static void hooks_count_what_the_host_looks_up(void **state)
{
    struct test_machine *t = *state;
    struct dirty_tracker tracker = {.uffd = -1, .pagemap = -1};
    struct grant_entry_v1 *entry;
    struct error err;

    assert_int_equal(grants_grow(&t->m, 1), 0);
    entry = grants_entry(&t->m, 9);
    *entry = (struct grant_entry_v1){.flags = GTF_permit_access, .frame = 40};
    assert_ok(dirty_start(&tracker, &t->m, DIRTY_ENGINE_HOOKS, &err), err);
    assert_non_null(guest_memory_page(&t->m.memory, 30));
    dirty_mark(&tracker, 31 * PAGE_SIZE - 1, 2); /* crosses a page */
    assert_ok(dirty_collect(&tracker, &err), err);
    assert_true(bitmap_test(&tracker.written, 30));
    assert_true(bitmap_test(&tracker.written, 31));
    assert_false(bitmap_test(&tracker.written, 40));
    /* In use for writing: written in every round, and once more at the end. */
    assert_non_null(grants_begin(&t->m, 9, GRANT_WRITE));
    for (unsigned int i = 0; i < 2; i++) {
        bitmap_empty(&tracker.written);
        assert_ok(dirty_collect(&tracker, &err), err);
        assert_true(bitmap_test(&tracker.written, 40));
    }
    bitmap_empty(&tracker.written);
    grants_end(&t->m, 9, GRANT_WRITE);
    assert_ok(dirty_collect(&tracker, &err), err);
    assert_true(bitmap_test(&tracker.written, 40));
    dirty_stop(&tracker);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_write_is_missed),
        TEST(what_is_not_written_is_clean),
        TEST(frames_that_become_ram_count_as_written),
        TEST(hooks_count_what_the_host_looks_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
