/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine on an embedded host: a guest that works is saved live, suspended
 * from outside; restored into an empty domain, the copy has the same memory
 * and processors; and the guest itself goes on, its checks clean.
 *
 *   host_ops_run XENFERRY-HOSTD KERNEL
 *
 * XENFERRY_HOST_DIR names the folder of the host's module.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "host/embedded/hostd_client.h"

#define SOURCE 7u
#define TARGET 8u
/* Where an embedded host has the rings of its guests. */
#define STORE_GFN   0xfeffcu
#define CONSOLE_GFN 0xfefffu
#define LIMIT_MS    120000
#define GUEST_MIB   32

static struct hostd_client client;
static pid_t daemon_pid;

static void check(bool ok, const char *what, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "host_ops_run: %s: %s\n", what, err->text);
    kill(daemon_pid, SIGTERM);
    exit(1);
}

static void start_daemon(const char *program, const char *folder)
{
    char ready[32], byte;
    int fds[2];

    if (pipe(fds))
        exit(1);
    snprintf(ready, sizeof(ready), "--ready-fd=%d", fds[1]);
    daemon_pid = fork();
    if (daemon_pid == 0) {
        close(fds[0]);
        execl(program, program, ready, folder, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    if (read(fds[0], &byte, 1) != 1) {
        fprintf(stderr, "host_ops_run: %s did not start\n", program);
        exit(1);
    }
    close(fds[0]);
}

/* ---- requests beside the table of operations --------------------------- */

static void create(const char *name, unsigned int domid, const char *kernel)
{
    struct json_object *request = hostd_request("domain-create");
    struct error err;

    json_object_object_add(request, "name", json_object_new_string(name));
    json_object_object_add(request, "domid", json_object_new_int((int)domid));
    json_object_object_add(request, "vcpus", json_object_new_int(2));
    json_object_object_add(request, "memory_mib",
                           json_object_new_int(GUEST_MIB));
    json_object_object_add(request, "cmdline",
                           json_object_new_string("report_ms=200 mem=8M"));
    if (kernel)
        json_object_object_add(request, "kernel",
                               json_object_new_string(kernel));
    check(hostd_call(&client, request, NULL, 0, NULL, NULL, &err), name, &err);
}

/* Reports so far; ends the test if one of them is not clean. */
static unsigned int reports(void)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct error err;
    unsigned int nr = 0;

    check(hostd_call(&client, hostd_request_about("domain-console", SOURCE),
                     NULL, 0, &reply, NULL, &err),
          "console", &err);
    if (!reply.data.length)
        return 0;
    if (strstr((char *)reply.data.bytes, "FAIL") ||
        strstr((char *)reply.data.bytes, "PANIC")) {
        error_set(&err, ERR_GUEST, "%.400s", (char *)reply.data.bytes);
        check(false, "the guest", &err);
    }
    for (char *at = (char *)reply.data.bytes; (at = strstr(at, "result=ok\n"));
         at++)
        nr++;
    return nr;
}

static void wait_reports(unsigned int nr)
{
    int64_t deadline = deadline_after_ms(LIMIT_MS);
    struct error err;

    while (reports() < nr) {
        struct timespec nap = {.tv_nsec = 20 * NS_PER_MS};

        error_set(&err, ERR_TIMEOUT, "no report %u", nr);
        check(clock_now_ns() < deadline, "the guest", &err);
        nanosleep(&nap, NULL);
    }
}

/* ---- the engine's callbacks -------------------------------------------- */

static bool on_suspend(void *context, struct error *err)
{
    struct json_object *request =
        hostd_request_about("domain-shutdown", SOURCE);

    json_object_object_add(request, "reason",
                           json_object_new_int(SHUTDOWN_REASON_SUSPEND));
    return hostd_call(&client, request, NULL, 0, NULL, NULL, err);
}

static const struct save_callbacks save_callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = plain_device_model,
    .postcopy = plain_checkpoint,
    .checkpoint = plain_checkpoint,
};

/* ---- comparing --------------------------------------------------------- */

static void compare_memory(struct host *host)
{
    cleanup(bitmap_release) struct bitmap a = {0};
    cleanup(bitmap_release) struct bitmap b = {0};
    struct domain_info info;
    struct error err;

    check(host->ops->domain_info(host, SOURCE, &info, &err), "info", &err);
    check(bitmap_init(&a, info.nr_gfns, &err) &&
              bitmap_init(&b, info.nr_gfns, &err) &&
              host->ops->find_populated(host, SOURCE, &a, &err) &&
              host->ops->find_populated(host, TARGET, &b, &err),
          "frames", &err);
    error_set(&err, ERR_STATE, "%llu and %llu",
              (unsigned long long)bitmap_count(&a),
              (unsigned long long)bitmap_count(&b));
    check(!memcmp(a.words, b.words, bitmap_size(&a)), "different frames", &err);
    for (uint64_t gfn = bitmap_next(&a, 0); gfn != BITMAP_END;
         gfn = bitmap_next(&a, gfn + 1)) {
        struct host_mapping one = {0}, two = {0};
        int error;

        /* A restore begins these two rings anew. */
        if (gfn == STORE_GFN || gfn == CONSOLE_GFN)
            continue;
        check(host->ops->map_frames(host, SOURCE, MAP_READ, &gfn, 1, &error,
                                    &one, &err) &&
                  host->ops->map_frames(host, TARGET, MAP_READ, &gfn, 1, &error,
                                        &two, &err),
              "mapping", &err);
        error_set(&err, ERR_STATE, "gfn %#llx", (unsigned long long)gfn);
        check(!memcmp(one.pages, two.pages, PAGE_SIZE), "different memory",
              &err);
        host->ops->unmap_frames(host, &one);
        host->ops->unmap_frames(host, &two);
    }
}

/* Looking at pages that the guest never wrote must not make them. */
static void compare_sizes(void)
{
    for (unsigned int domid = SOURCE; domid <= TARGET; domid++) {
        cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
        struct error err;
        struct stat st;

        check(hostd_call(&client, hostd_request_about("ram-map", domid), NULL,
                         0, &reply, NULL, &err),
              "memory", &err);
        if (fstat(reply.fd, &st))
            exit(1);
        error_set(&err, ERR_STATE, "domain %u has %lld octets", domid,
                  (long long)st.st_blocks * 512);
        check(st.st_blocks * 512 < (off_t)(GUEST_MIB / 2) << 20,
              "memory that nobody wrote", &err);
    }
}

static void compare_processors(struct host *host)
{
    /* Of each CPU record: where the time stamp counter is. */
    enum { HEADER = 8 + 24, CPU = 8 + 1032, TSC = 8 + 1008 };
    cleanup(buffer_release) struct buffer a = {0};
    cleanup(buffer_release) struct buffer b = {0};
    struct error err;

    check(host->ops->hvm_context_get(host, SOURCE, &a, &err) &&
              host->ops->hvm_context_get(host, TARGET, &b, &err),
          "context", &err);
    error_set(&err, ERR_STATE, "%zu and %zu octets", a.length, b.length);
    check(a.length == b.length && a.length == HEADER + 2 * CPU + 8,
          "different contexts", &err);
    for (size_t i = 0; i < 2; i++) {
        memset(a.bytes + HEADER + i * CPU + TSC, 0, 8);
        memset(b.bytes + HEADER + i * CPU + TSC, 0, 8);
    }
    check(!memcmp(a.bytes, b.bytes, a.length), "different processors", &err);
}

int main(int argc, char **argv)
{
    char folder[] = "/tmp/xenferry-host-ops-XXXXXX";
    struct engine_options options = {.cancel_fd = -1,
                                     .idle_timeout_ms = LIMIT_MS};
    struct save_request save = {.domid = SOURCE,
                                .live = true,
                                .precopy = precopy_limits_default(),
                                .callbacks = &save_callbacks,
                                .options = options};
    struct restore_request restore = {
        .domid = TARGET, .callbacks = &plain_restore, .options = options};
    struct save_report saved;
    struct restore_report restored;
    struct host *host;
    struct error err;
    char uri[64], command[64];
    unsigned int before;
    int status;

    if (argc != 3 || !mkdtemp(folder))
        return 64;
    start_daemon(argv[1], folder);
    check(hostd_client_open(&client, folder, &err), "client", &err);
    snprintf(uri, sizeof(uri), "embedded:%s", folder);
    check(host_open(uri, NULL, &host, &err), "host", &err);
    create("source", SOURCE, argv[2]);
    wait_reports(2);
    save.host = restore.host = host;
    save.fd = restore.fd = memfd_create("image", MFD_CLOEXEC);
    check(engine_save(&save, &saved, &err), "save", &err);
    lseek(save.fd, 0, SEEK_SET);
    create("target", TARGET, NULL);
    check(engine_restore(&restore, &restored, &err), "restore", &err);
    compare_memory(host);
    compare_sizes();
    compare_processors(host);
    before = reports();
    check(hostd_call(&client, hostd_request_about("domain-resume", SOURCE),
                     NULL, 0, NULL, NULL, &err),
          "resume", &err);
    wait_reports(before + 3);
    printf("saved %llu pages in %u rounds, downtime %lld ms\n",
           (unsigned long long)saved.pages, saved.rounds,
           (long long)saved.downtime_ms);
    host_close(host);
    hostd_client_close(&client);
    close(save.fd);
    kill(daemon_pid, SIGTERM);
    if (waitpid(daemon_pid, &status, 0) != daemon_pid || status)
        return 1;
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command) ? 1 : 0;
}
