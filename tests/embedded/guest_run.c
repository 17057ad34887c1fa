/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the self-checking guest on the embedded host, disturbs it, and lets its
 * own reports judge.
 *
 *   guest_run KERNEL MODE VCPUS REPORTS STOPS COMMAND-LINE
 *
 *   plain    only watch
 *   renew    STOPS times: stop it wherever it is, go on in fresh engines with
 *            the registers as they travel in an HVM context
 *   protect  copy its memory while it runs, as a live move does, noting
 *            writes by write protection; at the end the copy must be equal
 *   hooks    the same, noting writes by the emulator's hooks
 *
 * It ends when the guest has printed REPORTS reports and STOPS stops (rounds
 * of copying) were made.  Exit status 77 skips.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "hostd/embedded_host.h"
#include "hostd/hvm_context.h"

#define LIMIT_MS  240000
#define REST_MS   60000
#define DISK_SIZE ((off_t)16 << 20)
#define SKIP      77

struct run {
    struct embedded_host host;
    struct tenant *t;
    char folder[64];
    char console[256];
    char disk[96];
    uint8_t *copy; /* of RAM; NULL in modes without */
    unsigned int stops;
    int64_t deadline_ns;
};

static _Noreturn void die(struct run *r, const char *what, const char *detail)
{
    char command[400];

    fprintf(stderr, "guest_run: %s: %s\n", what, detail);
    snprintf(command, sizeof(command), "tail -n 20 %s >&2", r->console);
    if (*r->console && system(command))
        fprintf(stderr, "guest_run: no console\n");
    exit(1);
}

static void check(struct run *r, bool ok, const char *what,
                  const struct error *err)
{
    if (!ok)
        die(r, what, err->text);
}

/* ---- what the guest says ----------------------------------------------- */

struct verdict {
    unsigned int reports;
    bool failed;
    char line[400]; /* the last report, or what failed */
};

static struct verdict read_verdict(struct run *r)
{
    FILE *file = fopen(r->console, "r");
    struct verdict v = {0};
    char line[400];

    while (file && fgets(line, sizeof(line), file)) {
        bool report = !strncmp(line, "check seq=", 10);
        bool bad = !strncmp(line, "check FAIL", 10) || strstr(line, "PANIC") ||
                   (report && strchr(line, '\n') && !strstr(line, "result=ok"));

        v.reports += report && strchr(line, '\n');
        if (bad && !v.failed)
            snprintf(v.line, sizeof(v.line), "%s", line);
        v.failed |= bad;
        if (report && !v.failed)
            snprintf(v.line, sizeof(v.line), "%s", line);
    }
    if (file)
        fclose(file);
    return v;
}

static void nap_us(unsigned int us)
{
    struct timespec nap = {.tv_nsec = us * 1000L};

    nanosleep(&nap, NULL);
}

static void require_alive(struct run *r)
{
    if (clock_now_ns() > r->deadline_ns)
        die(r, "time is up", "the guest is too slow, or hangs");
    if (r->t->h.m.shutdown != SHUTDOWN_NONE)
        die(r, "the guest ended", r->t->h.m.stop_reason);
}

/* ---- disturbances ------------------------------------------------------ */

static void renew(struct run *r)
{
    struct hosted *h = &r->t->h;
    struct buffer context = {0};
    struct error err;

    check(r, hosted_pause(h, deadline_after_ms(REST_MS), &err), "pause", &err);
    hosted_take(h);
    check(r, hvm_context_save(h, &context, &err), "context", &err);
    check(r, hvm_context_load(h, context.bytes, context.length, &err),
          "context", &err);
    hosted_give(h);
    hosted_unpause(h);
    buffer_release(&context);
    nap_us((unsigned int)rand() % 8000);
}

/* Whole pages that were written since the last round, or all at first. */
static void copy_round(struct run *r, bool all)
{
    struct tenant *t = r->t;
    struct guest_memory *m = &t->h.m.memory;
    struct bitmap *written = &t->dirty.written;
    struct error err;
    struct bitmap todo = {0};

    check(r, bitmap_init(&todo, m->nr_gfns, &err), "bitmap", &err);
    hosted_take(&t->h);
    check(r, dirty_collect(&t->dirty, &err), "collect", &err);
    bitmap_or(&todo, all ? &m->populated : written);
    bitmap_empty(written);
    hosted_give(&t->h);
    for (uint64_t gfn = bitmap_next(&todo, 0); gfn != BITMAP_END;
         gfn = bitmap_next(&todo, gfn + 1))
        memcpy(r->copy + gfn * PAGE_SIZE, m->ram + gfn * PAGE_SIZE, PAGE_SIZE);
    bitmap_release(&todo);
}

static void start_copy(struct run *r, enum dirty_method method)
{
    struct tenant *t = r->t;
    struct error err;

    r->copy =
        mmap(NULL, t->h.m.memory.nr_gfns * PAGE_SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r->copy == MAP_FAILED)
        die(r, "copy", strerror(errno));
    hosted_take(&t->h);
    check(r, dirty_start(&t->dirty, &t->h.m, method, &err), "dirty", &err);
    t->h.log_stores = method == DIRTY_ENGINE_HOOKS;
    hosted_renew_engines(&t->h);
    hosted_give(&t->h);
    copy_round(r, true);
}

static void finish_copy(struct run *r)
{
    struct hosted *h = &r->t->h;
    struct guest_memory *m = &h->m.memory;
    struct error err;

    check(r, hosted_pause(h, deadline_after_ms(REST_MS), &err), "pause", &err);
    copy_round(r, false);
    for (uint64_t gfn = bitmap_next(&m->populated, 0); gfn != BITMAP_END;
         gfn = bitmap_next(&m->populated, gfn + 1)) {
        char where[32];

        snprintf(where, sizeof(where), "gfn %#llx", (unsigned long long)gfn);
        if (memcmp(r->copy + gfn * PAGE_SIZE, m->ram + gfn * PAGE_SIZE,
                   PAGE_SIZE))
            die(r, "a write was missed", where);
    }
    hosted_unpause(h);
}

/* ---- set-up ------------------------------------------------------------ */

static const struct log quiet = {
    .level = LOG_LEVEL_WARNING, .sink = log_to_stderr, .context = "guest_run"};

static void set_up(struct run *r, const char *kernel, unsigned int vcpus,
                   const char *cmdline)
{
    struct tenant_config config = {.name = "guest",
                                   .domid = 7,
                                   .vcpus = vcpus,
                                   .memory_mib = 32,
                                   .kernel = kernel,
                                   .cmdline = cmdline};
    struct error err;
    int fd;

    strcpy(r->folder, "/tmp/xenferry-guest-run-XXXXXX");
    if (!mkdtemp(r->folder))
        die(r, r->folder, strerror(errno));
    snprintf(r->disk, sizeof(r->disk), "%s/disk", r->folder);
    fd = open(r->disk, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, DISK_SIZE))
        die(r, r->disk, strerror(errno));
    close(fd);
    check(r, embedded_host_open(&r->host, r->folder, &quiet, &err), "host",
          &err);
    snprintf(r->console, sizeof(r->console), "%s/console", r->folder);
    config.console = r->console;
    config.disk = r->disk;
    check(r,
          tenant_create(&config, &r->host.scale, &r->host.store, &r->host.peers,
                        &quiet, &r->t, &err),
          "domain", &err);
    list_append(&r->host.tenants, &r->t->link);
    hosted_unpause(&r->t->h);
}

static void tear_down(struct run *r)
{
    if (r->copy)
        munmap(r->copy, r->t->h.m.memory.nr_gfns * PAGE_SIZE);
    embedded_host_close(&r->host);
    unlink(r->disk);
    unlink(r->console);
    rmdir(r->folder);
}

int main(int argc, char **argv)
{
    static struct run r;
    unsigned int reports, stops;
    struct verdict v;
    const char *mode;

    if (argc != 7) {
        fprintf(stderr, "usage: guest_run KERNEL MODE VCPUS REPORTS STOPS "
                        "COMMAND-LINE\n");
        return 64;
    }
    mode = argv[2];
    reports = (unsigned int)atoi(argv[4]);
    stops = (unsigned int)atoi(argv[5]);
    if (!strcmp(mode, "protect") &&
        dirty_method_probe() != DIRTY_WRITE_PROTECT) {
        printf("this kernel has no asynchronous write protection\n");
        return SKIP;
    }
    r.deadline_ns = deadline_after_ms(LIMIT_MS);
    set_up(&r, argv[1], (unsigned int)atoi(argv[3]), argv[6]);
    do {
        nap_us(5000);
        require_alive(&r);
    } while (!read_verdict(&r).reports);
    if (!strcmp(mode, "protect") || !strcmp(mode, "hooks"))
        start_copy(&r, !strcmp(mode, "hooks") ? DIRTY_ENGINE_HOOKS
                                              : DIRTY_WRITE_PROTECT);
    do {
        require_alive(&r);
        if (r.copy)
            copy_round(&r, false);
        else if (!strcmp(mode, "renew") && r.stops < stops)
            renew(&r);
        if (r.copy || strcmp(mode, "renew"))
            nap_us(20000);
        r.stops++;
        v = read_verdict(&r);
        if (v.failed)
            die(&r, "the guest found", v.line);
    } while (v.reports < reports || r.stops < stops);
    if (r.copy)
        finish_copy(&r);
    printf("%s", v.line);
    tear_down(&r);
    return 0;
}
