/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <sys/wait.h>

#include "engine/move/guest_lock.h"
#include "unit.h"

static char folder[32];

static int setup(void **state)
{
    strcpy(folder, "/tmp/xenferry-test-XXXXXX");
    return mkdtemp(folder) == NULL;
}

/* Fails when a lock file was left. */
static int teardown(void **state)
{
    return rmdir(folder);
}

static void the_second_taker_is_told_who_has_it(void **state)
{
    struct guest_lock first, second;
    struct error err;
    char pid[32];

    assert_ok(guest_lock_take(&first, folder, 7, &err), err);
    snprintf(pid, sizeof(pid), "by process %ld", (long)getpid());
    assert_refused(guest_lock_take(&second, folder, 7, &err), err, ERR_STATE,
                   pid);
    /* Another guest is nobody's business. */
    assert_ok(guest_lock_take(&second, folder, 8, &err), err);
    guest_lock_release(&second);
    guest_lock_release(&first);
    guest_lock_release(&first);
    assert_ok(guest_lock_take(&second, folder, 7, &err), err);
    guest_lock_release(&second);
}

static void a_dead_process_holds_nothing(void **state)
{
    struct guest_lock lock;
    struct error err;
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0)
        _exit(!guest_lock_take(&lock, folder, 7, &err));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_ok(guest_lock_take(&lock, folder, 7, &err), err);
    guest_lock_release(&lock);
}

static void a_zeroed_lock_can_be_released(void **state)
{
    struct guest_lock lock = {0};

    guest_lock_release(&lock);
}

int main(void)
{
#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(the_second_taker_is_told_who_has_it),
        EACH(a_dead_process_holds_nothing),
        EACH(a_zeroed_lock_can_be_released),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
