/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenferry-hostd: the embedded host as a daemon.
 *
 * Its folder holds the socket, the consoles' logs and a lock.  It stays in the
 * foreground; with --ready-fd it says that clients can connect by closing
 * that descriptor after one newline.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "hostd/control_server.h"

#define EXIT_USAGE 64

enum {
    OPTION_READY_FD = 256,
    OPTION_VERSION,
};

static const char usage[] =
    "Usage: xenferry-hostd [OPTION]... FOLDER\n"
    "\n"
    "Run the embedded host, a hypervisor without privileges, whose socket,\n"
    "consoles and lock are in FOLDER.\n"
    "\n"
    "  -v, --verbose       say more on stderr\n"
    "      --ready-fd=N    write a newline there when clients can connect\n"
    "      --version       print the version\n"
    "  -h, --help          print this\n";

struct options {
    const char *folder;
    int ready_fd;
    bool verbose;
};

/* 0 to go on, else one more than the exit status. */
static int read_options(int argc, char **argv, struct options *ret)
{
    static const struct option table[] = {
        {"verbose",  no_argument,       NULL, 'v'            },
        {"ready-fd", required_argument, NULL, OPTION_READY_FD},
        {"version",  no_argument,       NULL, OPTION_VERSION },
        {"help",     no_argument,       NULL, 'h'            },
        {NULL,       0,                 NULL, 0              },
    };
    char *end;
    int key;

    *ret = (struct options){.ready_fd = -1};
    while ((key = getopt_long(argc, argv, "vh", table, NULL)) != -1) {
        switch (key) {
        case 'v':
            ret->verbose = true;
            break;
        case OPTION_READY_FD:
            ret->ready_fd = (int)strtol(optarg, &end, 10);
            if (!*optarg || *end || ret->ready_fd < 0) {
                fprintf(stderr,
                        "xenferry-hostd: --ready-fd: \"%s\", expected "
                        "a number\n",
                        optarg);
                return EXIT_USAGE + 1;
            }
            break;
        case OPTION_VERSION:
            puts("xenferry-hostd " XENFERRY_VERSION);
            return EXIT_SUCCESS + 1;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS + 1;
        default:
            return EXIT_USAGE + 1;
        }
    }
    if (argc - optind != 1) {
        fputs(usage, stderr);
        return EXIT_USAGE + 1;
    }
    ret->folder = argv[optind];
    return 0;
}

/* Held until the process ends: one host in a folder. */
static bool lock_folder(const char *folder, int *ret_fd, struct error *err)
{
    cleanup_fd int fd = -1;
    char path[HOST_PATH_MAX + 16];

    if (mkdir(folder, 0700) && errno != EEXIST)
        return error_set_errno(err, ERR_IO, errno, "%s", folder);
    snprintf(path, sizeof(path), "%s/lock", folder);
    if (!file_open(path, O_RDWR | O_CREAT, 0600, &fd, err))
        return false;
    if (flock(fd, LOCK_EX | LOCK_NB))
        return error_set(err, ERR_STATE, "%s: a host runs there already",
                         folder);
    *ret_fd = take_fd(&fd);
    return true;
}

static bool listen_in(const char *folder, char *path, size_t size, int *ret_fd,
                      struct error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    mode_t mask;
    bool bound;

    if ((size_t)snprintf(path, size, "%s/socket", folder) >=
        sizeof(address.sun_path))
        return error_set(err, ERR_USAGE, "%s: too long for a socket", folder);
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, ERR_IO, errno, "socket");
    /* We hold the lock: a socket that is there is a dead host's. */
    unlink(path);
    mask = umask(077);
    bound = !bind(fd, (struct sockaddr *)&address, sizeof(address));
    umask(mask);
    if (!bound || listen(fd, 16))
        return error_set_errno(err, ERR_IO, errno, "%s", path);
    *ret_fd = take_fd(&fd);
    return true;
}

/* SIGTERM and SIGINT end the host; 'end_fd' is what its threads watch. */
struct signals {
    sigset_t set;
    int end_fd;
};

static void *signals_main(void *context)
{
    struct signals *s = context;
    uint64_t one = 1;
    int number;

    sigwait(&s->set, &number);
    if (write(s->end_fd, &one, sizeof(one)) < 0)
        return s;
    return NULL;
}

static bool catch_signals(struct signals *s, struct error *err)
{
    pthread_t thread;
    int rc;

    rc = pthread_create(&thread, NULL, signals_main, s);
    if (rc)
        return error_set_errno(err, ERR_NO_MEMORY, rc, "signal thread");
    pthread_detach(thread);
    return true;
}

static void say_ready(int fd)
{
    if (fd < 0)
        return;
    if (write(fd, "\n", 1) < 0)
        fprintf(stderr, "xenferry-hostd: --ready-fd: %s\n", strerror(errno));
    close(fd);
}

static bool run(const struct options *o, struct error *err)
{
    static struct signals signals;
    struct log log = {.level = o->verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO,
                      .sink = log_to_stderr,
                      .context = "xenferry-hostd"};
    struct embedded_host host;
    cleanup_fd int lock = -1;
    cleanup_fd int socket = -1;
    char path[HOST_PATH_MAX + 16];
    bool ok;

    sigemptyset(&signals.set);
    sigaddset(&signals.set, SIGTERM);
    sigaddset(&signals.set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals.set, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (strlen(o->folder) >= HOST_PATH_MAX - 32)
        return error_set(err, ERR_USAGE, "%s: too long", o->folder);
    if (!lock_folder(o->folder, &lock, err) ||
        !listen_in(o->folder, path, sizeof(path), &socket, err))
        return false;
    ok = embedded_host_open(&host, o->folder, &log, err);
    if (ok) {
        signals.end_fd = host.end_fd;
        ok = catch_signals(&signals, err);
    }
    if (ok) {
        say_ready(o->ready_fd);
        ok = control_serve(&host, socket, err);
    }
    unlink(path);
    embedded_host_close(&host);
    return ok;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err;
    int status = read_options(argc, argv, &options);

    if (status)
        return status - 1;
    if (!run(&options, &err)) {
        fprintf(stderr, "xenferry-hostd: %s\n", err.text);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
