/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The work of the lab's Linux guest: it checks itself while it is moved.
 *
 *   labcheck [--mem MIB] [--mem-rate PAGES] [--disk DEVICE]
 *            [--disk-rate BLOCKS] [--tick MS] [--busy THREADS]
 *
 * Three workloads, each able to notice a break:
 *
 *   ticks   a loop that sleeps MS and reads the guest's clock; the largest
 *           distance between two readings is the largest gap
 *   memory  MIB of pages, each filled with words made from its number and its
 *           generation; --mem-rate pages a second are verified and rewritten
 *           with the next generation, as many again only verified
 *   disk    4 KiB blocks with number and generation, written past the page
 *           cache at --disk-rate a second and read back, the block just
 *           written and an old one in turn
 *
 * The generation that a page or block must have is also kept apart, in a
 * table: a page or block that comes back whole but old is a break as well.
 *
 * One line a second on standard output:
 *
 *   check seq=N mem=ok disk=ok maxgap_ms=M ticks=T pages=P blocks=B worst_ms=W
 *
 * maxgap_ms is of this second, worst_ms since the start.  A break is shouted
 * at once as "check FAIL WHAT ..." and turns mem= or disk= into FAIL for good.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE       4096u
#define WORDS      (PAGE / 8)
#define NS_PER_SEC 1000000000ul
#define NS_PER_MS  1000000ul
#define STEPS      10 /* turns a second of the memory and disk workloads */

struct options {
    size_t mem_mib;
    size_t mem_rate;
    const char *disk;
    size_t disk_rate;
    size_t tick_ms;
    size_t busy;
};

struct counters {
    atomic_ulong pages;
    atomic_ulong blocks;
    atomic_ulong mem_errors;
    atomic_ulong disk_errors;
};

struct work {
    const struct options *opt;
    struct counters *count;
};

static uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_SEC),
                          .tv_nsec = (long)(ns % NS_PER_SEC)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
        ;
}

/* The word that stands at 'index' of item 'number' in its 'generation'. */
static uint64_t word_of(uint64_t number, uint64_t generation, size_t index)
{
    uint64_t x = number << 40 ^ generation << 12 ^ index;

    x *= 0x9e3779b97f4a7c15ul;
    return x ^ x >> 29;
}

static void fill(uint64_t *words, uint64_t number, uint64_t generation)
{
    words[0] = number;
    words[1] = generation;
    for (size_t i = 2; i < WORDS; i++)
        words[i] = word_of(number, generation, i);
}

static bool verify(const char *what, const uint64_t *words, uint64_t number,
                   uint64_t generation)
{
    if (words[0] != number || words[1] != generation) {
        printf("check FAIL %s %lu: found number %lu generation %lu, "
               "expected generation %lu\n",
               what, number, words[0], words[1], generation);
        return false;
    }
    for (size_t i = 2; i < WORDS; i++) {
        uint64_t want = word_of(number, generation, i);

        if (words[i] != want) {
            printf("check FAIL %s %lu: word %zu found %016lx, "
                   "expected %016lx\n",
                   what, number, i, words[i], want);
            return false;
        }
    }
    return true;
}

static void *memory_work(void *arg)
{
    struct work *work = arg;
    size_t pages = work->opt->mem_mib * (1024 * 1024 / PAGE);
    uint32_t *generations = calloc(pages, sizeof(*generations));
    uint64_t *area = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t hot = 0;
    size_t cold = pages / 2;
    size_t owed = 0;
    uint64_t next = now_ns();

    if (!generations || area == MAP_FAILED) {
        printf("check FAIL mem: %zu MiB: %s\n", work->opt->mem_mib,
               strerror(errno));
        atomic_fetch_add(&work->count->mem_errors, 1);
        return NULL;
    }
    for (size_t i = 0; i < pages; i++)
        fill(area + i * WORDS, i, 0);

    for (;;) {
        next += NS_PER_SEC / STEPS;
        for (owed += work->opt->mem_rate; owed >= STEPS; owed -= STEPS) {
            uint64_t *page = area + hot * WORDS;

            if (!verify("mem", page, hot, generations[hot]) ||
                !verify("mem", area + cold * WORDS, cold, generations[cold]))
                atomic_fetch_add(&work->count->mem_errors, 1);
            fill(page, hot, ++generations[hot]);
            atomic_fetch_add(&work->count->pages, 1);
            hot = (hot + 1) % pages;
            cold = (cold + 1) % pages;
        }
        sleep_until(next);
        /* After a stop the work missed is not made up for. */
        if (now_ns() > next + NS_PER_SEC)
            next = now_ns();
    }
}

static bool disk_step(int fd, uint64_t *buf, uint32_t *generations,
                      size_t blocks, size_t turn)
{
    size_t at = turn % blocks;
    /* Reads back the block just written, or an old one, spread by a prime. */
    size_t back = turn % 2 ? at : turn * 7919 % blocks;
    off_t offset = (off_t)(at * PAGE);

    generations[at]++;
    fill(buf, at, generations[at]);
    if (pwrite(fd, buf, PAGE, offset) != PAGE) {
        printf("check FAIL disk %zu: write: %s\n", at, strerror(errno));
        return false;
    }
    if (generations[back] == 0)
        return true;
    memset(buf, 0xa5, PAGE);
    if (pread(fd, buf, PAGE, (off_t)(back * PAGE)) != PAGE) {
        printf("check FAIL disk %zu: read: %s\n", back, strerror(errno));
        return false;
    }
    return verify("disk", buf, back, generations[back]);
}

static void *disk_work(void *arg)
{
    struct work *work = arg;
    int fd = open(work->opt->disk, O_RDWR | O_DIRECT | O_SYNC);
    uint64_t size = 0;
    uint64_t *buf = NULL;
    uint32_t *generations = NULL;
    size_t blocks;
    size_t turn = 0;
    size_t owed = 0;
    uint64_t next = now_ns();

    if (fd >= 0 && ioctl(fd, BLKGETSIZE64, &size) == 0 && size >= PAGE &&
        posix_memalign((void **)&buf, PAGE, PAGE) == 0)
        generations = calloc(size / PAGE, sizeof(*generations));
    if (!generations) {
        printf("check FAIL disk: %s: %s\n", work->opt->disk, strerror(errno));
        atomic_fetch_add(&work->count->disk_errors, 1);
        return NULL;
    }
    blocks = size / PAGE;

    for (;;) {
        next += NS_PER_SEC / STEPS;
        for (owed += work->opt->disk_rate; owed >= STEPS; owed -= STEPS) {
            if (!disk_step(fd, buf, generations, blocks, turn++))
                atomic_fetch_add(&work->count->disk_errors, 1);
            atomic_fetch_add(&work->count->blocks, 1);
        }
        sleep_until(next);
        if (now_ns() > next + NS_PER_SEC)
            next = now_ns();
    }
}

static void *busy_work(void *arg)
{
    volatile uint64_t x = 0;

    for (;;)
        x++;
    return arg;
}

static _Noreturn void tick_and_report(const struct options *opt,
                                      struct counters *count)
{
    uint64_t seq = 0;
    uint64_t ticks = 0;
    uint64_t worst = 0;
    uint64_t largest = 0;
    uint64_t last = now_ns();
    uint64_t report = last + NS_PER_SEC;
    const char *disk = "none";

    for (;;) {
        struct timespec tick = {.tv_sec = (time_t)(opt->tick_ms / 1000),
                                .tv_nsec =
                                    (long)(opt->tick_ms % 1000 * NS_PER_MS)};
        uint64_t now;

        nanosleep(&tick, NULL);
        now = now_ns();
        ticks++;
        if (now < last)
            printf("check FAIL clock: %lu ns after %lu ns\n", now, last);
        else if (now - last > largest)
            largest = now - last;
        last = now;
        if (now < report)
            continue;
        if (largest > worst)
            worst = largest;
        if (opt->disk)
            disk = atomic_load(&count->disk_errors) ? "FAIL" : "ok";
        printf("check seq=%lu mem=%s disk=%s maxgap_ms=%lu ticks=%lu "
               "pages=%lu blocks=%lu worst_ms=%lu\n",
               seq++, atomic_load(&count->mem_errors) ? "FAIL" : "ok", disk,
               largest / NS_PER_MS, ticks, atomic_load(&count->pages),
               atomic_load(&count->blocks), worst / NS_PER_MS);
        largest = 0;
        report = now + NS_PER_SEC;
    }
}

static bool start(void *(*work)(void *), void *arg)
{
    pthread_t thread;
    int err = pthread_create(&thread, NULL, work, arg);

    if (err)
        printf("check FAIL start: thread: %s\n", strerror(err));
    return err == 0;
}

static size_t number_of(const char *option, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text == '\0' || *end != '\0' || value > 1000000) {
        printf("check FAIL option: --%s %s, expected 0..1000000\n", option,
               text);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"mem",       required_argument, NULL, 'm'},
        {"mem-rate",  required_argument, NULL, 'r'},
        {"disk",      required_argument, NULL, 'd'},
        {"disk-rate", required_argument, NULL, 'w'},
        {"tick",      required_argument, NULL, 't'},
        {"busy",      required_argument, NULL, 'b'},
        {NULL,        0,                 NULL, 0  },
    };
    static struct counters count;
    struct options opt = {
        .mem_mib = 8, .mem_rate = 50, .disk_rate = 5, .tick_ms = 20};
    struct work work = {.opt = &opt, .count = &count};
    int c;
    int which;

    setvbuf(stdout, NULL, _IOLBF, 0);
    while ((c = getopt_long(argc, argv, "", longs, &which)) != -1) {
        switch (c) {
        case 'm':
            opt.mem_mib = number_of("mem", optarg);
            break;
        case 'r':
            opt.mem_rate = number_of("mem-rate", optarg);
            break;
        case 'd':
            opt.disk = optarg;
            break;
        case 'w':
            opt.disk_rate = number_of("disk-rate", optarg);
            break;
        case 't':
            opt.tick_ms = number_of("tick", optarg);
            break;
        case 'b':
            opt.busy = number_of("busy", optarg);
            break;
        default:
            return 2;
        }
    }
    if (opt.mem_mib && !start(memory_work, &work))
        return 1;
    if (opt.disk && !start(disk_work, &work))
        return 1;
    for (size_t i = 0; i < opt.busy; i++)
        if (!start(busy_work, NULL))
            return 1;
    tick_and_report(&opt, &count);
}
