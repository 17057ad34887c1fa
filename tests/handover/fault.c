/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens at the fault points of a test build:
 *
 *   XENFERRY_FAULT=POINT=ACTION[,POINT=ACTION]...
 *
 *   self   this process is killed
 *   term   this process is asked to stop: SIGTERM; int, hup: SIGINT, SIGHUP
 *   ctrlc  SIGINT to this process and all others of its group
 *   stop   this process stands still: SIGSTOP
 *   cut    the connection is shut down
 *   N      process N is killed
 *
 * killed by SIGKILL; each the first time that its point is reached.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/handover/handover_common.h"

static void act(const char *action, int fd)
{
    struct timespec nap = {.tv_nsec = 100000000};

    static const struct {
        const char *name;
        int number;
    } signals[] = {
        {"int",  SIGINT },
        {"term", SIGTERM},
        {"hup",  SIGHUP },
        {"stop", SIGSTOP}
    };

    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (!strcmp(action, signals[i].name))
            kill(getpid(), signals[i].number);
    if (!strcmp(action, "ctrlc"))
        kill(0, SIGINT);
    if (!strcmp(action, "self")) {
        kill(getpid(), SIGKILL);
    } else if (!strcmp(action, "cut")) {
        shutdown(fd, SHUT_RDWR);
    } else if (atoi(action) > 1) {
        kill(atoi(action), SIGKILL);
        /* Its sockets are closed when it is gone. */
        nanosleep(&nap, NULL);
    }
}

void fault_point(const char *name, int fd)
{
    const char *faults = getenv("XENFERRY_FAULT");
    char copy[256], *rest = copy, *fault;

    if (!faults)
        return;
    snprintf(copy, sizeof(copy), "%s", faults);
    while ((fault = strsep(&rest, ","))) {
        char *action = strchr(fault, '=');

        if (!action)
            continue;
        *action++ = '\0';
        if (!strcmp(fault, name)) {
            unsetenv("XENFERRY_FAULT");
            fprintf(stderr, "fault: %s at %s\n", action, name);
            act(action, fd);
            return;
        }
    }
}
