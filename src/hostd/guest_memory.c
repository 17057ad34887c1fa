/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hostd/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#define ALIGNMENT ((size_t)2 << 20)

static bool memfd_map(const char *name, size_t size, int *ret_fd,
                      struct error *err)
{
    cleanup_fd int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "memfd %s", name);
    if (ftruncate(fd, (off_t)size))
        return error_set_errno(err, ERR_NO_MEMORY, errno,
                               "memfd %s: %zu octets", name, size);
    /* Whoever is handed the descriptor cannot pull the pages from under us. */
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return error_set_errno(err, ERR_IO, errno, "memfd %s: seals", name);
    *ret_fd = take_fd(&fd);
    return true;
}

static bool map_ram(struct guest_memory *m, struct error *err)
{
    size_t size = m->nr_gfns * PAGE_SIZE;
    uint8_t *start;

    m->reserved = size + ALIGNMENT;
    start = mmap(NULL, m->reserved, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return error_set_errno(err, ERR_NO_MEMORY, errno,
                               "guest memory: %zu octets of addresses", size);
    m->reservation = start;
    m->ram = (uint8_t *)(((uintptr_t)start + ALIGNMENT - 1) & ~(ALIGNMENT - 1));
    if (mmap(m->ram, size, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED | MAP_NORESERVE, m->ram_fd,
             0) == MAP_FAILED)
        return error_set_errno(err, ERR_NO_MEMORY, errno, "guest memory");
    return true;
}

bool guest_memory_init(struct guest_memory *ret, const char *name,
                       uint64_t nr_gfns, struct error *err)
{
    cleanup(guest_memory_release) struct guest_memory m = {
        .ram_fd = -1, .xen_fd = -1, .nr_gfns = nr_gfns, .generation = 1};
    uint8_t *pages;

    if (nr_gfns == 0 || nr_gfns > GUEST_GFNS_MAX)
        return error_set(err, ERR_LIMIT,
                         "guest memory: %" PRIu64 " frames, at most %" PRIu64,
                         nr_gfns, GUEST_GFNS_MAX);
    for (size_t i = 0; i < XEN_PAGES_MAX; i++)
        m.xen_gfn[i] = GFN_NONE;
    for (size_t i = 0; i < FOREIGN_PAGES_MAX; i++)
        m.foreign_gfn[i] = GFN_NONE;
    if (!memfd_map(name, nr_gfns * PAGE_SIZE, &m.ram_fd, err) ||
        !memfd_map(name, XEN_PAGES_MAX * PAGE_SIZE, &m.xen_fd, err) ||
        !bitmap_init(&m.populated, nr_gfns, err) || !map_ram(&m, err))
        return false;
    pages = mmap(NULL, XEN_PAGES_MAX * PAGE_SIZE, PROT_READ | PROT_WRITE,
                 MAP_SHARED, m.xen_fd, 0);
    if (pages == MAP_FAILED)
        return error_set_errno(err, ERR_NO_MEMORY, errno, "Xen's pages");
    m.xen_pages = pages;
    *ret = m;
    m = (struct guest_memory){.ram_fd = -1, .xen_fd = -1};
    return true;
}

void guest_memory_release(struct guest_memory *m)
{
    if (m->reservation)
        munmap(m->reservation, m->reserved);
    if (m->xen_pages)
        munmap(m->xen_pages, XEN_PAGES_MAX * PAGE_SIZE);
    if (m->foreign)
        munmap(m->foreign, FOREIGN_PAGES_MAX * PAGE_SIZE);
    bitmap_release(&m->populated);
    close_fd(&m->ram_fd);
    close_fd(&m->xen_fd);
    *m = (struct guest_memory){.ram_fd = -1, .xen_fd = -1};
}

/* Which of Xen's pages is at 'gfn', or XEN_PAGES_MAX. */
static unsigned int xen_page_at(const struct guest_memory *m, uint64_t gfn)
{
    unsigned int i = 0;

    while (i < XEN_PAGES_MAX && m->xen_gfn[i] != gfn)
        i++;
    return i;
}

bool guest_memory_is_xen(const struct guest_memory *m, uint64_t gfn)
{
    return gfn != GFN_NONE && xen_page_at(m, gfn) < XEN_PAGES_MAX;
}

/* Whether a foreign page is at one of these. */
static bool has_foreign(const struct guest_memory *m, uint64_t gfn, uint64_t nr)
{
    for (unsigned int i = 0; m->nr_foreign && i < FOREIGN_PAGES_MAX; i++)
        if (m->foreign_gfn[i] >= gfn && m->foreign_gfn[i] - gfn < nr)
            return true;
    return false;
}

bool guest_memory_populate(struct guest_memory *m, uint64_t gfn, uint64_t nr,
                           struct error *err)
{
    if (gfn >= m->nr_gfns || nr > m->nr_gfns - gfn)
        return error_set(err, ERR_LIMIT,
                         "populate: gfn %#" PRIx64 "+%" PRIu64
                         ", the guest has gfns below %#" PRIx64,
                         gfn, nr, m->nr_gfns);
    for (unsigned int i = 0; i < XEN_PAGES_MAX; i++)
        if (m->xen_gfn[i] != GFN_NONE && m->xen_gfn[i] >= gfn &&
            m->xen_gfn[i] - gfn < nr)
            return error_set(err, ERR_STATE,
                             "populate: one of Xen's pages is at gfn %#" PRIx64,
                             m->xen_gfn[i]);
    if (has_foreign(m, gfn, nr))
        return error_set(err, ERR_STATE,
                         "populate: gfn %#" PRIx64 "+%" PRIu64
                         ": a page of another guest is mapped there",
                         gfn, nr);
    for (uint64_t i = gfn; i < gfn + nr; i++)
        if (!bitmap_test_and_set(&m->populated, i)) {
            m->nr_populated++;
            if (m->covered)
                bitmap_clear(m->covered, i);
        }
    m->generation++;
    return true;
}

bool guest_memory_give_back(struct guest_memory *m, uint64_t gfn)
{
    if (!guest_memory_is_ram(m, gfn))
        return false;
    bitmap_clear(&m->populated, gfn);
    m->nr_populated--;
    m->generation++;
    /* Frees the page; on failure it is merely kept until the guest ends. */
    if (fallocate(m->ram_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  (off_t)(gfn * PAGE_SIZE), PAGE_SIZE))
        memset(m->ram + gfn * PAGE_SIZE, 0, PAGE_SIZE);
    return true;
}

bool guest_memory_place(struct guest_memory *m, unsigned int xen_page,
                        uint64_t gfn, struct error *err)
{
    if (gfn >= m->nr_gfns)
        return error_set(err, ERR_LIMIT,
                         "one of Xen's pages to gfn %#" PRIx64
                         ", the guest has gfns below %#" PRIx64,
                         gfn, m->nr_gfns);
    if (has_foreign(m, gfn, 1))
        return error_set(err, ERR_STATE,
                         "one of Xen's pages to gfn %#" PRIx64
                         ": a page of another guest is mapped there",
                         gfn);
    guest_memory_displace(m, gfn);
    guest_memory_give_back(m, gfn);
    m->xen_gfn[xen_page] = gfn;
    m->generation++;
    return true;
}

bool guest_memory_displace(struct guest_memory *m, uint64_t gfn)
{
    unsigned int i = gfn == GFN_NONE ? XEN_PAGES_MAX : xen_page_at(m, gfn);

    if (i == XEN_PAGES_MAX)
        return false;
    m->xen_gfn[i] = GFN_NONE;
    m->generation++;
    return true;
}

/* What is at free slots: memory that nobody looks at. */
static uint8_t *map_nothing(uint8_t *at, size_t size)
{
    void *start =
        mmap(at, size, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0),
             -1, 0);

    return start == MAP_FAILED ? NULL : start;
}

static bool reserve_foreign(struct guest_memory *m, struct error *err)
{
    if (!m->foreign)
        m->foreign = map_nothing(NULL, FOREIGN_PAGES_MAX * PAGE_SIZE);
    return m->foreign ||
           error_set_errno(err, ERR_NO_MEMORY, errno, "foreign pages");
}

bool guest_memory_borrow(struct guest_memory *m, unsigned int slot,
                         uint64_t gfn, const struct guest_memory *from,
                         uint64_t from_gfn, bool writable, struct error *err)
{
    if (gfn >= m->nr_gfns || guest_memory_is_xen(m, gfn) ||
        has_foreign(m, gfn, 1))
        return error_set(err, ERR_STATE,
                         "foreign page at gfn %#" PRIx64
                         ": expected RAM or nothing there, below %#" PRIx64,
                         gfn, m->nr_gfns);
    if (!reserve_foreign(m, err))
        return false;
    if (mmap(m->foreign + slot * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_FIXED, from->ram_fd,
             (off_t)(from_gfn * PAGE_SIZE)) == MAP_FAILED)
        return error_set_errno(err, ERR_NO_MEMORY, errno, "foreign page");
    guest_memory_give_back(m, gfn);
    m->foreign_gfn[slot] = gfn;
    m->foreign_writable[slot] = writable;
    m->nr_foreign++;
    m->generation++;
    return true;
}

void guest_memory_return(struct guest_memory *m, unsigned int slot)
{
    /* A processor may have it mapped until it sees the new generation. */
    map_nothing(m->foreign + slot * PAGE_SIZE, PAGE_SIZE);
    m->foreign_gfn[slot] = GFN_NONE;
    m->nr_foreign--;
    m->generation++;
}

bool guest_memory_is_ram(const struct guest_memory *m, uint64_t gfn)
{
    return gfn < m->nr_gfns && bitmap_test(&m->populated, gfn);
}

uint8_t *guest_memory_page(const struct guest_memory *m, uint64_t gfn)
{
    unsigned int i;

    if (gfn >= m->nr_gfns)
        return NULL;
    if (bitmap_test(&m->populated, gfn)) {
        if (m->touched)
            bitmap_set(m->touched, gfn);
        return m->ram + gfn * PAGE_SIZE;
    }
    i = xen_page_at(m, gfn);
    return i < XEN_PAGES_MAX ? m->xen_pages + i * PAGE_SIZE : NULL;
}

void *guest_memory_at(const struct guest_memory *m, uint64_t gpa, size_t length)
{
    size_t offset = gpa & (PAGE_SIZE - 1);
    uint8_t *page;

    if (length > PAGE_SIZE - offset)
        return NULL;
    page = guest_memory_page(m, gpa >> PAGE_SHIFT);
    return page ? page + offset : NULL;
}

/* Of 'nr' pages that each have a place of their own, the first from 'gfn'. */
static unsigned int lowest_from(const uint64_t *place, unsigned int nr,
                                uint64_t gfn)
{
    unsigned int lowest = nr;

    for (unsigned int i = 0; i < nr; i++)
        if (place[i] != GFN_NONE && place[i] >= gfn &&
            (lowest == nr || place[i] < place[lowest]))
            lowest = i;
    return lowest;
}

/* The first of Xen's and the foreign pages. */
static bool next_single(const struct guest_memory *m, uint64_t gfn,
                        struct memory_run *ret)
{
    unsigned int xen = lowest_from(m->xen_gfn, XEN_PAGES_MAX, gfn);
    unsigned int foreign =
        m->nr_foreign ? lowest_from(m->foreign_gfn, FOREIGN_PAGES_MAX, gfn)
                      : FOREIGN_PAGES_MAX;

    if (foreign < FOREIGN_PAGES_MAX &&
        (xen == XEN_PAGES_MAX || m->foreign_gfn[foreign] < m->xen_gfn[xen]))
        *ret = (struct memory_run){.gfn = m->foreign_gfn[foreign],
                                   .nr = 1,
                                   .host = m->foreign + foreign * PAGE_SIZE,
                                   .read_only = !m->foreign_writable[foreign]};
    else if (xen < XEN_PAGES_MAX)
        *ret = (struct memory_run){.gfn = m->xen_gfn[xen],
                                   .nr = 1,
                                   .host = m->xen_pages + xen * PAGE_SIZE};
    else
        return false;
    return true;
}

bool guest_memory_next_run(const struct guest_memory *m, uint64_t gfn,
                           struct memory_run *ret)
{
    uint64_t first = bitmap_next(&m->populated, gfn);
    struct memory_run single;
    uint64_t end;

    if (next_single(m, gfn, &single) && single.gfn < first) {
        *ret = single;
        return true;
    }
    if (first == BITMAP_END)
        return false;
    end = bitmap_next_clear(&m->populated, first);
    if (end == BITMAP_END)
        end = m->nr_gfns;
    *ret = (struct memory_run){
        .gfn = first, .nr = end - first, .host = m->ram + first * PAGE_SIZE};
    return true;
}
