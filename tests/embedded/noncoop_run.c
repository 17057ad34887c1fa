/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest moves to and fro between two embedded hosts without being asked,
 * stopped at whatever instruction it has reached, its disk at work; its own
 * checks judge.
 *
 *   noncoop_run XENFERRY-HOSTD KERNEL HOW VCPUS MOVES COMMAND-LINE
 *
 *   live    memory goes over a socket while it runs
 *   rounds  the same, so slowly that a guest that writes needs several rounds
 *   file    it stands still while all of it goes to a file
 *
 * XENFERRY_HOST_DIR names the folder of the host's module.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "host/embedded/hostd_client.h"

#define DOMID     1234
#define GUEST_MIB 24
#define DISK_SIZE ((off_t)16 << 20)
#define LIMIT_MS  240000
/* Octets a second for 'rounds': the first takes more than a second. */
#define SLOW_RATE ((uint64_t)20 << 20)

struct side {
    char folder[64];
    pid_t pid;
    struct hostd_client client;
    struct host *host;
};

static struct side sides[2];
static char disk[64];

static void check(bool ok, const char *what, const struct error *err)
{
    if (ok)
        return;
    fprintf(stderr, "noncoop_run: %s: %s\n", what, err->text);
    for (int i = 0; i < 2; i++)
        if (sides[i].pid > 0)
            kill(sides[i].pid, SIGTERM);
    exit(1);
}

static void start_host(struct side *s, const char *program)
{
    char ready[32], uri[80], byte;
    struct error err;
    int fds[2];

    strcpy(s->folder, "/tmp/xenferry-noncoop-XXXXXX");
    if (!mkdtemp(s->folder) || pipe(fds))
        exit(1);
    snprintf(ready, sizeof(ready), "--ready-fd=%d", fds[1]);
    s->pid = fork();
    if (s->pid == 0) {
        close(fds[0]);
        execl(program, program, ready, s->folder, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    error_set(&err, ERR_STATE, "%s", program);
    check(read(fds[0], &byte, 1) == 1, "did not start", &err);
    close(fds[0]);
    snprintf(uri, sizeof(uri), "embedded:%s", s->folder);
    check(hostd_client_open(&s->client, s->folder, &err) &&
              host_open(uri, NULL, &s->host, &err),
          "host", &err);
}

static void end_host(struct side *s)
{
    char command[80];
    int status;

    host_close(s->host);
    hostd_client_close(&s->client);
    kill(s->pid, SIGTERM);
    if (waitpid(s->pid, &status, 0) != s->pid || status)
        exit(1);
    snprintf(command, sizeof(command), "rm -r %s", s->folder);
    if (system(command))
        exit(1);
}

/* ---- domains ----------------------------------------------------------- */

static void tell(struct side *s, const char *op)
{
    struct error err;

    check(hostd_call(&s->client, hostd_request_about(op, DOMID), NULL, 0, NULL,
                     NULL, &err),
          op, &err);
}

static void create(struct side *s, int vcpus, const char *kernel,
                   const char *cmdline)
{
    struct json_object *request = hostd_request("domain-create");
    struct error err;

    json_object_object_add(request, "name", json_object_new_string("mover"));
    json_object_object_add(request, "domid", json_object_new_int(DOMID));
    json_object_object_add(request, "vcpus", json_object_new_int(vcpus));
    json_object_object_add(request, "memory_mib",
                           json_object_new_int(GUEST_MIB));
    json_object_object_add(request, "cmdline", json_object_new_string(cmdline));
    json_object_object_add(request, "disk", json_object_new_string(disk));
    if (kernel)
        json_object_object_add(request, "kernel",
                               json_object_new_string(kernel));
    check(hostd_call(&s->client, request, NULL, 0, NULL, NULL, &err), "create",
          &err);
}

/* Reports on this host so far; ends the test if one is not clean. */
static unsigned int reports(struct side *s)
{
    cleanup(hostd_message_release) struct hostd_message reply = {.fd = -1};
    struct error err;
    unsigned int nr = 0;
    const char *text;

    check(hostd_call(&s->client, hostd_request_about("domain-console", DOMID),
                     NULL, 0, &reply, NULL, &err),
          "console", &err);
    buffer_u8(&reply.data, 0);
    text = reply.data.bytes ? (const char *)reply.data.bytes : "";
    error_set(&err, ERR_GUEST, "%.480s",
              strstr(text, "FAIL") ? strstr(text, "FAIL") : text);
    check(!strstr(text, "FAIL") && !strstr(text, "PANIC"), "the guest", &err);
    for (const char *at = text; (at = strstr(at, "result=ok")); at++)
        nr++;
    return nr;
}

static void wait_reports(struct side *s, unsigned int nr)
{
    int64_t deadline = deadline_after_ms(LIMIT_MS);

    while (reports(s) < nr) {
        struct timespec nap = {.tv_nsec = 10 * NS_PER_MS};
        struct json_object *answer;
        struct domain_info info;
        struct error err;

        check(s->host->ops->domain_info(s->host, DOMID, &info, &err), "info",
              &err);
        if (info.shutdown || clock_now_ns() > deadline) {
            check(hostd_call(&s->client,
                             hostd_request_about("domain-show", DOMID), NULL, 0,
                             NULL, &answer, &err),
                  "show", &err);
            error_set(&err, ERR_GUEST, "no report %u: %.400s", nr,
                      json_object_to_json_string(answer));
            check(false, "the guest", &err);
        }
        nanosleep(&nap, NULL);
    }
}

/* ---- one move ---------------------------------------------------------- */

static bool on_suspend(void *context, struct error *err)
{
    struct side *from = context;
    struct json_object *request = hostd_request_about("domain-shutdown", DOMID);

    json_object_object_add(request, "reason",
                           json_object_new_int(SHUTDOWN_REASON_SUSPEND));
    return hostd_call(&from->client, request, NULL, 0, NULL, NULL, err);
}

static const struct save_callbacks save_callbacks = {
    .suspend = on_suspend,
    .device_model_log_dirty = plain_device_model,
    .postcopy = plain_checkpoint,
    .checkpoint = plain_checkpoint,
};

static void *save_main(void *context)
{
    struct save_request *save = context;
    struct save_report report;
    struct error err;

    check(engine_save(save, &report, &err), "save", &err);
    printf("%u rounds, %llu pages, downtime %lld ms\n", report.rounds,
           (unsigned long long)report.pages, (long long)report.downtime_ms);
    error_set(&err, ERR_STATE, "%u, expected 2 and more", report.rounds);
    check(!save->rate_limit || report.rounds >= 2, "rounds", &err);
    return NULL;
}

static void move(struct side *from, struct side *to, const char *how, int vcpus)
{
    bool live = strcmp(how, "file");
    struct engine_options options = {.cancel_fd = -1,
                                     .idle_timeout_ms = LIMIT_MS};
    struct save_request save = {.host = from->host,
                                .domid = DOMID,
                                .live = live,
                                .noncoop = true,
                                .precopy = precopy_limits_default(),
                                .callbacks = &save_callbacks,
                                .callback_context = from,
                                .rate_limit =
                                    strcmp(how, "rounds") ? 0 : SLOW_RATE,
                                .options = options};
    struct restore_request restore = {.host = to->host,
                                      .domid = DOMID,
                                      .noncoop = true,
                                      .callbacks = &plain_restore,
                                      .options = options};
    struct restore_report report;
    struct error err;
    pthread_t thread;
    int fds[2];

    if (save.rate_limit)
        save.precopy.downtime_ms = 1;
    create(to, vcpus, NULL, "");
    if (live) {
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds))
            exit(1);
        save.fd = fds[0];
        restore.fd = fds[1];
        if (pthread_create(&thread, NULL, save_main, &save))
            exit(1);
    } else {
        save.fd = restore.fd = memfd_create("image", MFD_CLOEXEC);
        save_main(&save);
        lseek(save.fd, 0, SEEK_SET);
    }
    check(engine_restore(&restore, &report, &err), "restore", &err);
    if (live)
        pthread_join(thread, NULL);
    close(save.fd);
    if (restore.fd != save.fd)
        close(restore.fd);
    tell(from, "domain-destroy");
    tell(to, "domain-unpause");
}

int main(int argc, char **argv)
{
    int vcpus, moves, fd;

    if (argc != 7)
        return 64;
    vcpus = atoi(argv[4]);
    moves = atoi(argv[5]);
    strcpy(disk, "/tmp/xenferry-noncoop-disk-XXXXXX");
    fd = mkstemp(disk);
    if (fd < 0 || ftruncate(fd, DISK_SIZE))
        return 1;
    close(fd);
    start_host(&sides[0], argv[1]);
    start_host(&sides[1], argv[1]);
    create(&sides[0], vcpus, argv[2], argv[6]);
    wait_reports(&sides[0], 1);
    for (int i = 0; i < moves; i++) {
        struct timespec nap = {0};
        uint32_t ns = 0;

        if (getrandom(&ns, sizeof(ns), 0) != sizeof(ns))
            return 1;
        nap.tv_nsec = ns % (20 * NS_PER_MS);
        nanosleep(&nap, NULL);
        move(&sides[i % 2], &sides[(i + 1) % 2], argv[3], vcpus);
        if (i % 25 == 24 || i == moves - 1)
            wait_reports(&sides[(i + 1) % 2], 2);
    }
    end_host(&sides[0]);
    end_host(&sides[1]);
    return unlink(disk) ? 1 : 0;
}
