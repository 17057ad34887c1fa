/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/dirty_track.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "base/cleanup.h"
#include "hostd/grants.h"

/* What the kernel's headers of Debian 12 do not have yet (Linux 6.7). */
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#ifndef PAGEMAP_SCAN
struct page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};

#define PAGEMAP_SCAN          _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_WRITTEN       (1 << 1)
#define PM_SCAN_WP_MATCHING   (1 << 0)
#define PM_SCAN_CHECK_WPASYNC (1 << 1)
#endif

#define FEATURES                                           \
    (UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED | \
     UFFD_FEATURE_WP_HUGETLBFS_SHMEM)

#define REGIONS 512

const char *dirty_method_name(enum dirty_method method)
{
    return method == DIRTY_WRITE_PROTECT ? "write-protect" : "engine-hooks";
}

/* ---- write protection -------------------------------------------------- */

static bool open_uffd(int *ret, struct error *err)
{
    struct uffdio_api api = {.api = UFFD_API, .features = FEATURES};
    cleanup_fd int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK |
                                                          UFFD_USER_MODE_ONLY);

    if (fd < 0)
        return error_set_errno(err, ERR_UNSUPPORTED, errno, "userfaultfd");
    if (ioctl(fd, UFFDIO_API, &api))
        return error_set_errno(err, ERR_UNSUPPORTED, errno,
                               "userfaultfd: asynchronous write protection");
    *ret = take_fd(&fd);
    return true;
}

static bool open_pagemap(int *ret, struct error *err)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return error_set_errno(err, ERR_UNSUPPORTED, errno,
                               "/proc/self/pagemap");
    *ret = fd;
    return true;
}

static bool protect(int uffd, void *start, uint64_t length, struct error *err)
{
    struct uffdio_range range = {.start = (uintptr_t)start, .len = length};
    struct uffdio_register reg = {.range = range,
                                  .mode = UFFDIO_REGISTER_MODE_WP};
    struct uffdio_writeprotect wp = {.range = range,
                                     .mode = UFFDIO_WRITEPROTECT_MODE_WP};

    if (ioctl(uffd, UFFDIO_REGISTER, &reg))
        return error_set_errno(err, ERR_UNSUPPORTED, errno,
                               "userfaultfd: register");
    if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
        return error_set_errno(err, ERR_UNSUPPORTED, errno,
                               "userfaultfd: write-protect");
    return true;
}

/* Set a bit of 'to' for each page that was written, and protect it again. */
static bool scan(int pagemap, uint8_t *start, uint64_t nr_pages,
                 const uint8_t *first_page, struct bitmap *to,
                 struct error *err)
{
    struct page_region regions[REGIONS];
    struct pm_scan_arg arg = {
        .size = sizeof(arg),
        .flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
        .start = (uintptr_t)start,
        .end = (uintptr_t)start + nr_pages * PAGE_SIZE,
        .vec = (uintptr_t)regions,
        .vec_len = REGIONS,
        .category_mask = PAGE_IS_WRITTEN,
        .return_mask = PAGE_IS_WRITTEN,
    };

    while (arg.start < arg.end) {
        int nr = ioctl(pagemap, PAGEMAP_SCAN, &arg);

        if (nr < 0)
            return error_set_errno(err, ERR_HOST, errno, "PAGEMAP_SCAN");
        for (int i = 0; i < nr; i++)
            for (uint64_t a = regions[i].start; a < regions[i].end;
                 a += PAGE_SIZE)
                bitmap_set(to, (a - (uintptr_t)first_page) / PAGE_SIZE);
        arg.start = arg.walk_end;
    }
    return true;
}

/* Three pages: one stays clean, one is stored to, the kernel writes one. */
static bool probe_pages(int uffd, int pagemap, uint8_t *pages)
{
    cleanup(bitmap_release) struct bitmap seen = {0};
    struct error err;
    int pipe_fds[2];
    bool wrote;

    if (!bitmap_init(&seen, 3, &err) ||
        !protect(uffd, pages, 3 * PAGE_SIZE, &err) || pipe(pipe_fds))
        return false;
    ((volatile uint8_t *)pages)[PAGE_SIZE] = 1;
    wrote = write(pipe_fds[1], "x", 1) == 1 &&
            read(pipe_fds[0], pages + 2 * PAGE_SIZE, 1) == 1;
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return wrote && scan(pagemap, pages, 3, pages, &seen, &err) &&
           bitmap_count(&seen) == 2 && !bitmap_test(&seen, 0);
}

enum dirty_method dirty_method_probe(void)
{
    cleanup_fd int uffd = -1;
    cleanup_fd int pagemap = -1;
    cleanup_fd int fd = -1;
    struct error err;
    bool works;
    void *pages;

    if (!open_uffd(&uffd, &err) || !open_pagemap(&pagemap, &err))
        return DIRTY_ENGINE_HOOKS;
    fd = memfd_create("xenferry-probe", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 3 * PAGE_SIZE))
        return DIRTY_ENGINE_HOOKS;
    pages =
        mmap(NULL, 3 * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return DIRTY_ENGINE_HOOKS;
    works = probe_pages(uffd, pagemap, pages);
    munmap(pages, 3 * PAGE_SIZE);
    return works ? DIRTY_WRITE_PROTECT : DIRTY_ENGINE_HOOKS;
}

/* The next run of frames that were RAM at the start. */
static bool next_covered(const struct dirty_tracker *t, uint64_t from,
                         uint64_t *ret_first, uint64_t *ret_nr)
{
    uint64_t first = bitmap_next(&t->covered, from);
    uint64_t end;

    if (first == BITMAP_END)
        return false;
    end = bitmap_next_clear(&t->covered, first);
    *ret_first = first;
    *ret_nr = (end == BITMAP_END ? t->covered.nr_bits : end) - first;
    return true;
}

static bool protect_all(struct dirty_tracker *t, struct error *err)
{
    uint64_t gfn, nr;

    if (!open_uffd(&t->uffd, err) || !open_pagemap(&t->pagemap, err))
        return false;
    for (uint64_t from = 0; next_covered(t, from, &gfn, &nr); from = gfn + nr)
        if (!protect(t->uffd, t->m->memory.ram + gfn * PAGE_SIZE,
                     nr * PAGE_SIZE, err))
            return false;
    return true;
}

static bool scan_all(struct dirty_tracker *t, struct error *err)
{
    uint64_t gfn, nr;

    for (uint64_t from = 0; next_covered(t, from, &gfn, &nr); from = gfn + nr)
        if (!scan(t->pagemap, t->m->memory.ram + gfn * PAGE_SIZE, nr,
                  t->m->memory.ram, &t->written, err))
            return false;
    return true;
}

/* ---- engine hooks ------------------------------------------------------ */

void dirty_mark(struct dirty_tracker *t, uint64_t gpa, size_t length)
{
    uint64_t last = (gpa + length - 1) >> PAGE_SHIFT;

    for (uint64_t gfn = gpa >> PAGE_SHIFT; gfn <= last; gfn++)
        if (gfn < t->written.nr_bits)
            bitmap_set(&t->written, gfn);
}

/* Pages that a backend holds on to look the same as those it looked up. */
static void mark_held(struct dirty_tracker *t)
{
    const struct machine *m = t->m;

    dirty_mark(t, m->hvm_param[HVM_PARAM_STORE_PFN] * PAGE_SIZE, 1);
    dirty_mark(t, m->hvm_param[HVM_PARAM_CONSOLE_PFN] * PAGE_SIZE, 1);
    for (uint32_t ref = 0; ref < GRANT_ENTRIES_MAX; ref++) {
        const struct grant_use *use = &m->grants.use[ref];

        if (use->writers)
            dirty_mark(t, use->frame * PAGE_SIZE, 1);
    }
}

/* ---- both -------------------------------------------------------------- */

/* All RAM but what other guests write, whose stores nobody notes. */
static void cover(struct dirty_tracker *t)
{
    const struct machine *m = t->m;

    bitmap_or(&t->covered, &m->memory.populated);
    for (uint32_t ref = 0; m->grants.nr_lent && ref < GRANT_ENTRIES_MAX; ref++)
        if (m->grants.use[ref].writers)
            bitmap_clear(&t->covered, m->grants.use[ref].frame);
}

bool dirty_start(struct dirty_tracker *t, struct machine *m,
                 enum dirty_method method, struct error *err)
{
    bool ok;

    dirty_stop(t);
    *t = (struct dirty_tracker){
        .method = method, .m = m, .uffd = -1, .pagemap = -1};
    ok = bitmap_init(&t->covered, m->memory.nr_gfns, err) &&
         bitmap_init(&t->written, m->memory.nr_gfns, err);
    if (ok)
        cover(t);
    if (ok && method == DIRTY_WRITE_PROTECT)
        ok = protect_all(t, err);
    if (ok && method == DIRTY_ENGINE_HOOKS)
        m->memory.touched = &t->written;
    if (ok)
        m->memory.covered = &t->covered;
    else
        dirty_stop(t);
    return ok;
}

void dirty_stop(struct dirty_tracker *t)
{
    if (!t->m)
        return;
    t->m->memory.touched = NULL;
    t->m->memory.covered = NULL;
    close_fd(&t->uffd); /* ends the protection */
    close_fd(&t->pagemap);
    bitmap_release(&t->covered);
    bitmap_release(&t->written);
    t->m = NULL;
}

bool dirty_collect(struct dirty_tracker *t, struct error *err)
{
    const struct bitmap *ram = &t->m->memory.populated;

    if (t->method == DIRTY_ENGINE_HOOKS)
        mark_held(t);
    else if (!scan_all(t, err))
        return false;
    for (uint64_t gfn = bitmap_next(ram, 0); gfn != BITMAP_END;
         gfn = bitmap_next(ram, gfn + 1)) {
        /* Runs of frames that are in both need no look at each of them. */
        gfn = bitmap_next_clear(&t->covered, gfn);
        if (gfn == BITMAP_END)
            break;
        if (bitmap_test(ram, gfn))
            bitmap_set(&t->written, gfn);
    }
    return true;
}
