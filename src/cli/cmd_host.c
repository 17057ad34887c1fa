/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xenferry host: start, stop and list embedded hosts. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "cli/hostd_access.h"

#define START_MS 20000

static const struct command_option options[] = {
    {"json",  'j', NULL, "Print JSON instead of text"      },
    {"force", 'f', NULL, "stop: even if that loses domains"},
    {NULL,    0,   NULL, NULL                              },
};

struct host_options {
    bool json;
    bool force;
};

/* ---- start ------------------------------------------------------------- */

/* Beside the program, in the build folder, or where it is installed. */
static bool find_daemon(char *ret, size_t size)
{
    static const char *const places[] = {"", "../hostd/", "../sbin/",
                                         "../libexec/xenferry/"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length < 0)
        return false;
    self[length] = '\0';
    *(strrchr(self, '/') + 1) = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        snprintf(ret, size, "%s%sxenferry-hostd", self, places[i]);
        if (access(ret, X_OK) == 0)
            return true;
    }
    return false;
}

/* In the child: become the daemon, with its messages in FOLDER/log. */
static _Noreturn void exec_daemon(const char *program, const char *folder,
                                  int ready_fd)
{
    char log[HOST_FOLDER_MAX + 8], ready[32];
    int null = open("/dev/null", O_RDWR);
    int fd;

    snprintf(log, sizeof(log), "%s/log", folder);
    snprintf(ready, sizeof(ready), "--ready-fd=%d", ready_fd);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    setsid();
    dup2(null, 0);
    dup2(null, 1);
    dup2(fd, 2);
    execl(program, "xenferry-hostd", ready, folder, (char *)NULL);
    _exit(127);
}

static bool wait_ready(int fd, struct error *err)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    int64_t deadline = deadline_after_ms(START_MS);
    char newline;
    int rc;

    do
        rc = poll(&pollfd, 1, deadline_left_ms(deadline));
    while (rc < 0 && errno == EINTR);
    return (rc > 0 && read(fd, &newline, 1) == 1) ||
           error_set(err, ERR_HOST, "the host did not start");
}

static bool make_folder(const char *folder, struct error *err)
{
    char base[HOST_FOLDER_MAX];

    if (!hostd_run_folder(base, sizeof(base), err))
        return false;
    if (!strncmp(folder, base, strlen(base)) && mkdir(base, 0700) &&
        errno != EEXIST)
        return error_set_errno(err, ERR_IO, errno, "%s", base);
    if (mkdir(folder, 0700) && errno != EEXIST)
        return error_set_errno(err, ERR_IO, errno, "%s", folder);
    return true;
}

static bool start(const char *folder, struct error *err)
{
    char program[PATH_MAX + 64];
    int fds[2];
    pid_t child;
    bool ok;

    if (!find_daemon(program, sizeof(program)))
        return error_set(err, ERR_UNSUPPORTED,
                         "no xenferry-hostd: this build has no embedded host "
                         "(it needs libunicorn-dev)");
    if (!make_folder(folder, err))
        return false;
    if (pipe(fds))
        return error_set_errno(err, ERR_IO, errno, "pipe");
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    child = fork();
    if (child == 0)
        exec_daemon(program, folder, fds[1]);
    close(fds[1]);
    ok = child > 0 ? wait_ready(fds[0], err)
                   : error_set_errno(err, ERR_IO, errno, "fork");
    close(fds[0]);
    if (!ok && child > 0)
        waitpid(child, NULL, WNOHANG);
    return ok || error_wrap(err, "%s (see %s/log)", folder, folder);
}

static int run_start(struct command_line *line, const struct host_options *o,
                     const char *folder)
{
    struct error err;

    if (!start(folder, &err))
        return command_failed(line->command, &err);
    if (o->json) {
        struct json_object *json = json_object_new_object();

        json_object_object_add(json, "folder", json_object_new_string(folder));
        print_json(json);
        json_object_put(json);
    } else {
        printf("host at %s\n", folder);
    }
    return CLI_OK;
}

/* ---- stop, info, list -------------------------------------------------- */

static bool ask(const char *folder, struct json_object *request,
                struct json_object **ret, struct error *err)
{
    cleanup(hostd_client_close) struct hostd_client client = {.fd = -1};

    if (!hostd_client_open(&client, folder, err)) {
        json_object_put(request);
        return false;
    }
    return hostd_call(&client, request, NULL, 0, NULL, ret, err);
}

/* The host has ended when its lock is free. */
static bool wait_gone(const char *folder, struct error *err)
{
    char path[HOST_FOLDER_MAX + 8];
    int64_t deadline = deadline_after_ms(START_MS);

    snprintf(path, sizeof(path), "%s/lock", folder);
    while (clock_now_ns() < deadline) {
        struct timespec nap = {.tv_nsec = 5 * NS_PER_MS};
        cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC);

        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        nanosleep(&nap, NULL);
    }
    return error_set(err, ERR_TIMEOUT, "%s: the host has not ended yet",
                     folder);
}

static int run_stop(struct command_line *line, const struct host_options *o,
                    const char *folder)
{
    struct json_object *request = hostd_request("host-stop");
    struct error err;

    if (request)
        json_object_object_add(request, "force",
                               json_object_new_boolean(o->force));
    if (!ask(folder, request, NULL, &err) || !wait_gone(folder, &err))
        return command_failed(line->command, &err);
    return CLI_OK;
}

static void print_info(struct json_object *info)
{
    printf("folder:         %s\n", hostd_text(info, "folder"));
    printf("version:        %s\n", hostd_text(info, "version"));
    printf("emulator:       unicorn %s\n", hostd_text(info, "emulator"));
    printf("dirty tracking: %s\n", hostd_text(info, "dirty_method"));
    printf("tsc:            %" PRIu64 " kHz\n", hostd_number(info, "tsc_khz"));
    printf("domains:        %" PRIu64 "\n", hostd_number(info, "domains"));
    printf("pid:            %" PRIu64 "\n", hostd_number(info, "pid"));
}

static int run_info(struct command_line *line, const struct host_options *o,
                    const char *folder)
{
    struct json_object *info;
    struct error err;

    if (!ask(folder, hostd_request("host-info"), &info, &err))
        return command_failed(line->command, &err);
    if (o->json)
        print_json(info);
    else
        print_info(info);
    json_object_put(info);
    return CLI_OK;
}

/* Those in the user's run folder that answer. */
static int run_list(struct command_line *line, const struct host_options *o)
{
    struct json_object *all = json_object_new_array();
    char base[HOST_FOLDER_MAX];
    struct dirent *entry;
    struct error err;
    DIR *dir;

    if (!hostd_run_folder(base, sizeof(base), &err)) {
        json_object_put(all);
        return command_failed(line->command, &err);
    }
    dir = opendir(base);
    while (dir && (entry = readdir(dir))) {
        char folder[HOST_FOLDER_MAX + NAME_MAX + 1];
        struct json_object *info;

        snprintf(folder, sizeof(folder), "%s/%s", base, entry->d_name);
        if (*entry->d_name == '.' ||
            !ask(folder, hostd_request("host-info"), &info, &err))
            continue;
        json_object_object_add(info, "name",
                               json_object_new_string(entry->d_name));
        json_object_array_add(all, info);
        if (!o->json)
            printf("%-16s %4" PRIu64 " domains  %s\n", entry->d_name,
                   hostd_number(info, "domains"), folder);
    }
    if (dir)
        closedir(dir);
    if (o->json)
        print_json(all);
    json_object_put(all);
    return CLI_OK;
}

/* ---- the command ------------------------------------------------------- */

static bool read_options(struct command_line *line, struct host_options *o)
{
    const char *argument;
    int key;

    while ((key = command_line_next(line, &argument)) != LINE_END) {
        switch (key) {
        case 'j':
            o->json = true;
            break;
        case 'f':
            o->force = true;
            break;
        default:
            return false;
        }
    }
    return true;
}

static int host_run(struct command_line *line)
{
    struct host_options o = {0};
    char folder[HOST_FOLDER_MAX];
    const char *action;
    struct error err;

    if (!read_options(line, &o))
        return CLI_USAGE;
    action = command_line_operand(line);
    if (!action || !read_options(line, &o) || command_line_operands(line) > 1)
        return command_line_wrong(line, "expected start, stop, info or list, "
                                        "and at most one HOST");
    if (!strcmp(action, "list"))
        return run_list(line, &o);
    if (!host_folder_of(command_line_operand(line), folder, &err))
        return command_failed(line->command, &err);
    if (!strcmp(action, "start"))
        return run_start(line, &o, folder);
    if (!strcmp(action, "stop"))
        return run_stop(line, &o, folder);
    if (!strcmp(action, "info"))
        return run_info(line, &o, folder);
    return command_line_wrong(line, "no action '%s'", action);
}

const struct command command_host = {
    .name = "host",
    .summary = "Start, stop and list embedded hosts",
    .arguments = "start|stop|info|list [OPTION]... [HOST]",
    .details = "HOST is a name, or the path of a folder.  Without one it is "
               "what $XENFERRY_HOST\nnames, else \"default\".",
    .options = options,
    .run = host_run,
};
