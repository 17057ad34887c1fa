/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages: to stderr in the foreground, else to syslog; to a file if asked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "store/daemon.h"

struct log_file {
    FILE *file;
    char *path;
    bool syslog;
};

static void sink(void *context, enum log_level level, const char *text)
{
    static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
    struct log_file *to = context;

    if (to->file) {
        char when[32];
        time_t now = time(NULL);
        struct tm parts;

        strftime(when, sizeof(when), "%Y%m%d %T", localtime_r(&now, &parts));
        fprintf(to->file, "%s %s: %s\n", when, log_level_name(level), text);
    }
    if (to->file && level < LOG_LEVEL_WARNING)
        return;
    if (to->syslog)
        syslog(priorities[level], "%s", text);
    else
        fprintf(stderr, "xenferry-xenstored: %s: %s\n", log_level_name(level),
                text);
}

bool daemon_log_open(struct daemon *d, const char *file, struct error *err)
{
    struct log_file *to = d->log_file;

    if (!to) {
        to = calloc(1, sizeof(*to));
        if (!to)
            return error_set(err, ERR_NO_MEMORY, "log");
        d->log_file = to;
        d->log.sink = sink;
        d->log.context = to;
        d->log.level = d->options.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
        to->syslog = !d->options.no_fork;
        if (to->syslog)
            openlog("xenferry-xenstored", LOG_PID, LOG_DAEMON);
    }
    if (file) {
        FILE *opened = fopen(file, "ae");

        if (!opened)
            return error_set_errno(err, ERR_IO, errno, "log file %s", file);
        setvbuf(opened, NULL, _IOLBF, 0);
        if (to->file)
            fclose(to->file);
        to->file = opened;
        free(to->path);
        to->path = strdup(file);
    }
    return true;
}

void daemon_log_reopen(struct daemon *d)
{
    struct error err = {0};
    cleanup_free char *path = NULL;

    if (!d->log_file->path)
        return;
    path = strdup(d->log_file->path);
    if (path && !daemon_log_open(d, path, &err))
        log_error(&d->log, "%s", err.text);
}

void daemon_log_close(struct daemon *d)
{
    if (!d->log_file)
        return;
    if (d->log_file->file)
        fclose(d->log_file->file);
    free(d->log_file->path);
    free(d->log_file);
    d->log_file = NULL;
    d->log = (struct log){0};
}

void notify_service_manager(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cleanup_fd int fd = -1;
    size_t length;

    if (!path || (*path != '/' && *path != '@'))
        return;
    length = strlen(path);
    if (length >= sizeof(address.sun_path))
        return;
    memcpy(address.sun_path, path, length);
    if (*path == '@')
        address.sun_path[0] = '\0';
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        (void)!sendto(
            fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}
