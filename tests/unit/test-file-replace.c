/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file_replace.h"
#include "unit.h"

static char folder[32], target[64], other[64];

static int setup(void **state)
{
    strcpy(folder, "/tmp/xenferry-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(target, sizeof(target), "%s/image", folder);
    snprintf(other, sizeof(other), "%s/link", folder);
    return 0;
}

static int teardown(void **state)
{
    unlink(target);
    unlink(other);
    /* Fails when a hidden file was left. */
    return rmdir(folder);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void assert_contents(const char *path, const char *text)
{
    char have[64] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_true(fread(have, 1, sizeof(have) - 1, f) > 0);
    fclose(f);
    assert_string_equal(have, text);
}

static void nothing_is_seen_before_the_commit(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;

    put(target, "old");
    assert_ok(file_replace_open(&f, target, 0600, &err), err);
    assert_int_equal(write(f.fd, "new", 3), 3);
    assert_contents(target, "old");
    assert_ok(file_replace_commit(&f, true, &err), err);
    assert_contents(target, "new");
    file_replace_release(&f);
    assert_contents(target, "new");
}

static void a_release_leaves_the_old_file_and_nothing_else(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;

    put(target, "old");
    assert_ok(file_replace_open(&f, target, 0600, &err), err);
    assert_int_equal(write(f.fd, "new", 3), 3);
    file_replace_release(&f);
    file_replace_release(&f);
    assert_contents(target, "old");
}

static void a_new_file_has_the_mode_asked_for(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;
    struct stat st;

    assert_ok(file_replace_open(&f, target, 0600, &err), err);
    assert_int_equal(access(target, F_OK), -1);
    assert_ok(file_replace_commit(&f, false, &err), err);
    file_replace_release(&f);
    assert_int_equal(stat(target, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_symbolic_link_stays_one(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;
    struct stat st;

    put(target, "old");
    assert_int_equal(symlink(target, other), 0);
    assert_ok(file_replace_open(&f, other, 0600, &err), err);
    assert_int_equal(write(f.fd, "new", 3), 3);
    assert_ok(file_replace_commit(&f, false, &err), err);
    file_replace_release(&f);
    assert_int_equal(lstat(other, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_contents(target, "new");
}

static void a_device_is_written_in_place(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;

    assert_ok(file_replace_open(&f, "/dev/null", 0600, &err), err);
    assert_true(f.in_place);
    assert_ok(file_replace_commit(&f, true, &err), err);
    file_replace_release(&f);
    assert_int_equal(access("/dev/null", F_OK), 0);
}

static void a_pipe_needs_no_name(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;
    char byte, path[32];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_ok(file_replace_use(&f, fds[1], "a pipe", &err), err);
    assert_int_equal(write(f.fd, "x", 1), 1);
    assert_ok(file_replace_commit(&f, true, &err), err);
    file_replace_release(&f);
    snprintf(path, sizeof(path), "/dev/fd/%d", fds[1]);
    assert_ok(file_replace_open(&f, path, 0600, &err), err);
    assert_int_equal(write(f.fd, "y", 1), 1);
    assert_ok(file_replace_commit(&f, true, &err), err);
    file_replace_release(&f);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    close(fds[0]);
    close(fds[1]);
}

static void what_cannot_be_a_file_is_refused(void **state)
{
    struct file_replace f = FILE_REPLACE_NONE;
    struct error err;
    char missing[96];

    assert_refused(file_replace_open(&f, folder, 0600, &err), err, ERR_IO,
                   "directory");
    snprintf(missing, sizeof(missing), "%s/no/image", folder);
    assert_refused(file_replace_open(&f, missing, 0600, &err), err, ERR_IO,
                   "No such");
}

int main(void)
{
#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(nothing_is_seen_before_the_commit),
        EACH(a_release_leaves_the_old_file_and_nothing_else),
        EACH(a_new_file_has_the_mode_asked_for),
        EACH(a_symbolic_link_stays_one),
        EACH(a_device_is_written_in_place),
        EACH(a_pipe_needs_no_name),
        EACH(what_cannot_be_a_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
